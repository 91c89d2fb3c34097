"""What the order endpoints do: each reads, does one thing to the venue, says what came of it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from brokers.virtual.wire import DUPLICATE
from messages import OrderRequest
from scenarios.exchange.binanceusdm import errors, parsing
from scenarios.exchange.binanceusdm.book import Book
from scenarios.exchange.binanceusdm.errors import Refused, refused_for
from scenarios.exchange.binanceusdm.listing import OPEN_ORDERS_MAX
from scenarios.exchange.binanceusdm.params import Params
from scenarios.exchange.binanceusdm.records import Order
from scenarios.exchange.binanceusdm.shapes import (
    ALGO_NUMBERS,
    POSITION_SIDES,
    SIDES,
    TYPE_NAMES,
    average,
    order_reply,
    order_type,
    time_in_force,
    trade_reply,
)
from scenarios.exchange.facts import Fact
from state.money import ZERO, plain

DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
"""As much as one question about the past may span, and what is answered without a span."""

BATCH_MAX: Final = 5
PAGE: Final = 500
PAGE_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Done:
    """What a request made true, and its answer: content, or a refusal."""

    facts: Sequence[Fact]
    content: Any = None
    refused: Refused | None = None


Find = Callable[[Params], Order]


def place(book: Book, params: Params) -> Done:
    """``POST /order``."""
    return _place(book, params, parsing.read_order, "newClientOrderId")


def place_algo(book: Book, params: Params) -> Done:
    """``POST /algoOrder``."""
    return _place(book, params, parsing.read_algo, "clientAlgoId")


def _place(
    book: Book,
    params: Params,
    read: Callable[[Params, parsing.Scene, str], OrderRequest],
    id_name: str,
) -> Done:
    client_id = params.text(id_name, "") or book.new_client_id()
    try:
        request = read(params, book.scene(params), client_id)
        _refuse_many(book, request.symbol)
    except Refused as refused:
        facts = book.venue.refuse(client_id, str(refused.code), book.wall())
        return Done(facts, refused=refused)
    facts = book.venue.submit(request, book.wall())
    if facts[0].reason == DUPLICATE:
        return Done(facts, refused=Refused(errors.DUPLICATE_ID))
    book.take(facts)
    order = book.records.orders[book.venue.current(client_id)]
    if not order.number:
        assert order.cause is not None, "what is not let in has a cause"
        rules = book.listings.rules(request.symbol)
        return Done(facts, refused=refused_for(order.cause, request, rules))
    if order.conditional:
        return Done(facts, algo_reply(book, order))
    fresh = params.text("newOrderRespType", "ACK") != "RESULT"
    return Done(facts, order_reply(order, params.text("symbol"), fresh=fresh))


def _refuse_many(book: Book, symbol: str) -> None:
    if len(book.records.live(symbol)) >= OPEN_ORDERS_MAX:
        raise Refused(errors.TOO_MANY_OPEN)


def place_batch(book: Book, params: Params) -> Done:
    """``POST /batchOrders``: each by itself; what is refused is so in its place of the answer."""
    try:
        batch = msgspec.json.decode(params.text("batchOrders"), type=list[dict[str, Any]])
    except msgspec.DecodeError:
        raise Refused(errors.BAD_PARAMETER, "batchOrders") from None
    if not 1 <= len(batch) <= BATCH_MAX:
        raise Refused(errors.BAD_PARAMETER, "batchOrders")
    facts: list[Fact] = []
    answers = []
    for each in batch:
        one = Params({name: _text(value) for name, value in each.items()})
        try:
            done = place(book, one)
        except Refused as refused:
            answers.append(refused.body)
            continue
        facts += done.facts
        answers.append(done.content if done.refused is None else done.refused.body)
    return Done(facts, answers)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def amend(book: Book, params: Params) -> Done:
    """``PUT /order``: another quantity or price; the order keeps its number and loses its place."""
    order = _named(book, params, errors.NO_SUCH_ORDER)
    if order.request.price is None or order.conditional:
        raise Refused(errors.ONLY_LIMIT)
    if parsing.read_side(params) is not order.request.side:
        raise Refused(errors.BAD_SIDE)
    if not order.live:
        raise Refused(errors.NO_SUCH_ORDER)
    quantity, price = params.number("quantity"), params.number("price")
    if (quantity, price) == (order.request.quantity, order.request.price):
        raise Refused(errors.NOTHING_AMENDED)
    cause, facts = book.venue.amend(order.name, quantity, price, book.wall())
    book.take(facts)
    if cause is not None:
        wanted = msgspec.structs.replace(order.request, quantity=quantity, price=price)
        rules = book.listings.rules(order.request.symbol)
        return Done(facts, refused=refused_for(cause, wanted, rules))
    return Done(facts, order_reply(order, params.text("symbol")))


def cancel(book: Book, params: Params) -> Done:
    """``DELETE /order``."""
    order = _named(book, params, errors.CANCEL_UNKNOWN)
    return _cancelled(book, order, lambda: order_reply(order, params.text("symbol")))


def _cancelled(book: Book, order: Order, content: Callable[[], Any]) -> Done:
    facts = book.take(book.venue.cancel(order.name, book.wall()))
    if order.status != "CANCELED" or len(facts) == 1:
        return Done(facts, refused=Refused(errors.CANCEL_UNKNOWN))
    return Done(facts, content())


def cancel_batch(book: Book, params: Params) -> Done:
    """``DELETE /batchOrders``."""
    wanted = [
        _listed(params.text(name, "") or params.text(name.lower(), ""))
        for name in ("orderIdList", "origClientOrderIdList")
    ]
    names = [("orderId", each) for each in wanted[0]]
    names += [("origClientOrderId", each) for each in wanted[1]]
    if not 1 <= len(names) <= 2 * BATCH_MAX:
        raise Refused(errors.MANDATORY, "orderidlist")
    facts: list[Fact] = []
    answers = []
    for name, value in names:
        one = Params({"symbol": params.text("symbol"), name: value})
        try:
            done = cancel(book, one)
        except Refused as refused:
            answers.append(refused.body)
            continue
        facts += done.facts
        answers.append(done.content if done.refused is None else done.refused.body)
    return Done(facts, answers)


def _listed(text: str) -> list[str]:
    return re.findall(r"[^\s,\[\]\"]+", text)


def cancel_all(book: Book, params: Params) -> Done:
    """``DELETE /allOpenOrders``: those of the order endpoint; what waits for a trigger stays."""
    symbol = book.listings.symbol(params.text("symbol"))
    facts = book.cancel_all(symbol, algo=False)
    return Done(facts, {"code": 200, "msg": "The operation of cancel all open order is done."})


def cancel_all_algo(book: Book, params: Params) -> Done:
    """``DELETE /algoOpenOrders``."""
    symbol = book.listings.symbol(params.text("symbol"))
    facts = book.cancel_all(symbol, algo=True)
    return Done(facts, {"code": 200, "msg": "The operation of cancel all open order is done."})


def countdown(book: Book, params: Params) -> Done:
    """``POST /countdownCancelAll``: cancel everything unless asked again in time; 0 stops it."""
    name = params.text("symbol")
    wait_ms = params.whole("countdownTime")
    symbol = book.listings.symbol(name)
    book.countdowns.pop(symbol, None)
    if wait_ms:
        book.countdowns[symbol] = book.wall() + wait_ms
    return Done((), {"symbol": name, "countdownTime": str(wait_ms)})


# -- questions


def one(book: Book, params: Params) -> Done:
    """``GET /order``."""
    order = _named(book, params, errors.NO_SUCH_ORDER)
    return Done((), order_reply(order, params.text("symbol")))


def open_one(book: Book, params: Params) -> Done:
    """``GET /openOrder``."""
    order = _named(book, params, errors.NO_SUCH_ORDER)
    if not order.live:
        raise Refused(errors.NO_SUCH_ORDER)
    return Done((), order_reply(order, params.text("symbol")))


def open_orders(book: Book, params: Params) -> Done:
    """``GET /openOrders``, of one symbol or of all."""
    found = [
        order
        for order in book.records.live(_symbol(book, params))
        if book.shown(order) and book.is_order(order)
    ]
    return Done((), [_reply(book, order) for order in found])


def all_orders(book: Book, params: Params) -> Done:
    """``GET /allOrders`` of one symbol: from a number, of a span, or the last week's newest."""
    symbol = book.listings.symbol(params.text("symbol"))
    orders = [
        order for order in book.records.of(symbol) if book.shown(order) and book.is_order(order)
    ]
    first = params.optional_whole("orderId")
    limit = params.limit(PAGE, PAGE_MAX)
    if first is not None:
        found = [order for order in orders if order.number >= first][:limit]
    else:
        start, end, from_start = span(params, book.venue.now)
        within = [order for order in orders if start <= order.created <= end]
        found = within[:limit] if from_start else within[-limit:]
    return Done((), [_reply(book, order) for order in found])


