"""Sessions against an exchange on loopback that are executed once more from their journals."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from exchange_house import BTC, KEY, PATIENCE_S, serving

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from session_world import Script, Scripted, make_spec, walk

from actors.commands import Request
from actors.execution import DoubtPlan
from actors.health import HealthPlan
from actors.inbox import Inbox
from actors.reexecution import Reexecuted, reexecute
from actors.resuming import left_in
from actors.runtime.clock import sleep_s, wall_ms
from actors.session import resume_paper, run_paper
from actors.spec import SessionSpec
from brokers.contract import SessionBroker
from brokers.matching import MatchingEngine
from brokers.virtual.address import MachineClock, VenueAddress
from brokers.virtual.broker import VirtualBroker
from feeds.memory import MemoryFeed
from messages import Bar, ExecutionPolicy, Message, OrderType, Side
from scenarios.exchange.facts import Terms
from scenarios.exchange.faults import FaultScript
from scenarios.exchange.log import read_truth
from scenarios.exchange.server import Exchange
from scenarios.exchange.truth import Comparison, compare, fold_journal, fold_truth
from state.journal import JournalError, durable
from state.journal.reader import read_journal
from state.reconciliation_policy import ReconciliationPlan
from strategies.contract import Intents

SESSION = "l-1-abcdefghij"
CASH = Decimal(1_000_000)

QUICK = DoubtPlan(
    answer_timeout_ms=500,
    receive_window_ms=100,
    clock_skew_ms=1_000,
    margin_ms=100,
    pause_ms=500,
    pause_ms_max=30_000,
    budget_ms=2_000,
)
"""Doubts that are over within seconds."""


WELL = VenueAddress("", KEY, PATIENCE_S, recv_window_ms=100)
"""A venue all of whose answers are waited for; what it never got, it does not get any more."""

HASTY = replace(WELL, timeout_s=1.0)
"""For a venue that does not always answer."""


def spec_of(
    folder: Path,
    address: VenueAddress = WELL,
    *,
    bars: int = 20,
    every: int = 2,
    below: str = "0.2",
) -> SessionSpec:
    """
    Return a session that buys, rests orders, and sells, ``every`` so many bars.

    What rests is so far ``below`` the market.
    """
    script = Script()

    def decide(strategy: Scripted, bar: Bar) -> Intents:
        desk = strategy.desk
        number = bar.timestamp // 60_000
        if number % every:
            price = Decimal(str(round(bar.close, 2))) - Decimal(below)
            near = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=price)
            return [desk.open(BTC, Side.BUY, Decimal(2), policy=near)]
        if desk.position(BTC):
            return [desk.close(BTC)]
        return [desk.open(BTC, Side.BUY, Decimal(1))]

    script.on_bar = decide

    def broker(engine: MatchingEngine) -> SessionBroker:
        clock = MachineClock(wall_ms, sleep_s)
        return VirtualBroker(address, clock, source=engine.config.trade_tag)

    spec = make_spec(MemoryFeed({BTC: walk(BTC, bars, 5)}), script.spec())
    return replace(
        spec,
        mode="paper",
        runs_dir=folder / "runs",
        session_id=SESSION,
        broker=broker,
        health=HealthPlan(),
        doubts=QUICK,
        reconciliation=ReconciliationPlan(every_ms=120_000, patient=True),
    )


@dataclass
class Rehearsed:
    """One session as it was run: its folder, the exchange, what came of it."""

    folder: Path
    exchange: Exchange
    how: dict[str, Any] = field(default_factory=dict)
    outcomes: list[str] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        """Return where its journal lies."""
        return self.folder / "runs" / "paper" / "sessions" / SESSION / "journal.sqlite"

    @property
    def messages(self) -> list[Message]:
        """Return what is in it."""
        return [entry.message for entry in read_journal(self.journal)]

    def again(self, **terms: int) -> Reexecuted:
        """Execute it once more, without any exchange."""
        spec = spec_of(self.folder, **{**self.how, **terms})
        return reexecute(spec, SESSION, self.journal)

    def check_same(self, **terms: int) -> int:
        """Check that nothing differs; return how many entries there are."""
        found = self.again(**terms)
        assert found.difference is None, str(found.difference)
        assert len(self.messages) == found.same
        return found.same

    def truth(self) -> Comparison:
        """Return where the exchange and the journal part."""
        truth = fold_truth(read_truth(self.exchange.log.path))
        return compare(truth, fold_journal(self.messages, CASH))

    def has(self, *kinds: type[Message]) -> bool:
        """Return whether there is a message of each of ``kinds``."""
        return all(any(isinstance(each, kind) for each in self.messages) for kind in kinds)


class Cut(Exception):
    """The disk is gone, and with it the process."""


@contextmanager
def dying(at: str) -> Iterator[None]:
    """Let a session lose its journal for ever at a crash point, such as ``journal.committed:9``."""
    point, _, number = at.partition(":")
    left = [int(number)]

    def passing(name: str) -> None:
        if name == point:
            left[0] -= 1
            if not left[0]:
                raise Cut(at)

    before = vars(durable)["passing"]
    vars(durable)["passing"] = passing
    try:
        yield
    finally:
        vars(durable)["passing"] = before


Commands = Mapping[int, Request]


async def run(
    folder: Path,
    *faults: dict[str, Any],
    seed: int = 0,
    speed: float = 0,
    commands: Commands | None = None,
    cuts: tuple[str, ...] = (),
    bars: int = 20,
    healed: Callable[[int], bool] = lambda _bars: False,
    stop_after: int | None = None,
    address: VenueAddress = WELL,
    below: str = "0.2",
) -> Rehearsed:
    """
    Run a session against an exchange with ``faults``, going on after each of ``cuts``.

    ``commands`` come after a bar, and so does the order to stop; from the bar on that is ``healed``
    nothing goes wrong any more. At speed 0 all that the venue has to say of a bar is heard before
    that; at others, nobody knows how much of it.
    """
    how = {"bars": bars, "below": below}
    listed = spec_of(folder, **how)
    terms = Terms(dict(listed.instruments), listed.currency, listed.cash, "venue")
    async with serving(folder / "truth", *faults, listed=terms, seed=seed) as (exchange, url):
        spec = spec_of(folder, replace(address, url=url), **how)
        rehearsed = Rehearsed(folder, exchange, how)
        said = dict(commands or {})
        seen = [0]

        def stop() -> bool:
            return stop_after is not None and seen[0] >= stop_after

        for cut in (*cuts, None):
            inbox = Inbox()

            def progressed(done: int, inbox: Inbox = inbox) -> None:
                seen[0] = done
                for bar in [bar for bar in said if bar <= done]:
                    inbox.submit(said.pop(bar))
                if healed(done):
                    exchange.faults.replace(FaultScript())

            with anyio.CancelScope():
                try:
                    if cut is None:
                        await _to_its_end(spec, rehearsed, speed, inbox, progressed, stop)
                    else:
                        with dying(cut):
                            await _to_its_end(spec, rehearsed, speed, inbox, progressed, stop)
                except JournalError:
                    rehearsed.outcomes.append("died")
        return rehearsed


async def _to_its_end(
    spec: SessionSpec,
    rehearsed: Rehearsed,
    speed: float,
    inbox: Inbox,
    progressed: Callable[[int], None],
    stop: Callable[[], bool],
) -> None:
    folder = rehearsed.journal.parent
    if not (folder / "manifest.json").is_file():
        result = await run_paper(spec, speed=speed, inbox=inbox, on_progress=progressed, stop=stop)
    else:
        left = left_in(folder, spec)
        if left.ended is not None:
            return
        result = await resume_paper(
            spec, left, speed=speed, inbox=inbox, on_progress=progressed, stop=stop
        )
    rehearsed.outcomes.append(result.outcome)


def once(folder: Path, *faults: dict[str, Any], **how: Any) -> Rehearsed:
    """Do what ``run`` does, in a loop of its own."""
    return asyncio.run(run(folder, *faults, **how))
