"""Live bars: every one once, in order, with its last figures; and questions that are shared."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import anyio
import pytest
from anyio import lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st
from market_data_house import BTC, ETH, MINUTE, Waits, bar_at, minute, row_at

from feeds.closing import Closing
from feeds.coordinator import Coordinator
from feeds.history import History, Page, Patience, VenueTrouble
from feeds.rows import Row
from feeds.timeline import Gap
from messages import Bar

WAIT = 5_000


def closing(*symbols: str, first: int = 0) -> Closing:
    return Closing({each: minute(first) for each in symbols or (BTC,)}, MINUTE, group_wait_ms=WAIT)


def page(*places: int, until: int | None = None, shift: float = 0.0) -> Page:
    rows = tuple(row_at(place, shift=shift) for place in places)
    end = minute(until) if until is not None else rows[-1][0] + MINUTE
    return Page(rows, end, is_last=True)


def test_a_candle_is_closed_by_a_newer_one_and_not_by_silence() -> None:
    """The stream's own last word about a candle counts once the next candle is there."""
    bars = closing()
    bars.stream(BTC, [row_at(-1)])
    bars.stream(BTC, [row_at(0, shift=1.0)])
    assert bars.take(minute(5)) is None

    bars.stream(BTC, [row_at(0), row_at(1)])

    assert (bar_at(0),) == bars.take(minute(1))
    assert bars.take(minute(9)) is None


def test_a_candle_that_was_joined_in_its_middle_is_left_to_history() -> None:
    """What a stream shows after a break of the candle it broke in may be half of it."""
    bars = closing()
    bars.stream(BTC, [row_at(0, shift=9.0)])
    bars.stream(BTC, [row_at(1)])
    assert bars.take(minute(2)) is None
    assert minute(0) == bars.wanted(BTC, minute(1))

    bars.history(BTC, page(0))
    bars.stream(BTC, [row_at(2)])

    assert (bar_at(0),) == bars.take(minute(2))
    assert (bar_at(1),) == bars.take(minute(2))


def test_after_a_break_memories_of_before_prove_nothing() -> None:
    """Candles that the client remembers from before it dialled anew are not their last words."""
    bars = closing()
    bars.stream(BTC, [row_at(-1)])
    bars.stream(BTC, [row_at(0, shift=9.0)])
    bars.broke(BTC)

    bars.stream(BTC, [row_at(0, shift=9.0), row_at(3)])
    bars.stream(BTC, [row_at(4)])

    assert bars.take(minute(5)) is None
    assert minute(0) == bars.wanted(BTC, minute(5))


