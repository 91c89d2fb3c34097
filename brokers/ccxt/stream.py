"""
The private stream's raw messages, read for themselves.

Pure. ccxt's own view of orders loses updates that come between two looks, merges several into one
and lets a late one undo an end; so each message is read here, before ccxt has seen it. Where a
venue's messages say all about a fill they are read as ``Heard``. Elsewhere they only name orders
that there is something to ask about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from brokers.ccxt.rounding import number
from messages import OrderEvent
from state.money import ZERO, plain

NEST_MAX: Final = 6
"""How deep a message is searched for ids."""


@dataclass(frozen=True, slots=True)
class Heard:
    """
    One message about one order, in the venue's ids and units.

    ``event`` is set where the message says that the order is there or over. ``last`` and ``price``
    are the execution's, if it tells of one, ``counted`` the order's whole count after it.
    ``forced`` are executions that no trade is listed of: liquidations and deleveraging.
    ``becomes`` is the venue's id of the order that one which waited has become.
    """

    market_id: str
    is_contract: bool
    client_id: str
    venue_id: str
    side: str
    at: int
    event: OrderEvent | None = None
    is_filled: bool = False
    trade_id: str = ""
    last: Decimal = ZERO
    price: Decimal = ZERO
    counted: Decimal | None = None
    paid: Mapping[str, Decimal] = field(default_factory=dict)
    maker: bool = False
    forced: bool = False
    position_side: str = ""
    reason: str = ""
    becomes: str = ""
    by_count: bool = False
    """The trade is named by its order's count after it: it is one only where ours agrees."""


BINANCE_EVENTS: Final = {
    "NEW": OrderEvent.ACCEPTED,
    "CANCELED": OrderEvent.CANCELLED,
    "EXPIRED": OrderEvent.EXPIRED,
    "EXPIRED_IN_MATCH": OrderEvent.EXPIRED,
    "REJECTED": OrderEvent.REJECTED,
}
BINANCE_EXECUTIONS: Final = frozenset({"TRADE", "CALCULATED"})
"""Kinds of execution; the second is a liquidation or deleveraging, of which no trade is listed."""


def binance(message: Any) -> Iterator[Heard]:
    """Yield what a message of Binance's user stream, spot or futures, says of orders."""
    body = message.get("event", message) if isinstance(message, dict) else message
    body = body.get("data", body) if isinstance(body, dict) and "stream" in body else body
    if not isinstance(body, dict):
        return
    match body.get("e"):
        case "ORDER_TRADE_UPDATE":
            yield _binance_order(body["o"], is_contract=True)
        case "executionReport":
            yield _binance_order(body, is_contract=False)
        case "ALGO_UPDATE":
            yield _binance_waiting(body["o"], int(body.get("T") or body.get("E") or 0))


def _binance_order(order: Mapping[str, Any], *, is_contract: bool) -> Heard:
    kind, status = str(order["x"]), str(order["X"])
    executes = kind in BINANCE_EXECUTIONS
    forced = kind == "CALCULATED"
    counted = number(order.get("z"))
    last = number(order.get("l")) or ZERO
    fee = number(order.get("n"))
    # A cancelled spot order has a new client id in `c`, and its own in `C`.
    client_id = str(order.get("C") or "") or str(order["c"])
    identity = f"forced-{order['i']}-{counted}" if forced else str(order.get("t", ""))
    return Heard(
        str(order["s"]),
        is_contract,
        client_id,
        str(order["i"]),
        str(order["S"]).lower(),
        int(order["T"]),
        BINANCE_EVENTS.get(kind) or (BINANCE_EVENTS.get(status) if forced else None),
        status == "FILLED",
        identity if executes and last else "",
        last if executes else ZERO,
        (number(order.get("L")) or ZERO) if executes else ZERO,
        counted,
        {str(order["N"]): fee} if executes and fee and order.get("N") else {},
        maker=bool(order.get("m")),
        forced=forced,
        position_side=str(order.get("ps") or ""),
        reason="" if order.get("r") in (None, "NONE", "0") else str(order["r"]),
    )


