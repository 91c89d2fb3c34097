"""Whose turn it is."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.ccxt.columns import Weights
from brokers.ccxt.lanes import RESERVED, Allowance, Lane, Lanes, lanes_of

HUNDRED = Weights(per_window=100, window_s=60.0)


class FakeTime:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, delay_s: float) -> None:
        """Let the others have their turn; time passes."""
        self.now += delay_s
        await anyio.lowlevel.checkpoint()


def test_a_cancel_never_waits_behind_reads() -> None:
    """Forty questions wait; a cancel that comes last goes at once, at whatever moment it comes."""
    allowance = Allowance(HUNDRED)
    reads = [allowance.ask(Lane.READ, 5) for _ in range(40)]
    allowance.grant(0.0)
    cancel = allowance.ask(Lane.CANCEL, 1)

    assert [cancel] == allowance.grant(0.0)
    assert any(not read.granted for read in reads)


def test_without_lanes_it_would_wait() -> None:
    """In one lane the cancel stands behind the questions: the lanes are what lets it through."""
    allowance = Allowance(HUNDRED)
    for _ in range(40):
        allowance.ask(Lane.READ, 5)
    allowance.grant(0.0)
    cancel = allowance.ask(Lane.READ, 1)
    allowance.grant(0.0)

    assert not cancel.granted


@pytest.mark.parametrize("reserved", [30, 0])
def test_without_the_reserve_questions_leave_nothing_for_a_cancel(
    reserved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the lanes before must find is what questions may not use."""
    monkeypatch.setitem(RESERVED, Lane.READ, reserved)
    allowance = Allowance(HUNDRED)
    for _ in range(20):
        allowance.ask(Lane.READ, 5)
    allowance.grant(0.0)
    cancel = allowance.ask(Lane.CANCEL, 1)
    allowance.grant(0.0)

    assert cancel.granted is bool(reserved)


@given(
    asked=st.lists(
        st.tuples(st.sampled_from(Lane), st.integers(1, 20), st.floats(0, 5)), max_size=60
    )
)
def test_no_window_spends_more_than_the_allowance(asked: list[tuple[Lane, int, float]]) -> None:
    """Whatever is asked for and when, and each lane leaves what belongs to those before it."""
    allowance = Allowance(HUNDRED)
    spent: list[tuple[float, int, Lane]] = []
    now = 0.0
    for lane, weight, later in asked:
        now += later
        allowance.ask(lane, weight)
        spent += [(now, turn.weight, turn.lane) for turn in allowance.grant(now)]
        for at, _, kind in spent:
            window = sum(weight for then, weight, _ in spent if at - 60.0 < then <= at)
            assert window <= 100
            if kind is Lane.READ:
                before = [
                    w for then, w, _ in spent[: spent.index((at, _, kind)) + 1] if then > at - 60
                ]
                assert sum(before) <= 100 - RESERVED[Lane.READ] + sum(before[-1:])


@given(lanes=st.lists(st.sampled_from(Lane), min_size=1, max_size=30))
def test_the_lowest_lane_goes_first_and_within_it_who_came_first(lanes: list[Lane]) -> None:
    """After a pause all who wait go in that order."""
    allowance = Allowance(Weights(per_window=10_000, window_s=60.0))
    allowance.left_alone(1.0, 0.0)
    turns = [allowance.ask(lane, 1) for lane in lanes]

    assert [] == allowance.grant(0.5)
    granted = allowance.grant(1.0)

    assert sorted(turns, key=lambda turn: turn.lane) == granted


def test_the_venues_own_count_is_believed_where_it_is_higher() -> None:
    """Somebody else uses the address too: what they use is not there for us."""
    allowance = Allowance(HUNDRED)
    allowance.told(95, 0.0)
    create = allowance.ask(Lane.CREATE, 1)
    allowance.grant(0.0)

    assert not create.granted
    allowance.told(10, 30.0)
    assert 95 == allowance.used(30.0)
    assert [create] == allowance.grant(60.0)


def test_while_the_venue_wants_to_be_left_alone_nobody_goes() -> None:
    """Not a cancel either: a ban would last longer."""
    allowance = Allowance(HUNDRED)
    allowance.left_alone(2.0, 10.0)
    cancel = allowance.ask(Lane.CANCEL, 1)

    assert [] == allowance.grant(11.9)
    assert [cancel] == allowance.grant(12.0)


async def test_a_flood_of_questions_does_not_delay_a_cancel_or_an_order() -> None:
    """On the clock that is handed in, to the step: no time passes before either goes."""
    time = FakeTime()
    lanes = Lanes(HUNDRED, time, time.sleep)
    went: list[tuple[str, float]] = []

    async def go(name: str, lane: Lane, weight: int) -> None:
        await lanes.turn(lane, weight)
        went.append((name, time()))

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(go, f"read {number}", Lane.READ, 5)
        await anyio.lowlevel.checkpoint()
        time_before = time()
        await go("cancel", Lane.CANCEL, 1)
        await go("create", Lane.CREATE, 1)

    at = dict(went)
    assert at["cancel"] == at["create"] == time_before
    assert at["read 29"] >= 60.0


async def test_who_is_cancelled_waits_no_longer() -> None:
    """A turn that nobody wants any more is not counted."""
    time = FakeTime()
    lanes = Lanes(HUNDRED, time, time.sleep)
    lanes.left_alone(1_000_000.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lanes.turn, Lane.READ, 5)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    assert not any(lanes.allowance.waiting.values())
    assert 0 == lanes.allowance.used(0.0)


def test_an_account_has_one_allowance_however_many_connections_it_has() -> None:
    """Two instances of a venue's account share it; another account has its own."""
    time = FakeTime()
    one = lanes_of("v", "main", HUNDRED, time, time.sleep)

    assert one is lanes_of("v", "main", HUNDRED, time, time.sleep)
    assert one is not lanes_of("v", "other", HUNDRED, time, time.sleep)


async def test_where_one_request_is_taken_at_a_time_the_lowest_lane_is_next() -> None:
    """Nonces arrive in the order in which they were made; a cancel waits for one answer at most."""
    allowance = Allowance(Weights(per_window=100, window_s=60.0, at_once=1))
    turns = [allowance.ask(lane, 1) for lane in (Lane.READ, Lane.READ, Lane.CANCEL)]
    first = allowance.grant(0.0)
    none = allowance.grant(1.0)
    allowance.over()
    second = allowance.grant(2.0)

    assert [turns[2]] == first
    assert [] == none
    assert [turns[0]] == second


async def test_a_turn_that_is_given_up_does_not_keep_the_others_waiting() -> None:
    """Whoever was cancelled on its way has nothing under way."""
    time = FakeTime()
    lanes = Lanes(Weights(per_window=100, window_s=60.0, at_once=1), time, time.sleep)
    await lanes.turn(Lane.READ, 1)
    with anyio.move_on_after(0):
        await lanes.turn(Lane.READ, 1)
    lanes.over()
    await lanes.turn(Lane.READ, 1)

    assert 1 == lanes.allowance.under_way
    assert all(not waiting for waiting in lanes.allowance.waiting.values())
