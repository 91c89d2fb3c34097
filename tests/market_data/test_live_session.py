"""Whole paper sessions on a live feed: the real ccxt over TLS, bars in the venue's time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from market_data_house import BTC, MINUTE, LabClock, LabVenue, bar_at, minute

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from session_world import Script, Scripted, make_spec, on_bars

from actors.assembly import StrategySpec
from actors.inbox import Inbox
from actors.resuming import left_in
from actors.runtime.supervisor import RestartChild
from actors.session import resume_paper, run_paper
from actors.spec import SessionResult, SessionSpec
from actors.turns import Session
from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import ccxt_source
from feeds.contract import Arrival, Group, LiveFeed
from feeds.live.feed import VenueFeed
from feeds.live.venue import FeedClock, Stream
from feeds.store.layout import Series
from feeds.store.store import BarStore
from messages import Bar, ExecutionReport, MarketSeen, OpenIntent, OrderEvent, Side
from state.features import FeatureStore
from state.journal.reader import read_journal
from strategies.contract import StrategyParams
from strategies.sma_cross import SmaCross, SmaCrossParams

PATIENCE_S = 30.0


@pytest.fixture
def clock(venue: LabVenue) -> LabClock:
    return LabClock(venue)


@pytest.fixture
def feed(reach: Reach, clock: LabClock) -> Callable[[], VenueFeed]:
    """Return a maker of feeds in the venue's time."""

    def make() -> VenueFeed:
        own = FeedClock(clock.wall_ms, clock.sleep_s)
        return VenueFeed(
            ccxt_source(reach),
            [BTC],
            MINUTE,
            clock=own,
            chance=Random(1).random,
            warm_up=3,
            streams=frozenset({Stream.BARS}),
        )

    return make


class Watched:
    """A session that runs, a venue whose time passes, and what the strategy has seen."""

    def __init__(self, folder: Path, script: Script, feed: LiveFeed) -> None:
        self.script = script
        spec = make_spec(feed, script.spec(symbols=(BTC,)))
        self.spec: SessionSpec = replace(spec, mode="paper", runs_dir=folder / "runs")
        self.stopping = False

    async def run(self) -> SessionResult:
        return await run_paper(self.spec, speed=60, stop=lambda: self.stopping)


async def seen(script: Script, count: int, clock: LabClock) -> None:
    """Let time pass until the strategy has seen so many bars."""
    with anyio.fail_after(PATIENCE_S):
        while len(script.seen) < count:
            await anyio.sleep(0.005)
            clock.move(clock.venue.now + 100)


async def test_a_session_decides_at_live_closes(
    venue: LabVenue, clock: LabClock, feed: Callable[[], VenueFeed], tmp_path: Path
) -> None:
    """Bars come as the venue closes them, are traded on, and lie in the session's folder."""
    venue.fill(range(101))
    venue.deaf = True
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1))]})
    watched = Watched(tmp_path, script, feed())
    results: list[SessionResult] = []

    async def session() -> None:
        results.append(await watched.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session)
        for place in range(100, 103):
            venue.fill(range(place, place + 2))
            await seen(script, place - 99, clock)
        watched.stopping = True

    (result,) = results
    assert "interrupted" == result.outcome
    assert [bar_at(place) for place in (100, 101, 102)] == script.seen
    fills = [
        entry.message
        for entry in read_journal(result.out / "journal.sqlite")
        if isinstance(entry.message, ExecutionReport) and entry.message.event is OrderEvent.FILLED
    ]
    assert 1 == len(fills)
    kept = BarStore(result.out / "bars").bars(Series("binanceusdm", BTC, MINUTE))
    assert [bar_at(place) for place in range(97, 103)] == list(kept)
    assert "told in the log as feed_gap" in (result.out / "session.md").read_text()