def _binance_waiting(order: Mapping[str, Any], at: int) -> Heard:
    """Read news of an order that waits for a price; what it becomes is an order of its own."""
    status = str(order["X"])
    return Heard(
        str(order["s"]),
        True,  # noqa: FBT003 - only futures have them
        str(order["caid"]),
        str(order["aid"]),
        str(order["S"]).lower(),
        at,
        BINANCE_EVENTS.get(status),
        position_side=str(order.get("ps") or ""),
        reason=str(order.get("rm") or ""),
        becomes=str(order.get("ai") or ""),
    )


ALPACA_EVENTS: Final = {
    "pending_new": OrderEvent.ACCEPTED,
    "accepted": OrderEvent.ACCEPTED,
    "new": OrderEvent.ACCEPTED,
    "canceled": OrderEvent.CANCELLED,
    "replaced": OrderEvent.CANCELLED,  # by hand: what replaces it is another order
    "expired": OrderEvent.EXPIRED,
    "rejected": OrderEvent.REJECTED,
}
ALPACA_EXECUTIONS: Final = frozenset({"fill", "partial_fill"})


def alpaca(message: Any) -> Iterator[Heard]:
    """Yield what a message of Alpaca's ``trade_updates`` says of its order."""
    body = message.get("data") if isinstance(message, dict) else None
    if not isinstance(body, dict) or not isinstance(body.get("order"), dict):
        return
    order, kind = body["order"], str(body.get("event"))
    executes = kind in ALPACA_EXECUTIONS
    counted = number(order.get("filled_qty"))
    last = (number(body.get("qty")) or ZERO) if executes else ZERO
    price = (number(body.get("price")) or ZERO) if executes else ZERO
    yield Heard(
        str(order["symbol"]),
        False,  # noqa: FBT003 - shares are held outright
        str(order["client_order_id"]),
        str(order["id"]),
        str(order["side"]),
        stamp_ms(body.get("timestamp") or order.get("updated_at")),
        ALPACA_EVENTS.get(kind),
        kind == "fill",
        trade_name(str(order["id"]), counted) if last and price and counted else "",
        last,
        price,
        counted,
        reason=str(order.get("reject_reason") or ""),
        by_count=True,
    )


def trade_name(order_id: str, counted: Decimal) -> str:
    """
    Return what names one execution of an Alpaca order, wherever it is heard of.

    The stream's execution and the activity that lists it have ids of their own, and it is nowhere
    promised that they are one; what its order counts as filled after it is in both.
    """
    text = plain(counted)
    return f"{order_id}:{text.rstrip('0').rstrip('.') if '.' in text else text}"


def stamp_ms(text: object) -> int:
    """Return a moment as RFC 3339 has it in int ms UTC, cut off; 0 where there is none."""
    if not text:
        return 0
    whole, point, rest = str(text).replace("Z", "+00:00").partition(".")
    digits = re.match(r"\d*", rest).group() if point else ""  # type: ignore[union-attr]
    at = datetime.fromisoformat(whole + rest[len(digits) :])
    return int(at.timestamp()) * 1000 + int(f"{digits:0<3.3}")


def says(message: Any, words: Mapping[str, str]) -> bool:
    """Return whether a message has each of the ``words`` at its path of fields; none is no."""
    return bool(words) and all(_at(message, path) == word for path, word in words.items())


def _at(message: Any, path: str) -> Any:
    for name in path.split("."):
        message = message.get(name) if isinstance(message, dict) else None
    return message


READERS: Final[Mapping[str, Callable[[Any], Iterator[Heard]]]] = {
    "alpaca": alpaca,
    "binance": binance,
    "binanceusdm": binance,
}
"""Who reads a venue's messages, where these say all about its fills."""


def texts_in(message: Any, depth: int = NEST_MAX) -> Iterator[str]:
    """Yield every text and whole number in a message: one of them may be the id of an order."""
    if isinstance(message, str):
        yield message
    elif isinstance(message, int) and not isinstance(message, bool):
        yield str(message)
    elif depth and isinstance(message, dict):
        for each in message.values():
            yield from texts_in(each, depth - 1)
    elif depth and isinstance(message, list):
        for each in message:
            yield from texts_in(each, depth - 1)
