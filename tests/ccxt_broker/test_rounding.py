"""Rounding: exact, directional, within the venue's limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from ccxt_house import order, rules
from hypothesis import given
from hypothesis import strategies as st

from brokers.ccxt.rounding import Fitted, fitted
from messages import Cause, OrderType, ReasonCode, Side

positive = st.decimals("0.000001", "1000000", places=8)
steps = st.sampled_from(["1", "0.5", "0.1", "0.001", "0.00000001", "0.25", "3", "0.03"])


@given(
    quantity=positive,
    price=positive,
    step=steps,
    tick=steps,
    size=steps,
    side=st.sampled_from(Side),
)
def test_what_goes_out_is_on_the_grid_and_never_worse_than_asked(
    quantity: Decimal, price: Decimal, step: str, tick: str, size: str, side: Side
) -> None:
    """
    A quantity goes down by less than a step, a buy's limit down and a sell's up by less than a
    tick; all of it exactly.
    """
    market = rules(step=step, tick=tick, size=size)
    found = fitted(order(quantity=str(quantity), price=str(price), side=side), market)
    if isinstance(found, Cause):
        assert found.code in {ReasonCode.QUANTITY_NOT_POSITIVE, ReasonCode.PRICE_NOT_POSITIVE}
        return

    assert found.price is not None
    assert 0 == found.amount % Decimal(step)
    assert 0 == found.price % Decimal(tick)
    assert found.quantity == found.amount * Decimal(size)
    assert 0 <= quantity - found.quantity < Decimal(step) * Decimal(size)
    worse = (found.price - price) * side.sign
    assert -Decimal(tick) < worse <= 0


@given(
    price=positive,
    side=st.sampled_from(Side),
    kind=st.sampled_from([OrderType.STOP, OrderType.TAKE_PROFIT]),
)
def test_a_stop_and_a_target_never_trigger_earlier_than_asked(
    price: Decimal, side: Side, kind: OrderType
) -> None:
    """A buy's stop waits for a rise and goes up, its target for a fall and goes down."""
    found = fitted(order(kind=kind, stop=str(price), side=side), rules(tick="0.5"))
    if isinstance(found, Cause):
        assert ReasonCode.PRICE_NOT_POSITIVE is found.code
        return

    assert found.stop_price is not None
    rises = (side is Side.BUY) is (kind is OrderType.STOP)
    assert found.stop_price >= price if rises else found.stop_price <= price


@given(price=st.decimals("0.0001", "200000", places=6), side=st.sampled_from(Side))
def test_a_price_has_no_more_digits_than_the_venue_takes(price: Decimal, side: Side) -> None:
    """Hyperliquid takes five, or a whole number; the limit is not crossed for it."""
    found = fitted(order(price=str(price), side=side), rules(tick="0.000001", digits=5))
    if isinstance(found, Cause):
        return

    assert found.price is not None
    digits = len(found.price.normalize().as_tuple().digits)
    assert digits <= 5 or found.price == found.price.to_integral_value()
    assert (found.price - price) * side.sign <= 0


def test_a_float_artefact_loses_no_step() -> None:
    """0.3 - 0.1 is 0.2 here; ccxt's own rounding of the float's text would send 0.199."""
    found = fitted(order(quantity=str(Decimal("0.3") - Decimal("0.1"))), rules())

    assert isinstance(found, Fitted)
    assert Decimal("0.2") == found.amount


def test_a_buy_limit_is_not_rounded_through_the_callers_limit() -> None:
    """ccxt would make 50000.1 of 50000.05: more than was allowed to be paid."""
    found = fitted(order(price="50000.05"), rules())

    assert isinstance(found, Fitted)
    assert Decimal("50000.0") == found.price


