"""What the journal has said so far of an intent, its orders and its book."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from messages import (
    Cause,
    ExecutionReport,
    FollowUp,
    FollowUpReason,
    Intent,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    RiskDecision,
)
from state.money import ZERO
from state.orders import TERMINAL

FALLBACKS = frozenset({FollowUpReason.FALLBACK_REJECT, FollowUpReason.FALLBACK_TIMEOUT})


@dataclass(slots=True)
class OrderLife:
    """One order as its reports tell it; ``request`` once it was put on record."""

    order_id: str
    request: OrderRequest | None = None
    status: OrderStatus | None = None
    cause: Cause | None = None
    filled: Decimal = ZERO
    sent_at: int | None = None

    @property
    def is_over(self) -> bool:
        """Return whether it has ended."""
        return self.status in TERMINAL

    @property
    def code(self) -> object:
        """Return the code of why it ended, ``None`` without a cause."""
        return None if self.cause is None else self.cause.code

    def take(self, report: ExecutionReport) -> None:
        """Take a step."""
        if report.order is not None:
            self.request = report.order
        if report.fill is not None:
            self.filled += report.fill.quantity
        if report.event is OrderEvent.SENT and self.sent_at is None:
            self.sent_at = report.timestamp
        if not self.is_over:
            self.status = report.status
            self.cause = report.cause


@dataclass(slots=True)
class RootLife:
    """An intent and everything that was made of it, in the order in which it was asked for."""

    intent: Intent
    orders: list[OrderLife] = field(default_factory=list)
    asked: list[FollowUp] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    quantity: Decimal | None = None
    """What Risk approved of it."""

    @property
    def filled(self) -> Decimal:
        """Return what all of its orders have been filled with."""
        total = ZERO
        for order in self.orders:
            total += order.filled
        return total

    @property
    def price(self) -> Decimal | None:
        """Return the limit price that its newest order was asked for at."""
        for follow in reversed(self.asked):
            price = follow.policy.limit_price
            if price is not None and follow.because is not FollowUpReason.RESTORE:
                return price
        return self.intent.policy.limit_price

    @property
    def last(self) -> OrderLife | None:
        """Return the newest order that the journal has told of."""
        return self.orders[-1] if self.orders else None

    @property
    def first_sent_at(self) -> int | None:
        """Return when its first order left."""
        return next((order.sent_at for order in self.orders if order.sent_at is not None), None)

    def count(self, *reasons: FollowUpReason) -> int:
        """Return how many further orders were asked for, for these reasons."""
        return sum(1 for follow in self.asked if follow.because in reasons)

    def take_decision(self, decision: RiskDecision, *, approved: bool) -> None:
        """Take the verdict on it, or on one of its further orders."""
        if not approved:
            self.denied.add(decision.intent_id)
        elif not decision.root_id:
            self.quantity = decision.quantity
