"""The live orders of the account, and the memory of those that were."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec

from brokers.matching.orders import WorkingOrder
from messages import Cause, OrderEvent, ReasonCode

GENERATION_IDS_MAX: Final = 4_096
"""Finished ids are kept for this many more of them: many times what is ever in flight."""


class Ended(msgspec.Struct, frozen=True, gc=False):
    """How an order ended: by which event, when (int ms UTC), how much of it was filled, and why."""

    event: OrderEvent
    at: int
    filled: Decimal
    cause: Cause | None = None


class OrderBook:
    """
    Live orders by client order id and by symbol, each oldest first.

    ``by_symbol`` has no entry for a symbol without orders and is the same object for ever.
    How an order ended stays known for the next ``GENERATION_IDS_MAX`` of them at least, twice as
    many at most: memory does not grow with the number of orders. Every end at ``remembers_from``
    or later is among them.
    """

    __slots__ = ("_older", "_recent", "by_symbol", "orders", "remembers_from")

    def __init__(self) -> None:
        """Start empty."""
        self.orders: dict[str, WorkingOrder] = {}
        self.by_symbol: dict[str, dict[str, WorkingOrder]] = {}
        # Dictionaries are in order of insertion, so that their order is never chance.
        self._recent: dict[str, Ended] = {}
        self._older: dict[str, Ended] = {}
        self.remembers_from = 0

    def knows(self, client_order_id: str) -> bool:
        """Tell whether an order of this id lives or ended not long ago."""
        return (
            client_order_id in self.orders
            or client_order_id in self._recent
            or client_order_id in self._older
        )

    def add(self, order: WorkingOrder) -> None:
        """Take in a live order, younger than all the others."""
        client_order_id = order.client_order_id
        self.orders[client_order_id] = order
        orders = self.by_symbol.get(order.symbol)
        if orders is None:
            self.by_symbol[order.symbol] = {client_order_id: order}
        else:
            orders[client_order_id] = order

    def replace(self, order: WorkingOrder) -> None:
        """Put a live order in the place of the one of the same id, younger than all others."""
        name = order.client_order_id
        orders = self.by_symbol[order.symbol]
        del self.orders[name], orders[name]
        self.orders[name] = orders[name] = order

    def end_of(self, client_order_id: str) -> Ended | None:
        """Return how an order ended; ``None`` while it lives, or if it is not known."""
        return self._recent.get(client_order_id) or self._older.get(client_order_id)

    def remove(
        self, order: WorkingOrder, event: OrderEvent, at: int, cause: Cause | None = None
    ) -> None:
        """Take out an order that has ended by ``event`` at ``at``; that stays known."""
        client_order_id = order.client_order_id
        del self.orders[client_order_id]
        orders = self.by_symbol[order.symbol]
        if len(orders) == 1:
            del self.by_symbol[order.symbol]
        del orders[client_order_id]
        filled = order.request.quantity - order.remaining
        self.remember(client_order_id, Ended(event, at, filled, cause))

    def remember(self, client_order_id: str, ended: Ended) -> None:
        """Know how an order ended, or that it was never let in."""
        self._recent[client_order_id] = ended
        if len(self._recent) >= GENERATION_IDS_MAX:
            if self._older:
                forgotten = max(one.at for one in self._older.values())
                self.remembers_from = max(self.remembers_from, forgotten + 1)
            self._older = self._recent
            self._recent = {}

    def finished(self) -> list[list[Any]]:
        """Return the ends that are still known, oldest first, JSON-ready."""
        return [
            _packed(client_order_id, ended)
            for generation in (self._older, self._recent)
            for client_order_id, ended in generation.items()
        ]

    def remember_all(self, finished: Iterable[list[Any]], remembers_from: int) -> None:
        """Take back what ``finished`` and ``remembers_from`` gave."""
        self.remembers_from = remembers_from
        for client_order_id, event, at, filled, *cause in finished:
            why = Cause(ReasonCode(cause[0]), cause[1]) if cause else None
            self.remember(client_order_id, Ended(OrderEvent(event), at, Decimal(filled), why))


def _packed(client_order_id: str, ended: Ended) -> list[Any]:
    packed = [client_order_id, ended.event.value, ended.at, str(ended.filled)]
    cause = ended.cause
    return packed if cause is None else [*packed, cause.code.value, cause.detail]
