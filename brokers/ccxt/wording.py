"""
An order in ccxt's words, as the venue's row allows it, or why it cannot be said.

Pure. Only parameters that the row names go out: what ccxt does not know it passes on, and what a
venue does not know it may ignore.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from brokers.ccxt.capabilities import MARKET_SLIP, PERCENT_OF_BPS
from brokers.ccxt.columns import Capabilities
from brokers.ccxt.identity import IdUnfit, encoded
from brokers.ccxt.rounding import AT_MARKET, WAITING, Fitted, MarketRules, fitted, on_grid
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
from state.money import EXACT, plain

T = OrderType
STOPPED = frozenset({T.STOP, T.STOP_LIMIT})
TARGETED = frozenset({T.TAKE_PROFIT, T.TAKE_PROFIT_LIMIT})
"""Types that wait for a price before they are orders."""


@dataclass(frozen=True, slots=True)
class Worded:
    """The arguments of ``create_order``; ``fitted`` is what goes out, by our own count."""

    symbol: str
    order_type: str
    side: str
    amount: str
    price: str | None
    params: dict[str, Any] = field(default_factory=dict)
    fitted: Fitted | None = None


def worded(
    request: OrderRequest,
    rules: MarketRules,
    row: Capabilities,
    mode: PositionMode,
    margin_mode: str | None = None,
    mark: Decimal | None = None,
) -> Worded | Cause:
    """
    Return how the order is sent, or why it is not.

    ``margin_mode`` is the market's, if it is set, and ``mark`` where the market is, if known.
    """
    refused = (
        unsupported(request, row)
        or contradicts(request, mode, rules)
        or _unsaid(request, row, rules)
    )
    if refused is not None:
        return refused
    fit = fitted(request, rules, mark)
    if isinstance(fit, Cause):
        return fit
    try:
        client_id = encoded(request.client_order_id, row)
    except IdUnfit as unfit:
        return Cause(ReasonCode.VENUE_UNSUPPORTED, str(unfit))
    params: dict[str, Any] = {row.id_parameter: client_id}
    price = fit.price
    at_market = request.order_type in AT_MARKET
    if at_market and row.market_needs_price:
        price = _bound(request, rules)
        if price is None:
            return Cause(ReasonCode.PRICE_MISSING, "a market order needs a bound at this venue")
        params["slippage"] = "0"
    params.update(_waits(request, fit, row))
    params.update(_lasts(request, at_market=at_market))
    params.update(_books(request, row, mode, rules))
    if margin_mode is not None and row.margin_mode_parameter and rules.is_contract:
        params[row.margin_mode_parameter] = margin_mode
    return Worded(
        request.symbol,
        "market" if at_market else "limit",
        request.side.value,
        plain(fit.amount),
        None if price is None else plain(price),
        params,
        fit,
    )


def unsupported(request: OrderRequest, row: Capabilities) -> Cause | None:
    """Return what of the order the venue's row does not have, and what it has instead."""
    lacks = None
    if request.order_type not in row.order_types:
        lacks = f"order_type={request.order_type.value} has={_listed(row.order_types)}"
    elif request.time_in_force not in row.time_in_force:
        lacks = f"time_in_force={request.time_in_force.value} has={_listed(row.time_in_force)}"
    elif request.post_only and not row.post_only:
        lacks = "post_only"
    elif request.post_only and request.order_type is not T.LIMIT:
        lacks = f"post_only order_type={request.order_type.value}"
    elif request.expire_at is not None:
        lacks = "expire_at"
    elif request.position_side is not PositionSide.BOTH and not row.hedge:
        lacks = f"position_side={request.position_side.value}"
    if lacks is None:
        return None
    return Cause(ReasonCode.VENUE_UNSUPPORTED, f"venue={row.venue} {lacks}")


def _listed(has: Iterable[OrderType | TimeInForce]) -> str:
    return ",".join(sorted(each.value for each in has))


