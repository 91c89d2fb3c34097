"""What every feed does, whichever source is behind it: one suite for all adapters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from feeds_at_work import PRESENT, STANDS, LiveStand, Stand, bar_of
from market_data_house import MINUTE, minute
from structlog.testing import capture_logs

from feeds import FeedError
from feeds.behaviours import FEEDS, LIVE, Behaviour
from feeds.contract import BarFeed, LiveFeed
from feeds.live.feed import GRACE_MS, GROUP_WAIT_MS, JITTER_MS, SILENT_BARS
from feeds.live.venue import Stream
from feeds.store.layout import Series
from feeds.store.store import BarStore
from feeds.yfinance.venue import YahooVenue
from messages import Bar

S = TypeVar("S", bound=Stand)

PROVEN: dict[Behaviour, str] = {}
"""The test of each behaviour."""


def of_feeds(behaviour: Behaviour) -> Callable[[Callable[[S], Awaitable[None]]], object]:
    """Run a test at the stand of each feed that is not declared to be without ``behaviour``."""
    does = [name for name, declared in FEEDS.items() if declared.does(behaviour)]

    def decorate(test: Callable[[S], Awaitable[None]]) -> object:
        @pytest.mark.parametrize("name", does)
        async def at_one(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
            stand = STANDS[name](tmp_path, lambda: request.getfixturevalue("certificate"))
            _skip_without(name)
            await test(stand)  # type: ignore[arg-type]

        assert behaviour not in PROVEN, f"{behaviour}: one test each"
        PROVEN[behaviour] = test.__name__
        at_one.__name__, at_one.__doc__ = test.__name__, test.__doc__
        return at_one

    return decorate


def _skip_without(name: str) -> None:
    for feed, package, extra in (
        ("alpaca", "alpaca", "alpaca"),
        ("ccxt", "ccxt", "ccxt"),
        ("yfinance", "yfinance", "yfinance"),
        ("file (Parquet)", "pyarrow", "parquet"),
    ):
        if name == feed:
            pytest.importorskip(package, reason=f"needs the extra `{extra}`")


def test_every_behaviour_is_proven_and_every_feed_declared() -> None:
    """No behaviour without a test, no feed without a stand, and what is live is a live feed."""
    assert set(Behaviour) == set(PROVEN)
    assert set(FEEDS) == set(STANDS)
    for name, declared in FEEDS.items():
        assert declared.is_live == issubclass(STANDS[name], LiveStand)  # type: ignore[arg-type]
        assert all(declared.lacks.values())
        assert declared.is_live or not set(declared.lacks) & LIVE


# ------------------------------------------------------------------------------------ every feed


@of_feeds(Behaviour.NAMED)
async def test_a_feed_says_what_it_is(stand: Stand) -> None:
    """Before it starts: sorted symbols, the time frame, and an input that keeps its name."""
    stand.put(range(PRESENT - 5, PRESENT))
    async with stand.open() as feed:
        assert tuple(sorted(stand.symbols)) == feed.symbols
        assert MINUTE == feed.timeframe_ms
        assert feed.fingerprints()
        assert feed.fingerprints() == feed.fingerprints()
        assert isinstance(feed, LiveFeed) == isinstance(stand, LiveStand)


@of_feeds(Behaviour.IN_ORDER)
async def test_bars_come_in_order_and_once(stand: Stand) -> None:
    """For each symbol, with what was before and what is news taken together."""
    stand.put(range(PRESENT - 4, PRESENT + 3))
    async with stand.open() as feed:
        bars = [bar for group in await stand.brought(feed) for bar in group]

    for symbol in stand.symbols:
        times = [bar.timestamp for bar in bars if bar.symbol == symbol]
        assert len(times) >= 7
        assert all(earlier < later for earlier, later in pairwise(times))


@of_feeds(Behaviour.AS_TOLD)
async def test_a_bar_is_what_the_source_has(stand: Stand) -> None:
    """Its figures, stamped at its open; nothing more and nothing less than was there."""
    stand.put(range(PRESENT - 4, PRESENT + 2), range(PRESENT - 2, PRESENT + 2))
    async with stand.open() as feed:
        assert stand.expected() == await stand.brought(feed)


@of_feeds(Behaviour.TOGETHER)
async def test_the_bars_of_one_moment_come_together(stand: Stand) -> None:
    """Sorted by symbol, one of each at most, and the moments in their order."""
    stand.put(range(PRESENT - 4, PRESENT + 2))
    async with stand.open() as feed:
        groups = await stand.brought(feed)

    assert any(2 == len(group) for group in groups)
    for group in groups:
        assert 1 == len({bar.timestamp for bar in group})
        assert sorted({bar.symbol for bar in group}) == [bar.symbol for bar in group]
    moments = [group[0].timestamp for group in groups]
    assert sorted(set(moments)) == moments


@of_feeds(Behaviour.GAPS)
async def test_a_gap_is_passed_and_counted(stand: Stand) -> None:
    """The bars behind it come, for the symbol that has it and for the other one."""
    left_out = {PRESENT + 1, PRESENT + 2}
    places = range(PRESENT - 4, PRESENT + 5)
    stand.put([place for place in places if place not in left_out], places)
    async with stand.open() as feed:
        brought = await stand.brought(feed)
        missing = stand.missing(feed)

    assert sorted(bar for group in stand.expected() for bar in map(_key, group)) == sorted(
        bar for group in brought for bar in map(_key, group)
    )
    assert dict(zip(stand.symbols, (2, 0), strict=True)) == missing


def _key(bar: Bar) -> tuple[str, int, float]:
    return (bar.symbol, bar.timestamp, bar.close)


@of_feeds(Behaviour.BAD_BARS)
async def test_a_bar_that_cannot_be_is_not_handed_on(stand: Stand) -> None:
    """Neither one of what was before nor one that is news; the others come, and it is counted."""
    stand.put(range(PRESENT - 4, PRESENT + 3))
    stand.spoil(0, PRESENT - 2)
    stand.spoil(1, PRESENT + 1)
    async with stand.open() as feed:
        without = ((0, PRESENT - 2), (1, PRESENT + 1))
        wanted = stand.expected(*without)
        if isinstance(stand, LiveStand):
            for which, place in without:
                del stand.bars[stand.symbols[which]][place]
        brought = await stand.brought(feed)
        bad = stand.bad(feed)

    assert sorted(bar for group in wanted for bar in map(_key, group)) == sorted(
        bar for group in brought for bar in map(_key, group)
    )
    assert 2 == bad


@of_feeds(Behaviour.AGAIN)
async def test_what_was_before_can_be_read_again(stand: Stand) -> None:
    """It is the same, bar by bar."""
    stand.put(range(PRESENT - 4, PRESENT))
    async with stand.open() as feed:
        first = [tuple(group) for group in feed.groups()]

        assert first
        assert first == [tuple(group) for group in feed.groups()]


@of_feeds(Behaviour.LEFT)
async def test_whoever_reads_may_leave_at_any_bar(stand: Stand) -> None:
    """What was opened for it is closed when the reader is."""
    stand.put(range(PRESENT - 4, PRESENT))
    async with stand.open() as feed:
        before = _open_files()
        groups: Any = feed.groups()
        next(groups)
        if hasattr(groups, "close"):
            groups.close()

        assert before == _open_files()


def _open_files() -> set[str]:
    """Return the files that this process has open, sockets and pipes left out."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = str(each.readlink())
        except FileNotFoundError:
            continue  # the one that lists them
        if target.startswith("/") and not target.startswith(("/proc", "/dev")):
            found.add(target)
    return found


