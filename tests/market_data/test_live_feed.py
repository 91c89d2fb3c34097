"""The live feed of the real ccxt over TLS on loopback, in the venue's time, which tests move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from live_house import POLLED, Running, until
from market_data_house import (
    BTC,
    ETH,
    MINUTE,
    LabClock,
    LabVenue,
    bar_at,
    minute,
    row_at,
    unwell,
    without,
)

from feeds import FeedSettingError
from feeds.capture import Capture
from feeds.contract import LiveFeed
from feeds.live.feed import VenueFeed
from feeds.live.venue import Stream
from feeds.store.layout import Series
from feeds.store.store import BarStore
from messages import Bar, Quote, Tick


async def test_it_is_a_live_feed(make: Callable[..., VenueFeed]) -> None:
    """It has what the contract asks for, before it is connected to anything."""
    feed: LiveFeed = make(ETH, BTC)

    assert (BTC, ETH) == feed.symbols
    assert {f"live@{BTC}": "binanceusdm 1m", f"live@{ETH}": "binanceusdm 1m"} == feed.fingerprints()


async def test_the_history_before_the_start_is_for_warming_up(
    venue: LabVenue, running: Running
) -> None:
    """The closed bars before the start are history, and are not news as well."""
    venue.fill(range(101))

    async with running(warm_up=5) as taker:
        assert [(bar_at(place),) for place in range(95, 100)] == list(taker.feed.groups())
        assert taker.feed.take() is None


async def test_the_time_it_gives_is_that_of_when_all_was_brought(
    venue: LabVenue, clock: LabClock, make: Callable[..., VenueFeed]
) -> None:
    """A history that takes long to bring does not set a session's clock back by as much."""

    async def slow(_request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
        clock.move(venue.now + 7_000)
        return web.json_response(answer)

    venue.fill(range(101))
    venue.faults = [slow]
    feed = make(warm_up=5)
    try:
        began = venue.now

        assert began + 7_000 == await feed.connect()
    finally:
        await feed.close()


async def test_streamed_bars_come_without_a_question(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """From the second candle of a stream on nothing else is asked; the first one was joined."""
    venue.fill(range(101))
    async with running() as taker:
        await until(lambda: venue.subscribed)
        await venue.send_candle(100, shift=5.0)
        venue.fill(range(100, 101))
        clock.move(minute(101) + 1)
        await venue.send_candle(101, shift=3.0)
        clock.move(minute(101) + POLLED)
        joined = await taker.bars(1)
        asked = len(venue.asked)
        await venue.send_candle(101)
        clock.move(minute(102) + 1)
        await venue.send_candle(102)
        streamed = await taker.bars(1)

    assert [bar_at(100)] == joined
    assert [bar_at(101)] == streamed
    assert asked == len(venue.asked)


async def test_a_candle_that_the_venue_says_is_over_waits_for_nothing(
    venue: LabVenue, running: Running
) -> None:
    """Also the one in which the stream was joined: what is said to be closed is whole."""
    venue.fill(range(101))
    async with running() as taker:
        await until(lambda: venue.subscribed)
        asked = len(venue.asked)
        await venue.send_candle(100, shift=5.0)
        await venue.send_candle(100, closed=True)
        bars = await taker.bars(1)

    assert [bar_at(100)] == bars
    assert asked == len(venue.asked)


async def test_what_a_broken_stream_leaves_out_is_filled_from_history(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """Bars of the break, and the candle in which it was dialled anew, come whole and in order."""
    venue.fill(range(101))
    async with running() as taker:
        await until(lambda: venue.subscribed)
        await venue.send_candle(100)
        await venue.hang_up()
        await until(lambda: not venue.sockets)
        venue.fill(range(101, 104))
        clock.move(minute(103) + 1_000)
        await until(lambda: 2 == len(venue.subscribed), clock)
        await venue.send_candle(103, shift=9.0)
        venue.fill(range(103, 105))
        clock.move(minute(104) + POLLED)

        bars = await taker.bars(4, as_time_passes=True)

    assert [bar_at(place) for place in range(100, 104)] == bars


async def test_a_venue_without_a_stream_is_polled(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """A line that is connected and silent costs a little time and no bar."""
    venue.fill(range(101))
    venue.deaf = True
    bars: list[Bar] = []
    async with running() as taker:
        for place in range(100, 103):
            venue.fill(range(place, place + 2))
            clock.move(minute(place + 1) + POLLED)
            bars += await taker.bars(1)

    assert [bar_at(place) for place in range(100, 103)] == bars


async def test_a_silent_line_is_dialled_anew(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """History goes on and no stream says a word for two bars: that line is dead."""
    venue.fill(range(101))
    async with running() as taker:
        await until(lambda: venue.subscribed)
        for place in range(100, 103):
            venue.fill(range(place, place + 2))
            clock.move(minute(place + 1) + POLLED)
            await taker.bars(1)
        await until(lambda: not venue.sockets)
        await until(lambda: 2 == len(venue.subscribed), clock)

    assert 2 == len(venue.subscribed)


async def test_health_has_it_dialled_anew_by_a_word(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """``reconnect`` returns at once, and the streams come up again."""
    async with running() as taker:
        await until(lambda: venue.subscribed)
        taker.feed.reconnect()
        await until(lambda: not venue.sockets)
        await until(lambda: 2 == len(venue.subscribed), clock)

    assert 2 == len(venue.subscribed)


async def test_a_bucket_that_history_leaves_out_once_is_not_a_gap(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """A lagging replica's hole is asked for again before it is believed; a real one is passed."""
    venue.fill(range(101))
    venue.deaf = True
    async with running() as taker:
        venue.fill(range(100, 106))
        del venue.rows[BTC][minute(103)]
        venue.faults = [without(101)]
        clock.move(minute(105) + POLLED)
        bars = await taker.bars(4)

    assert [bar_at(place) for place in (100, 101, 102, 104)] == bars
    assert (1, 1) == (
        taker.feed.statistics()["symbols"][BTC]["gaps"],
        taker.feed.statistics()["symbols"][BTC]["missing"],
    )


async def test_a_venue_in_trouble_is_asked_later_each_time_until_it_answers(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """However long it takes, the bars come afterwards, all of them."""
    venue.fill(range(101))
    venue.deaf = True
    async with running() as taker:
        venue.fill(range(100, 104))
        venue.faults = [unwell] * 8
        clock.move(minute(103) + POLLED)
        await until(lambda: not venue.faults, clock)
        bars = await taker.bars(3, as_time_passes=True)

    assert [bar_at(place) for place in range(100, 103)] == bars


async def test_a_slow_symbol_is_waited_for_a_little(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """One group for those in time; who is late comes later, and nobody is left out."""
    for symbol in (BTC, ETH):
        venue.fill(range(101), symbol)
    venue.deaf = True
    async with running(BTC, ETH) as taker:
        venue.fill(range(100, 102), BTC)
        venue.fill(range(100, 102), ETH)
        clock.move(minute(101) + POLLED)
        together = await taker.next()
        venue.fill(range(101, 103), BTC)
        clock.move(minute(102) + POLLED)
        await until(lambda: taker.feed._closing.next_look(venue.now) is not None)
        early = taker.feed.take()
        clock.move(minute(102) + 9_000)
        alone = await taker.next()
        venue.fill(range(101, 103), ETH)
        late = await taker.next(as_time_passes=True)

    assert (bar_at(100), bar_at(100, symbol=ETH)) == together
    assert early is None
    assert (bar_at(101),) == alone
    assert (bar_at(101, symbol=ETH),) == late


async def test_a_cache_spares_the_venue_the_history(
    venue: LabVenue, running: Running, store: BarStore
) -> None:
    """The second start asks for what is new since the first one, and knows the same."""
    venue.now = minute(700) + 1
    venue.fill(range(701))
    async with running(warm_up=600, cache=store) as taker:
        first = list(taker.feed.groups())
    asked = len(venue.asked)
    venue.now = minute(702) + 1
    venue.fill(range(700, 703))

    async with running(warm_up=600, cache=store) as taker:
        second = list(taker.feed.groups())

    assert [(bar_at(place),) for place in range(100, 700)] == first
    assert [(bar_at(place),) for place in range(102, 702)] == second
    assert [str(minute(699))] == [query["startTime"] for query in venue.asked[asked:]]


async def test_a_cache_that_somebody_writes_is_done_without(
    venue: LabVenue, running: Running, store: BarStore, series: Series
) -> None:
    """A `data fetch` at the same time keeps no session from starting."""
    venue.fill(range(101))

    with store.writing(series):
        async with running(warm_up=5, cache=store) as taker:
            assert 5 == len(list(taker.feed.groups()))


async def test_quotes_and_trades_come_as_they_are(venue: LabVenue, running: Running) -> None:
    """The newest quote, and every trade in order."""
    async with running(streams=frozenset(Stream)) as taker:
        await until(lambda: 3 == len(venue.subscribed))
        await venue.send_trade(100, 61_000.5, 1)
        await venue.send_trade(100, 61_001.5, 2)
        ticks = [await taker.next(), await taker.next()]
        await venue.send_quote(100, 60_999.9, 61_000.1)
        quote = await taker.next()

    assert [Tick(BTC, minute(100), price, 0.5) for price in (61_000.5, 61_001.5)] == ticks
    assert Quote(BTC, minute(100), 60_999.9, 61_000.1, 2.0, 3.0) == quote


async def test_what_was_seen_is_captured(
    venue: LabVenue, clock: LabClock, running: Running, store: BarStore, series: Series
) -> None:
    """History and news lie in the session's own store when it has ended."""
    venue.fill(range(101))
    venue.deaf = True
    async with running(warm_up=3, kept=store.root) as taker:
        venue.fill(range(100, 102))
        clock.move(minute(101) + POLLED)
        await taker.bars(1)
        assert [] == store.series(), "bars wait until their spacing is over, or the end"

    assert [bar_at(place) for place in range(97, 101)] == list(store.bars(series))


async def test_an_unknown_symbol_leaves_nothing_open(
    make: Callable[..., VenueFeed], venue: LabVenue
) -> None:
    """A feed that cannot connect says why, in one line, and is closed."""
    feed = make("DOGE/USDT:USDT")

    with pytest.raises(FeedSettingError, match="does not list DOGE"):
        await feed.connect()
    assert [] == venue.sockets


def test_captured_bars_are_spaced_and_pruned(store: BarStore, series: Series) -> None:
    """Written when the market has moved on by the spacing; what is too old goes at that moment."""
    capture = Capture(store, "binanceusdm", MINUTE, spacing_ms=10 * MINUTE, keep_ms=15 * MINUTE)
    due = []
    for place in range(40):
        capture.take([bar_at(place)])
        if capture.is_due:
            due.append(place)
            capture.write(capture.cut())

    assert [10, 20, 30] == due
    assert [bar_at(place) for place in range(15, 31)] == list(store.bars(series))
    assert 15 == capture.pruned


@pytest.mark.parametrize(
    ("timeframe_ms", "spacing_ms"), [(MINUTE, 300_000), (3_600_000, 3_600_000)]
)
def test_the_spacing_is_at_least_a_bar(store: BarStore, timeframe_ms: int, spacing_ms: int) -> None:
    """Long bars are not written more often than they come."""
    assert spacing_ms == Capture(store, "x", timeframe_ms).spacing_ms


def test_bars_that_could_not_be_written_wait_on(
    store: BarStore, series: Series, tmp_path: Path
) -> None:
    """A store that is busy loses nothing: the batch is taken back and written later."""
    capture = Capture(store, "binanceusdm", MINUTE)
    capture.take([bar_at(0), bar_at(1)])
    batch = capture.cut()
    capture.take([bar_at(2)])
    capture.take(batch)

    capture.write(capture.cut())

    assert [bar_at(place) for place in range(3)] == list(store.bars(series))
    assert row_at(0)[0] == bar_at(0).timestamp
