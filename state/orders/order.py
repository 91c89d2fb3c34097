"""One order: what was asked, where it stands, what was filled."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from messages import Cause, Fill, OrderEvent, OrderRequest, OrderStatus
from state.money import EXACT, ZERO, ratio
from state.orders.kept import KeptOrder
from state.orders.table import (
    FILL_EVENTS,
    START,
    TERMINAL,
    TRANSITIONS,
    IllegalTransition,
    OverFill,
)

# Exact whatever the thread's context is.
add = EXACT.add
multiply = EXACT.multiply


RECORDED = TRANSITIONS[TRANSITIONS[START][OrderEvent.APPROVED]][OrderEvent.JOURNALED]
"""Where an approved order stands once its record is written."""


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_FILLED_PARTLY: Final = OrderEvent.FILLED_PARTLY
_FILLED: Final = OrderEvent.FILLED
_FILLED_WHOLE: Final = OrderStatus.FILLED


class Order:
    """
    One order as Execution knows it: what was asked, where it stands, what was filled.

    ``filled``, ``notional`` (the sum of quantity times price) and ``fee`` are exact. ``fee``
    is in ``fee_currency``, that of the first fill; fees that later fills paid in another
    currency are in ``other_fees``. ``cause`` is the newest one given, ``trades`` has the ids of the
    fills.
    """

    __slots__ = (
        "_on_end",
        "cause",
        "fee",
        "fee_currency",
        "filled",
        "late_fills",
        "notional",
        "other_fees",
        "request",
        "status",
        "trades",
        "updated_at",
    )

    def __init__(
        self, request: OrderRequest, on_end: Callable[[Order], None] | None = None
    ) -> None:
        """Begin the life of ``request``; ``on_end`` is told when it ends."""
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
        self.trades: set[str] = set()
        self._on_end = on_end

    def __repr__(self) -> str:
        """Show where the order stands."""
        return (
            f"<Order {self.request.order_id} {self.status.value} "
            f"{self.filled}/{self.request.quantity} {self.request.symbol}>"
        )

    @classmethod
    def of(cls, kept: KeptOrder, on_end: Callable[[Order], None] | None = None) -> Order:
        """Return the order that was ``kept``, as it stood."""
        order = cls(kept.request, on_end)
        order.status = kept.status
        order.filled = kept.filled
        order.notional = kept.notional
        order.fee = kept.fee
        order.fee_currency = kept.fee_currency
        order.other_fees = None if kept.other_fees is None else dict(kept.other_fees)
        order.late_fills = kept.late_fills
        order.updated_at = kept.updated_at
        order.cause = kept.cause
        order.trades = set(kept.trades)
        return order

    def kept(self) -> KeptOrder:
        """Return all that is known of it, for ``of``; to be used before the order changes."""
        return KeptOrder(
            self.request,
            self.status,
            self.filled,
            self.notional,
            self.fee,
            self.fee_currency,
            self.other_fees,
            self.late_fills,
            self.updated_at,
            self.cause,
            sorted(self.trades),
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
            if target in TERMINAL and self._on_end is not None:
                self._on_end(self)
        return target

    def journal(self, at: int) -> OrderStatus:
        """Take APPROVED and JOURNALED in one step, as a new order's record is written."""
        if self.status is not START:
            raise IllegalTransition(self.status, OrderEvent.APPROVED)
        self.updated_at = at
        self.status = RECORDED
        return RECORDED

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
            event = _FILLED
        elif filled < wanted:
            event = _FILLED_PARTLY
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
            if target is _FILLED_WHOLE and self._on_end is not None:
                self._on_end(self)
        return target

    def record_late_fill(self, fill: Fill, at: int) -> None:
        """
        Add a fill that ``apply`` refused because the order had ended or would overflow.

        The status stays; ``late_fills`` counts. The caller has raised the alarm and books the
        fill in the ledger as usual: the venue has moved the money, whatever the table says.
        Raises ``OverFill`` for a quantity that is not positive.
        """
        if fill.quantity <= ZERO:
            raise OverFill(self.status, _FILLED_PARTLY, f"fill of {fill.quantity}")
        self._add(fill, add(self.filled, fill.quantity))
        self.late_fills += 1
        self.updated_at = at

    def _add(self, fill: Fill, filled: Decimal) -> None:
        self.filled = filled
        self.trades.add(fill.trade_id)
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