@of_feeds(Behaviour.UNKNOWN_SYMBOL)
async def test_a_symbol_that_is_not_there_is_refused_by_name(stand: Stand) -> None:
    """Before any bar comes; the error is the floor's own."""
    stand.put(range(PRESENT - 4, PRESENT))
    with pytest.raises(FeedError, match="NOPE"):
        await stand.asked_for("NOPE", None)


@of_feeds(Behaviour.UNKNOWN_TIMEFRAME)
async def test_a_time_frame_that_is_not_there_is_refused_by_name(stand: Stand) -> None:
    """Nothing is resampled, and bars of another length are never taken for it."""
    stand.put(range(PRESENT - 4, PRESENT))
    with pytest.raises(FeedError, match="7m"):
        await stand.asked_for(None, "7m")


# ------------------------------------------------------------------------------------- live feeds


@of_feeds(Behaviour.ONLY_CLOSED)
async def test_a_bar_that_may_still_change_is_not_handed_on(stand: LiveStand) -> None:
    """It comes when it is over, with the figures that it has then."""
    symbol = stand.symbols[0]
    stand.put(range(PRESENT - 4, PRESENT + 1))
    stand.bars[symbol][PRESENT] = bar_of(symbol, PRESENT, shift=7.0)
    async with stand.running() as running:
        await running.time.to(minute(PRESENT + 1) - 1)
        assert running.feed.take() is None
        stand.put(range(PRESENT, PRESENT + 2))
        stand.show()
        groups = await running.groups(2)

    assert [tuple(bar_of(each, PRESENT) for each in stand.symbols)] == groups