@pytest.mark.parametrize(
    ("asked", "market", "code"),
    [
        (order(quantity="0.0009"), rules(), ReasonCode.QUANTITY_NOT_POSITIVE),
        (order(quantity="0.004"), rules(least="0.005"), ReasonCode.QUANTITY_BELOW_MIN),
        (order(quantity="11"), rules(most="10"), ReasonCode.QUANTITY_ABOVE_MAX),
        (order(quantity="6"), rules(most="10", market_most="5"), ReasonCode.QUANTITY_ABOVE_MAX),
        (order(price="4"), rules(notional="5"), ReasonCode.NOTIONAL_BELOW_MIN),
        (order(decision="4"), rules(notional="5"), ReasonCode.NOTIONAL_BELOW_MIN),
        (order(price="0.05"), rules(), ReasonCode.PRICE_NOT_POSITIVE),
        # In contracts of a hundred: the least of five is five hundred of ours.
        (
            order(quantity="499"),
            rules(size="100", step="1", least="5"),
            ReasonCode.QUANTITY_BELOW_MIN,
        ),
    ],
)
def test_the_venues_limits_hold_before_anything_is_sent(
    asked: object, market: object, code: ReasonCode
) -> None:
    """ccxt looks at none of them but the step."""
    found = fitted(asked, market)  # type: ignore[arg-type]

    assert isinstance(found, Cause)
    assert code is found.code


def test_a_limit_order_may_be_larger_than_a_market_order() -> None:
    """The market order's own limit is no limit of others."""
    assert isinstance(fitted(order(quantity="6", price="9"), rules(market_most="5")), Fitted)


def test_what_reduces_may_be_small() -> None:
    """The rest of a position must not be stuck below the least notional."""
    assert isinstance(fitted(order(price="4", reduce_only=True), rules(notional="5")), Fitted)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"market_most": "5"}, "5"),
        ({"market_most": "5", "most": "4"}, "4"),
        ({"market_most": "5", "step": "2"}, "4"),
        ({"market_most": "50", "size": "0.1"}, "5"),
        ({"market_most": "7"}, "6"),
        ({}, "6"),
    ],
)
@pytest.mark.parametrize("kind", [OrderType.MARKET, OrderType.STOP, OrderType.TAKE_PROFIT])
def test_what_only_reduces_at_market_is_as_much_as_goes_in_one_order(
    given: dict[str, str], sent: str, kind: OrderType
) -> None:
    """A position that has grown by several orders can end: the rest is for the next order."""
    stop = None if kind is OrderType.MARKET else "9"
    request = order(quantity="6", side=Side.SELL, reduce_only=True, kind=kind, stop=stop)
    fit = fitted(request, rules(**given))  # type: ignore[arg-type]

    assert isinstance(fit, Fitted)
    assert Decimal(sent) == fit.quantity


@pytest.mark.parametrize(
    ("terms", "given", "sent"),
    [
        ({"stop": "80", "kind": OrderType.STOP}, {"market_most": "5"}, "5"),
        ({"trail": "50", "kind": OrderType.TRAILING_STOP}, {"market_most": "5"}, "5"),
        ({"stop": "80", "price": "79", "kind": OrderType.STOP_LIMIT}, {"market_most": "5"}, "6"),
        ({"stop": "80", "price": "79", "kind": OrderType.STOP_LIMIT}, {"most": "5"}, "5"),
        ({"price": "120"}, {"most": "5"}, "5"),
        ({"price": "100"}, {"cost_most": "450"}, "4.5"),
        ({"price": "100"}, {"cost_most": "600"}, "6"),
    ],
)
def test_what_protects_a_position_or_is_to_end_it_is_never_too_large(
    terms: dict[str, Any], given: dict[str, str], sent: str
) -> None:
    """A stop for most of a position is better than none: a limit of size refuses no way out."""
    request = order(quantity="6", side=Side.SELL, reduce_only=True, **terms)
    fit = fitted(request, rules(**given))  # type: ignore[arg-type]

    assert isinstance(fit, Fitted)
    assert Decimal(sent) == fit.quantity
