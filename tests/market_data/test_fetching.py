"""`data fetch` with the real ccxt client against a venue on loopback, and its faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import ROUND_HALF_EVEN, Underflow, getcontext
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_data_house import (
    BTC,
    ETH,
    MINUTE,
    LabVenue,
    Spoil,
    Waits,
    a_page_of_html,
    as_it_is,
    bar_at,
    cut_short,
    disconnected,
    minute,
    nothing,
    row_at,
    stale,
    too_many,
    unwell,
    without,
)

from feeds import BadInput, FeedSettingError
from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import ccxt_source, open_venue
from feeds.history import History, Patience, VenueRefused, VenueTrouble, is_final
from feeds.live.fetching import fetch_all
from feeds.rows import Row
from feeds.store import fetching
from feeds.store.fetching import Fetched, fetch
from feeds.store.layout import Series
from feeds.store.store import BarStore
from state.money import use_exact_context

Fetch = Callable[..., Awaitable[Fetched]]


@pytest.fixture
def fetched(reach: Reach, store: BarStore, waits: Waits) -> Fetch:
    """Return `data fetch` of bars ``first`` up to ``end`` (None: the present)."""

    async def run(first: int, end: int | None, symbols: Sequence[str] = (BTC,)) -> Fetched:
        span = (minute(first), None if end is None else minute(end))
        every = await fetch_all(
            ccxt_source(reach),
            store.root,
            symbols,
            MINUTE,
            span,
            sleep_s=waits.sleep_s,
            chance=Random(1).random,
        )
        return every[-1]

    return run


async def test_only_closed_bars_come(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """The bar that is forming is left alone, although the venue shows it."""
    venue.fill(range(101))

    result = await fetched(0, None)

    assert [bar_at(place) for place in range(100)] == list(store.bars(series))
    assert minute(100) == result.until
    assert () == result.gaps


async def test_the_newest_bar_waits_for_a_newer_one_or_the_next_boundary(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """A bucket that has just ended is not final on a quiet venue; one boundary later it is."""
    venue.fill(range(100))

    await fetched(0, None)
    assert minute(98) == list(store.bars(series))[-1].timestamp

    venue.now = minute(101)
    await fetched(0, None)
    assert minute(99) == list(store.bars(series))[-1].timestamp


async def test_what_is_in_the_store_is_not_fetched_again(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """A second fetch asks from the newest bar on, for one bar that might have been revised."""
    venue.fill(range(101))
    await fetched(0, 50)
    asked_before = len(venue.asked)

    await fetched(0, 60)
    again = venue.asked[asked_before:]
    await fetched(0, 60)

    assert [str(minute(49))] == [query["startTime"] for query in again]
    assert len(again) == len(venue.asked) - asked_before
    assert [bar_at(place) for place in range(60)] == list(store.bars(series))


async def test_a_revised_last_bar_is_replaced_and_counted(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """The venue's newest word about the newest bar wins."""
    venue.fill(range(101))
    await fetched(0, 50)
    venue.fill(range(49, 50), shift=3.0)

    result = await fetched(0, 60)

    assert 1 == result.revised
    assert bar_at(49, shift=3.0) == list(store.bars(series))[49]


