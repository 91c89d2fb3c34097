"""The desk: a strategy's own affairs, from what it is told alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import (
    Booking,
    Cause,
    ExecutionReport,
    Fill,
    Liquidity,
    OrderEvent,
    OrderStatus,
    PositionSide,
    ReasonCode,
    RiskDecision,
    Side,
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
    return ExecutionReport(
        order_id,
        "c",
        "one",
        BTC,
        OrderEvent.FILLED_PARTLY if fill else OrderEvent.ACCEPTED,
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