def contradicts(request: OrderRequest, mode: PositionMode, rules: MarketRules) -> Cause | None:
    """Return what of the order contradicts the account's position mode."""
    hedged = mode is PositionMode.HEDGE and rules.is_contract
    side = request.position_side
    if hedged is (side is PositionSide.BOTH):
        detail = f"position_side={side.value} mode={mode.value}"
        return Cause(ReasonCode.POSITION_SIDE_MISMATCH, detail)
    if hedged and request.reduce_only and not closes(request):
        detail = f"position_side={side.value} side={request.side.value} reduce_only"
        return Cause(ReasonCode.POSITION_SIDE_MISMATCH, detail)
    return None


def _unsaid(request: OrderRequest, row: Capabilities, rules: MarketRules) -> Cause | None:
    """Return what would be left out of the order and must not be: it would be another order."""
    kind = request.order_type
    if kind not in AT_MARKET and request.price is None:
        return Cause(ReasonCode.PRICE_MISSING, f"order_type={kind.value}")
    if kind in STOPPED | TARGETED and request.stop_price is None:
        return Cause(ReasonCode.PRICE_MISSING, f"order_type={kind.value} stop_price")
    if kind is T.TRAILING_STOP and request.trail_bps is None:
        return Cause(ReasonCode.PRICE_MISSING, f"order_type={kind.value} trail_bps")
    buys_at_market = request.side is Side.BUY and kind in AT_MARKET
    if row.market_buys_in_money and buys_at_market and not rules.is_contract:
        detail = f"venue={row.venue} order_type={kind.value} side=buy: counted in money has=limit"
        return Cause(ReasonCode.VENUE_UNSUPPORTED, detail)
    # Spot sells what is held, or nothing: there it needs no saying.
    if request.reduce_only and rules.is_contract and not row.reduce_only:
        return Cause(ReasonCode.VENUE_UNSUPPORTED, f"venue={row.venue} reduce_only")
    return None


def closes(request: OrderRequest) -> bool:
    """Return whether an order of a hedged book takes something off it."""
    opens = Side.BUY if request.position_side is PositionSide.LONG else Side.SELL
    return request.side is not opens


def _bound(request: OrderRequest, rules: MarketRules) -> Decimal | None:
    """Return the price beyond which a market order must not go, on the venue's grid."""
    buys = request.side is Side.BUY
    if request.order_type in WAITING:
        mark = request.stop_price  # it will be at the market there, wherever that is now
    elif request.worst_price is not None:
        return on_grid(request.worst_price, rules, upwards=not buys)
    else:
        mark = request.valued_price
        mark = request.decision_price if mark is None else mark
    if mark is None:
        return None
    # At the mark itself a market order would wait for the market to come to it.
    slip = EXACT.multiply(mark, MARKET_SLIP if buys else -MARKET_SLIP)
    return on_grid(EXACT.add(mark, slip), rules, upwards=buys)


def _waits(request: OrderRequest, fit: Fitted, row: Capabilities) -> dict[str, Any]:
    triggers, kind = row.triggers, request.order_type
    if kind in STOPPED and fit.stop_price is not None:
        return {triggers.stop: plain(fit.stop_price)}
    if kind in TARGETED and fit.stop_price is not None:
        return {triggers.target: plain(fit.stop_price)}
    if kind is T.TRAILING_STOP and request.trail_bps is not None:
        return {triggers.trail: plain(EXACT.multiply(request.trail_bps, PERCENT_OF_BPS))}
    return {}


def _lasts(request: OrderRequest, *, at_market: bool) -> dict[str, Any]:
    if request.post_only:
        return {"postOnly": True}
    if request.time_in_force is TimeInForce.GTC:
        return {}
    # At market everything is at once, but for a stop that must not wait for longer than asked.
    if at_market and request.time_in_force is not TimeInForce.DAY:
        return {}
    return {"timeInForce": request.time_in_force.value.upper()}


def _books(
    request: OrderRequest, row: Capabilities, mode: PositionMode, rules: MarketRules
) -> dict[str, Any]:
    if mode is PositionMode.HEDGE and rules.is_contract:
        # ccxt derives the book from the side and, for what closes, turns it round.
        return {"hedged": True, **({"reduceOnly": True} if closes(request) else {})}
    if request.reduce_only and row.reduce_only and (rules.is_contract or row.reduce_only_on_spot):
        return {"reduceOnly": True}
    return {}
