"""
The life of an order: one table, one step function, one store.

Theory of operation
-------------------
An order begins INTENDED and moves only along ``TRANSITIONS``. The table is total: for every
status and every event it either names the next status or, by leaving the event out, calls it
illegal. An illegal event raises ``IllegalTransition`` and changes nothing; whoever sees it
records it and lets the Reconciler ask the venue.

Three rules shape the table, and assertions at import hold it to them:

- *Silence never ends an order.* A lost answer to a submit puts the order IN_DOUBT, and only the
  venue's evidence (an acceptance, a refusal, a fill, an end, or proof of absence) leaves it.
  Where the venue has already shown that it has the order, silence means nothing: a lost answer
  to a cancel leaves a live order live.
- *Final states absorb.* Nothing leaves them. The events that ordinary reordering can bring late
  (the acknowledgement of an order that is already filled, the second copy of a cancel) are
  listed and change nothing; everything else is an alarm.
- *Arithmetic decides what is full.* Fills may come before the acknowledgement, while in doubt,
  and out of order. Which of the two fill events a fill is follows from the quantities, not from
  the venue's word, so an order ends FILLED exactly when every unit of it is booked.

A fill that arrives after the end (a cancel that crossed it on the wire) is an alarm, and its
money is real all the same: ``Order.apply`` raises, the caller records the alarm, and
``Order.record_late_fill`` books the quantity without touching the status. The same road takes a
fill beyond the order's quantity (``OverFill``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from messages import Cause, Fill, OrderEvent, OrderRequest, OrderStatus
from state.money import EXACT, ZERO, ratio

# Exact whatever the thread's context is.
add = EXACT.add
multiply = EXACT.multiply

S = OrderStatus
E = OrderEvent

TRANSITIONS: Mapping[OrderStatus, Mapping[OrderEvent, OrderStatus]] = MappingProxyType(
    {
        S.INTENDED: {E.APPROVED: S.APPROVED, E.DENIED: S.DENIED},
        # A kill may empty the mailbox before the journal has seen the order.
        S.APPROVED: {E.JOURNALED: S.JOURNALED, E.SUPPRESSED: S.SUPPRESSED},
        # SILENCE here is a crash between the commit and the record of the send: at the next
        # start nobody knows whether the bytes left.
        S.JOURNALED: {E.SENT: S.SENT, E.SUPPRESSED: S.SUPPRESSED, E.SILENCE: S.IN_DOUBT},
        S.SENT: {
            E.ACCEPTED: S.ACCEPTED,
            E.REJECTED: S.REJECTED,
            E.SILENCE: S.IN_DOUBT,
            E.FILLED_PARTLY: S.PARTIALLY_FILLED,  # a fill can overtake the acknowledgement
            E.FILLED: S.FILLED,
            E.CANCELLED: S.CANCELLED,
            E.EXPIRED: S.EXPIRED,
        },
        # NB: no way out but the venue's evidence.
        S.IN_DOUBT: {
            E.ACCEPTED: S.ACCEPTED,
            E.REJECTED: S.REJECTED,
            E.PROVEN_ABSENT: S.REJECTED,
            E.SILENCE: S.IN_DOUBT,
            E.FILLED_PARTLY: S.PARTIALLY_FILLED,
            E.FILLED: S.FILLED,
            E.CANCELLED: S.CANCELLED,
            E.EXPIRED: S.EXPIRED,
        },
        S.ACCEPTED: {
            E.ACCEPTED: S.ACCEPTED,  # the answer and the stream both acknowledge
            E.REJECTED: S.REJECTED,  # some venues acknowledge receipt first, then refuse
            E.SILENCE: S.ACCEPTED,  # a cancel's answer is lost: the order still exists
            E.FILLED_PARTLY: S.PARTIALLY_FILLED,
            E.FILLED: S.FILLED,
            E.CANCELLED: S.CANCELLED,
            E.EXPIRED: S.EXPIRED,
        },
        S.PARTIALLY_FILLED: {
            E.ACCEPTED: S.PARTIALLY_FILLED,  # overtaken by the fill
            E.SILENCE: S.PARTIALLY_FILLED,
            E.FILLED_PARTLY: S.PARTIALLY_FILLED,
            E.FILLED: S.FILLED,
            E.CANCELLED: S.CANCELLED,
            E.EXPIRED: S.EXPIRED,
        },
        # Final states: what reordering can bring late is absorbed, the rest is an alarm.
        S.DENIED: {},
        S.SUPPRESSED: {},
        S.REJECTED: {E.REJECTED: S.REJECTED, E.SILENCE: S.REJECTED},
        S.FILLED: {E.ACCEPTED: S.FILLED, E.SILENCE: S.FILLED},
        S.CANCELLED: {
            E.ACCEPTED: S.CANCELLED,
            E.CANCELLED: S.CANCELLED,
            E.SILENCE: S.CANCELLED,
        },
        S.EXPIRED: {E.ACCEPTED: S.EXPIRED, E.EXPIRED: S.EXPIRED, E.SILENCE: S.EXPIRED},
    }
)

START = S.INTENDED
TERMINAL = frozenset({S.DENIED, S.SUPPRESSED, S.REJECTED, S.FILLED, S.CANCELLED, S.EXPIRED})
FILL_EVENTS = frozenset({E.FILLED_PARTLY, E.FILLED})
VENUE_EVIDENCE = FILL_EVENTS | {
    E.ACCEPTED,
    E.REJECTED,
    E.CANCELLED,
    E.EXPIRED,
    E.PROVEN_ABSENT,
}
"""Events that only the venue can cause; silence is not among them."""

FINISHED_ORDERS_MAX = 4_096
"""
Finished orders that stay known. News of an order comes within seconds of its end; at a busy
hundred orders a second this is forty seconds, for some four megabytes. Older news finds no
order here and is the Reconciler's, which has the journal.
"""

TRADE_IDS_MAX = 32_768
"""
Trade ids that are surely remembered (up to twice as many are). A venue repeats fills on
reconnect, a thousand at most. Beyond the bound two things still stand: an order refuses fills
past its quantity, and a fill of a forgotten order has no order to go to.
"""


class IllegalTransition(Exception):
    """An event that the table does not allow in this status; nothing was changed."""

    def __init__(self, status: OrderStatus, event: OrderEvent, detail: str = "") -> None:
        """Keep what was tried."""
        self.status = status
        self.event = event
        self.detail = detail
        where = f" ({detail})" if detail else ""
        super().__init__(f"no {event.value} in status {status.value}{where}")


class OverFill(IllegalTransition):
    """A fill that is not positive, or goes beyond the order's quantity; nothing was changed."""


