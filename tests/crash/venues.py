"""The venue of a torture: its own process, the way to it, and what it has written there."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio
from children import fork

from actors.execution import DoubtPlan
from actors.runtime.clock import sleep_s, wall_ms
from actors.spec import SessionSpec
from brokers.contract import SessionBroker
from brokers.matching import MatchingEngine
from brokers.virtual import broker as virtual
from brokers.virtual.address import MachineClock, VenueAddress
from brokers.virtual.broker import VirtualBroker
from scenarios.exchange.facts import Terms
from scenarios.exchange.log import read_truth
from scenarios.exchange.server import Exchange
from scenarios.exchange.truth import Folded, fold_truth

KEY: Final = "a key for tests only"

TIMEOUT_S: Final = 10.0
"""No call is lost here, so none is given up: a busy machine is not what is tried."""

RECV_WINDOW_MS: Final = 250

DOUBTS: Final = DoubtPlan(
    receive_window_ms=RECV_WINDOW_MS, clock_skew_ms=0, margin_ms=0, pause_ms=50, pause_ms_max=100
)
"""Short, so that a doubt after a restart is over soon: the venue and we have one clock."""

assert "SKEW_MS" in vars(virtual), "the skew that is allowed for has another name"
vars(virtual)["SKEW_MS"] = 0  # one clock: a doubt after a restart is over soon


class Dialect(ABC):
    """
    How a venue is spoken to.

    ``listed`` is whether it lists perpetuals only, by the rules that it publishes.
    """

    name: str
    listed: bool

    @abstractmethod
    async def open(self, terms: Terms, folder: Path) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Serve a venue whose files are in ``folder``; return its address, and what stops it."""

    @abstractmethod
    def session(self, spec: SessionSpec, address: str) -> SessionSpec:
        """Return ``spec`` as a session at the venue of ``address``."""

    @abstractmethod
    def truth(self, folder: Path) -> Folded:
        """Return what the venue's own log adds up to, in the ids that a session knows."""

    def move(self, spec: SessionSpec, address: str) -> None:
        """Let the market go on while no process lives, where it does."""
        del spec, address


class Virtual(Dialect):
    """Our own dialect: plain HTTP, a market that the session shows, which stands without it."""

    name = "virtual"
    listed = False

    async def open(self, terms: Terms, folder: Path) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Serve a venue."""
        venue = Exchange(terms, folder / "truth", KEY)
        host, port = await venue.start()
        return f"http://{host}:{port}", venue.stop

    def session(self, spec: SessionSpec, address: str) -> SessionSpec:
        """Return ``spec`` as a session there."""
        reached = VenueAddress(address, KEY, TIMEOUT_S, recv_window_ms=RECV_WINDOW_MS)

        def broker(_engine: MatchingEngine) -> SessionBroker:
            return VirtualBroker(reached, MachineClock(wall_ms, sleep_s), source="rehearsal")

        return replace(spec, broker=broker, doubts=DOUBTS)

    def truth(self, folder: Path) -> Folded:
        """Return what the venue's own log adds up to."""
        return fold_truth(read_truth(folder / "truth"))


def dialect_of(name: str) -> Dialect:
    """Return the dialect of a name, with everything imported that its processes need."""
    if name == Virtual.name:
        return Virtual()
    from ccxt_venue import Binanceusdm

    return Binanceusdm()


NAMES: Final = ("virtual", "binanceusdm")


@contextmanager
def exchange(dialect: Dialect, folder: Path, spec: SessionSpec) -> Iterator[str]:
    """Serve a venue for ``spec`` from a process of its own; gives its address."""
    terms = Terms(
        dict(spec.instruments),
        spec.currency,
        spec.cash,
        "venue",
        position_mode=spec.engine.position_mode,
        participation=spec.engine.participation,
        at_once=dialect.listed,
    )
    reading, writing = os.pipe()
    ending, end = os.pipe()

    async def serve() -> None:
        address, stop = await dialect.open(terms, folder)
        os.write(writing, f"{address}\n".encode())
        await anyio.wait_readable(ending)
        await stop()

    def work(_tell: object) -> int:
        os.close(end)
        os.close(reading)
        anyio.run(serve)
        return 0

    child = fork(work, folder / "venue.stderr")
    os.close(writing)
    os.close(ending)
    try:
        with os.fdopen(reading) as told:
            yield told.readline().strip()
    finally:
        os.close(end)
        ended = child.end()
        if ended.code:
            raise RuntimeError(f"the venue {ended}")
