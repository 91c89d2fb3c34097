"""What is known of orders, fills and bars, folded from the truth log, as Alpaca writes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from messages import Bar, Fill, OrderEvent, OrderRequest, OrderType, ReasonCode, Side
from scenarios.exchange.facts import Fact, FactKind
from scenarios.exchange.venue import Venue
from state.money import ZERO, plain, ratio

SPACE: Final = uuid.UUID("6f1c0f0e-3d2e-4d5f-9f3b-a1bac0ffee00")
"""Where ids come from: the same names have the same ids whenever a log is read."""

BARS_KEPT: Final = 20_000

_STATUS: Final = {
    OrderEvent.ACCEPTED: "new",
    OrderEvent.FILLED_PARTLY: "partially_filled",
    OrderEvent.FILLED: "filled",
    OrderEvent.CANCELLED: "canceled",
    OrderEvent.EXPIRED: "expired",
    OrderEvent.REJECTED: "rejected",
}
_EVENT: Final = {
    OrderEvent.FILLED_PARTLY: "partial_fill",
    OrderEvent.FILLED: "fill",
}
LIVE: Final = frozenset({"new", "partially_filled"})
_ENDED_AT: Final = {
    "filled": "filled_at",
    "canceled": "canceled_at",
    "expired": "expired_at",
    "rejected": "failed_at",
}


@dataclass(slots=True)
class Order:
    """One order, and the wall's time at which it came."""

    name: str
    request: OrderRequest
    at: int
    wall: int
    status: str = "pending_new"
    updated: int = 0
    filled: Decimal = ZERO
    value: Decimal = ZERO
    reason: ReasonCode | None = None
    intent: str = ""
    fills: list[Fill] = field(default_factory=list)

    @property
    def order_id(self) -> str:
        """Return Alpaca's id."""
        return str(uuid.uuid5(SPACE, self.name))

    @property
    def live(self) -> bool:
        """Tell whether it has not ended."""
        return self.status in LIVE

    def document(self) -> dict[str, Any]:
        """Return it as Alpaca writes orders."""
        asked = self.request
        kind = asked.order_type.value
        average = plain(ratio(self.value, self.filled)) if self.filled else None
        ended: dict[str, str | None] = dict.fromkeys(_ENDED_AT.values())
        if self.status in _ENDED_AT:
            ended[_ENDED_AT[self.status]] = stamp(self.updated)
        lasts = asked.time_in_force.value
        return {
            "id": self.order_id,
            "client_order_id": self.name,
            "created_at": stamp(self.at),
            "updated_at": stamp(self.updated or self.at),
            "submitted_at": stamp(self.at),
            **ended,
            "replaced_at": None,
            "replaced_by": None,
            "replaces": None,
            "asset_id": asset_id(asked.symbol),
            "symbol": asked.symbol,
            "asset_class": "us_equity",
            "notional": None,
            "qty": plain(asked.quantity),
            "filled_qty": plain(self.filled),
            "filled_avg_price": average,
            "order_class": "",
            "order_type": kind,
            "type": kind,
            "side": asked.side.value,
            "time_in_force": lasts,
            "limit_price": None if asked.price is None else plain(asked.price),
            "stop_price": None if asked.stop_price is None else plain(asked.stop_price),
            "status": self.status,
            "extended_hours": False,
            "legs": None,
            "trail_percent": None,
            "trail_price": None,
            "hwm": None,
            "position_intent": self.intent,
        }


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill; ``counted`` is what its order had filled after it, ``number`` counts all fills."""

    number: int
    order: Order
    fill: Fill
    counted: Decimal
    left: Decimal

    @property
    def activity_id(self) -> str:
        """Return the activity's id: by it pages are turned."""
        when = datetime.fromtimestamp(self.fill.timestamp / 1000, UTC).strftime("%Y%m%d%H%M%S")
        return f"{when}{self.number % 1000:03d}::{uuid.uuid5(SPACE, f'activity {self.number}')}"

    def activity(self) -> dict[str, Any]:
        """Return it as Alpaca lists activities."""
        return {
            "id": self.activity_id,
            "activity_type": "FILL",
            "transaction_time": stamp(self.fill.timestamp),
            "type": "partial_fill" if self.left else "fill",
            "price": plain(self.fill.price),
            "qty": plain(self.fill.quantity),
            "side": self.fill.side.value,
            "symbol": self.fill.symbol,
            "leaves_qty": plain(self.left),
            "order_id": self.order.order_id,
            "cum_qty": plain(self.counted),
            "order_status": "partially_filled" if self.left else "filled",
        }


