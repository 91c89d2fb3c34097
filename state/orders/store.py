"""Every live order and the newest finished ones, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from messages import OrderRequest
from state.orders.kept import KeptOrders
from state.orders.order import Order
from state.orders.payments import BookedPayments

FINISHED_ORDERS_MAX = 4_096
"""
Finished orders that stay known. News of an order comes within seconds of its end; at a busy
hundred orders a second this is forty seconds. With the trade ids the store then takes some nine
megabytes. Older news finds no order here and is the Reconciler's, which has the journal.
"""

TRADE_IDS_MAX = 32_768
"""
Trade ids that are surely remembered (up to twice as many are). A venue repeats fills on
reconnect, a thousand at most, and after a restart all of every live order: those of live orders
are never forgotten. A fill of a forgotten order has no order to go to.
"""

PAYMENT_IDS_MAX = 16_384
"""
Payments that are surely remembered by id (up to twice as many are); those before them are booked
by their date, for a start is told of all since the session began.
"""


class DuplicateOrder(Exception):
    """The order id or client order id is already known."""


class OrderStore:
    """
    Every live order and the newest finished ones, by either id, at O(1) per event.

    Memory is bounded by the live orders and their trades, ``FINISHED_ORDERS_MAX``,
    ``TRADE_IDS_MAX`` and ``PAYMENT_IDS_MAX``, however many orders pass through.
    """

    __slots__ = (
        "_by_client",
        "_by_order",
        "_finished",
        "_finished_max",
        "_live",
        "_trades",
        "payments",
    )

    def __init__(
        self,
        *,
        finished_orders_max: int = FINISHED_ORDERS_MAX,
        trade_ids_max: int = TRADE_IDS_MAX,
        payment_ids_max: int = PAYMENT_IDS_MAX,
    ) -> None:
        """Begin empty."""
        self._by_client: dict[str, Order] = {}
        self._by_order: dict[str, Order] = {}
        self._live: dict[str, Order] = {}
        self._finished: deque[Order] = deque()  # seam: trimmed to finished_max
        self._finished_max = finished_orders_max
        self._trades = RecentIds(trade_ids_max, self._trades_of_live)
        self.payments = BookedPayments(payment_ids_max)

    def __len__(self) -> int:
        """Return how many orders are known, finished ones included."""
        return len(self._by_client)

    def __repr__(self) -> str:
        """Show the load."""
        return f"<OrderStore {len(self._live)} live, {len(self._finished)} finished kept>"

    def add(self, request: OrderRequest) -> Order:
        """Return the new order of ``request``; raise ``DuplicateOrder`` if either id is known."""
        client_order_id = request.client_order_id
        order_id = request.order_id
        if client_order_id in self._by_client:
            raise DuplicateOrder(f"client order id {client_order_id} is already known")
        if order_id in self._by_order:
            raise DuplicateOrder(f"order id {order_id} is already known")
        order = Order(request, self._ended)
        self._by_client[client_order_id] = order
        self._by_order[order_id] = order
        self._live[order_id] = order
        return order

    def by_client_id(self, client_order_id: str) -> Order | None:
        """Return the order, or ``None`` if it is not, or no longer, known."""
        return self._by_client.get(client_order_id)

    def by_order_id(self, order_id: str) -> Order | None:
        """Return the order, or ``None`` if it is not, or no longer, known."""
        return self._by_order.get(order_id)

    def live(self) -> list[Order]:
        """Return the orders that have not ended, oldest first."""
        return list(self._live.values())

    @property
    def any_live(self) -> bool:
        """Return whether any order has not ended."""
        return bool(self._live)

    def live_of(self, strategy: str | None = None, symbol: str | None = None) -> list[Order]:
        """Return the live orders of a strategy, a symbol, or both, oldest first."""
        return [
            order
            for order in self._live.values()
            if (strategy is None or order.request.strategy == strategy)
            and (symbol is None or order.request.symbol == symbol)
        ]

    def book_once(self, trade_id: str) -> bool:
        """Return whether this trade id is new, and remember it."""
        return self._trades.add(trade_id)

    @property
    def booked(self) -> RecentIds:
        """Return the trade ids that are remembered."""
        return self._trades

    def _trades_of_live(self) -> set[str]:
        return {trade_id for order in self._live.values() for trade_id in order.trades}

    # -- across restarts

    def kept(self) -> KeptOrders:
        """Return everything, for ``restore``; to be used before anything changes."""
        return KeptOrders(
            [order.kept() for order in self._live.values()],
            [order.kept() for order in self._finished],
            self._trades.generations(),
            self.payments.kept(),
        )

    def restore(self, kept: KeptOrders) -> None:
        """Replace everything by what ``kept`` gave."""
        finished = [Order.of(order, self._ended) for order in kept.finished]
        live = [Order.of(order, self._ended) for order in kept.live]
        self._by_order = {order.request.order_id: order for order in (*finished, *live)}
        self._by_client = {order.request.client_order_id: order for order in (*finished, *live)}
        self._live = {order.request.order_id: order for order in live}
        self._finished = deque(finished)  # seam: trimmed to finished_max
        self._trades.restore(kept.trades)
        self.payments.restore(kept.payments)

    def _ended(self, order: Order) -> None:
        del self._live[order.request.order_id]
        finished = self._finished
        finished.append(order)
        if len(finished) > self._finished_max:
            forgotten = finished.popleft().request
            del self._by_client[forgotten.client_order_id]
            del self._by_order[forgotten.order_id]


class RecentIds:
    """
    The newest ids, at least ``at_least`` and at most twice as many, in constant time.

    Two generations: when the young one is full it becomes the old one, and the old is dropped, but
    for what ``needed`` returns then.
    """

    __slots__ = ("_at_least", "_needed", "_old", "_young")

    def __init__(self, at_least: int, needed: Callable[[], set[str]] = set) -> None:
        """Begin empty."""
        self._at_least = at_least
        self._needed = needed
        self._young: set[str] = set()
        self._old: frozenset[str] | set[str] = frozenset()

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return len(self._young) + len(self._old)

    def __contains__(self, name: object) -> bool:
        """Return whether an id is remembered."""
        return name in self._young or name in self._old

    def names(self) -> list[str]:
        """Return every id that is remembered, the older generation first."""
        return [*sorted(self._old), *sorted(self._young)]

    def generations(self) -> tuple[list[str], list[str]]:
        """Return the ids of the older and of the younger generation, each sorted."""
        return sorted(self._old), sorted(self._young)

    def restore(self, generations: tuple[Iterable[str], Iterable[str]]) -> None:
        """Replace everything by what ``generations`` gave."""
        old, young = generations
        self._old, self._young = frozenset(old), set(young)

    def add(self, name: str) -> bool:
        """Remember ``name``; return whether it was new."""
        if name in self._young or name in self._old:
            return False
        self._young.add(name)
        if len(self._young) >= self._at_least:
            self._old, dropped = self._young, self._old
            self._young = self._needed() & dropped
        return True
