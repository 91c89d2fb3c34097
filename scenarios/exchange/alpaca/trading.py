"""What the requests about orders and the account do, and say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from brokers.virtual.wire import DUPLICATE
from messages import OrderRequest, OrderType, PositionSide, Side, TimeInForce
from scenarios.exchange.alpaca.book import Book, Order, asset_id, intent_of, kind_of
from scenarios.exchange.alpaca.errors import (
    FORBIDDEN,
    NOT_FOUND,
    NOT_TAKEN,
    WRONG_FIELD,
    Refused,
    no_order,
    refused_for,
)
from scenarios.exchange.facts import Fact
from state.money import EXACT, exact, plain

FIELDS: Final = frozenset(
    {
        "symbol",
        "qty",
        "side",
        "type",
        "time_in_force",
        "limit_price",
        "stop_price",
        "extended_hours",
        "client_order_id",
        "position_intent",
    }
)
"""What an order may say here; Alpaca's own list is longer, and nobody else is to pass unread."""

ID_LENGTH_MAX: Final = 128
PAGE_MAX: Final = 500
ACTIVITIES_MAX: Final = 100
_NUMBER: Final = re.compile(r"\d{1,15}(\.\d{1,9})?")

Answer = tuple[Sequence[Fact], Any, int]
"""What became true, what is answered, and with which status."""


def place(book: Book, body: bytes, wall: int) -> Answer:
    """``POST /v2/orders``."""
    request = _read(book, body)
    name = request.client_order_id
    facts = book.venue.submit(request, wall)
    if facts[0].reason == DUPLICATE:
        return facts, Refused(422, WRONG_FIELD, "client_order_id must be unique"), 422
    book.take(facts)
    order = book.orders[name]
    if order.status == "rejected":
        report = next(fact.report for fact in facts if fact.report is not None)
        assert report.cause is not None, "what is not let in has a cause"
        refused = refused_for(report.cause, request)
        return facts, refused, refused.status
    # The answer is of the moment at which it came in.
    return facts, {**order.document(), **_FRESH}, 200


_FRESH: Final = {
    "status": "accepted",
    "filled_qty": "0",
    "filled_avg_price": None,
    "filled_at": None,
    "canceled_at": None,
    "expired_at": None,
}


def _read(book: Book, body: bytes) -> OrderRequest:
    try:
        asked = json.loads(body)
    except ValueError:
        raise Refused(400, WRONG_FIELD, "request body format is invalid") from None
    if not isinstance(asked, dict) or (unknown := sorted(asked.keys() - FIELDS)):
        raise Refused(422, WRONG_FIELD, f"unknown field {unknown if asked else ''}")
    symbol = str(asked.get("symbol", ""))
    if symbol not in book.venue.terms.instruments:
        raise Refused(422, WRONG_FIELD, f'asset "{symbol}" not found')
    kind = kind_of(str(asked.get("type", "")))
    if kind is None:
        raise Refused(422, WRONG_FIELD, "invalid order type")
    side = {"buy": Side.BUY, "sell": Side.SELL}.get(str(asked.get("side", "")))
    if side is None:
        raise Refused(422, WRONG_FIELD, "invalid side")
    lasts = next((each for each in TimeInForce if each.value == asked.get("time_in_force")), None)
    if lasts is None:
        raise Refused(422, WRONG_FIELD, "invalid time_in_force")
    quantity = _number(asked, "qty", needed=True)
    if quantity != quantity.to_integral_value() and lasts is not TimeInForce.DAY:
        raise Refused(422, NOT_TAKEN, "fractional orders must be DAY orders")
    limits = kind in {OrderType.LIMIT, OrderType.STOP_LIMIT}
    stops = kind in {OrderType.STOP, OrderType.STOP_LIMIT}
    name = str(asked.get("client_order_id", ""))
    if not 0 < len(name) <= ID_LENGTH_MAX:
        raise Refused(422, WRONG_FIELD, "client_order_id must be no more than 128 characters")
    if asked.get("extended_hours") and (not limits or lasts is not TimeInForce.DAY):
        raise Refused(422, NOT_TAKEN, "extended hours order must be DAY limit orders")
    intent = intent_of(side, book.held(symbol))
    wanted = asked.get("position_intent")
    if wanted is not None and wanted != intent:
        words = f"position intent mismatch, inferred: {intent}, specified: {wanted}"
        raise Refused(422, NOT_TAKEN, words)
    price = _number(asked, "limit_price", needed=limits) if limits else None
    if side is Side.BUY:
        _refuse_dear(book, quantity, price or _mark(book, symbol))
    elif intent == "sell_to_open":
        raise Refused(403, FORBIDDEN, "account is not allowed to short")
    else:
        free = book.held(symbol) - sum(
            order.request.quantity - order.filled
            for order in book.live()
            if order.request.symbol == symbol and order.request.side is Side.SELL
        )
        if quantity > free:
            words = f"(requested: {plain(quantity)}, available: {plain(free)})"
            raise Refused(403, FORBIDDEN, f"insufficient qty available for order {words}")
    return OrderRequest(
        name,
        name,
        "",
        symbol,
        side,
        PositionSide.BOTH,
        kind,
        lasts,
        quantity,
        book.venue.now,
        price=price,
        stop_price=_number(asked, "stop_price", needed=stops) if stops else None,
    )