def user_trades(book: Book, params: Params) -> Done:
    """``GET /userTrades`` of one symbol: from a trade, of a span, or the last week's newest."""
    name = params.text("symbol")
    symbol = book.listings.symbol(name)
    trades = book.records.trades_of(symbol)
    if book.hidden_since is not None:
        trades = [trade for trade in trades if book.shown(trade.order)]
    number = params.optional_whole("orderId")
    if number is not None:
        trades = [trade for trade in trades if trade.order.number == number]
    limit = params.limit(PAGE, PAGE_MAX)
    first = params.optional_whole("fromId")
    if first is not None:
        if "startTime" in params or "endTime" in params:
            raise Refused(errors.BAD_COMBINATION)
        place = bisect_left(trades, first, key=lambda trade: trade.number)
        found = trades[place : place + limit]
    else:
        start, end, from_start = span(params, book.venue.now)
        within = [trade for trade in trades if start <= trade.fill.timestamp <= end]
        found = within[:limit] if from_start else within[-limit:]
    return Done((), [trade_reply(trade, name) for trade in found])


def span(params: Params, now: int) -> tuple[int, int, bool]:
    """Return a span of at most a week, and whether it was asked for from its start."""
    start, end = params.optional_whole("startTime"), params.optional_whole("endTime")
    if start is not None and end is not None:
        if start > end:
            raise Refused(errors.BAD_TIMES)
        if end - start > WEEK_MS:
            raise Refused(errors.LONG_INTERVAL)
        return start, end, True
    if start is not None:
        return start, start + WEEK_MS, True
    until = now if end is None else end
    return until - WEEK_MS, until, False


