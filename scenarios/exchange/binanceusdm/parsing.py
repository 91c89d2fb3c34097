"""An order as the wire says it becomes one of the core's; what the core cannot know is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from messages import (
    IntentAction,
    OrderRequest,
    OrderType,
    PositionMode,
    PositionSide,
    Side,
    TimeInForce,
)
from scenarios.exchange.binanceusdm import errors
from scenarios.exchange.binanceusdm.errors import Refused
from scenarios.exchange.binanceusdm.listing import PRICE_DOWN, PRICE_UP, TIMES_IN_FORCE, Listings
from scenarios.exchange.binanceusdm.params import Params
from state.instruments import Instrument

CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
GOOD_TILL_MS_MIN: Final = 600_000
GOOD_TILL_MAX: Final = 253_402_300_799_000

_SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
_PLAIN_TYPES: Final = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET}
_ALGO_TYPES: Final = {
    "STOP_MARKET": OrderType.STOP,
    "STOP": OrderType.STOP_LIMIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_LIMIT,
    "TRAILING_STOP_MARKET": OrderType.TRAILING_STOP,
}
_WITH_PRICE: Final = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
_AT_ONCE: Final = {"IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
_CALLBACK_MIN: Final = Decimal("0.1")
_CALLBACK_MAX: Final = Decimal(10)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a request is judged by: the account's mode, the market's time, the last price."""

    listings: Listings
    mode: PositionMode
    now: int
    price: Decimal | None


def read_side(params: Params) -> Side:
    """Return the side of an order."""
    side = _SIDES.get(params.text("side"))
    if side is None:
        raise Refused(errors.BAD_SIDE)
    return side


def read_order(params: Params, scene: Scene, client_id: str) -> OrderRequest:
    """Return an order of the order endpoint; refuses whatever is not its own."""
    name = params.text("type")
    if name in _ALGO_TYPES:
        raise Refused(errors.USE_ALGO)
    kind = _PLAIN_TYPES.get(name)
    if kind is None:
        raise Refused(errors.BAD_TYPE)
    if kind is OrderType.MARKET:
        for unwanted in ("price", "timeInForce"):
            if unwanted in params:
                raise Refused(errors.NOT_REQUIRED, unwanted.lower())
    for unwanted in ("stopPrice", "callbackRate", "activationPrice"):
        if unwanted in params:
            raise Refused(errors.NOT_REQUIRED, unwanted.lower())
    return _order(params, scene, client_id, kind)


def read_algo(params: Params, scene: Scene, client_id: str) -> OrderRequest:
    """Return an order of the algo endpoint."""
    if params.text("algoType") != "CONDITIONAL":
        raise Refused(errors.BAD_PARAMETER, "algoType")
    kind = _ALGO_TYPES.get(params.text("type"))
    if kind is None:
        raise Refused(errors.BAD_TYPE)
    if params.flag("closePosition"):
        # The engine closes by quantity only; an order that means another is not let in.
        raise Refused(errors.BAD_PARAMETER, "closePosition")
    order = _order(params, scene, client_id, kind)
    _check_trigger(order, scene)
    return order


def _check_trigger(order: OrderRequest, scene: Scene) -> None:
    """Refuse what the last price has triggered already."""
    stop, price = order.stop_price, scene.price
    if stop is None or price is None:
        return
    rises = (order.side is Side.BUY) is (order.order_type in {OrderType.STOP, OrderType.STOP_LIMIT})
    if price >= stop if rises else price <= stop:
        raise Refused(errors.WOULD_TRIGGER)


def _order(params: Params, scene: Scene, client_id: str, kind: OrderType) -> OrderRequest:
    symbol = scene.listings.symbol(params.text("symbol"))
    side = read_side(params)
    position_side = _position_side(params, scene.mode)
    if not CLIENT_ID.fullmatch(client_id):
        raise Refused(errors.BAD_CLIENT_ID)
    price = stop = trail = None
    word = "GTC"
    if kind in _WITH_PRICE:
        default = None if kind is OrderType.LIMIT else "GTC"
        word = params.text("timeInForce", default)
        price = params.number("price")
    if kind is OrderType.TRAILING_STOP:
        if params.text("activatePrice", "") or params.text("activationPrice", ""):
            # The engine's trailing stop follows from its arrival on.
            raise Refused(errors.BAD_PARAMETER, "activatePrice")
        trail = _callback(params) * 100
    elif kind not in _PLAIN_TYPES.values():
        stop = params.number("triggerPrice")
    if word not in TIMES_IN_FORCE:
        raise Refused(errors.BAD_TIME_IN_FORCE)
    reduce_only = params.flag("reduceOnly")
    if reduce_only and position_side is not PositionSide.BOTH:
        raise Refused(errors.NOT_REQUIRED, "reduceonly")
    quantity = params.number("quantity")
    request = OrderRequest(
        client_id,
        client_id,
        "",
        symbol,
        side,
        position_side,
        kind,
        _AT_ONCE.get(word, TimeInForce.GTC),
        quantity,
        scene.now,
        reduce_only=reduce_only,
        post_only=word == "GTX",
        price=price,
        stop_price=stop,
        trail_bps=trail,
        expire_at=_good_till(params, scene.now) if word == "GTD" else None,
        action=IntentAction.REDUCE if _closes(side, position_side, reduce_only) else _ENTRY,
    )
    _check_price(request, scene.listings.rules(symbol), scene.price)
    return request


_ENTRY: Final = IntentAction.ENTRY


def _closes(side: Side, position_side: PositionSide, reduce_only: bool) -> bool:  # noqa: FBT001
    if position_side is PositionSide.BOTH:
        return reduce_only
    return (side is Side.BUY) is not (position_side is PositionSide.LONG)


def _position_side(params: Params, mode: PositionMode) -> PositionSide:
    word = params.text("positionSide", "BOTH")
    if word not in {"BOTH", "LONG", "SHORT"}:
        raise Refused(errors.BAD_POSITION_SIDE)
    side = PositionSide(word.lower())
    if (side is PositionSide.BOTH) is not (mode is PositionMode.ONE_WAY):
        raise Refused(errors.POSITION_SIDE)
    return side


def _callback(params: Params) -> Decimal:
    rate = params.number("callbackRate")
    if not _CALLBACK_MIN <= rate <= _CALLBACK_MAX:
        raise Refused(errors.BAD_PARAMETER, "callbackRate")
    return rate


def _good_till(params: Params, now: int) -> int:
    until = params.whole("goodTillDate")
    if not now + GOOD_TILL_MS_MIN < until < GOOD_TILL_MAX:
        raise Refused(errors.BAD_GOOD_TILL)
    return until


def _check_price(request: OrderRequest, rules: Instrument, price: Decimal | None) -> None:
    """Refuse a limit far beyond the market, and too small an order at the market's price."""
    if price is None:
        return
    limit = request.price
    if limit is not None:
        if request.side is Side.BUY and limit > price * PRICE_UP:
            raise Refused(errors.PRICE_TOO_HIGH)
        if request.side is Side.SELL and limit < price * PRICE_DOWN:
            raise Refused(errors.PRICE_TOO_LOW)
    elif (
        request.order_type is OrderType.MARKET
        and request.action is _ENTRY
        and rules.min_notional is not None
        and 0 < request.quantity * price < rules.min_notional
    ):
        raise Refused(errors.FEW_NOTIONAL, rules.min_notional)
