"""A session on a live feed is executed once more from its journal: its market is on record."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import anyio
import pytest
from market_data_house import BTC, MINUTE, LabClock, LabVenue, bar_at, minute

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from session_world import Script, Scripted, make_spec

from actors.assembly import StrategySpec
from actors.commands import Request
from actors.inbox import Inbox
from actors.reexecution import Reexecuted, reexecute
from actors.resuming import left_in
from actors.session import resume_paper, run_paper
from actors.spec import SessionResult, SessionSpec
from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import ccxt_source
from feeds.contract import Arrival
from feeds.live.feed import VenueFeed
from feeds.live.venue import FeedClock, Stream
from feeds.recorded import RecordedFeed
from messages import (
    ActorFailed,
    Bar,
    CommandVerb,
    ExecutionPolicy,
    MarketBefore,
    MarketSeen,
    OrderType,
    Quote,
    SessionStarted,
    Side,
    Tick,
)
from state.journal import schema
from state.journal.reader import read_journal
from strategies.contract import Intents
from strategies.sma_cross import SmaCross, SmaCrossParams

PATIENCE_S = 30.0
SESSION = "l-1-abcdefghij"


async def until(happens: Callable[[], bool], clock: LabClock | None = None) -> None:
    """Let the loop go on, and the venue's time pass if there is a ``clock``, until it happens."""
    with anyio.fail_after(PATIENCE_S):
        while not happens():
            await anyio.sleep(0.005)
            if clock is not None:
                clock.move(clock.venue.now + 2_000)


class Trading:
    """A venue, and a session on it that buys, rests an order and sells, bar by bar."""

    def __init__(self, folder: Path, venue: LabVenue, reach: Reach) -> None:
        self.folder = folder
        self.venue = venue
        self.reach = reach
        self.clock = LabClock(venue)
        self.stopping = False
        self.script = self._script()
        self.results: list[SessionResult] = []

    def _script(self) -> Script:
        script = Script()

        def decide(strategy: Scripted, bar: Bar) -> Intents:
            desk = strategy.desk
            number = bar.timestamp // MINUTE % 3
            if number == 0:
                return [desk.open(BTC, Side.BUY, Decimal(1))]
            if number == 1:
                price = Decimal(str(round(bar.close - 1, 1)))
                near = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=price)
                return [desk.open(BTC, Side.BUY, Decimal(1), policy=near)]
            return [desk.close(BTC)] if desk.position(BTC) else []

        script.on_bar = decide
        return script

    def feed(self, *streams: Stream) -> VenueFeed:
        """Return a feed in the venue's time."""
        own = FeedClock(self.clock.wall_ms, self.clock.sleep_s)
        return VenueFeed(
            ccxt_source(self.reach),
            [BTC],
            MINUTE,
            clock=own,
            chance=Random(1).random,
            warm_up=3,
            streams=frozenset({Stream.BARS, *streams}),
        )

    def spec(self, feed: VenueFeed | RecordedFeed, script: Script | None = None) -> SessionSpec:
        """Return the session: one strategy that is scripted, one that warms up."""
        spec = make_spec(feed, (script or self.script).spec(symbols=(BTC,)))
        params = SmaCrossParams(fast=2, slow=3, quantity=Decimal(1))
        sma = StrategySpec("sma", SmaCross, params, (BTC,))
        runs = self.folder / "runs"
        strategies = (*spec.strategies, sma)
        return replace(spec, mode="paper", runs_dir=runs, session_id=SESSION, strategies=strategies)

    @property
    def out(self) -> Path:
        """Return the session's folder."""
        return self.folder / "runs" / "paper" / "sessions" / SESSION

    async def run(self, feed: VenueFeed, inbox: Inbox | None = None) -> None:
        """Begin the session or go on with it, until it is stopped."""
        spec, inbox = self.spec(feed), inbox or Inbox()
        if (self.out / "manifest.json").is_file():
            left = left_in(self.out, spec)
            result = await resume_paper(
                spec, left, speed=60, inbox=inbox, stop=lambda: self.stopping
            )
        else:
            result = await run_paper(spec, speed=60, inbox=inbox, stop=lambda: self.stopping)
        self.results.append(result)

    async def seen(self, count: int) -> None:
        """Let time pass until the strategy has seen so many bars."""
        await until(lambda: len(self.script.seen) >= count, self.clock)

    def again(self, script: Script | None = None) -> Reexecuted:
        """Execute the session once more, without any venue."""
        spec = self.spec(RecordedFeed((BTC,), MINUTE), script or self._script())
        return reexecute(spec, SESSION, self.out / "journal.sqlite")

    def check_same(self) -> None:
        """Check that nothing differs."""
        found = self.again()
        assert found.difference is None, str(found.difference)
        assert sum(1 for _ in read_journal(self.out / "journal.sqlite")) == found.same


