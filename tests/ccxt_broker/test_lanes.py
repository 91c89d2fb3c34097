"""Whose turn it is."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.ccxt.columns import Weights
from brokers.ccxt.errors import TooMany
from brokers.ccxt.lanes import ORDERS_RESERVED, RESERVED, Allowance, Lane, Lanes, lanes_of

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
    allowance.left_alone(1.0, 0.0, TooMany.BANNED)
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


def test_while_the_venue_wants_to_be_left_alone_only_a_cancel_tries() -> None:
    """What rests may trade: one cancel goes, and no other until the venue has taken it."""
    allowance = Allowance(HUNDRED)
    allowance.left_alone(2.0, 10.0)
    others = [allowance.ask(lane, 1) for lane in Lane if lane is not Lane.CANCEL]
    first, second = allowance.ask(Lane.CANCEL, 1), allowance.ask(Lane.CANCEL, 1)

    assert [first] == allowance.grant(10.5)
    assert [] == allowance.grant(11.0)
    allowance.over(first, None)
    assert [second] == allowance.grant(11.0)
    allowance.over(second, None)
    assert [] == allowance.grant(11.9)
    assert others == allowance.grant(12.0)


def test_a_cancel_that_tried_in_vain_is_the_last_until_the_end() -> None:
    """It is refused for the same reason: who goes on asking is banned, and bans are longer."""
    allowance = Allowance(HUNDRED)
    allowance.left_alone(60.0, 0.0)
    first, second = allowance.ask(Lane.CANCEL, 1), allowance.ask(Lane.CANCEL, 1)
    allowance.grant(1.0)
    allowance.left_alone(30.0, 2.0, turn=first)  # which does not shorten what it was told before
    allowance.over(first, None)

    assert [] == allowance.grant(59.9)
    assert [second] == allowance.grant(60.0)


def test_a_cancel_that_was_under_way_already_is_not_the_try() -> None:
    """Several are under way when the first is refused: of the later ones nothing is learned."""
    allowance = Allowance(HUNDRED)
    before = [allowance.ask(Lane.CANCEL, 1) for _ in range(3)]
    allowance.grant(0.0)
    for turn in before:
        allowance.left_alone(60.0, 0.1, turn=turn)
        allowance.over(turn, None)
    after = allowance.ask(Lane.CANCEL, 1)

    assert [after] == allowance.grant(1.0)


def test_during_a_ban_no_cancel_tries() -> None:
    """The venue looks at nothing, and each request makes the ban longer."""
    allowance = Allowance(HUNDRED)
    allowance.left_alone(120.0, 0.0, TooMany.BANNED)
    cancel = allowance.ask(Lane.CANCEL, 1)

    assert [] == allowance.grant(119.9)
    assert [cancel] == allowance.grant(120.0)


def test_too_many_orders_keep_no_cancel_and_no_question_waiting() -> None:
    """A venue that counts orders does not count those; an order that reduces is one, too."""
    allowance = Allowance(HUNDRED)
    allowance.left_alone(10.0, 0.0, TooMany.ORDERS)
    orders = [allowance.ask(lane, 1, 1) for lane in (Lane.REDUCE, Lane.CREATE)]
    kept_alive = allowance.ask(Lane.REDUCE, 1)  # the venue's own timer is put off: no order
    others = [allowance.ask(lane, 1) for lane in (Lane.CANCEL, Lane.CANCEL, Lane.READ)]
    others.insert(2, kept_alive)

    assert others == allowance.grant(1.0)
    assert orders == allowance.grant(10.0)


@given(
    told=st.lists(
        st.tuples(st.sampled_from(TooMany), st.floats(0, 90), st.floats(0, 20), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_no_ban_is_asked_about_and_each_pause_is_tried_once_in_vain(
    told: list[tuple[TooMany, float, float, bool]],
) -> None:
    """
    Whatever the venue says and in which order: nothing leaves during a ban, and of orders none
    while they are too many; a refused try is the last of its pause.
    """
    allowance = Allowance(Weights(per_window=10_000, window_s=60.0))
    now, banned_s, orders_s, vain_s = 0.0, 0.0, 0.0, 0.0
    for too_many, wait_s, later_s, refused in told:
        allowance.left_alone(wait_s, now, too_many)
        banned_s = max(banned_s, now + wait_s) if too_many is TooMany.BANNED else banned_s
        orders_s = max(orders_s, now + wait_s) if too_many is TooMany.ORDERS else orders_s
        now += later_s
        for lane in Lane:
            allowance.ask(lane, 1, lane in ORDERS_RESERVED)
        for turn in allowance.grant(now):
            assert now >= banned_s
            assert not turn.orders or now >= orders_s
            if turn.tries:
                assert turn.lane is Lane.CANCEL
                assert now >= vain_s
                if refused:
                    allowance.left_alone(1.0, now, turn=turn)
                    vain_s = allowance.pause_until_s
            allowance.over(turn, None)


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
    allowance.over(first[0], None)
    second = allowance.grant(2.0)

    assert [turns[2]] == first
    assert [] == none
    assert [turns[0]] == second


async def test_a_turn_that_is_given_up_does_not_keep_the_others_waiting() -> None:
    """Whoever was cancelled on its way has nothing under way."""
    time = FakeTime()
    lanes = Lanes(Weights(per_window=100, window_s=60.0, at_once=1), time, time.sleep)
    turn = await lanes.turn(Lane.READ, 1)
    with anyio.move_on_after(0):
        await lanes.turn(Lane.READ, 1)
    lanes.over(turn)
    await lanes.turn(Lane.READ, 1)

    assert 1 == lanes.allowance.under_way
    assert all(not waiting for waiting in lanes.allowance.waiting.values())