class DuplicateOrder(Exception):
    """The order id or client order id is already known."""


def check_table(table: Mapping[OrderStatus, Mapping[OrderEvent, OrderStatus]]) -> None:
    """Assert every rule that the theory of operation states; run on ``TRANSITIONS`` at import."""
    assert set(table) == set(S), "every status has a row"
    for status, row in table.items():
        for event, target in row.items():
            assert isinstance(event, E), "rows are keyed by events"
            assert isinstance(target, S), "rows lead to statuses"
            if status in TERMINAL:
                assert target is status, "final states absorb"
            elif event is E.SILENCE:
                assert target not in TERMINAL, "silence never ends an order"
            if status is S.IN_DOUBT and target is not S.IN_DOUBT:
                assert event in VENUE_EVIDENCE, "only the venue's evidence leaves doubt"
            if event is E.PROVEN_ABSENT:
                assert status is S.IN_DOUBT, "absence is proven of orders in doubt only"
            if target is S.FILLED and status is not S.FILLED:
                assert event is E.FILLED, "only a fill fills"
    assert {event for row in table.values() for event in row} == set(E), "every event is used"
    assert reachable(table, START) == set(S), "every status can be reached"
    for status in set(S) - TERMINAL:
        assert reachable(table, status) & TERMINAL, "every live order can end"


