"""The desk: a strategy's own affairs, from what it is told alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import (
    Booking,
    Cause,
    ExecutionPolicy,
    ExecutionReport,
    Fill,
    FollowUpReason,
    IntentAction,
    IntentEnded,
    Liquidity,
    OrderEvent,
    OrderStatus,
    OrderType,
    PositionSide,
    ReasonCode,
    RiskDecision,
    Side,
    Sizing,
    Verdict,
)
from strategies import Desk
from strategies.desk import FINAL, exact

BTC = "BTC/USDT"
ONE = Decimal(1)


@dataclass
class Time:
    """A clock that stands still."""

    now: int = 1000


def desk() -> Desk:
    return Desk("one", (BTC,), prefix="abc-1", clock=Time())


def report(
    order_id: str, status: OrderStatus, side: Side = Side.BUY, quantity: Decimal | None = None
) -> ExecutionReport:
    fill = None
    if quantity is not None:
        fill = Fill(
            "T",
            order_id,
            "c",
            "one",
            BTC,
            side,
            PositionSide.BOTH,
            quantity,
            ONE,
            ONE,
            "USDT",
            Liquidity.TAKER,
            0,
        )
    step = OrderEvent.FILLED_PARTLY if fill else OrderEvent.ACCEPTED
    return ExecutionReport(
        order_id,
        "c",
        "one",
        BTC,
        OrderEvent(status.value) if status in FINAL else step,
        status,
        0,
        ONE,
        fill=fill,
        booking=Booking(ONE, ONE, ONE, ONE, ONE) if fill else None,
    )


def test_intents_carry_the_strategy_the_time_and_ids_that_count() -> None:
    """Ids are prefix and number, in order of making, cancels included."""
    one = desk()
    intents: list[Any] = [
        one.open(BTC, Side.BUY, ONE),
        one.cancel(BTC),
        one.reduce(BTC, Side.SELL, ONE),
    ]

    assert [intent.intent_id for intent in intents] == ["abc-1-1", "abc-1-2", "abc-1-3"]
    assert {intent.strategy for intent in intents} == {"one"}
    assert {intent.created_at for intent in intents} == {1000}


@pytest.mark.parametrize("status", list(OrderStatus))
def test_an_order_is_pending_until_it_ends(status: OrderStatus) -> None:
    """Only final states end pending: doubt and partial fills do not."""
    one = desk()
    intent = one.open(BTC, Side.BUY, ONE)
    one.record_report(report(intent.intent_id, status))

    assert one.pending(BTC) == (0 if status in FINAL else 1)


def test_final_states_are_those_of_the_order_table() -> None:
    """The strategies' floor may not import the table; the two must say the same."""
    from state.orders import TERMINAL

    assert FINAL == TERMINAL


def test_a_refusal_ends_pending_and_an_approval_does_not() -> None:
    """A refused order will never be reported on."""
    one = desk()
    good, bad = one.open(BTC, Side.BUY, ONE), one.open(BTC, Side.BUY, ONE)
    one.record_decision(RiskDecision(good.intent_id, "one", BTC, Verdict.APPROVED, 0))
    one.record_decision(
        RiskDecision(bad.intent_id, "one", BTC, Verdict.DENIED, 0, causes=(Cause(ReasonCode.HELD),))
    )

    assert one.pending(BTC) == 1


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.decimals("0.001", "10", places=3)), max_size=20)
)
def test_positions_are_the_sum_of_fills(fills: Sequence[tuple[Side, Decimal]]) -> None:
    """Exactly, in both directions, and books apart."""
    one = desk()
    for side, quantity in fills:
        one.record_report(report("x", OrderStatus.PARTIALLY_FILLED, side, quantity))

    assert one.position(BTC) == sum((q * s.sign for s, q in fills), Decimal(0))
    assert one.position(BTC, PositionSide.LONG) == 0
    assert one.position("ETH/USDT") == 0


