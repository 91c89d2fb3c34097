"""
What the broker knows of each order: by our id, by the venue's, and what was told of it.

A venue answers by its own ids, wants the symbol with every question, and repeats itself. This is
where each piece of news is told once: an order is accepted before it is filled, each trade counts
once, and an end is told once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from brokers.ccxt.limits import ORDERS_KEPT_MAX
from brokers.ccxt.rounding import WAITING
from messages import (
    Cause,
    Fill,
    OrderEvent,
    OrderRequest,
    PositionSide,
    ReasonCode,
    Side,
    VenueReport,
)
from state.money import EXACT, ZERO, plain

ENDS = frozenset({OrderEvent.CANCELLED, OrderEvent.EXPIRED, OrderEvent.REJECTED})


@dataclass(frozen=True, slots=True)
class Trade:
    """
    One execution: what is booked of it, and how much of the order it was by the venue's count.

    The two differ where the venue takes its fee from what was bought.
    """

    fill: Fill
    gross: Decimal


@dataclass(slots=True)
class KnownOrder:
    """
    One order.

    ``sent_at`` is by the machine's clock, ``sent_s`` by its clock that never steps, ``created_at``
    by the session's.
    """

    name: str
    symbol: str
    side: Side
    position_side: PositionSide = PositionSide.BOTH
    quantity: Decimal | None = None
    order_id: str = ""
    strategy: str = ""
    created_at: int = 0
    waits: bool = False
    venue_id: str = ""
    became: str = ""
    """The venue's id of the order that one which waited has become."""
    sent_at: int | None = None
    sent_s: float | None = None
    accepted: bool = False
    ended: bool = False
    gross: Decimal = ZERO
    """Filled so far by the venue's count, as far as its trades are known."""
    net: Decimal = ZERO
    """The same as it is booked."""
    absent: int = 0
    """How often in a row the venue did not know it, asked late enough."""
    unlisted: int = 0
    """How often in a row the venue counted more of it than its trades are."""
    trades: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, request: OrderRequest) -> KnownOrder:
        """Return an order of ours of which nothing was told yet."""
        return cls(
            request.client_order_id,
            request.symbol,
            request.side,
            request.position_side,
            request.quantity,
            request.order_id,
            request.strategy,
            request.created_at,
            waits=request.order_type in WAITING,
        )

    @property
    def is_told_whole(self) -> bool:
        """Return whether all of it has traded and was told: there is nothing more to hear."""
        return self.ended and self.quantity is not None and self.net >= self.quantity

    def net_of(self, counted: Decimal) -> Decimal:
        """Return what the venue's count of fills is as it is booked."""
        return EXACT.subtract(counted, EXACT.subtract(self.gross, self.net))

    # -- what is told

    def accept(self, at: int) -> list[VenueReport]:
        """Tell that the venue has it, unless that was told."""
        if self.accepted or self.ended:
            return []
        self.accepted = True
        return [VenueReport(self.name, OrderEvent.ACCEPTED, at, None, None, self.venue_id)]

    def take(self, trade: Trade) -> bool:
        """Count a trade; return whether it is a new one."""
        if trade.fill.trade_id in self.trades:
            return False
        self.trades.add(trade.fill.trade_id)
        self.gross = EXACT.add(self.gross, trade.gross)
        self.net = EXACT.add(self.net, trade.fill.quantity)
        return True

    def fill(self, trade: Trade) -> list[VenueReport]:
        """Tell of a trade, unless it was told."""
        if not self.take(trade):
            return []
        whole = self.quantity is not None and self.net >= self.quantity
        event = OrderEvent.FILLED if whole else OrderEvent.FILLED_PARTLY
        at = trade.fill.timestamp
        told = [*self.accept(at), VenueReport(self.name, event, at, trade.fill)]
        self.ended = self.ended or whole
        return told

    def end(
        self, event: OrderEvent, at: int, counted: Decimal | None, cause: Cause | None = None
    ) -> list[VenueReport]:
        """Tell of an end with what the venue counts as filled, unless an end was told."""
        assert event in ENDS, event
        if self.ended:
            return []
        if event is OrderEvent.REJECTED and (self.accepted or self.gross):
            event = OrderEvent.CANCELLED  # it was there, whatever the venue calls it now
        self.ended = True
        filled = None if counted is None else self.net_of(counted)
        return [VenueReport(self.name, event, at, None, cause, self.venue_id, filled)]

    def end_as_sent(self, at: int, counted: Decimal) -> list[VenueReport]:
        """Tell of the end of an order that is filled at the venue, and by our books is not."""
        if self.quantity is None or self.net >= self.quantity or counted != self.gross:
            return []
        return self.end(OrderEvent.CANCELLED, at, counted, as_sent(self.net, self.quantity))