@of_feeds(Behaviour.WARM_UP)
async def test_the_bars_before_the_start_are_no_news(stand: LiveStand) -> None:
    """As many as were asked for are history; news begin with the bar behind them."""
    stand.put(range(PRESENT - 9, PRESENT + 2))
    async with stand.running(warm_up=3) as running:
        before = [bar for group in running.feed.groups() for bar in group]
        news = [bar for group in await running.groups(4) for bar in group]

    places = range(PRESENT - 3, PRESENT)
    assert [bar_of(each, place) for place in places for each in stand.symbols] == before
    places = range(PRESENT, PRESENT + 2)
    assert [bar_of(each, place) for place in places for each in stand.symbols] == news


@of_feeds(Behaviour.GOES_ON)
async def test_a_feed_that_goes_on_brings_what_was_missed(stand: LiveStand) -> None:
    """From the bar after the last one that was had, whatever the warm-up is."""
    stand.put(range(PRESENT - 20, PRESENT + 1))
    async with stand.running(warm_up=3, after=minute(PRESENT - 7)) as running:
        missed = [bar for group in running.feed.groups() for bar in group]

    places = range(PRESENT - 6, PRESENT)
    assert [bar_of(each, place) for place in places for each in stand.symbols] == missed


@of_feeds(Behaviour.NEVER_WAITS)
async def test_who_takes_never_waits_and_is_woken(stand: LiveStand) -> None:
    """Nothing is there at first; when a bar is, the driver has been called."""
    stand.put(range(PRESENT - 4, PRESENT + 2))
    async with stand.running() as running:
        assert running.feed.take() is None
        while (arrival := running.feed.take()) is None:
            running.woken = False
            await running.time.until(lambda: running.woken)

    assert tuple(bar_of(each, PRESENT) for each in stand.symbols) == arrival


@of_feeds(Behaviour.OWN_TIME)
async def test_the_sources_time_is_asked_for(stand: LiveStand) -> None:
    """It is returned, and judges what is closed, however wrong this machine's clock is."""
    stand.put(range(PRESENT - 4, PRESENT + 2))
    async with stand.served() as source:
        feed = stand.feed(source, stand.symbols, warm_up=4)
        right = feed._clock.wall_ms
        object.__setattr__(feed._clock, "wall_ms", lambda: right() + 90 * MINUTE)
        try:
            told = await stand.connected(feed)
            newest = [bar.timestamp for group in feed.groups() for bar in group][-1]
        finally:
            await feed.close()

    assert abs(told - stand.lab.now) < MINUTE
    assert minute(PRESENT - 1) == newest