def reachable(
    table: Mapping[OrderStatus, Mapping[OrderEvent, OrderStatus]], start: OrderStatus
) -> set[OrderStatus]:
    """Return every status that events can lead to from ``start``, itself included."""
    found = {start}
    frontier = [start]
    while frontier:
        for target in table[frontier.pop()].values():
            if target not in found:
                found.add(target)
                frontier.append(target)
    return found


check_table(TRANSITIONS)


def step(status: OrderStatus, event: OrderEvent) -> OrderStatus:
    """Return the status after ``event``, or raise ``IllegalTransition``."""
    target = TRANSITIONS[status].get(event)
    if target is None:
        raise IllegalTransition(status, event)
    return target


def diagram() -> str:
    """Return the table as a Mermaid state diagram, one line per transition, in table order."""
    lines = ["stateDiagram-v2", f"    [*] --> {START.value}"]
    for status, row in TRANSITIONS.items():
        lines += [
            f"    {status.value} --> {target.value}: {event.value}"
            for event, target in row.items()
            if target is not status
        ]
    lines += [f"    {status.value} --> [*]" for status in TRANSITIONS if status in TERMINAL]
    return "\n".join(lines) + "\n"


class Order:
    """
    One order as Execution knows it: what was asked, where it stands, what was filled.

    ``filled``, ``notional`` (the sum of quantity times price) and ``fee`` are exact. ``fee``
    is in ``fee_currency``, that of the first fill; fees that later fills paid in another
    currency are in ``other_fees``. ``cause`` is the newest one given.
    """

    __slots__ = (
        "_store",
        "cause",
        "fee",
        "fee_currency",
        "filled",
        "late_fills",
        "notional",
        "other_fees",
        "request",
        "status",
        "updated_at",
    )

    def __init__(self, request: OrderRequest, store: OrderStore | None = None) -> None:
        """Begin the life of ``request``; ``store`` is told when it ends."""
        self.request = request
        self.status = START
        self.filled = ZERO
        self.notional = ZERO
        self.fee = ZERO
        self.fee_currency = ""
        self.other_fees: dict[str, Decimal] | None = None
        self.late_fills = 0
        self.updated_at = request.created_at
        self.cause: Cause | None = None
        self._store = store

    def __repr__(self) -> str:
        """Show where the order stands."""
        return (
            f"<Order {self.request.order_id} {self.status.value} "
            f"{self.filled}/{self.request.quantity} {self.request.symbol}>"
        )

    @property
    def remaining(self) -> Decimal:
        """Return the quantity not filled; zero or less once all of it is."""
        return EXACT.subtract(self.request.quantity, self.filled)

    @property
    def average_price(self) -> Decimal:
        """Return the mean price of the fills, zero when there are none."""
        return ratio(self.notional, self.filled) if self.filled else ZERO

    @property
    def live(self) -> bool:
        """Return whether the order can still change."""
        return self.status not in TERMINAL

    def apply(
        self, event: OrderEvent, at: int, fill: Fill | None = None, cause: Cause | None = None
    ) -> OrderStatus:
        """
        Take one event and return the new status, or raise and change nothing.

        A fill event carries its ``fill`` and no other event does. FILLED and FILLED_PARTLY are
        told apart by the quantities alone: the returned status says which it was.
        """
        status = self.status
        if fill is not None:
            return self._apply_fill(event, at, fill, cause)
        if event in FILL_EVENTS:
            raise IllegalTransition(status, event, "a fill event without its fill")
        target = TRANSITIONS[status].get(event)
        if target is None:
            raise IllegalTransition(status, event)
        self.updated_at = at
        if cause is not None:
            self.cause = cause
        if target is not status:
            self.status = target
            if target in TERMINAL and self._store is not None:
                self._store._finish(self)
        return target

    def _apply_fill(
        self, event: OrderEvent, at: int, fill: Fill, cause: Cause | None
    ) -> OrderStatus:
        status = self.status
        if event not in FILL_EVENTS:
            raise IllegalTransition(status, event, "a fill with an event that is none")
        quantity = fill.quantity
        filled = add(self.filled, quantity)
        wanted = self.request.quantity
        if filled == wanted:
            event = E.FILLED
        elif filled < wanted:
            event = E.FILLED_PARTLY
        else:
            raise OverFill(status, event, f"{filled} filled of {wanted}")
        if quantity <= ZERO:
            raise OverFill(status, event, f"fill of {quantity}")
        target = TRANSITIONS[status].get(event)
        if target is None:
            raise IllegalTransition(status, event, f"trade {fill.trade_id}")
        self._add(fill, filled)
        self.updated_at = at
        if cause is not None:
            self.cause = cause
        if target is not status:
            self.status = target
            if target is S.FILLED and self._store is not None:
                self._store._finish(self)
        return target

    def record_late_fill(self, fill: Fill, at: int) -> None:
        """
        Add a fill that ``apply`` refused because the order had ended or would overflow.

        The status stays; ``late_fills`` counts. The caller has raised the alarm and books the
        fill in the ledger as usual: the venue has moved the money, whatever the table says.
        Raises ``OverFill`` for a quantity that is not positive.
        """
        if fill.quantity <= ZERO:
            raise OverFill(self.status, E.FILLED_PARTLY, f"fill of {fill.quantity}")
        self._add(fill, add(self.filled, fill.quantity))
        self.late_fills += 1
        self.updated_at = at

    def _add(self, fill: Fill, filled: Decimal) -> None:
        self.filled = filled
        self.notional = add(self.notional, multiply(fill.quantity, fill.price))
        fee = fill.fee
        if not fee:
            return
        currency = fill.fee_currency
        if currency == self.fee_currency or not self.fee_currency:
            self.fee_currency = currency
            self.fee = add(self.fee, fee)
        else:
            if self.other_fees is None:
                self.other_fees = {}
            self.other_fees[currency] = add(self.other_fees.get(currency, ZERO), fee)


