"""
What the venue remembers in its own terms: orders, trades and income, folded from the truth log.

Nothing here decides anything. A venue that goes on from its log folds the same facts again, so an
order has the same number, and a trade the same profit, before and after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from brokers.matching.account import Position
from messages import (
    Cause,
    Fill,
    OrderEvent,
    OrderRequest,
    OrderType,
    PositionSide,
    ReasonCode,
    Side,
    VenueReport,
)
from scenarios.exchange.facts import Fact, FactKind
from scenarios.exchange.venue import AGAIN
from state.instruments import Instrument
from state.money import ZERO

CONDITIONAL: Final = frozenset(
    {
        OrderType.STOP,
        OrderType.STOP_LIMIT,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_LIMIT,
        OrderType.TRAILING_STOP,
    }
)
"""The types that wait for a trigger; the venue takes them in by its algo endpoints."""

_STATUS: Final = {
    OrderEvent.ACCEPTED: "NEW",
    OrderEvent.REJECTED: "REJECTED",
    OrderEvent.FILLED_PARTLY: "PARTIALLY_FILLED",
    OrderEvent.FILLED: "FILLED",
    OrderEvent.EXPIRED: "EXPIRED",
}
LIVE: Final = frozenset({"NEW", "PARTIALLY_FILLED"})


@dataclass(slots=True)
class Trade:
    """One execution; ``realized`` is its profit at the mean entry price, before fees."""

    number: int
    order: Order
    fill: Fill
    realized: Decimal


@dataclass(slots=True)
class Order:
    """One order; ``number`` is the venue's, zero for one that was never let in."""

    name: str
    request: OrderRequest
    created: int
    updated: int
    number: int = 0
    status: str = ""
    executed: Decimal = ZERO
    value: Decimal = ZERO
    cause: Cause | None = None
    own: str = ""
    trades: list[Trade] = field(default_factory=list)

    @property
    def client_id(self) -> str:
        """Return the client order id as it was sent."""
        return self.name.partition(AGAIN)[0]

    @property
    def conditional(self) -> bool:
        """Tell whether it came in by the algo endpoints."""
        return self.request.order_type in CONDITIONAL

    @property
    def live(self) -> bool:
        """Tell whether it has not ended."""
        return self.status in LIVE


@dataclass(frozen=True, slots=True)
class Income:
    """One movement of money that is not a transfer."""

    number: int
    symbol: str
    kind: str
    amount: Decimal
    at: int
    trade: str = ""


class Records:
    """Orders by name, number and symbol; trades and income in order of their numbers."""

    def __init__(self) -> None:
        """Know nothing."""
        self.orders: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.incomes: list[Income] = []
        self.positions: dict[tuple[str, PositionSide], Position] = {}
        self.position_times: dict[tuple[str, PositionSide], int] = {}
        self._numbers: dict[int, Order] = {}
        self._newest: dict[str, Order] = {}
        self._by_symbol: dict[str, dict[int, Order]] = {}
        self._trades_of: dict[str, list[Trade]] = {}
        self._live: dict[str, Order] = {}
        self._instruments: dict[str, Instrument] = {}

    def apply(self, fact: Fact) -> tuple[Order | None, Trade | None]:
        """Take one fact in; return the order that it is about, and its trade."""
        if fact.terms is not None:
            self._instruments = dict(fact.terms.instruments)
        if fact.fact is FactKind.AMENDED:
            order = self.orders[fact.client_order_id]
            assert fact.request is not None, "what it became is in its fact"
            order.request, order.updated = fact.request, fact.at
            return order, None
        if fact.request is not None:
            order = Order(fact.client_order_id, fact.request, fact.at, fact.at)
            if fact.fact is FactKind.OWN_ORDER:
                order.own = fact.reason
            self.orders[order.name] = order
            return order, None
        if fact.payment is not None:
            kind = "INSURANCE_CLEAR" if fact.fact is FactKind.INSURED else "FUNDING_FEE"
            self._earn(fact.payment.symbol, kind, fact.payment.amount, fact.at)
        if fact.report is None:
            return None, None
        return self._step(self.orders[fact.client_order_id], fact.report, fact.at)

    def _step(self, order: Order, report: VenueReport, at: int) -> tuple[Order, Trade | None]:
        order.updated = max(at, report.timestamp)
        order.cause = report.cause
        if report.event is OrderEvent.ACCEPTED:
            order.number = int(report.venue_order_id)
            order.status = "NEW"
            self._numbers[order.number] = order
            self._newest[order.client_id] = order
            self._by_symbol.setdefault(order.request.symbol, {})[order.number] = order
            self._live[order.name] = order
            return order, None
        order.status = _STATUS.get(report.event) or _ended(report.cause)
        if not order.live:
            self._live.pop(order.name, None)
        return order, None if report.fill is None else self._trade(order, report.fill)

    def _trade(self, order: Order, fill: Fill) -> Trade:
        key = (fill.symbol, fill.position_side)
        position = self.positions.get(key)
        if position is None:
            position = Position(self._instruments[fill.symbol], fill.position_side)
            self.positions[key] = position
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        realized = position.add(signed, fill.price, signed * fill.price)
        self.position_times[key] = fill.timestamp
        trade = Trade(int(fill.trade_id), order, fill, realized)
        order.executed += fill.quantity
        order.value += fill.quantity * fill.price
        order.trades.append(trade)
        self.trades.append(trade)
        self._trades_of.setdefault(fill.symbol, []).append(trade)
        self._earn(fill.symbol, "COMMISSION", -fill.fee, fill.timestamp, fill.trade_id)
        if realized:
            self._earn(fill.symbol, "REALIZED_PNL", realized, fill.timestamp, fill.trade_id)
        return trade

    def _earn(self, symbol: str, kind: str, amount: Decimal, at: int, trade: str = "") -> None:
        self.incomes.append(Income(len(self.incomes) + 1, symbol, kind, amount, at, trade))

    # -- what is asked

    def numbered(self, number: int) -> Order | None:
        """Return the order of a number."""
        return self._numbers.get(number)

    def newest(self, client_id: str) -> Order | None:
        """Return the newest order that was let in under a client order id."""
        return self._newest.get(client_id)

    def of(self, symbol: str) -> list[Order]:
        """Return the orders of a symbol that were let in, oldest first."""
        return list(self._by_symbol.get(symbol, {}).values())

    def live(self, symbol: str = "") -> list[Order]:
        """Return the live orders, of one symbol or of all, oldest first."""
        return [each for each in self._live.values() if symbol in {"", each.request.symbol}]

    def trades_of(self, symbol: str) -> list[Trade]:
        """Return the trades of a symbol, in order of their numbers; to be looked at only."""
        return self._trades_of.get(symbol, [])


def _ended(cause: Cause | None) -> str:
    """Tell what a member cancelled from what the venue ended by itself."""
    if cause is not None and cause.code is ReasonCode.CANCEL_REQUESTED:
        return "CANCELED"
    return "EXPIRED"