@of_feeds(Behaviour.TROUBLE)
async def test_a_source_in_trouble_is_asked_again(stand: LiveStand) -> None:
    """At the start and later: no bar is lost, and the waits grow longer."""
    stand.put(range(PRESENT - 4, PRESENT + 3))
    stand.fail(2)
    slept: list[float] = []
    sleep_s = stand.clock.sleep_s

    async def noting(delay_s: float) -> None:
        slept.append(delay_s)
        await sleep_s(delay_s)

    stand.clock.sleep_s = noting  # type: ignore[method-assign]
    async with stand.running() as running:
        before = [tuple(group) for group in running.feed.groups()]
        waits = slept[:2]
        stand.fail(4)
        news = [bar for group in await running.groups(6) for bar in group]

    assert 4 == len(before)
    assert 0.0 < waits[0] < waits[1]
    assert sorted(
        _key(bar_of(each, place)) for place in range(PRESENT, PRESENT + 3) for each in stand.symbols
    ) == sorted(map(_key, news))


@of_feeds(Behaviour.NOT_THERE)
async def test_a_source_that_is_not_there_is_an_error(stand: LiveStand) -> None:
    """One of ours, after a bounded number of questions; nothing is left open."""
    stand.put(range(PRESENT - 4, PRESENT))
    async with stand.served() as source:
        pass
    feed = stand.feed(source, stand.symbols, warm_up=3)
    with pytest.raises(FeedError, match=source.name):
        await stand.connected(feed)
    await feed.close()


@of_feeds(Behaviour.LATE)
async def test_a_late_symbol_comes_by_itself(stand: LiveStand) -> None:
    """The other one is not held up for longer than a little; no bar of either is lost."""
    early, late = stand.symbols
    stand.put(range(PRESENT - 4, PRESENT + 2), range(PRESENT - 4, PRESENT + 1))
    async with stand.running() as running:
        del stand.bars[late][PRESENT]
        stand.show()
        (first,) = await running.groups(1)
        waited_ms = stand.lab.now - minute(PRESENT + 1)
        stand.put((), range(PRESENT, PRESENT + 2))
        stand.show()
        rest = [bar for group in await running.groups(3) for bar in group]

    assert (bar_of(early, PRESENT),) == first
    assert GROUP_WAIT_MS <= waited_ms < MINUTE
    assert [bar_of(late, PRESENT), bar_of(late, PRESENT + 1)] == [
        bar for bar in rest if bar.symbol == late
    ]
    assert bar_of(early, PRESENT + 1) in rest


@of_feeds(Behaviour.STREAMED)
async def test_a_streamed_bar_comes_without_a_question(stand: LiveStand) -> None:
    """Of a stream that was joined before the bar began."""
    stand.put(range(PRESENT - 4, PRESENT))
    async with stand.running(streams=frozenset({Stream.BARS})) as running:
        await running.time.heard(lambda: 2 == len(stand.lab.subscribed))
        await _streamed(stand, PRESENT)
        joins = running.feed._closing._of.values()
        await running.time.heard(lambda: all(each.trusted_from or each.final for each in joins))
        stand.clock.move(minute(PRESENT + 1) + 1)
        await _streamed(stand, PRESENT + 1)
        stand.clock.move(minute(PRESENT + 1) + GRACE_MS + JITTER_MS)
        joined = [await running.next(as_time_passes=False)]
        asked = stand.questions
        stand.clock.move(minute(PRESENT + 2) + 1)
        await _streamed(stand, PRESENT + 2)
        news = await running.next(as_time_passes=False)

    assert [tuple(bar_of(each, PRESENT) for each in stand.symbols)] == joined
    assert tuple(bar_of(each, PRESENT + 1) for each in stand.symbols) == news
    assert asked == stand.questions


