"""So many orders in so long, beside what requests weigh."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from ccxt_house import order
from dialect_house import Desk, desk
from hypothesis import given
from hypothesis import strategies as st

from brokers.ccxt import windows
from brokers.ccxt.capabilities import BINANCE, BINANCEUSDM
from brokers.ccxt.columns import OrderLimit, Weights
from brokers.ccxt.errors import TooMany
from brokers.ccxt.lanes import Allowance, Lane, Lanes, lanes_of
from brokers.ccxt.limits import WORKERS
from brokers.ccxt.ordering import Ordering
from brokers.ccxt.windows import GRAINS, Window, limits_told
from messages import Cause, ReasonCode, Side
from scenarios.exchange.binanceusdm import Limits

TEN = OrderLimit(10, 10.0, "X-MBX-ORDER-COUNT-10S")
WEIGHTS = Weights(1_000, 60.0, order_limits=(TEN,))
TOLD = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2_400},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50},
    {"rateLimitType": "ORDERS", "interval": "HOUR", "intervalNum": 1, "limit": 7},
    "what nobody understands",
]


def went(allowance: Allowance, now_s: float) -> Counter[Lane]:
    """Let all go that may; each is over at once."""
    turns = allowance.grant(now_s)
    for turn in turns:
        allowance.over(turn, now_s)
    return Counter(turn.lane for turn in turns)


def test_a_window_is_never_passed_and_the_rest_waits() -> None:
    """Of thirty orders as many go as the venue counts in one window, and the others after it."""
    allowance = Allowance(WEIGHTS)
    for _ in range(30):
        allowance.ask(Lane.REDUCE, 1, 1)

    assert 10 == went(allowance, 0.0).total()
    assert 0 == went(allowance, 9.9).total()
    assert 10 == went(allowance, 10.1).total()


def test_without_the_window_all_would_go() -> None:
    """Ablation: by their weight alone there is room for a hundred of them."""
    allowance = Allowance(replace(WEIGHTS, order_limits=()))
    for _ in range(30):
        allowance.ask(Lane.REDUCE, 1, 1)

    assert 30 == went(allowance, 0.0).total()


def test_what_is_no_order_passes_those_that_wait() -> None:
    """A cancel, a question, and what puts the venue's timer off in the lane of orders."""
    allowance = Allowance(WEIGHTS)
    for lane in (Lane.REDUCE, Lane.CREATE) * 20:
        allowance.ask(lane, 1, 1)
    allowance.grant(0.0)
    others = [allowance.ask(lane, 1) for lane in (Lane.CANCEL, Lane.REDUCE, Lane.READ)]

    assert others == allowance.grant(0.1)


def test_what_opens_leaves_a_share_of_each_window_to_what_reduces() -> None:
    """However many openings there were, a stop goes at once, and before those that wait."""
    allowance = Allowance(WEIGHTS)
    for _ in range(30):
        allowance.ask(Lane.CREATE, 1, 1)
    opened = went(allowance, 0.0)
    for _ in range(3):
        allowance.ask(Lane.REDUCE, 1, 1)
    reduced = went(allowance, 0.1)

    assert {Lane.CREATE: 8} == opened
    assert {Lane.REDUCE: 2} == reduced
    assert Lane.REDUCE in went(allowance, 10.05)


def test_an_order_under_way_counts_until_a_window_after_its_answer() -> None:
    """The venue has counted it somewhere between; one that has not left is not counted at all."""
    allowance = Allowance(WEIGHTS)
    turns = [allowance.ask(Lane.REDUCE, 1, 1) for _ in range(10)]
    allowance.grant(0.0)
    allowance.ask(Lane.REDUCE, 1, 1)

    assert [] == allowance.grant(30.0)  # an answer that takes half a minute
    allowance.over(turns[0], 30.0)
    assert [] == allowance.grant(39.0)
    allowance.over(turns[1], None)
    assert 1 == len(allowance.grant(39.0))


