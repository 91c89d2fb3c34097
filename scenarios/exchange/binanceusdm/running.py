"""One exchange that runs: its port, its certificate, its truth, its market."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feeds.contract import BarFeed
from messages import FundingRate
from scenarios.exchange.authority import TestAuthority
from scenarios.exchange.binanceusdm.auth import Keys
from scenarios.exchange.binanceusdm.budget import Limits
from scenarios.exchange.binanceusdm.server import Binanceusdm
from scenarios.exchange.facts import Terms
from scenarios.exchange.faults import Faults
from scenarios.exchange.market import play

HOST: Final = "127.0.0.1"
TRUTH: Final = "truth.ndjson"


@dataclass(frozen=True, slots=True)
class OwnMarket:
    """What the exchange plays to itself: ``speed`` market seconds in one; 0 waits for nothing."""

    feed: BarFeed
    speed: float
    funding: tuple[FundingRate, ...] = ()


class Exchange:
    """
    An exchange that is served on ``port`` of loopback, over TLS where it has an authority.

    ``truth`` is the folder of its log, ``ca_path`` what clients are to trust.
    """

    def __init__(self, server: Binanceusdm, port: int, truth: Path, ca_path: Path | None) -> None:
        """Hold what ``open_binanceusdm`` has opened."""
        self.server = server
        self.port = port
        self.truth = truth
        self.ca_path = ca_path
        self._market: asyncio.Task[None] | None = None

    def play(self, market: OwnMarket) -> None:
        """Begin to play a market; it ends with the exchange."""
        playing = play(self.server, market.feed, market.speed, market.funding)
        task = asyncio.get_running_loop().create_task(playing)  # seam: ended by stop, watched below
        task.add_done_callback(self._played)
        self._market = task

    def _played(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.server.trouble = error
            self.server.failed.set()

    async def stop(self) -> None:
        """Answer what is under way, close streams, log and socket; raises what the market did."""
        if self._market is not None:
            self._market.cancel()
            await asyncio.wait([self._market])
        await self.server.stop()
        if self._market is not None and not self._market.cancelled():
            self._market.result()


async def open_binanceusdm(
    terms: Terms,
    folder: Path,
    *,
    credentials: Keys,
    ca: TestAuthority | None = None,
    market: OwnMarket | None = None,
    faults: Faults | None = None,
    limits: Limits | None = None,
    port: int = 0,
) -> Exchange:
    """
    Open an exchange in ``folder``, or go on with the one whose truth log is there; serve it.

    Whoever opens it stops it. Raises what ``Binanceusdm`` raises, and ``OSError`` for a port that
    is taken.
    """
    server = Binanceusdm(terms, folder / TRUTH, credentials, faults=faults, limits=limits)
    try:
        _, number = await server.start(HOST, port, None if ca is None else ca.tls)
    except BaseException:
        await server.stop()
        raise
    exchange = Exchange(server, number, folder, None if ca is None else ca.ca_path)
    if market is not None:
        exchange.play(market)
    return exchange
