"""An order's sums, its late fills, and the store that keeps memory flat."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from state_makers import SPOT, T0, make_fill, make_request

from messages import Cause, OrderEvent, OrderStatus, ReasonCode, Side
from state.orders import (
    DuplicateOrder,
    IllegalTransition,
    KeptOrders,
    Order,
    OrderStore,
    OverFill,
    RecentIds,
)

SENT = (OrderEvent.APPROVED, OrderEvent.JOURNALED, OrderEvent.SENT)


def make_sent(quantity: str = "1", store: OrderStore | None = None, number: int = 1) -> Order:
    request = make_request(number, quantity)
    order = Order(request) if store is None else store.add(request)
    for event in SENT:
        order.apply(event, T0)
    return order


def test_fills_add_up_exactly() -> None:
    """Filled quantity, notional, fee and mean price follow from the fills to the last digit."""
    order = make_sent("0.3")

    first = order.apply(
        OrderEvent.FILLED_PARTLY, T0 + 1, make_fill(Side.BUY, "0.1", "100.1", fee="0.01001")
    )
    last = order.apply(
        OrderEvent.FILLED, T0 + 2, make_fill(Side.BUY, "0.2", "100.4", fee="0.02008")
    )

    assert (OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED) == (first, last)
    assert Decimal("30.09") == order.notional
    assert Decimal("0.03009") == order.fee
    assert Decimal("100.3") == order.average_price
    assert 0 == order.remaining


@pytest.mark.parametrize("claimed", [OrderEvent.FILLED, OrderEvent.FILLED_PARTLY])
def test_arithmetic_decides_what_is_full(claimed: OrderEvent) -> None:
    """A last fill that overtook an earlier one does not end the order, whatever it is called."""
    order = make_sent("1")

    assert OrderStatus.PARTIALLY_FILLED is order.apply(claimed, T0, make_fill(Side.BUY, "0.4", "9"))
    assert OrderStatus.FILLED is order.apply(claimed, T0, make_fill(Side.BUY, "0.6", "9"))


@pytest.mark.parametrize("quantity", ["0", "-1", "1.000000000000000001"])
def test_an_impossible_quantity_is_refused_and_changes_nothing(quantity: str) -> None:
    """A fill that is not positive or goes beyond the order is an alarm."""
    order = make_sent("1")

    with pytest.raises(OverFill):
        order.apply(OrderEvent.FILLED, T0 + 5, make_fill(Side.BUY, quantity, "100"))

    assert (OrderStatus.SENT, Decimal(0), T0) == (order.status, order.filled, order.updated_at)


def test_a_fill_event_and_its_fill_come_together() -> None:
    """Neither a fill event without a fill nor a fill with another event is taken."""
    order = make_sent("1")

    with pytest.raises(IllegalTransition, match="without its fill"):
        order.apply(OrderEvent.FILLED, T0)
    with pytest.raises(IllegalTransition, match="event that is none"):
        order.apply(OrderEvent.ACCEPTED, T0, make_fill(Side.BUY, "1", "100"))

    assert OrderStatus.SENT is order.status


def test_a_fill_after_the_cancel_is_an_alarm_and_its_money_is_kept() -> None:
    """``apply`` refuses the late fill; ``record_late_fill`` keeps it without moving the status."""
    order = make_sent("1")
    order.apply(OrderEvent.CANCELLED, T0 + 1, cause=Cause(ReasonCode.CANCEL_REQUESTED))
    late = make_fill(Side.BUY, "0.4", "100", fee="0.04")

    with pytest.raises(IllegalTransition) as alarm:
        order.apply(OrderEvent.FILLED_PARTLY, T0 + 2, late)
    order.record_late_fill(late, T0 + 2)

    assert OrderStatus.CANCELLED is alarm.value.status is order.status
    assert OrderEvent.FILLED_PARTLY is alarm.value.event
    assert (Decimal("0.4"), Decimal(40), Decimal("0.04"), 1) == (
        order.filled,
        order.notional,
        order.fee,
        order.late_fills,
    )
    assert Cause(ReasonCode.CANCEL_REQUESTED) == order.cause


def test_a_late_fill_of_nothing_is_refused() -> None:
    """Even late, a fill has a positive quantity."""
    with pytest.raises(OverFill):
        make_sent("1").record_late_fill(make_fill(Side.BUY, "0", "100"), T0)


def test_fees_in_several_currencies_are_not_mixed() -> None:
    """Fees of the first currency add up; those of others stand apart."""
    order = make_sent("3")
    for currency, fee in (("BNB", "0.001"), ("USDT", "0.1"), ("USDT", "0.2"), ("BNB", "0.002")):
        order.apply(
            OrderEvent.FILLED_PARTLY,
            T0,
            make_fill(Side.BUY, "0.5", "100", fee=fee, fee_currency=currency),
        )

    assert (Decimal("0.003"), "BNB") == (order.fee, order.fee_currency)
    assert {"USDT": Decimal("0.3")} == order.other_fees


def test_live_orders_come_in_the_order_of_their_making() -> None:
    """The store lists live orders oldest first, whatever has ended in between."""
    store = OrderStore()
    orders = [store.add(make_request(n, strategy="ab"[n % 2])) for n in range(6)]
    orders[2].apply(OrderEvent.DENIED, T0)

    assert [orders[n] for n in (0, 1, 3, 4, 5)] == store.live()
    assert [orders[n] for n in (0, 4)] == store.live_of(strategy="a")
    assert [orders[n] for n in (1, 3, 5)] == store.live_of(strategy="b", symbol=SPOT)
    assert [] == store.live_of(symbol="ETH/USDT")
    assert orders[2] is store.by_client_id("C2") is store.by_order_id("O2")


def test_an_id_is_taken_once() -> None:
    """A second order with a known order id or client order id is refused."""
    store = OrderStore()
    request = make_request(1)
    store.add(request)

    with pytest.raises(DuplicateOrder, match="client order id C1"):
        store.add(request)
    with pytest.raises(DuplicateOrder, match="order id O1"):
        store.add(msgspec.structs.replace(request, client_order_id="C2"))

    assert 1 == len(store)


def test_finished_orders_are_forgotten_oldest_first() -> None:
    """The store keeps as many finished orders as it is told, and every live one."""
    store = OrderStore(finished_orders_max=2)
    live = make_sent(store=store, number=0)
    for number in range(1, 6):
        make_sent(store=store, number=number).apply(OrderEvent.REJECTED, T0)

    assert [live] == store.live()
    assert 3 == len(store)
    assert [None, None, None] == [store.by_order_id(f"O{n}") for n in (1, 2, 3)]
    assert [None, None, None] == [store.by_client_id(f"C{n}") for n in (1, 2, 3)]
    assert [True, True] == [store.by_order_id(f"O{n}") is not None for n in (4, 5)]


def test_memory_stays_flat_however_many_orders_pass() -> None:
    """After the bounds are reached, ten thousand more orders and trades take no more memory."""
    store = OrderStore(finished_orders_max=100, trade_ids_max=100)

    def pass_through(first: int, last: int) -> int:
        for number in range(first, last):
            fill = make_fill(Side.BUY, "1", "100", order_id=str(number))
            make_sent(store=store, number=number).apply(OrderEvent.FILLED, T0, fill)
            assert store.book_once(fill.trade_id)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = pass_through(0, 1_000)
        after = pass_through(1_000, 11_000)
    finally:
        tracemalloc.stop()

    assert 100 == len(store)
    assert after < before * 1.25


def test_a_trade_is_booked_once() -> None:
    """The second arrival of a trade id is told from the first."""
    store = OrderStore()

    assert store.book_once("T1")
    assert store.book_once("T2")
    assert not store.book_once("T1")


def test_the_trades_of_a_live_order_are_never_forgotten() -> None:
    """After a restart the venue tells all of them once more, however many came in between."""
    store = OrderStore(trade_ids_max=4)
    first = make_fill(Side.BUY, "0.25", "100", order_id="0")
    assert store.book_once(first.trade_id)
    resting = make_sent(store=store, number=0)
    resting.apply(OrderEvent.FILLED_PARTLY, T0, first)

    for number in range(100):
        assert store.book_once(f"another-{number}")
        again = OrderStore(trade_ids_max=4)
        again.restore(msgspec.json.decode(msgspec.json.encode(store.kept()), type=KeptOrders))

        assert not store.book_once(first.trade_id)
        assert not again.book_once(first.trade_id)

    resting.apply(OrderEvent.CANCELLED, T0)
    assert [True] * 20 == [store.book_once(f"later-{number}") for number in range(20)]
    assert first.trade_id not in store.booked


def test_payments_are_remembered_however_many_trades_come() -> None:
    """A start is told of all of them since the session began."""
    store = OrderStore(trade_ids_max=4)
    assert store.payments.add("funding:1", 1)

    assert [True] * 100 == [store.book_once(f"T{number}") for number in range(100)]

    assert store.payments.has("funding:1", 1)
    assert not store.payments.add("funding:1", 1)


@given(
    payments=st.integers(0, 200),
    bound=st.integers(1, 20),
    later=st.integers(0, 9),
    seed=st.randoms(),
)
def test_payments_push_no_trade_out_of_memory(
    payments: int, bound: int, later: int, seed: Random
) -> None:
    """
    However many payments come after a fill, the fill that is told again is not booked again.

    Nor is any payment, of whatever age, and none is taken for booked that never was.
    """
    store = OrderStore(trade_ids_max=10, payment_ids_max=bound)
    store.book_once("T0")
    dates = [8 * number for number in range(payments)]
    told = sorted(dates, key=lambda at: at + 8 * seed.random() * bound / 2)  # some are listed late
    new = [store.payments.add(f"funding:{at}", at) for at in told]
    kept = store.kept()
    store = OrderStore(trade_ids_max=10, payment_ids_max=bound)
    store.restore(kept)
    for number in range(later):
        store.book_once(f"T{number + 1}")

    assert all(new)
    assert not store.book_once("T0")
    assert not any(store.payments.add(f"funding:{at}", at) for at in dates)


def test_a_fill_that_is_told_again_after_years_of_payments_is_booked_once() -> None:
    """At the bounds that are in force: 70,000 payments, each a fact of its own, and again."""
    store = OrderStore()
    store.book_once("T1")
    payments = [(f"funding:{number}", number) for number in range(70_000)]

    assert all(store.payments.add(*each) for each in payments)
    assert not store.book_once("T1")
    assert not any(store.payments.add(*each) for each in payments)


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(1, 20))
def test_the_newest_ids_are_surely_remembered(names: list[int], bound: int) -> None:
    """Any of the last ``bound`` new ids is known, and never more than twice as many are kept."""
    recent = RecentIds(bound)
    new: list[str] = []
    for number in names:
        name = str(number)
        known = name in new[-bound:]
        added = recent.add(name)

        assert not (known and added)
        assert len(recent) <= 2 * bound
        if added:
            new.append(name)