@given(
    asked=st.lists(
        st.tuples(st.booleans(), st.floats(0, 4), st.floats(0, 3), st.floats(0, 1)), max_size=80
    ),
    phase=st.floats(0, 10),
)
def test_no_window_of_the_venues_has_more_whenever_it_begins_and_orders_arrive(
    asked: list[tuple[bool, float, float, float]], phase: float
) -> None:
    """An order arrives anywhere between its leaving and its answer, in windows by any clock."""
    allowance = Allowance(WEIGHTS)
    arrivals: Counter[int] = Counter()
    ends: list[tuple[float, Any]] = []
    delays: dict[int, tuple[float, float]] = {}
    now = 0.0
    for opens, later_s, takes_s, part in asked:
        now += later_s
        for at, turn in [each for each in ends if each[0] <= now]:
            allowance.over(turn, at)
            ends.remove((at, turn))
        delays[id(allowance.ask(Lane.CREATE if opens else Lane.REDUCE, 1, 1))] = (takes_s, part)
        for turn in allowance.grant(now):
            way_s, there = delays[id(turn)]
            arrivals[int((now + way_s * there + phase) // 10)] += 1
            ends.append((now + way_s, turn))

    assert max(arrivals.values(), default=0) <= 10


def test_the_venues_count_is_believed_where_it_is_higher_and_only_for_its_window() -> None:
    """Somebody else trades in the account too; other headers say nothing about orders."""
    allowance = Allowance(WEIGHTS)
    allowance.orders.told({"x-mbx-order-count-10s": "9", "X-MBX-ORDER-COUNT-1M": "500"}, 0.0)
    allowance.orders.told({"X-MBX-ORDER-COUNT-10S": "nonsense"}, 0.0)
    for _ in range(3):
        allowance.ask(Lane.REDUCE, 1, 1)

    assert 1 == went(allowance, 1.0).total()
    assert 2 == went(allowance, 11.1).total()


def test_the_limits_are_those_that_the_venue_tells() -> None:
    """Windows that it does not tell of stay the row's; the account's own factor counts too."""
    row = (TEN, OrderLimit(1_200, 60.0))

    assert [50, 1_200] == [each.orders for each in limits_told(row, TOLD, 1.0)]
    assert [25, 600] == [each.orders for each in limits_told(row, TOLD, 0.5)]
    # Who is granted more knows better than what everybody is told.
    assert [20, 2_400] == [each.orders for each in limits_told(row, TOLD, 2.0)]
    assert row == limits_told(row, [], 1.0)


def test_a_factor_of_the_allowance_is_one_of_the_orders_too() -> None:
    """An account that is granted half of it places half as many orders."""
    granted = BINANCEUSDM.weights.granted(0.5).order_limits

    assert [(150, 10.0), (600, 60.0)] == [(each.orders, each.window_s) for each in granted]


@pytest.mark.parametrize(
    ("row", "windows_s"), [(BINANCEUSDM, [10.0, 60.0]), (BINANCE, [10.0, 86_400.0])]
)
def test_binances_rows_name_its_windows(row: Any, windows_s: list[float]) -> None:
    """Each with the header that counts it."""
    limits = row.weights.order_limits

    assert windows_s == [each.window_s for each in limits]
    assert all(each.used_header.startswith("X-MBX-ORDER-COUNT-") for each in limits)


def test_a_day_of_orders_is_remembered_in_steps_and_never_too_short() -> None:
    """However many there were; nothing is forgotten before the window is over."""
    window = Window(86_400.0)
    for number in range(20_000):
        window.spend(1, 8.0 * number)
    now_s = 8.0 * 19_999

    assert window.used(now_s) >= 86_400 // 8
    assert len(window._spent) <= GRAINS + 1
    assert 0 == window.used(now_s + 86_400.0)


async def test_connections_of_an_account_share_its_windows() -> None:
    """What one has sent the other may not send."""
    now = [0.0]

    async def later(delay_s: float) -> None:
        now[0] += delay_s
        await anyio.lowlevel.checkpoint()

    one = lanes_of("v", "orders", WEIGHTS, lambda: now[0], later)
    other = lanes_of("v", "orders", WEIGHTS, lambda: now[0], later)
    for lanes in (one, other) * 5:
        lanes.over(await lanes.turn(Lane.REDUCE, 1, 1))
    sent_s = now[0]
    lanes = Lanes(WEIGHTS, lambda: now[0], later)
    lanes.over(await lanes.turn(Lane.REDUCE, 1, 1))
    alone_s = now[0]
    other.over(await other.turn(Lane.REDUCE, 1, 1))

    assert sent_s == alone_s == 0.0
    assert now[0] >= 10.0


# -- the real client, at an exchange that counts

FEW = Limits(orders_10s=6, orders_1m=1_000)
TIMES = 5
"""How much faster than the wall the windows pass here, at the exchange and in the broker."""
NAMES = [f"tg-0123456789-{number}" for number in range(1, 15)]


@asynccontextmanager
async def counting(folder: Path) -> AsyncIterator[Desk]:
    """Open an exchange that takes few orders at a time, and a broker at it."""
    async with desk(folder, limits=FEW) as at:
        budget, lanes = at.exchange.server.budget, at.broker._at.calls.lanes
        spend, now_s = budget.spend, lanes._now_s
        at.exchange.server.budget.spend = lambda weight, orders, now: spend(  # type: ignore[method-assign]
            weight, orders, TIMES * now
        )
        lanes._now_s = lambda: TIMES * now_s()
        yield at


async def burst(at: Desk) -> None:
    """Place more orders than the exchange takes in one window, and one that reduces after them."""
    for name in NAMES:
        at.broker.submit(order(name, "0.01", price="49000"), 1)
    await at.until(lambda: any("accepted" in at.life(name) for name in NAMES))
    at.broker.submit(order("tg-0123456789-99", "0.01", side=Side.SELL, reduce_only=True), 1)


def refusals(at: Desk) -> list[str]:
    """Return what orders were rejected for."""
    causes = [getattr(each, "cause", None) for each in at.news]
    return [str(cause.detail) for cause in causes if isinstance(cause, Cause)]


async def test_a_burst_is_spread_over_the_venues_windows(tmp_path: Path) -> None:
    """
    Nothing is refused for its number: orders wait, and a cancel does not.

    The limit is the one that the exchange tells; the row's is fifty times as high.
    """
    async with counting(tmp_path) as at:
        await burst(at)
        lanes = at.broker._at.calls.lanes
        first = next(name for name in NAMES if "accepted" in at.life(name))
        at.broker.cancel(first, 1)
        await at.until(lambda: at.ended(first))
        waiting = [name for name in NAMES if not at.life(name)]
        await at.until(lambda: all(at.life(name) for name in NAMES))
        limits = [each.orders for each in lanes.allowance.orders.limits]

        assert [6, 1_000] == limits
        assert waiting
        assert not [detail for detail in refusals(at) if "-1015" in detail]
        assert {"accepted"} == {at.life(name)[0] for name in NAMES}


async def test_without_the_windows_orders_of_a_burst_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: the exchange answers -1015, and stops among them would be lost."""
    monkeypatch.setattr(windows.OrderCounts, "has_room", lambda *_: True)
    async with counting(tmp_path) as at:
        await burst(at)
        await at.until(lambda: any("-1015" in detail for detail in refusals(at)))

        assert any(at.life(name) == ["rejected"] for name in NAMES)


async def test_an_order_whose_time_is_over_when_its_turn_comes_does_not_leave(
    tmp_path: Path,
) -> None:
    """It waits no longer than it may: at its turn it is looked at, and not sent or counted."""
    late = Cause(ReasonCode.INTENT_EXPIRED, "valid_until=2 now=3")
    async with counting(tmp_path) as at:
        counts = at.broker._at.calls.lanes.allowance.orders
        for name in NAMES[:5]:
            at.broker.submit(order(name, "0.01", price="49000"), 1)
        await at.until(lambda: all(at.life(name) for name in NAMES[:5]))
        at.broker.look = lambda _request: late
        at.broker.submit(order(NAMES[5], "0.01", price="49000"), 1)
        await at.until(lambda: at.ended(NAMES[5]))

        assert 0 == at.received(NAMES[5])
        assert [0, 0] == [window.under_way for window in counts._windows]
        assert 5 == counts.used(at.broker._clock.monotonic_s())[1]


async def test_an_order_that_waits_is_told_to_be_over_when_its_time_is(tmp_path: Path) -> None:
    """
    Not when its turn would have come; whatever else keeps it may be otherwise by then.

    Here its turn would never come: nobody lets anything go.
    """
    causes = {NAMES[0]: Cause(ReasonCode.SLIPPAGE_LIMIT, "the market moved")}
    late = Cause(ReasonCode.INTENT_EXPIRED, "valid_until=2 now=3")
    async with counting(tmp_path) as at:
        lanes = at.broker._at.calls.lanes
        lanes.left_alone(1_000_000.0, TooMany.ORDERS)
        at.broker.look = lambda request: causes.get(request.client_order_id)
        for name in NAMES[:2]:
            at.broker.submit(order(name, "0.01", price="49000"), 1)
        await at.until(lambda: 2 == len(lanes.allowance.waiting[Lane.CREATE]))
        causes[NAMES[1]] = late
        await at.until(lambda: at.ended(NAMES[1]))

        assert [late.detail] == refusals(at)
        assert [] == at.life(NAMES[0])
        assert 1 == len(lanes.allowance.waiting[Lane.CREATE])
        assert 0 == at.received(NAMES[1])


HELD = Cause(ReasonCode.HELD, "killed")


async def killed(at: Desk) -> None:
    """Have more orders than there are workers wait for a turn that never comes, and kill them."""
    lanes = at.broker._at.calls.lanes
    lanes.left_alone(1_000_000.0, TooMany.ORDERS)
    for name in NAMES:
        at.broker.submit(order(name, "0.01", price="49000"), 1)
    await at.until(lambda: WORKERS["create"] == len(lanes.allowance.waiting[Lane.CREATE]))
    at.broker.look = lambda _request: HELD
    for name in NAMES[:-1]:
        at.broker.cancel(name, 2)


async def test_an_order_that_is_kept_back_and_cancelled_does_not_wait_for_its_turn(
    tmp_path: Path,
) -> None:
    """
    A kill flattens when all that opens is over, and what reduces has room while that waits.

    A hold alone may be lifted before the turn comes, and the order is wanted until it is cancelled.
    """
    async with counting(tmp_path) as at:
        await killed(at)
        await at.until(lambda: all(at.ended(name) for name in NAMES[:-1]))
        await at.until(lambda: not at.broker._unwanted)

        assert {("rejected",)} == {tuple(at.life(name)) for name in NAMES[:-1]}
        assert {HELD.detail} == set(refusals(at))
        assert {0} == {at.received(name) for name in NAMES}
        assert [] == at.life(NAMES[-1])
        assert 1 == len(at.broker._at.calls.lanes.allowance.waiting[Lane.CREATE])


async def test_without_its_cancel_it_is_there_until_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: as long as the venue has asked for, or until its time is over; and so is a kill."""
    monkeypatch.setattr(Ordering, "_is_unwanted", lambda *_: False)
    async with counting(tmp_path) as at:
        await killed(at)
        await at.bar()

        assert not any(at.life(name) for name in NAMES)
        assert WORKERS["create"] == len(at.broker._at.calls.lanes.allowance.waiting[Lane.CREATE])


async def test_an_order_that_waits_and_is_only_cancelled_goes_out_before_its_cancel(
    tmp_path: Path,
) -> None:
    """What becomes of it is the venue's word, as of any other."""
    async with counting(tmp_path) as at:
        lanes = at.broker._at.calls.lanes
        lanes.left_alone(1_000_000.0, TooMany.ORDERS)
        at.broker.submit(order(NAMES[0], "0.01", price="49000"), 1)
        await at.until(lambda: bool(lanes.allowance.waiting[Lane.CREATE]))
        at.broker.cancel(NAMES[0], 2)
        await at.bar()
        lanes.allowance.orders_until_s = 0.0
        await at.until(lambda: at.ended(NAMES[0]))

        assert ["accepted", "cancelled"] == at.life(NAMES[0])


def test_what_waits_goes_in_the_order_in_which_it_came() -> None:
    """First come, first served, over as many windows as it takes."""
    allowance = Allowance(WEIGHTS)
    turns = [allowance.ask(Lane.CREATE, 1, 1) for _ in range(30)]
    order_of: list[int] = []
    now = 0.0
    while len(order_of) < len(turns):
        for turn in allowance.grant(now):
            order_of.append(turns.index(turn))
            allowance.over(turn, now)
        now += 0.5

    assert all(before < after for before, after in pairwise(order_of))