class OrderStore:
    """
    Every live order and the newest finished ones, by either id, at O(1) per event.

    Memory is bounded by the live orders, ``FINISHED_ORDERS_MAX`` and ``TRADE_IDS_MAX``,
    however many orders pass through.
    """

    __slots__ = ("_by_client", "_by_order", "_finished", "_finished_max", "_live", "_trades")

    def __init__(
        self,
        *,
        finished_orders_max: int = FINISHED_ORDERS_MAX,
        trade_ids_max: int = TRADE_IDS_MAX,
    ) -> None:
        """Begin empty."""
        self._by_client: dict[str, Order] = {}
        self._by_order: dict[str, Order] = {}
        self._live: dict[str, Order] = {}
        self._finished: deque[Order] = deque()
        self._finished_max = finished_orders_max
        self._trades = RecentIds(trade_ids_max)

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
        order = Order(request, self)
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

    def _finish(self, order: Order) -> None:
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

    Two generations: when the young one is full it becomes the old one, and the old is dropped.
    """

    __slots__ = ("_at_least", "_old", "_young")

    def __init__(self, at_least: int) -> None:
        """Begin empty."""
        self._at_least = at_least
        self._young: set[str] = set()
        self._old: frozenset[str] | set[str] = frozenset()

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return len(self._young) + len(self._old)

    def add(self, name: str) -> bool:
        """Remember ``name``; return whether it was new."""
        if name in self._young or name in self._old:
            return False
        self._young.add(name)
        if len(self._young) >= self._at_least:
            self._old = self._young
            self._young = set()
        return True