class Book:
    """The fold."""

    def __init__(self, venue: Venue, past: Iterable[Fact]) -> None:
        """Fold what has been; nobody is told of that any more."""
        self.venue = venue
        self.orders: dict[str, Order] = {}
        self.by_id: dict[str, Order] = {}
        self.executions: list[Execution] = []
        self.bars: dict[str, list[Bar]] = {}
        self.shares: dict[str, Decimal] = {}
        self.updates: list[tuple[int, dict[str, Any]]] = []
        """What the private stream has not been told yet, by the fact that it rests on."""
        self.closed: list[tuple[int, Bar]] = []
        self._seen = 0
        self.take(past)
        self.updates.clear()
        self.closed.clear()

    def take(self, facts: Iterable[Fact]) -> None:
        """Fold facts; what was folded before is left out."""
        for fact in facts:
            if fact.n <= self._seen:
                continue
            self._seen = fact.n
            if fact.fact is FactKind.RECEIVED and fact.request is not None:
                order = Order(fact.client_order_id, fact.request, fact.at, fact.wall)
                order.intent = intent_of(order.request.side, self.held(order.request.symbol))
                self.orders[order.name] = self.by_id[order.order_id] = order
            elif fact.report is not None:
                self._told(fact)
            elif isinstance(fact.shown, Bar):
                bars = self.bars.setdefault(fact.shown.symbol, [])
                bars.append(fact.shown)
                del bars[:-BARS_KEPT]
                self.closed.append((fact.n, fact.shown))

    def _told(self, fact: Fact) -> None:
        report = fact.report
        assert report is not None, "there is one"
        order = self.orders.get(report.client_order_id)
        if order is None:
            return
        order.status, order.updated = _STATUS[report.event], report.timestamp
        order.reason = None if report.cause is None else report.cause.code
        more: dict[str, Any] = {}
        fill = report.fill
        if fill is not None:
            order.fills.append(fill)
            order.filled += fill.quantity
            order.value += fill.quantity * fill.price
            left = order.request.quantity - order.filled
            execution = Execution(len(self.executions) + 1, order, fill, order.filled, left)
            self.executions.append(execution)
            held = self.held(fill.symbol) + fill.quantity * fill.side.sign
            self.shares[fill.symbol] = held
            more = {
                "execution_id": str(uuid.uuid5(SPACE, f"execution {execution.number}")),
                "price": plain(fill.price),
                "qty": plain(fill.quantity),
                "position_qty": plain(held),
                "timestamp": stamp(fill.timestamp),
            }
        elif not order.live:
            more = {"timestamp": stamp(report.timestamp)}
        event = _EVENT.get(report.event, order.status)
        self.updates.append((fact.n, {"event": event, **more, "order": order.document()}))

    def told(self, durable: int) -> tuple[list[dict[str, Any]], list[Bar]]:
        """Return what may be told now, and forget that it had not been."""
        updates = [document for n, document in self.updates if n <= durable]
        bars = [bar for n, bar in self.closed if n <= durable]
        self.updates = [each for each in self.updates if each[0] > durable]
        self.closed = [each for each in self.closed if each[0] > durable]
        return updates, bars

    def live(self) -> list[Order]:
        """Return the orders that have not ended, the oldest first."""
        return [order for order in self.orders.values() if order.live]

    def held(self, symbol: str) -> Decimal:
        """Return the shares of a symbol."""
        return self.shares.get(symbol, ZERO)


def intent_of(side: Side, held: Decimal) -> str:
    """Return what Alpaca takes an order for, by the position that is there when it comes."""
    closes = held < ZERO if side is Side.BUY else held > ZERO
    return f"{side.value}_to_{'close' if closes else 'open'}"


def kind_of(text: str) -> OrderType | None:
    """Return the type of an order."""
    kinds: Sequence[OrderType] = (
        OrderType.MARKET,
        OrderType.LIMIT,
        OrderType.STOP,
        OrderType.STOP_LIMIT,
    )
    return next((each for each in kinds if each.value == text), None)


def asset_id(symbol: str) -> str:
    """Return Alpaca's id of a share."""
    return str(uuid.uuid5(SPACE, f"asset {symbol}"))


def stamp(at: int) -> str:
    """Return a moment (int ms UTC) as Alpaca writes it, with digits beyond ours."""
    whole = datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at % 1000:03d}123456Z"