async def test_an_empty_bucket_is_a_gap_and_not_asked_for_again(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """Nothing is invented, and a gap of the venue does not make every later fetch repeat itself."""
    venue.fill(range(40))
    venue.fill(range(43, 101))
    result = await fetched(0, 80)
    asked = len(venue.asked)

    again = await fetched(0, 80)

    assert [(minute(39), minute(43), 3)] == [
        (gap.after, gap.before, gap.missing) for gap in result.gaps
    ]
    assert 77 == len(list(store.bars(series)))
    assert asked == len(venue.asked)
    assert minute(80) == again.until


async def test_a_bucket_that_one_answer_leaves_out_is_asked_for_twice(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """A replica that lags makes no hole for ever."""
    venue.fill(range(101))
    venue.faults = [without(10, 11)]

    result = await fetched(0, 60)

    assert () == result.gaps
    assert [bar_at(place) for place in range(60)] == list(store.bars(series))


async def test_ablation_one_answer_is_not_enough_to_tell_a_gap(
    venue: LabVenue, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Believing the first answer leaves a hole that no later fetch fills."""
    monkeypatch.setattr("feeds.history.has_holes", lambda *_: False)
    venue.fill(range(101))
    venue.faults = [without(10, 11)]

    result = await fetched(0, 60)
    again = await fetched(0, 60)

    assert [2] == [gap.missing for gap in result.gaps] == [gap.missing for gap in again.gaps]


async def test_a_stale_answer_is_no_proof_of_the_present(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """What an old picture leaves out at its end is fetched the next time."""
    venue.fill(range(101))
    venue.faults = [stale(30), nothing, nothing]
    first = await fetched(0, None)

    second = await fetched(0, None)

    assert minute(71) == first.until
    assert minute(100) == second.until
    assert [bar_at(place) for place in range(100)] == list(store.bars(series))


async def test_a_venue_that_knows_nothing_proves_nothing(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """Two empty answers in a row are no gap as long as no later bar was seen."""
    venue.fill(range(101))
    venue.faults = [nothing, nothing]

    first = await fetched(0, 60)
    second = await fetched(0, 60)

    assert minute(0) == first.until
    assert (minute(60), 60) == (second.until, len(list(store.bars(series))))


@pytest.mark.parametrize(
    "spoil", [disconnected, cut_short, a_page_of_html, unwell], ids=lambda spoil: spoil.__name__
)
async def test_a_fault_in_the_middle_of_paging_is_asked_again(
    spoil: Spoil, venue: LabVenue, fetched: Fetch, store: BarStore, series: Series, waits: Waits
) -> None:
    """Whatever became of the answer, the page is asked for again, later, and nothing is lost."""
    venue.now = minute(1_201)
    venue.fill(range(1_202))
    # aiohttp itself asks again where a connection that had been used before is gone.
    times = 2 if spoil is disconnected else 1
    venue.faults = [as_it_is, *[spoil] * times, as_it_is, *[spoil] * times]

    await fetched(0, None)

    assert [bar_at(place) for place in range(1_201)] == list(store.bars(series))
    assert 2 == len(waits.slept)
    assert all(0.25 <= slept <= 0.5 for slept in waits.slept)


async def test_retry_after_is_waited_for_in_full(
    venue: LabVenue, fetched: Fetch, waits: Waits
) -> None:
    """A venue that says when to come again is not asked sooner."""
    venue.fill(range(101))
    venue.faults = [too_many(7)]

    await fetched(0, 60)

    assert [7.0] == waits.slept


async def test_a_ban_is_said_at_once(venue: LabVenue, fetched: Fetch, waits: Waits) -> None:
    """Nobody waits an hour without a word, and nobody makes a ban longer by asking on."""
    venue.faults = [too_many(3_600)]

    with pytest.raises(VenueRefused, match="left alone for 3600 s"):
        await fetched(0, 60)
    assert [] == waits.slept


async def test_a_venue_that_stays_unwell_is_given_up_with_what_came(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series, waits: Waits
) -> None:
    """What had come before is in the store, and the next fetch goes on from there."""
    venue.now = minute(1_201)
    venue.fill(range(1_202))
    venue.faults = [as_it_is, *[unwell] * 6]

    with pytest.raises(VenueTrouble, match="503"):
        await fetched(0, None)
    came = len(list(store.bars(series)))
    await fetched(0, None)

    assert 500 == came
    assert 5 == len(waits.slept)
    assert sorted(waits.slept) == waits.slept, "each wait is longer than the one before it"
    assert [bar_at(place) for place in range(1_201)] == list(store.bars(series))


async def test_an_interrupted_fetch_keeps_what_had_come(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """Ctrl-C is a cancellation in the middle of a page; the same command goes on from there."""
    venue.now = minute(1_201)
    venue.fill(range(1_202))
    scope = anyio.CancelScope()

    async def interrupt(request: Any, answer: list[list[Any]]) -> Any:
        scope.cancel()
        await anyio.sleep_forever()

    venue.faults = [as_it_is, interrupt]

    with scope:
        await fetched(0, None)
    came = len(list(store.bars(series)))
    asked = len(venue.asked)
    await fetched(0, None)

    assert scope.cancelled_caught
    assert 500 == came
    assert str(minute(499)) == venue.asked[asked]["startTime"]
    assert [bar_at(place) for place in range(1_201)] == list(store.bars(series))


async def test_ablation_a_fetch_that_merges_only_at_its_end_loses_it_all(
    venue: LabVenue,
    fetched: Fetch,
    store: BarStore,
    series: Series,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the flush on the way out the interrupted fetch would leave nothing."""
    monkeypatch.setattr(fetching._Taking, "flush", lambda self: None)
    venue.now = minute(1_201)
    venue.fill(range(1_202))
    venue.faults = [as_it_is, *[unwell] * 6]

    with pytest.raises(VenueTrouble):
        await fetched(0, None)

    assert [] == list(store.bars(series))


async def test_a_row_that_is_no_bar_is_refused_by_name(
    venue: LabVenue, fetched: Fetch, store: BarStore, series: Series
) -> None:
    """A venue's candles are judged like a file's rows."""
    venue.fill(range(101))
    opened, _, high, low, close, volume = row_at(5)
    venue.rows[BTC][opened] = (opened, high + 1, high, low, close, volume)

    with pytest.raises(BadInput, match=r"binanceusdm BTC/USDT:USDT 1m, line 6: high .* is below"):
        await fetched(0, 60)


async def test_symbols_are_fetched_one_after_the_other(
    venue: LabVenue, fetched: Fetch, store: BarStore
) -> None:
    """Each has its own series."""
    venue.fill(range(101))
    venue.fill(range(20, 101), ETH, shift=1.0)

    await fetched(0, 60, [BTC, ETH])

    every = {series.symbol: len(list(store.bars(series))) for series in store.series()}
    assert {BTC: 60, ETH: 40} == every


async def test_what_a_venue_does_not_list_is_refused(fetched: Fetch, reach: Reach) -> None:
    """An unknown symbol, time frame or venue gives one line that says what is expected."""
    with pytest.raises(FeedSettingError, match="does not list DOGE/USDT:USDT; it has BTC"):
        await fetched(0, 60, ["DOGE/USDT:USDT"])


def test_a_candle_is_final_by_the_venue_s_word_alone() -> None:
    """Over, and a newer one there or the next boundary passed: neither alone is enough."""
    opened = minute(5)

    assert not is_final(opened, MINUTE, minute(6) - 1, newer_exists=True)
    assert not is_final(opened, MINUTE, minute(7) - 1, newer_exists=False)
    assert is_final(opened, MINUTE, minute(6), newer_exists=True)
    assert is_final(opened, MINUTE, minute(7), newer_exists=False)


class PaperVenue:
    """A venue in memory, for properties over thousands of pages."""

    def __init__(self, places: set[int], now: int, page_bars: int, *, by_window: bool) -> None:
        self.name = "paper"
        self.rows = {minute(place): row_at(place) for place in places}
        self.now = now
        self.page_bars = page_bars
        self.by_window = by_window
        self.trouble: list[bool] = []
        self.questions = 0

    async def server_time_ms(self) -> int:
        return self.now

    async def candles(
        self, symbol: str, timeframe_ms: int, since: int | None, limit: int
    ) -> list[Row]:
        if self.trouble and self.trouble.pop():
            raise VenueTrouble("paper: not now")
        self.questions += 1
        if since is None:
            return [self.rows[at] for at in sorted(self.rows)][-limit:]
        end = since + limit * timeframe_ms if self.by_window else self.now + 1
        found = [self.rows[at] for at in sorted(self.rows) if since <= at < end and at <= self.now]
        return found[:limit]


class SlowToTellTheTime(PaperVenue):
    """A venue whose newest candle runs, and which is asked what time it is until it has ended."""

    async def server_time_ms(self) -> int:
        if self.questions:
            self.now = minute(7)
            self.rows[minute(5)] = row_at(5)
        return self.now


async def test_a_time_that_comes_late_makes_nothing_final_that_was_told_before_it(
    waits: Waits,
) -> None:
    """A candle ran when it was told, and had ended when the time was: it is asked for again."""
    venue = SlowToTellTheTime(set(range(6)), minute(6) - 1, 10, by_window=False)
    venue.rows[minute(5)] = row_at(5, shift=3.0)
    history = History(venue, Patience(waits.sleep_s, Random(1).random))

    page = await history.page(BTC, MINUTE, minute(0), minute(7))

    assert [row_at(place) for place in range(6)] == list(page.rows)


@given(
    places=st.sets(st.integers(0, 60), min_size=1),
    cuts=st.lists(st.integers(0, 62), max_size=3),
    page_bars=st.integers(1, 9),
    by_window=st.booleans(),
    trouble=st.lists(st.booleans(), max_size=40),
    attempts=st.integers(1, 3),
)
@settings(max_examples=40)
def test_however_it_is_paged_cut_and_resumed_the_store_is_what_the_venue_has(
    places: set[int],
    cuts: list[int],
    page_bars: int,
    by_window: bool,
    trouble: list[bool],
    attempts: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """
    Fetches of any spans, in any order, failing anywhere, and one more to the end: every closed bar
    of the venue is there once, no other is, and then nothing is needed that the venue could give.
    """
    store = BarStore(tmp_path_factory.mktemp("store"))
    series = Series("paper", BTC, MINUTE)
    venue = PaperVenue(places, minute(63), page_bars, by_window=by_window)
    venue.trouble = trouble
    waits = Waits()

    async def run() -> None:
        history = History(venue, Patience(waits.sleep_s, Random(1).random, attempts=attempts))
        for cut in cuts:
            try:
                await fetch(history, store, series, (minute(0), minute(cut)))
            except VenueTrouble:
                assert sorted(bar.timestamp for bar in store.bars(series)) == [
                    bar.timestamp for bar in store.bars(series)
                ]
        venue.trouble = []
        await fetch(history, store, series, (minute(0), minute(61)))

    anyio.run(run)

    assert [bar_at(place) for place in sorted(places)] == list(store.bars(series))
    needed = store.needed(series, (minute(0), minute(61)))
    assert all(start > minute(max(places)) for start, _ in needed)


@pytest.mark.parametrize("by_window", [True, False])
async def test_a_market_that_has_ended_is_not_walked_through_to_the_present(
    by_window: bool, store: BarStore, waits: Waits
) -> None:
    """A symbol that was delisted years ago costs a few questions, and not one a window."""
    venue = PaperVenue(set(range(5)), minute(1_000_000), 10, by_window=by_window)
    history = History(venue, Patience(waits.sleep_s, Random(1).random))

    await fetch(history, store, Series("paper", BTC, MINUTE), (minute(0), minute(1_000_000)))

    assert venue.questions <= 5


async def test_ccxts_rounding_leaves_our_decimal_context_as_it_is(
    venue: LabVenue, reach: Reach
) -> None:
    """It rounds half up and traps underflow in whatever context it finds: never in ours."""
    use_exact_context()
    async with open_venue(reach) as opened:
        await opened.load((BTC,), "1m")

        opened.exchange.price_to_precision(BTC, "50000.05")

    assert (ROUND_HALF_EVEN, False) == (getcontext().rounding, getcontext().traps[Underflow])
