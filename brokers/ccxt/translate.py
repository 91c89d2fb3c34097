"""
What a venue says of orders and trades, from ccxt's words into ours.

Pure. Quantities become base units here. A fee that is taken from what was bought makes the fill
that much smaller and is booked in the quote currency at the fill's own price: what is paid and what
is held are then exact to the last digit, and a sale of what is held can succeed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from brokers.ccxt.columns import Capabilities
from brokers.ccxt.known import KnownOrder, Trade, as_sent
from brokers.ccxt.rounding import MarketRules, number
from messages import (
    Cause,
    Fill,
    Liquidity,
    OrderEvent,
    PositionSide,
    ReasonCode,
    Side,
    VenueOrder,
)
from state.money import EXACT, ZERO

OPEN: Final = "open"
CLOSED: Final = "closed"
ENDED: Final = {
    CLOSED: OrderEvent.FILLED,
    "canceled": OrderEvent.CANCELLED,
    "cancelled": OrderEvent.CANCELLED,
    "expired": OrderEvent.EXPIRED,
    "rejected": OrderEvent.REJECTED,
}


class Unreadable(ValueError):
    """What the venue said cannot be told in our words."""


def trade_of(
    trade: Mapping[str, Any], known: KnownOrder, rules: MarketRules, row: Capabilities
) -> Trade:
    """Return one execution from ccxt's trade; raises ``Unreadable``."""
    amount, price = number(trade.get("amount")), number(trade.get("price"))
    if amount is None or price is None or not trade.get("id"):
        raise Unreadable(f"a trade of {known.symbol} without id, amount or price")
    in_base = row.fee_in_base and known.side is Side.BUY and not rules.is_contract
    unnamed = rules.base if in_base else rules.settle
    paid: dict[str, Decimal] = {}
    for fee in trade.get("fees") or [trade.get("fee")]:
        cost = number((fee or {}).get("cost"))
        if cost:
            currency = fee.get("currency") or unnamed
            paid[currency] = EXACT.add(paid.get(currency, ZERO), cost)
    return traded(
        known,
        rules,
        trade_id=str(trade["id"]),
        amount=abs(amount),
        price=price,
        paid=paid,
        maker=trade.get("takerOrMaker") == "maker",
        at=int(trade.get("timestamp") or 0),
    )


def traded(
    known: KnownOrder,
    rules: MarketRules,
    *,
    trade_id: str,
    amount: Decimal,
    price: Decimal,
    paid: Mapping[str, Decimal],
    maker: bool,
    at: int,
) -> Trade:
    """
    Return an execution of ``amount`` (in the venue's unit).

    Raises ``Unreadable`` for fees in two currencies: a fill has one.
    """
    if len(paid) > 1:
        raise Unreadable(f"trade {trade_id} of {known.symbol}: fees in {', '.join(sorted(paid))}")
    currency, fee = next(iter(paid.items()), (rules.settle, ZERO))
    gross = quantity = rules.to_base(amount)
    if not rules.is_contract and currency == rules.base and currency != rules.quote:
        if known.side is Side.BUY:
            quantity = EXACT.subtract(gross, fee)
        currency, fee = rules.quote, EXACT.multiply(fee, price)
    fill = Fill(
        f"{rules.market_id}:{trade_id}",
        known.order_id,
        known.name,
        known.strategy,
        known.symbol,
        known.side,
        known.position_side,
        quantity,
        price,
        fee,
        currency,
        Liquidity.MAKER if maker else Liquidity.TAKER,
        at,
    )
    return Trade(fill, gross)


def answer_of(
    order: Mapping[str, Any],
    known: KnownOrder,
    rules: MarketRules,
    trades: Iterable[Trade],
    asked_at: int,
) -> VenueOrder:
    """
    Return what the venue says of one order, whose ``trades`` have been counted in ``known``.

    Raises ``Unreadable`` for a status that is neither open nor an end, and for a filled order of
    which nothing is filled.
    """
    status = str(order.get("status") or "")
    at = int(order.get("lastUpdateTimestamp") or order.get("timestamp") or asked_at)
    counted = counted_of(order, rules)
    filled = None if counted is None else known.net_of(counted)
    fills = tuple(trade.fill for trade in trades)
    if status == OPEN:
        return VenueOrder(
            known.name, at, known=True, open=True, fills=fills, filled=filled, asked_at=asked_at
        )
    event = ENDED.get(status)
    if event is None:
        raise Unreadable(f"{known.name}: status {status!r}")
    cause = None
    if event is OrderEvent.FILLED:
        if counted == ZERO:
            raise Unreadable(f"{known.name}: status {status!r}, and nothing of it is filled")
        short = known.quantity is not None and known.net < known.quantity
        if short and counted == known.gross and known.quantity is not None:
            event, cause = OrderEvent.CANCELLED, as_sent(known.net, known.quantity)
    elif event is OrderEvent.REJECTED and counted:
        event = OrderEvent.CANCELLED  # it was there, whatever the venue calls it now
    elif event is OrderEvent.REJECTED:
        cause = Cause(ReasonCode.VENUE_REJECTED, "rejected after it was accepted")
    return VenueOrder(
        known.name,
        at,
        known=True,
        open=False,
        fills=fills,
        ended=event,
        cause=cause,
        filled=filled,
        asked_at=asked_at,
    )


def in_ccxts_words(order: Mapping[str, Any], row: Capabilities) -> Mapping[str, Any]:
    """
    Return an order with a status of ccxt's where that is one of the venue's own.

    An order that the venue is at work on is open, unless nothing is left of it.
    """
    if order.get("status") not in row.at_work:
        return order
    amount, filled = number(order.get("amount")), number(order.get("filled"))
    return {**order, "status": CLOSED if amount and amount == filled else OPEN}


def counted_of(order: Mapping[str, Any], rules: MarketRules) -> Decimal | None:
    """Return what the venue counts as filled, in base units."""
    counted = number(order.get("filled"))
    return None if counted is None else rules.to_base(counted)


def side_of(trade: Mapping[str, Any]) -> Side:
    """Return the side of an order or a trade."""
    return Side(str(trade["side"]).lower())


def position_side_of(said: object) -> PositionSide:
    """Return the book that a venue names, the net one if it names none."""
    text = str(said or "").lower()
    return PositionSide(text) if text in {"long", "short"} else PositionSide.BOTH
