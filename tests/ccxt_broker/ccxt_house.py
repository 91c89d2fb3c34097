"""Orders, rules and rows for the tests of the ccxt broker's pure parts."""

from __future__ import annotations

from decimal import Decimal

from brokers.ccxt.known import KnownOrder
from brokers.ccxt.rounding import MarketRules
from messages import OrderRequest, OrderType, PositionSide, Side, TimeInForce

BTC = "BTC/USDT:USDT"
SPOT = "BTC/USDT"
NAME = "tg-0123456789-17"


def order(
    name: str = NAME,
    quantity: str = "1",
    *,
    symbol: str = BTC,
    side: Side = Side.BUY,
    price: str | None = None,
    stop: str | None = None,
    kind: OrderType | None = None,
    reduce_only: bool = False,
    position_side: PositionSide = PositionSide.BOTH,
    tif: TimeInForce = TimeInForce.GTC,
    post_only: bool = False,
    bound: str | None = None,
    trail: str | None = None,
    decision: str | None = None,
) -> OrderRequest:
    """Return a market order, or with a ``price`` a limit order, unless told."""
    return OrderRequest(
        f"o-{name}",
        name,
        "s",
        symbol,
        side,
        position_side,
        kind or (OrderType.MARKET if price is None else OrderType.LIMIT),
        tif,
        Decimal(quantity),
        1_704_067_200_000,
        reduce_only=reduce_only,
        post_only=post_only,
        price=None if price is None else Decimal(price),
        stop_price=None if stop is None else Decimal(stop),
        trail_bps=None if trail is None else Decimal(trail),
        worst_price=None if bound is None else Decimal(bound),
        decision_price=None if decision is None else Decimal(decision),
    )


def rules(
    symbol: str = BTC,
    *,
    size: str = "1",
    tick: str | None = "0.1",
    step: str | None = "0.001",
    least: str | None = None,
    most: str | None = None,
    market_most: str | None = None,
    notional: str | None = None,
    cost_most: str | None = None,
    digits: int | None = None,
) -> MarketRules:
    """Return a market's rules."""

    def number(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    return MarketRules(
        symbol,
        "BTCUSDT",
        ":" in symbol,
        "BTC",
        "USDT",
        "USDT",
        Decimal(size),
        number(tick),
        number(step),
        number(least),
        number(most),
        number(market_most),
        number(notional),
        number(cost_most),
        digits,
    )


def known(**given: object) -> KnownOrder:
    """Return an order that the broker knows."""
    return KnownOrder.of(order(**given))  # type: ignore[arg-type]