@pytest.fixture
def trading(tmp_path: Path, venue: LabVenue, reach: Reach) -> Trading:
    venue.fill(range(101))
    venue.deaf = True
    return Trading(tmp_path, venue, reach)


async def run_bars(
    trading: Trading, feed: VenueFeed, bars: range, *, die: bool = False, **said: Request
) -> None:
    """Run the session over ``bars``, commands said after some; stop it, or let it ``die``."""
    trading.stopping = False
    inbox = Inbox()
    dying = None
    take = feed.take

    def take_or_die() -> Arrival | None:
        if dying:
            raise RuntimeError("the power is cut")
        return take()

    feed.take = take_or_die  # type: ignore[method-assign]

    async def run() -> None:
        if not die:
            await trading.run(feed, inbox)
            return
        with pytest.raises(RuntimeError, match="the power is cut"):
            await trading.run(feed, inbox)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for number, place in enumerate(bars, len(trading.script.seen) + 1):
            trading.venue.fill(range(place, place + 2))
            await trading.seen(number)
            if (request := said.get(f"bar{place}")) is not None:
                inbox.submit(request)
        dying = die
        trading.stopping = not die


async def test_what_a_live_feed_brought_is_brought_again(trading: Trading) -> None:
    """Bars, the past that strategies warmed up with, timers, commands and the order to stop."""
    said = {
        "bar103": Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test", reason="drill"),
        "bar105": Request(verb=CommandVerb.RESUME, by="test", reason="over"),
        "bar108": Request(verb=CommandVerb.KILL, by="test", flatten=True),
    }
    await run_bars(trading, trading.feed(), range(100, 111), **said)

    messages = [entry.message for entry in read_journal(trading.out / "journal.sqlite")]
    (before,) = [each for each in messages if isinstance(each, MarketBefore)]
    assert 3 == len(before.bars)
    seen = [each.seen for each in messages if isinstance(each, MarketSeen)]
    assert [(bar,) for bar in trading.script.seen] == seen
    trading.check_same()


async def test_a_session_on_a_live_feed_is_the_same_over_the_end_of_its_process(
    trading: Trading,
) -> None:
    """What it missed meanwhile is on record for the second start, and warms strategies up."""
    await run_bars(trading, trading.feed(), range(100, 105), die=True)
    trading.venue.fill(range(105, 109))
    trading.clock.move(minute(108) + 1)

    await run_bars(trading, trading.feed(), range(108, 113))

    messages = [entry.message for entry in read_journal(trading.out / "journal.sqlite")]
    first, second = [each for each in messages if isinstance(each, MarketBefore)]
    assert [bar_at(place) for place in (97, 98, 99)] == list(first.bars)
    seen = [each.seen for each in messages if isinstance(each, MarketSeen)]
    kept = seen.index((bar_at(108),))  # the last may have been on its way to the disk only
    assert [(bar_at(place),) for place in range(100, 105)][:kept] == seen[:kept]
    assert [bar_at(place) for place in range(100 + kept, 108)] == list(second.bars)
    trading.check_same()


async def test_time_that_passed_before_the_order_to_stop_has_passed_again(
    trading: Trading,
) -> None:
    """A kill is confirmed, and nothing more is journaled until somebody ends the session."""
    inbox = Inbox()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trading.run, trading.feed(), inbox)
        trading.venue.fill(range(100, 102))
        await trading.seen(1)
        inbox.submit(Request(verb=CommandVerb.KILL, by="test"))
        assert inbox.session is not None
        assembly = inbox.session.assembly
        await until(lambda: assembly.kill.report is not None)
        killed_at = assembly.clock.now

        def look() -> bool:
            """Look in, as `status` does: the clock is read, and nothing is journaled."""
            assembly.dispatcher.when_idle(lambda: None)
            inbox.ring()
            return assembly.clock.now > killed_at + 20

        await until(look)
        trading.stopping = True

    (result,) = trading.results
    assert "killed" == result.outcome
    trading.check_same()