async def _streamed(stand: LiveStand, place: int) -> None:
    for symbol in stand.symbols:
        await stand.lab.send_candle(place, symbol)


@of_feeds(Behaviour.SILENCE)
async def test_a_silent_stream_is_dialled_anew(stand: LiveStand) -> None:
    """Bars come from history meanwhile."""
    stand.put(range(PRESENT - 4, PRESENT + 6))
    async with stand.running(streams=frozenset({Stream.BARS})) as running:
        await running.time.heard(lambda: 2 == len(stand.lab.subscribed))
        bars = await running.groups(2 * (SILENT_BARS + 1))
        await running.time.until(lambda: 4 <= len(stand.lab.subscribed))

    assert 2 * (SILENT_BARS + 1) <= sum(map(len, bars))


@of_feeds(Behaviour.CLOSED_HOURS)
async def test_a_closed_exchange_is_left_alone(stand: LiveStand) -> None:
    """A long night costs a few questions; the first bar of the day comes, behind an untold gap."""
    night = range(PRESENT, PRESENT + 600)
    stand.close_between(night.start, night.stop)
    places = [*range(PRESENT - 4, PRESENT), night.stop, night.stop + 1]
    stand.put(places)
    with capture_logs() as said:
        async with stand.running() as running:
            evening = [bar for group in await running.groups(2) for bar in group]
            asked = stand.questions
            await running.time.to(minute(night.stop - 1))
            through_the_night = stand.questions - asked
            found = [bar for group in await running.groups(2) for bar in group]
            missing = stand.missing(running.feed)

    assert {bar_of(each, night.start - 1) for each in stand.symbols} == set(evening)
    assert through_the_night <= 20
    assert [bar_of(each, night.stop) for each in stand.symbols] == found
    assert dict.fromkeys(stand.symbols, len(night)) == missing
    assert "feed_gap" not in {each["event"] for each in said}


async def test_without_its_hours_a_night_is_asked_through(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: an exchange that does not say when it opens is asked again and again."""
    _skip_without("yfinance")
    monkeypatch.setattr(YahooVenue, "quiet_until", lambda *_told: None)
    stand = STANDS["yfinance"](tmp_path, lambda: request.getfixturevalue("certificate"))
    assert isinstance(stand, LiveStand)
    stand.close_between(PRESENT, PRESENT + 600)
    stand.put([*range(PRESENT - 4, PRESENT), PRESENT + 600])
    async with stand.running() as running:
        await running.groups(2)
        asked = stand.questions
        await running.time.to(minute(PRESENT + 30))

        assert stand.questions - asked > 40


@of_feeds(Behaviour.STOPS)
async def test_a_stop_amid_a_question_leaves_nothing_open(stand: LiveStand) -> None:
    """Whoever listens is cancelled while the source is asked; closing again does no harm."""
    stand.put(range(PRESENT - 4, PRESENT + 3))
    async with stand.running() as running:
        asked = stand.questions
        stand.clock.move(minute(PRESENT + 1) + GRACE_MS + JITTER_MS)
        with anyio.fail_after(20):
            while stand.questions == asked:
                await anyio.lowlevel.checkpoint()
        feed: BarFeed = running.feed

    assert isinstance(feed, LiveFeed)
    await feed.close()


@of_feeds(Behaviour.KEPT)
async def test_what_was_seen_is_kept(stand: LiveStand) -> None:
    """The bars before the start and the news, once each, as a series of the source's name."""
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    stand.put(range(PRESENT - 4, PRESENT + 2))
    async with stand.running(kept=stand.folder / "kept") as running:
        await running.groups(4)
        name = running.feed._source.name
    store = BarStore(stand.folder / "kept")

    for symbol in stand.symbols:
        kept = list(store.bars(Series(name, symbol, MINUTE)))
        assert [bar_of(symbol, place) for place in range(PRESENT - 4, PRESENT + 2)] == kept