@pytest.mark.parametrize("warm_up", [3, 0])
async def test_strategies_warm_up_before_the_first_live_bar(
    warm_up: int,
    venue: LabVenue,
    clock: LabClock,
    feed: Callable[[], VenueFeed],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With history an average is there at the first close; without, it takes its own length."""
    venue.fill(range(100))
    venue.fill(range(100, 101), shift=60.0)
    venue.deaf = True
    source = feed()
    source._warm_up = warm_up
    script = Script()
    sma = StrategySpec(
        "sma",
        SmaCross,
        SmaCrossParams(fast=2, slow=3, quantity=Decimal(1)),
        (BTC,),
    )
    watched = Watched(tmp_path, script, source)
    watched.spec = replace(watched.spec, strategies=(*watched.spec.strategies, sma))
    results: list[SessionResult] = []

    async def session() -> None:
        results.append(await watched.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session)
        venue.fill(range(101, 102))
        await seen(script, 1, clock)
        watched.stopping = True

    orders = [
        entry.message
        for entry in read_journal(results[0].out / "journal.sqlite")
        if isinstance(entry.message, OpenIntent)
    ]
    assert (1 if warm_up else 0) == len(orders)


class CountingStore(FeatureStore):
    """A store of features that counts what was found."""

    found = 0

    def load(self, key: str) -> Any | None:
        features = super().load(key)
        self.found += features is not None
        return features


async def test_a_start_with_the_same_bars_takes_what_the_first_made_of_them(
    venue: LabVenue, clock: LabClock, feed: Callable[[], VenueFeed], tmp_path: Path
) -> None:
    """It decides as the first did, and as a session without a store does."""
    venue.fill(range(100))
    venue.fill(range(100, 102), shift=60.0)
    venue.deaf = True
    began = venue.now
    store = CountingStore(tmp_path / "features", "us")
    sma = StrategySpec(
        "sma",
        SmaCross,
        SmaCrossParams(fast=2, slow=3, quantity=Decimal(1)),
        (BTC,),
        source_sha256="a source",
    )
    decided: list[list[tuple[int, str]]] = []

    async def session(kept: FeatureStore | None, name: str) -> None:
        venue.now = began
        script = Script()
        watched = Watched(tmp_path / name, script, feed())
        strategies = (*watched.spec.strategies, sma)
        watched.spec = replace(watched.spec, strategies=strategies, features=kept)
        results: list[SessionResult] = []

        async def run() -> None:
            results.append(await watched.run())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await seen(script, 1, clock)
            watched.stopping = True
        decided.append(
            [
                (entry.message.decision_price or 0, entry.message.side.value)
                for entry in read_journal(results[0].out / "journal.sqlite")
                if isinstance(entry.message, OpenIntent)
            ]
        )

    await session(None, "without")
    await session(store, "first")
    await session(store, "second")

    assert 1 == store.found
    assert 1 == len(decided[0])
    assert [decided[0]] * 3 == decided


async def test_a_feed_that_raises_is_restarted_and_the_session_goes_on(
    venue: LabVenue, clock: LabClock, feed: Callable[[], VenueFeed], tmp_path: Path
) -> None:
    """A fault in the feed is a failed child and no end: the bars come after its restart."""
    venue.fill(range(101))
    venue.deaf = True
    script = Script()
    source = feed()
    listen = source.run
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("a bug")
        await listen()

    source.run = run  # type: ignore[method-assign]
    watched = Watched(tmp_path, script, source)
    results: list[SessionResult] = []

    async def session() -> None:
        results.append(await watched.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session)
        venue.fill(range(100, 102))
        await seen(script, 1, clock)
        watched.stopping = True

    assert 2 == runs
    assert "interrupted" == results[0].outcome
    failed = [
        entry.message
        for entry in read_journal(results[0].out / "journal.sqlite")
        if type(entry.message).__name__ == "ActorFailed"
    ]
    assert ["feed"] == [each.actor for each in failed]


class Dialled:
    """A live feed that counts how often it was asked to dial anew."""

    symbols = (BTC,)
    timeframe_ms = MINUTE
    synthetic = False
    speed = 1.0

    def __init__(self) -> None:
        self.wake: Callable[[], object] = lambda: None
        self.dialled = 0

    def groups(self) -> Iterator[Group]:
        return iter(())

    def fingerprints(self) -> dict[str, str]:
        return {}

    def keep_in(self, folder: Path) -> None:
        return None

    async def connect(self, after: int | None = None) -> int:
        return minute(100)

    async def run(self) -> None:
        await anyio.sleep_forever()

    def take(self) -> Arrival | None:
        return None

    def reconnect(self) -> None:
        self.dialled += 1

    async def close(self) -> None:
        return None


async def test_a_restart_of_the_feed_dials_its_source_anew(tmp_path: Path) -> None:
    """What Health does about a feed that has fallen silent reaches the live source."""
    source = Dialled()
    inbox = Inbox()
    watched = Watched(tmp_path, Script(), source)
    before: list[int] = []

    def restart(session: Session) -> None:
        before.append(source.dialled)
        session.assembly.supervisor.apply(RestartChild("feed", 0.0, healthy=True))
        watched.stopping = True

    def opened(session: Session) -> None:
        session.assembly.dispatcher.when_idle(lambda: restart(session))

    result = await run_paper(
        watched.spec, speed=60, stop=lambda: watched.stopping, inbox=inbox, on_open=opened
    )

    assert "interrupted" == result.outcome
    assert source.dialled == before[0] + 1


class Warming(Scripted):
    """A scripted strategy that remembers what it was warmed up with."""

    def warm_up(self, bar: Bar) -> None:
        self.script.told.append(bar)

    def features(self) -> int:
        return len(self.script.told)


async def test_a_session_that_goes_on_warms_up_with_what_it_missed(
    venue: LabVenue, clock: LabClock, feed: Callable[[], VenueFeed], tmp_path: Path
) -> None:
    """Bars that closed while nobody ran are taken in and not acted upon; the next one is news."""
    venue.fill(range(101))
    venue.deaf = True

    def spec_of(script: Script, source: VenueFeed) -> SessionSpec:
        watched = Watched(tmp_path, script, source)
        warming = StrategySpec(
            "one", lambda desk, params: Warming(desk, params, script), StrategyParams(), (BTC,)
        )
        # The first start has a source and no store, the second both.
        kept = FeatureStore(tmp_path / "features", "us") if script is not first else None
        warming = replace(warming, source_sha256="a source")
        return replace(watched.spec, strategies=(warming,), features=kept)

    first, died = Script(), feed()
    take = died.take

    def take_or_die() -> Arrival | None:
        if len(first.seen) == 2:
            raise RuntimeError("the power is cut")
        return take()

    died.take = take_or_die  # type: ignore[method-assign]

    async def dying() -> None:
        with pytest.raises(RuntimeError, match="the power is cut"):
            await run_paper(spec_of(first, died), speed=60)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(dying)
        for count in (1, 2):
            venue.fill(range(99 + count, 101 + count))
            await seen(first, count, clock)

    venue.fill(range(102, 106))
    clock.move(minute(105) + 1)
    (folder,) = (tmp_path / "runs" / "paper" / "sessions").iterdir()
    second = Script()
    spec = spec_of(second, feed())
    stopping = False
    results: list[SessionResult] = []

    async def going_on() -> None:
        left = left_in(folder, spec)
        results.append(await resume_paper(spec, left, speed=60, stop=lambda: stopping))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(going_on)
        venue.fill(range(105, 107))
        await seen(second, 1, clock)
        stopping = True

    # It knows more than the bars that it missed, so what it came to has no name to be kept by.
    assert not (tmp_path / "features").exists()
    # What was on its way to the disk when the power was cut has not been: it is brought in again.
    entries = read_journal(results[0].out / "journal.sqlite")
    known = [entry.message.seen for entry in entries if isinstance(entry.message, MarketSeen)]
    kept = known.index((bar_at(105),))
    assert [(bar_at(place),) for place in (100, 101)][:kept] == known[:kept]
    assert "interrupted" == results[0].outcome
    assert [bar_at(place) for place in range(100 + kept, 105)] == second.told
    assert [bar_at(105)] == second.seen