def test_a_snapshot_brings_back_positions_orders_and_the_count() -> None:
    """After a restart of the process no id is used twice."""
    one = desk()
    one.open(BTC, Side.BUY, ONE)
    one.record_report(report("x", OrderStatus.PARTIALLY_FILLED, Side.BUY, Decimal("0.5")))
    other = desk()
    other.restore(json.loads(json.dumps(one.snapshot())))

    assert other.snapshot() == one.snapshot()
    assert (other.position(BTC), other.pending(BTC)) == (Decimal("0.5"), 1)
    assert other.open(BTC, Side.BUY, ONE).intent_id == "abc-1-2"


@pytest.mark.parametrize(
    ("price", "expected"),
    [(100.1, "100.1"), (1e-8, "1e-08"), (Decimal("3.30"), "3.30"), (None, None)],
)
def test_a_decision_price_is_the_text_of_the_observed_price(
    price: float | Decimal | None, expected: str | None
) -> None:
    """The shortest decimal that the float stands for, never its binary expansion."""
    assert exact(price) == (None if expected is None else Decimal(expected))


# -- what may be asked for


def holding(quantity: str, price: str = "100", side: PositionSide = PositionSide.BOTH) -> Desk:
    """Return a desk that holds something (short if negative) at a mean price."""
    one = desk()
    size = Decimal(quantity)
    told = report("x", OrderStatus.PARTIALLY_FILLED, Side.BUY if size > 0 else Side.SELL, abs(size))
    assert told.fill is not None
    fill = msgspec.structs.replace(told.fill, position_side=side)
    booking = Booking(ONE, ONE, size, Decimal(price), ONE)
    one.record_report(msgspec.structs.replace(told, fill=fill, booking=booking))
    return one


@pytest.mark.parametrize(
    ("quantity", "side", "closing"),
    [
        ("2", PositionSide.BOTH, Side.SELL),
        ("-2", PositionSide.BOTH, Side.BUY),
        ("2", PositionSide.LONG, Side.SELL),
        ("-2", PositionSide.SHORT, Side.BUY),
    ],
)
def test_whatever_leaves_a_book_is_on_its_closing_side(
    quantity: str, side: PositionSide, closing: Side
) -> None:
    """A strategy names a book and a price, never a side that it could get wrong."""
    one = holding(quantity, side=side)
    made = [
        one.close(BTC, position_side=side),
        one.partial_close(BTC, ONE, position_side=side),
        one.set_stop(BTC, 90, position_side=side),
        one.set_take_profit(BTC, 110, position_side=side),
        one.trail(BTC, Decimal(50), position_side=side),
    ]

    assert {closing} == {intent.side for intent in made}
    assert [i.value for i in (m.action for m in made)] == [
        "close",
        "partial_close",
        "set_stop",
        "set_take_profit",
        "trail",
    ]
    assert [None, ONE, 2, 2, 2] == [intent.quantity for intent in made]


def test_a_flat_book_in_hedge_mode_has_a_closing_side_of_its_own() -> None:
    """A short book is closed by buying, whether it holds anything or not."""
    one = desk()

    assert Side.SELL is one.closing_side(BTC, PositionSide.LONG)
    assert Side.BUY is one.closing_side(BTC, PositionSide.SHORT)


def test_prices_of_protection_are_put_where_their_order_type_reads_them() -> None:
    """A stop's price triggers, a limit's bounds; floats become their exact text."""
    one = holding("2")
    stop = one.set_stop(BTC, 99.9)
    limit = one.set_take_profit(BTC, 110.1)
    touched = one.set_take_profit(
        BTC, Decimal(111), policy=ExecutionPolicy(OrderType.TAKE_PROFIT, timeout_ms=5)
    )

    assert (OrderType.STOP, Decimal("99.9"), None) == terms(stop)
    assert (OrderType.LIMIT, None, Decimal("110.1")) == terms(limit)
    assert (OrderType.TAKE_PROFIT, Decimal(111), None) == terms(touched)
    assert 5 == touched.policy.timeout_ms  # the rest of the policy is kept


def terms(intent: Any) -> tuple[OrderType, Decimal | None, Decimal | None]:
    return (intent.policy.order_type, intent.policy.stop_price, intent.policy.limit_price)