def _refuse_dear(book: Book, quantity: Decimal, price: Decimal) -> None:
    bound = [
        EXACT.multiply(
            EXACT.subtract(order.request.quantity, order.filled),
            order.request.price or _mark(book, order.request.symbol),
        )
        for order in book.live()
        if order.request.side is Side.BUY
    ]
    power = EXACT.subtract(book.venue.account(whole=False).cash, sum(bound, Decimal(0)))
    if EXACT.multiply(quantity, price) > power:
        raise Refused(403, FORBIDDEN, "insufficient buying power")


def _number(asked: Mapping[str, Any], name: str, *, needed: bool) -> Decimal:
    text = asked.get(name)
    if text is None and needed:
        raise Refused(422, WRONG_FIELD, f"{name} is required")
    # A number may be a number or a text of one; which of them it was is in the hits.
    text = str(text)
    if not _NUMBER.fullmatch(text):
        raise Refused(422, WRONG_FIELD, f"{name} must be a number")
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise Refused(422, WRONG_FIELD, f"{name} is no number") from None
    if found <= 0:
        raise Refused(422, WRONG_FIELD, f"{name} must be > 0")
    return found


def found(book: Book, *, order_id: str = "", name: str = "") -> Order:
    """Return an order by Alpaca's id or by the client's."""
    order = book.by_id.get(order_id) if order_id else book.orders.get(name)
    # What was refused at the door never was an order.
    if order is None or order.status in {"rejected", "pending_new"}:
        raise no_order(order_id or name)
    return order


def cancel(book: Book, order_id: str, wall: int) -> Answer:
    """``DELETE /v2/orders/{id}``."""
    order = found(book, order_id=order_id)
    if not order.live:
        raise Refused(422, NOT_TAKEN, f'order is already in "{order.status}" state')
    return book.venue.cancel(order.name, wall), None, 204


def cancel_all(book: Book, wall: int) -> Answer:
    """``DELETE /v2/orders``."""
    ids = [order.order_id for order in book.live()]
    facts = book.venue.cancel_all("", wall)
    return facts, [{"id": each, "status": 200, "body": None} for each in ids], 207


def orders(book: Book, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """``GET /v2/orders``."""
    status, symbols = query.get("status", "open"), query.get("symbols", "")
    chosen = [
        order
        for order in book.orders.values()
        if order.status not in {"rejected", "pending_new"}
        and (status == "all" or order.live is (status == "open"))
        and (not symbols or order.request.symbol in symbols.split(","))
    ]
    if query.get("direction", "desc") == "desc":
        chosen.reverse()
    return [order.document() for order in chosen[: min(int(query.get("limit", "50")), PAGE_MAX)]]


def activities(book: Book, query: Mapping[str, str], after_ms: int) -> list[dict[str, Any]]:
    """``GET /v2/account/activities/FILL``; ``after_ms`` is what ``after`` says."""
    chosen = [each for each in book.executions if each.fill.timestamp > after_ms]
    if query.get("direction", "desc") == "desc":
        chosen.reverse()
    token = query.get("page_token", "")
    if token:
        ids = [each.activity_id for each in chosen]
        chosen = chosen[ids.index(token) + 1 :] if token in ids else []
    size = min(int(query.get("page_size", "100")), ACTIVITIES_MAX)
    return [each.activity() for each in chosen[:size]]


def account(book: Book) -> dict[str, Any]:
    """``GET /v2/account``."""
    found = book.venue.account()
    worth = EXACT.add(found.cash, sum((_worth(book, each) for each in _held(book)), Decimal(0)))
    return {
        "id": asset_id("account"),
        "account_number": "PA0000000001",
        "status": "ACTIVE",
        "currency": found.currency,
        "cash": plain(found.cash),
        "buying_power": plain(found.cash),
        "equity": plain(worth),
        "portfolio_value": plain(worth),
        "multiplier": "1",
        "pattern_day_trader": False,
        "daytrade_count": 0,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": False,
    }


def positions(book: Book) -> list[dict[str, Any]]:
    """``GET /v2/positions``."""
    averages = {symbol: price for symbol, _, price in book.venue.account().averages}
    return [
        {
            "asset_id": asset_id(symbol),
            "symbol": symbol,
            "exchange": "NASDAQ",
            "asset_class": "us_equity",
            "avg_entry_price": plain(averages[symbol]),
            "qty": plain(quantity),
            "qty_available": plain(quantity),
            "side": "long" if quantity > 0 else "short",
            "market_value": plain(_worth(book, (symbol, quantity))),
            "cost_basis": plain(EXACT.multiply(averages[symbol], quantity)),
            "current_price": plain(_mark(book, symbol)),
        }
        for symbol, quantity in _held(book)
    ]


def asset(book: Book, symbol: str) -> dict[str, Any]:
    """``GET /v2/assets/{symbol}``."""
    rules = book.venue.terms.instruments.get(symbol)
    if rules is None:
        raise Refused(404, NOT_FOUND, f"asset not found for {symbol}")
    fractions = rules.lot_step is None or rules.lot_step < 1
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": "NASDAQ",
        "symbol": symbol,
        "name": symbol,
        "status": "active",
        "tradable": True,
        "marginable": True,
        "shortable": True,
        "easy_to_borrow": True,
        "fractionable": fractions,
    }


def _held(book: Book) -> list[tuple[str, Decimal]]:
    return [(name, quantity) for name, _, quantity in book.venue.account().positions if quantity]


def _worth(book: Book, held: tuple[str, Decimal]) -> Decimal:
    return EXACT.multiply(_mark(book, held[0]), held[1])


def _mark(book: Book, symbol: str) -> Decimal:
    mark = book.venue.engine.account.mark_of(symbol)
    return Decimal(0) if mark is None else exact(mark)
