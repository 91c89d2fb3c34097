"""
The Reconciler: venue truth against local truth.

It compares at the start, every midnight, after a restart of Execution, and at the end.

A difference holds OPEN everywhere, by name; when a later comparison finds none, that hold is
lifted again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from actors.execution import Books
from actors.runtime import Actor, Clock, Effects, SetTimer
from actors.runtime.cell import Handler
from actors.runtime.clock import next_midnight
from brokers.contract import VenueSilent
from messages import Message, OrderStatus, Reconciled, Wake
from state.instruments import Instrument
from state.money import ZERO
from state.orders import Order
from state.reconciliation import AccountView, PositionKey, diff

MIDNIGHT = "midnight"
NOT_AT_THE_VENUE = frozenset(
    {OrderStatus.INTENDED, OrderStatus.APPROVED, OrderStatus.JOURNALED, OrderStatus.SENT}
)


class ReconcilerActor(Actor):
    """One incarnation of the Reconciler."""

    def __init__(
        self,
        books: Books,
        instruments: Mapping[str, Instrument],
        venue: Callable[[], AccountView],
        clock: Clock,
        on_result: Callable[[Reconciled], None],
    ) -> None:
        """Compare ``books`` with what ``venue`` returns; tell ``on_result`` of each comparison."""
        self.books = books
        self.instruments = instruments
        self.venue = venue
        self.clock = clock
        self.on_result = on_result

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers."""
        return {Wake: self.on_wake}

    def on_start(self) -> Effects:
        """Compare at once and arm the midnight comparison."""
        return (
            self.compare("start"),
            SetTimer(MIDNIGHT, next_midnight(self.clock.now)),
        )

    def on_wake(self, wake: Wake) -> Effects:
        """Compare and arm the next one."""
        return (self.compare(wake.key), SetTimer(MIDNIGHT, next_midnight(wake.at)))

    def compare(self, occasion: str) -> Reconciled:
        """Return what differs now."""
        result = Reconciled("reconciler", self.clock.now, occasion, self._differences())
        self.on_result(result)
        return result

    def _differences(self) -> tuple[str, ...]:
        local = local_view(self.books, self.instruments)
        try:
            venue = self.venue()
        except VenueSilent as silent:
            # What nobody can compare is not known to agree.
            return (f"no answer: {silent}",)
        return tuple(
            f"{m.kind.value} {m.subject}: local {m.local}, venue {m.venue}"
            for m in diff(local, venue)
        )


def local_view(books: Books, instruments: Mapping[str, Instrument]) -> AccountView:
    """Return our own books as a venue would see them."""
    net: dict[PositionKey, Decimal] = {}
    net_flow = books.ledger.cash
    for position in books.ledger.positions():
        key = (position.symbol, position.position_side)
        net[key] = net.get(key, ZERO) + position.quantity
        if not instruments[position.symbol].is_spot:
            net_flow -= position.cost
    return AccountView(
        {key: quantity for key, quantity in net.items() if quantity},
        frozenset(
            order.request.client_order_id for order in books.orders.live() if _at_the_venue(order)
        ),
        net_flow,
    )


def _at_the_venue(order: Order) -> bool:
    return order.status not in NOT_AT_THE_VENUE