@pytest.mark.parametrize("looks_in", [False, True], ids=["alone", "asked"])
@pytest.mark.parametrize("died", [True, False], ids=["died", "stopped"])
async def test_a_start_that_is_stopped_before_any_bar_is_the_same(
    trading: Trading, *, died: bool, looks_in: bool
) -> None:
    """It is later at the start than it was at the end before: what is kept knows the earlier."""
    await run_bars(trading, trading.feed(), range(100, 104), die=died)
    for _ in range(2):
        trading.clock.move(trading.venue.now + 5_000)
        trading.stopping = False
        inbox = Inbox()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trading.run, trading.feed(), inbox)
            await until(lambda inbox=inbox: inbox.session is not None)  # type: ignore[misc]
            if looks_in:
                await asyncio.wrap_future(inbox.ask(lambda _session: {}))
            trading.stopping = True

    assert 3 == sum(
        isinstance(entry.message, SessionStarted)
        for entry in read_journal(trading.out / "journal.sqlite")
    )
    trading.check_same()


async def test_a_feed_that_failed_fails_again(trading: Trading) -> None:
    """With the words of then, where it was heard of; its restart and its holds follow."""
    feed = trading.feed()
    listen = feed.run
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("a bug")
        await listen()

    feed.run = run  # type: ignore[method-assign]
    await run_bars(trading, feed, range(100, 103))

    messages = [entry.message for entry in read_journal(trading.out / "journal.sqlite")]
    failed = [each for each in messages if isinstance(each, ActorFailed)]
    assert ["RuntimeError: a bug"] == [each.error for each in failed]
    assert "in run" in failed[0].traceback
    trading.check_same()


async def test_quotes_and_trades_are_brought_again(trading: Trading) -> None:
    """Each where it came, between the bars; a stop that one of them sets off goes off again."""
    venue = trading.venue
    venue.deaf = False
    inbox = Inbox()
    feed = trading.feed(Stream.QUOTES, Stream.TRADES)
    quotes: dict[str, Quote] = {}

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trading.run, feed, inbox)
        await until(lambda: len(venue.subscribed) == 3 and inbox.session is not None)
        assert inbox.session is not None
        quotes = inbox.session.assembly.board.quotes
        for number, price in enumerate((61_000.5, 61_001.5, 60_990.0), 1):
            await venue.send_trade(100, price, number)
            await venue.send_quote(100, price - 0.5, price + 0.5)
            await until(lambda bid=price - 0.5: BTC in quotes and quotes[BTC].bid == bid)
        trading.stopping = True

    messages = [entry.message for entry in read_journal(trading.out / "journal.sqlite")]
    seen = [
        each for message in messages if isinstance(message, MarketSeen) for each in message.seen
    ]
    assert 3 == sum(isinstance(each, Tick) for each in seen)
    assert quotes[BTC] in seen
    trading.check_same()


@pytest.mark.parametrize(
    ("kind", "what", "into"),
    [(MarketBefore, '"close":1', '"close":'), (MarketSeen, '"close":', '"close":9')],
)
async def test_another_market_on_record_is_named_by_what_follows_from_it(
    trading: Trading, kind: type[MarketBefore | MarketSeen], what: str, into: str
) -> None:
    """Ablation: with other closes on record, past or present, a decision that follows is named."""
    await run_bars(trading, trading.feed(), range(100, 105))
    journal = trading.out / "journal.sqlite"
    seq = next(e.seq for e in read_journal(journal) if isinstance(e.message, kind))
    change(journal, seq, what, into)

    found = trading.again().difference

    assert found is not None
    assert found.seq > seq


async def test_another_decision_on_the_same_market_is_named(trading: Trading) -> None:
    """Ablation: a strategy that decides otherwise differs at its first other decision."""
    await run_bars(trading, trading.feed(), range(100, 104))

    found = trading.again(Script()).difference

    assert found is not None
    assert "OpenIntent" in str(found)


def change(journal: Path, seq: int, what: str, into: str) -> None:
    """Change a line of a journal, as nothing of ours ever does."""
    with closing(sqlite3.connect(journal)) as file, file:
        for (guard,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            file.execute(f"DROP TRIGGER {guard}")
        (line,) = file.execute("SELECT line FROM journal WHERE seq = ?", (seq,)).fetchone()
        line = line.replace(what, into)
        told = (line, schema.sum_of(seq, line.encode()), seq)
        file.execute("UPDATE journal SET line = ?, sum = ? WHERE seq = ?", told)