def test_an_add_and_a_notional_say_what_they_are() -> None:
    """Delegated sizing is said explicitly, and an add is not mistaken for an entry."""
    one = desk()
    added = one.add(BTC, Side.BUY, notional=Decimal(50), tag="rung 2")

    assert (IntentAction.ADD, Sizing.DELEGATE_NOTIONAL) == (added.action, added.sizing)
    assert (None, Decimal(50), "rung 2") == (added.quantity, added.notional, added.tag)


def test_the_mean_price_is_the_ledgers() -> None:
    """The desk knows what the books say, not an estimate of its own; zero when never held."""
    one = holding("2", "123.45")

    assert Decimal("123.45") == one.average_price(BTC)
    assert Decimal(0) == one.average_price("ETH/USDT")


def test_an_intent_pursued_over_several_orders_is_one() -> None:
    """Its orders' ends are not its own while something follows, and their fills add up."""
    one = desk()
    intent = one.open(BTC, Side.BUY, ONE, policy=ExecutionPolicy(timeout_ms=1_000))
    one.settle_drafts((intent,))
    name = intent.intent_id
    first = report(name, OrderStatus.PARTIALLY_FILLED, Side.BUY, Decimal("0.25"))
    one.record_report(first)
    ends = report(name, OrderStatus.CANCELLED)
    one.record_report(msgspec.structs.replace(ends, then=FollowUpReason.FALLBACK_TIMEOUT))
    follow = report(f"{name}-2", OrderStatus.PARTIALLY_FILLED, Side.BUY, Decimal("0.5"))
    one.record_report(msgspec.structs.replace(follow, root_id=name))

    assert (1, Decimal("0.75")) == (one.pending(BTC), one.filled(name))
    last = report(f"{name}-2", OrderStatus.CANCELLED)
    one.record_report(msgspec.structs.replace(last, root_id=name))
    assert (0, None) == (one.pending(BTC), one.intent(name))


def test_what_is_told_late_of_an_order_that_has_ended_is_no_end() -> None:
    """By then another one is out for the same intent: its first one's acceptance says nothing."""
    one = desk()
    intent = one.open(BTC, Side.BUY, ONE, policy=ExecutionPolicy(timeout_ms=1_000))
    one.settle_drafts((intent,))
    ends = report(intent.intent_id, OrderStatus.CANCELLED)
    one.record_report(msgspec.structs.replace(ends, then=FollowUpReason.FALLBACK_TIMEOUT))
    one.record_report(msgspec.structs.replace(ends, event=OrderEvent.ACCEPTED))
    late = report(intent.intent_id, OrderStatus.CANCELLED, Side.BUY, Decimal("0.25"))
    one.record_report(msgspec.structs.replace(late, event=OrderEvent.FILLED_PARTLY))

    assert (1, Decimal("0.25")) == (one.pending(BTC), one.filled(intent.intent_id))


def test_the_end_of_an_intent_ends_it_whatever_its_last_order_said() -> None:
    """A pursuit that is stopped between two orders has no last order to tell of it."""
    one = desk()
    intent = one.open(BTC, Side.BUY, ONE, policy=ExecutionPolicy(timeout_ms=1_000))
    one.settle_drafts((intent,))
    one.record_end(IntentEnded(intent.intent_id, "one", BTC, 1_000, ONE, Decimal(0), 1))

    assert [] == one.unfinished(BTC)


@pytest.mark.parametrize(
    ("order_id", "intent_id"),
    [
        ("abc-1-7", "abc-1-7"),
        ("abc-1-7-2", "abc-1-7"),
        ("abc-1-7-b1", "abc-1-7"),
        ("abc-1-71-2", "abc-1-71"),
        ("abc-11-7-2", "abc-11-7-2"),
        ("flatten-abc-1-7", "flatten-abc-1-7"),
    ],
)
def test_an_order_names_the_intent_that_it_is_made_of(order_id: str, intent_id: str) -> None:
    """A further order of an intent begins with its id; somebody else's order is its own."""
    assert intent_id == desk().intent_id_of(order_id)
