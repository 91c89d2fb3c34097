"""The live orders of the account, and the memory of those that were."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from brokers.matching.orders import WorkingOrder

GENERATION_IDS_MAX: Final = 4_096
"""Finished ids are kept for this many more of them: many times what is ever in flight."""


class OrderBook:
    """
    Live orders by client order id and by symbol, each oldest first.

    ``by_symbol`` has no entry for a symbol without orders and is the same object for ever.
    Finished ids stay known for the next ``GENERATION_IDS_MAX`` of them at least, twice as
    many at most: memory does not grow with the number of orders.
    """

    __slots__ = ("_older", "_recent", "by_symbol", "orders")

    def __init__(self) -> None:
        """Start empty."""
        self.orders: dict[str, WorkingOrder] = {}
        self.by_symbol: dict[str, dict[str, WorkingOrder]] = {}
        # Insertion-ordered sets, so that their order is never chance.
        self._recent: dict[str, None] = {}
        self._older: dict[str, None] = {}

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

    def remove(self, order: WorkingOrder) -> None:
        """Take out a finished order; its id stays known."""
        client_order_id = order.client_order_id
        del self.orders[client_order_id]
        orders = self.by_symbol[order.symbol]
        if len(orders) == 1:
            del self.by_symbol[order.symbol]
        del orders[client_order_id]
        self.remember(client_order_id)

    def remember(self, client_order_id: str) -> None:
        """Know the id of an order that has ended, or was never let in."""
        self._recent[client_order_id] = None
        if len(self._recent) >= GENERATION_IDS_MAX:
            self._older = self._recent
            self._recent = {}

    def finished(self) -> list[str]:
        """Return the finished ids that are still known, oldest first."""
        return [*self._older, *self._recent]

    def remember_all(self, client_order_ids: Iterable[str]) -> None:
        """Take back what ``finished`` gave."""
        for client_order_id in client_order_ids:
            self.remember(client_order_id)