def as_sent(net: Decimal, quantity: Decimal) -> Cause:
    """Return why an order that its venue filled whole is short of what was asked for."""
    detail = f"filled={plain(net)} quantity={plain(quantity)}"
    return Cause(ReasonCode.FILLED_AS_SENT, detail)


class KnownOrders:
    """The orders by our id and by the venue's; ended ones are forgotten in time, oldest first."""

    def __init__(self) -> None:
        """Know none."""
        self._by_name: dict[str, KnownOrder] = {}
        self._live: dict[str, KnownOrder] = {}  # and some that have ended since anybody looked
        self._by_venue_id: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        """Return how many orders are known."""
        return len(self._by_name)

    def add(self, order: KnownOrder) -> KnownOrder:
        """Know an order; one that is known stays as it is."""
        known = self._by_name.setdefault(order.name, order)
        if known.order_id and not known.ended:
            self._live[known.name] = known
        if order.venue_id:
            self.identify(known, order.venue_id)
        self._forget()
        return known

    def identify(self, order: KnownOrder, venue_id: str) -> None:
        """Note the venue's id of an order; it may have several: a stop becomes another order."""
        if venue_id:
            order.venue_id = order.venue_id or venue_id
            self._by_venue_id[order.symbol, venue_id] = order.name

    def has_become(self, order: KnownOrder, venue_id: str) -> None:
        """Note that an order which waited trades under another of the venue's ids now."""
        if venue_id:
            order.became = venue_id
            self._by_venue_id[order.symbol, venue_id] = order.name

    def named(self, name: str) -> KnownOrder | None:
        """Return the order of a client order id."""
        return self._by_name.get(name)

    def of_venue(self, symbol: str, venue_id: str) -> KnownOrder | None:
        """Return the order of one of the venue's ids."""
        name = self._by_venue_id.get((symbol, venue_id))
        return None if name is None else self._by_name.get(name)

    def live(self) -> Iterator[KnownOrder]:
        """Yield the orders of ours whose end has not been told: however many have ended."""
        for name in [name for name, order in self._live.items() if order.ended]:
            del self._live[name]
        return iter(list(self._live.values()))

    def mentioned(self, texts: Iterable[str]) -> list[KnownOrder]:
        """Return the orders whose name or venue's id is one of ``texts``."""
        found = {text: self._by_name[text] for text in texts if text in self._by_name}
        ids = {venue_id: name for (_, venue_id), name in self._by_venue_id.items()}
        for text in texts:
            name = ids.get(text)
            if name is not None and name in self._by_name:
                found[name] = self._by_name[name]
        return list(found.values())

    def _forget(self) -> None:
        if len(self._by_name) <= 2 * ORDERS_KEPT_MAX:
            return
        over = [order for order in self._by_name.values() if order.ended or not order.order_id]
        for order in over[:ORDERS_KEPT_MAX]:
            del self._by_name[order.name]
        self._by_venue_id = {
            key: name for key, name in self._by_venue_id.items() if name in self._by_name
        }

    # -- what survives a restart

    def snapshot(self) -> dict[str, Any]:
        """Return what names the live orders at the venue, JSON-ready."""
        return {
            order.name: [
                order.symbol,
                order.side.value,
                order.venue_id,
                order.waits,
                order.became,
            ]
            for order in self.live()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave; who they belong to is for ``acquaint`` to say."""
        for name, (symbol, side, venue_id, waits, *became) in state.items():
            known = KnownOrder(name, symbol, Side(side), venue_id=venue_id, waits=bool(waits))
            self.add(known)
            self.has_become(known, "".join(became))

    def acquaint(self, requests: Iterable[OrderRequest]) -> None:
        """Know the orders of an earlier process by their requests."""
        for request in requests:
            known = KnownOrder.of(request)
            before = self._by_name.get(known.name)
            if before is not None:
                known.venue_id = before.venue_id
                known.became = before.became
            self._by_name[known.name] = self._live[known.name] = known
            self.identify(known, known.venue_id)