def test_ablation_without_the_break_a_half_candle_would_be_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bar that the test above keeps back is a wrong one."""
    monkeypatch.setattr(Closing, "broke", lambda self, symbol: None)
    bars = closing()
    bars.stream(BTC, [row_at(-1)])
    bars.stream(BTC, [row_at(0, shift=9.0)])
    bars.broke(BTC)
    bars.stream(BTC, [row_at(0, shift=9.0), row_at(3)])

    assert (bar_at(0, shift=9.0),) == bars.take(minute(5))


def test_a_gap_of_the_venue_is_passed_and_noted() -> None:
    """Nothing is invented for it, and the bars behind it come; it is told once."""
    told: list[tuple[str, Gap]] = []
    bars = Closing(
        {BTC: minute(0)},
        MINUTE,
        group_wait_ms=WAIT,
        on_gap=lambda symbol, gap: told.append((symbol, gap)),
    )
    bars.history(BTC, page(0, 3))

    assert [(bar_at(0),), (bar_at(3),), None] == [bars.take(minute(9)) for _ in range(3)]
    assert [Gap(minute(0), minute(3), 2)] == bars.gaps()[BTC]
    assert [(BTC, Gap(minute(0), minute(3), 2))] == told


def test_an_impossible_candle_is_left_out_and_counted() -> None:
    """A live row is judged like one of a file."""
    bars = closing()
    opened, open_, high, low, close, volume = row_at(0)
    bars.history(BTC, Page(((opened, open_, low, high, close, volume), row_at(1)), minute(2), True))

    assert (bar_at(1),) == bars.take(minute(9))
    assert 1 == bars.counts()[BTC]["bad"]


def test_symbols_of_one_moment_wait_for_each_other_but_not_for_ever() -> None:
    """One group where they are in time; a group of its own, of the same moment, for who is late."""
    bars = closing(BTC, ETH)
    bars.history(BTC, page(0, 1))
    assert bars.take(minute(1)) is None
    assert minute(1) + WAIT == bars.next_look(minute(1))

    bars.history(ETH, page(0))
    together = bars.take(minute(1))
    alone = bars.take(minute(2) + WAIT)
    bars.history(ETH, page(1))
    late = bars.take(minute(2) + WAIT + 1)

    assert (bar_at(0), bar_at(0, symbol=ETH)) == together
    assert (bar_at(1),) == alone
    assert (bar_at(1, symbol=ETH),) == late


@given(
    empty=st.sets(st.integers(1, 11)),
    steps=st.lists(st.sampled_from("ssssbhhl"), min_size=5, max_size=80),
    seed=st.integers(0, 1_000),
)
@settings(max_examples=120)
def test_every_bar_is_released_once_in_order_with_its_last_figures(
    empty: set[int], steps: list[str], seed: int
) -> None:
    """
    Whatever the line does: streamed (s), broken and dialled anew later (b), asked for from history
    (h), lost while broken (l). No bar is doubled, left out, or released with figures of its middle.
    """
    chance = Random(seed)
    bars = closing()
    place, linked, remembered = 0, True, dict[int, Row]()
    released: list[Bar] = []

    def history() -> None:
        since = bars.wanted(BTC, minute(place) + 1)
        if since is None:
            return
        known = [each for each in range(place) if each not in empty and minute(each) >= since]
        if known:
            bars.history(BTC, page(*known))

    def take() -> None:
        while (group := bars.take(minute(place))) is not None:
            released.extend(group)

    for step in steps:
        if step == "b":
            linked = False
        elif step == "h":
            history()
        elif step == "l":
            place += 1
            linked = False
        else:
            if not linked:
                bars.broke(BTC)
                linked = True
            # A word about the present candle: of its middle, or its last before the next one.
            if place not in empty:
                if chance.random() < 0.5:
                    remembered[place] = row_at(place, shift=7.0)
                    bars.stream(BTC, list(remembered.values()))
                remembered[place] = row_at(place)
                bars.stream(BTC, [remembered[place]])
            place += 1
        take()
    place += 1
    history()
    take()

    expected = [bar_at(each) for each in range(place) if each not in empty]
    assert expected[: len(released)] == released
    assert len(expected) - len(released) <= 1, "only the newest may not be known to be over"


# ---------------------------------------------------------------------------- shared questions


class SlowVenue:
    """A venue in memory that answers when it is let, and counts."""

    def __init__(self) -> None:
        self.name = "slow"
        self.page_bars = 100
        self.now = minute(10)
        self.questions = 0
        self.gate = anyio.Event()
        self.trouble: list[bool] = []

    async def server_time_ms(self) -> int:
        return self.now

    async def candles(
        self, symbol: str, timeframe_ms: int, since: int | None, limit: int
    ) -> list[Row]:
        self.questions += 1
        await self.gate.wait()
        if self.trouble and self.trouble.pop():
            raise VenueTrouble("slow: not now")
        return [row_at(place) for place in range(11) if minute(place) >= (since or 0)]


@pytest.fixture
def slow() -> SlowVenue:
    return SlowVenue()


@pytest.fixture
def coordinator(slow: SlowVenue) -> Coordinator:
    patience = Patience(Waits().sleep_s, Random(1).random, attempts=1)
    return Coordinator(History(slow, patience), lambda: slow.now)


Asked = Callable[[], object]


async def test_equal_questions_are_asked_once(slow: SlowVenue, coordinator: Coordinator) -> None:
    """Whoever asks while it is asked gets that answer, and so do later ones in the same bucket."""
    found: list[Page] = []

    async def ask() -> None:
        found.append(await coordinator.page(BTC, MINUTE, minute(0), minute(10)))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
        await lowlevel.checkpoint()
        slow.gate.set()
    await ask()
    assert (1, 5, 1) == (coordinator.asked, coordinator.shared, slow.questions)
    assert [found[0]] * 6 == found

    slow.now = minute(11)
    await ask()
    assert 2 == slow.questions


async def test_an_answer_without_the_newest_bar_is_not_kept(
    slow: SlowVenue, coordinator: Coordinator
) -> None:
    """A venue that is behind is asked again, and not only when the next bar is due."""
    slow.gate.set()
    slow.now = minute(12)

    for _ in range(2):
        await coordinator.page(BTC, MINUTE, minute(0), minute(12))

    assert 2 == coordinator.asked


async def test_who_asks_and_is_cancelled_leaves_the_question_to_the_next(
    slow: SlowVenue, coordinator: Coordinator
) -> None:
    """Nobody waits for an answer that nobody will get."""
    found: list[Page] = []
    first = anyio.CancelScope()

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            found.append(await coordinator.page(BTC, MINUTE, minute(0), minute(10)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, first)
        await lowlevel.checkpoint()
        tasks.start_soon(ask, anyio.CancelScope())
        await lowlevel.checkpoint()
        first.cancel()
        await lowlevel.checkpoint()
        slow.gate.set()

    assert 1 == len(found)
    assert 2 == slow.questions


async def test_a_failure_is_shared_and_not_multiplied(
    slow: SlowVenue, coordinator: Coordinator
) -> None:
    """Ten who wait for a venue in trouble ask it once, not ten times in a row."""
    failures = 0
    slow.trouble = [True]

    async def ask() -> None:
        nonlocal failures
        try:
            await coordinator.page(BTC, MINUTE, minute(0), minute(10))
        except VenueTrouble:
            failures += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)
        await lowlevel.checkpoint()
        slow.gate.set()

    assert (10, 1) == (failures, slow.questions)


def test_a_candle_of_a_stream_of_closed_ones_needs_no_newer_one() -> None:
    """It comes at once, and once; a later one does not pass one that is not known."""
    bars = closing()
    bars.closed(BTC, [row_at(1)])
    assert bars.take(minute(9)) is None

    bars.closed(BTC, [row_at(0)])
    bars.closed(BTC, [row_at(0, shift=1.0)])

    assert [(bar_at(0, shift=1.0),), (bar_at(1),)] == [bars.take(minute(1)), bars.take(minute(2))]
    bars.closed(BTC, [row_at(1)])
    assert bars.take(minute(9)) is None
