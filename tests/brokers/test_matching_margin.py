"""Margin at the door, arrivals at once, amendments, and what a venue does to an order by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from brokers.matching.margin import equity, liquidation_price, maintenance
from messages import (
    Cause,
    OrderRequest,
    OrderType,
    PositionMode,
    PositionSide,
    ReasonCode,
    Side,
    TimeInForce,
)

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

PERPETUAL = "BTC/USDT:USDT"
LEVERAGE_10 = {"initial_margin": Decimal("0.1")}


def margined(make_venue: VenueMaker, deposit: str = "1000", **config: Any) -> Venue:
    """Return a venue with leverage 10 that has seen a price of 100."""
    config.setdefault("reserves", True)
    venue = make_venue(PERPETUAL, deposit=deposit, rules=LEVERAGE_10, **config)
    venue.flat_bar(100.0)
    return venue


def test_what_rests_binds_margin(make_venue: VenueMaker) -> None:
    """Two orders that the money covers only one of: the second is refused, until the first ends."""
    venue = margined(make_venue)
    first = venue.buy("60", OrderType.LIMIT, price="99")
    refused = venue.place(Side.BUY, "60", OrderType.LIMIT, price="99")
    venue.engine.cancel(first, venue.now)
    then = venue.place(Side.BUY, "60", OrderType.LIMIT, price="99")

    assert "2 rejected venue_insufficient_funds" == refused
    assert "3 accepted" == then


def test_without_reserves_the_second_order_is_let_in(make_venue: VenueMaker) -> None:
    """The ablation: margin is then looked at when orders fill, and not before."""
    venue = margined(make_venue, reserves=False)
    venue.buy("60", OrderType.LIMIT, price="99")

    assert "2 accepted" == venue.place(Side.BUY, "60", OrderType.LIMIT, price="99")


def test_what_closes_asks_for_no_margin(make_venue: VenueMaker) -> None:
    """With everything bound, the position can be left; what goes beyond it is opening again."""
    venue = margined(make_venue)
    venue.hold("95")

    assert "2 accepted" == venue.place(Side.SELL, "95", OrderType.LIMIT, price="101")
    assert "3 accepted" == venue.place(Side.SELL, "95", reduce_only=True)
    beyond = venue.place(Side.SELL, "300", OrderType.LIMIT, price="101")
    assert "4 rejected venue_insufficient_funds" == beyond


def test_an_order_that_can_take_does_so_at_once(make_venue: VenueMaker) -> None:
    """At the last price, as a taker; one that cannot rests, and makes ever after."""
    venue = make_venue(PERPETUAL, rules=LEVERAGE_10, at_once=True)
    venue.flat_bar(100.0)
    told = venue.engine.submit(_request(venue, Side.BUY, OrderType.MARKET, "1"), venue.now)
    rests = venue.engine.submit(
        _request(venue, Side.BUY, OrderType.LIMIT, "1", price="99"), venue.now
    )
    gone = venue.engine.submit(
        _request(venue, Side.BUY, OrderType.LIMIT, "1", price="99", word=TimeInForce.IOC),
        venue.now,
    )

    assert ["accepted", "filled"] == [report.event.value for report in told]
    assert Decimal(100) == told[1].fill.price  # type: ignore[union-attr]
    assert ["accepted"] == [report.event.value for report in rests]
    assert ["accepted", "cancelled"] == [report.event.value for report in gone]


def test_an_amended_order_waits_behind_and_keeps_what_it_has(make_venue: VenueMaker) -> None:
    """The id and the fills stay; the limit is another; less than is filled is refused."""
    venue = margined(make_venue)
    name = venue.buy("4", OrderType.LIMIT, price="99")
    venue.engine.meet(name, Decimal(1), Decimal(99), venue.now)
    made = venue.engine.amend(name, Decimal(3), Decimal(98), venue.now)
    refused = venue.engine.amend(name, Decimal(1), Decimal(98), venue.now)
    missing = venue.engine.amend(name, Decimal(200), Decimal(98), venue.now)
    (order,) = venue.engine.open_orders()

    assert not isinstance(made, Cause)
    assert isinstance(refused, Cause)
    assert ReasonCode.VENUE_REJECTED is refused.code
    assert isinstance(missing, Cause)
    assert ReasonCode.VENUE_INSUFFICIENT_FUNDS is missing.code
    assert ("1", "3", "98") == (str(order.filled), str(order.quantity), str(order.price))
    assert [f"{name} filled 2 @ 98"] == venue.bar(99.0, 99.0, 97.0, 98.0)


def test_equity_at_the_liquidation_price_is_what_must_be_maintained(
    make_venue: VenueMaker,
) -> None:
    """The formula and the sums agree, long and short, with another position beside."""
    rate = Decimal("0.005")
    for quantity in ("80", "-80"):
        venue = margined(make_venue)
        venue.hold(quantity)
        found = liquidation_price(venue.engine.account, PERPETUAL, rate)
        assert found is not None
        venue.flat_bar(float(found))
        account = venue.engine.account

        assert abs(equity(account) - maintenance(account, rate)) < Decimal("0.0001")
    assert liquidation_price(margined(make_venue).engine.account, PERPETUAL, rate) is None


def test_another_mode_needs_empty_books(make_venue: VenueMaker) -> None:
    """With an order or a position it is refused; the leverage of a symbol outlives the change."""
    venue = margined(make_venue)
    venue.engine.set_leverage(PERPETUAL, 4)
    name = venue.buy("1", OrderType.LIMIT, price="99")
    with pytest.raises(ValueError, match="open orders or positions"):
        venue.engine.set_position_mode(PositionMode.HEDGE)
    venue.engine.cancel(name, venue.now)
    venue.engine.set_position_mode(PositionMode.HEDGE)
    margins = {
        each.initial_margin for each in venue.engine.account.margined if each.symbol == PERPETUAL
    }

    assert {Decimal("0.25")} == margins
    assert "2 rejected position_side_mismatch" == venue.place(Side.BUY, "1")


def _request(
    venue: Venue,
    side: Side,
    kind: OrderType,
    quantity: str,
    price: str | None = None,
    word: TimeInForce = TimeInForce.GTC,
) -> OrderRequest:
    """Return an order of the house, which tells of all that it brings."""
    venue.placed += 1
    return OrderRequest(
        f"order-{venue.placed}",
        str(venue.placed),
        "strategy",
        venue.symbol,
        side,
        PositionSide.BOTH,
        kind,
        word,
        Decimal(quantity),
        venue.now,
        price=None if price is None else Decimal(price),
    )