# -- algo orders


def one_algo(book: Book, params: Params) -> Done:
    """``GET /algoOrder``."""
    return Done((), algo_reply(book, _named_algo(book, params, errors.NO_SUCH_ORDER)))


def cancel_algo(book: Book, params: Params) -> Done:
    """``DELETE /algoOrder``."""
    order = _named_algo(book, params, errors.CANCEL_UNKNOWN)
    content = {
        "algoId": ALGO_NUMBERS + order.number,
        "clientAlgoId": order.client_id,
        "code": "200",
        "msg": "success",
    }
    return _cancelled(book, order, lambda: content)


def open_algos(book: Book, params: Params) -> Done:
    """``GET /openAlgoOrders``."""
    live = book.records.live(_symbol(book, params))
    found = [
        order
        for order in live
        if book.shown(order) and order.conditional and book.venue.engine.waits(order.name)
    ]
    return Done((), [algo_reply(book, order) for order in found])


def all_algos(book: Book, params: Params) -> Done:
    """``GET /allAlgoOrders``."""
    symbol = book.listings.symbol(params.text("symbol"))
    limit = params.limit(PAGE, PAGE_MAX)
    start, end, _ = span(params, book.venue.now)
    found = [
        order
        for order in book.records.of(symbol)
        if book.shown(order) and order.conditional and start <= order.created <= end
    ]
    return Done((), [algo_reply(book, order) for order in found[-limit:]])


def algo_reply(book: Book, order: Order) -> dict[str, Any]:
    """Return an order as the algo endpoints tell it."""
    request = order.request
    waits = book.venue.engine.waits(order.name)
    status = order.status
    if order.executed or (order.live and not waits):
        status = "TRIGGERED" if order.live else "FINISHED"
    trail = request.trail_bps
    return {
        "algoId": ALGO_NUMBERS + order.number,
        "clientAlgoId": order.client_id,
        "algoType": "CONDITIONAL",
        "orderType": TYPE_NAMES[request.order_type],
        "symbol": book.listings.name(request.symbol),
        "side": SIDES[request.side],
        "positionSide": POSITION_SIDES[request.position_side],
        "timeInForce": time_in_force(order),
        "quantity": plain(request.quantity),
        "algoStatus": status,
        "actualOrderId": str(order.number) if book.is_order(order) else "",
        "actualPrice": average(order) if order.executed else "0",
        "actualQty": plain(order.executed),
        "actualType": order_type(order) if order.executed else "",
        "triggerPrice": plain(request.stop_price or ZERO),
        "price": plain(request.price or ZERO),
        "icebergQuantity": None,
        "selfTradePreventionMode": "NONE",
        "workingType": "CONTRACT_PRICE",
        "priceMatch": "NONE",
        "closePosition": False,
        "priceProtect": False,
        "reduceOnly": request.reduce_only,
        "callbackRate": None if trail is None else plain(trail * Decimal("0.01")),
        "activatePrice": "0",
        "createTime": order.created,
        "updateTime": order.updated,
        "triggerTime": order.updated if order.executed else 0,
        "goodTillDate": request.expire_at or 0,
    }


# -- which order is meant


def _symbol(book: Book, params: Params) -> str:
    return book.listings.symbol(params.text("symbol")) if "symbol" in params else ""


def _reply(book: Book, order: Order) -> dict[str, Any]:
    return order_reply(order, book.listings.name(order.request.symbol))


def _named(book: Book, params: Params, otherwise: tuple[int, str]) -> Order:
    """Return the order that a request names by the venue's number or its client's."""
    symbol = book.listings.symbol(params.text("symbol"))
    number = params.optional_whole("orderId")
    if number is not None:
        order = book.records.numbered(number)
    else:
        order = book.records.newest(params.text("origClientOrderId"))
    if order is None or order.request.symbol != symbol or not book.shown(order):
        raise Refused(otherwise)
    if not book.is_order(order):
        raise Refused(otherwise)
    return order


def _named_algo(book: Book, params: Params, otherwise: tuple[int, str]) -> Order:
    number = params.optional_whole("algoId")
    if number is not None:
        order = book.records.numbered(number - ALGO_NUMBERS)
    else:
        order = book.records.newest(params.text("clientAlgoId"))
    if order is None or not order.conditional or not book.shown(order):
        raise Refused(otherwise)
    return order
