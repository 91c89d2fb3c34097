"""
The judge of random sessions: what must never happen, seen where it would.

The judge listens to the journal and stands at the broker's door; which holds are in force, and what
they cover, it works out by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import cast

from safety_world import UnrulyVenue

from messages import (
    ApprovedOpen,
    ExecutionReport,
    Hold,
    HoldLifted,
    HoldPlaced,
    Message,
    OpenIntent,
    OrderEvent,
    OrderRequest,
    PositionSide,
    Side,
)


class Violation(BaseException):
    """Something that must never happen has happened. No ``Exception``: no handler catches it."""


class Judge:
    """
    A journal that keeps everything, and notices at once what must not be.

    ``in_force`` is worked out from what is journaled, ``durable`` is the last entry that a commit
    was asked for after.
    """

    def __init__(self) -> None:
        """Begin before the first entry."""
        self.seq = 0
        self.durable = 0
        self.messages: list[Message] = []
        self.in_force: dict[str, Hold] = {}
        self.journaled: dict[str, int] = {}
        self.submitted: list[OrderRequest] = []
        self.left_under_holds = 0
        self.on_entry: Callable[[int], None] = lambda _seq: None
        self.trace: list[tuple[int, str, str, str]] = []

    def append(
        self, ts: int, source: str, correlation: str, causation: str, message: Message
    ) -> int:
        """Give the next number, and see what it means."""
        del causation
        self.seq = seq = self.seq + 1
        self.messages.append(message)
        kind = type(message)
        self.trace.append((ts, source, kind.__name__, correlation))
        if kind is HoldPlaced:
            hold = cast("HoldPlaced", message).hold
            self.in_force[hold.hold_id] = hold
        elif kind is HoldLifted:
            hold_id = cast("HoldLifted", message).hold.hold_id
            if self.in_force.pop(hold_id, None) is None:
                raise Violation(f"{hold_id} was lifted and not in force")
        elif kind is ExecutionReport:
            report = cast("ExecutionReport", message)
            if report.event is OrderEvent.JOURNALED:
                self.journaled[report.order_id] = seq
        self.on_entry(seq)
        return seq

    @property
    def durable_seq(self) -> int:
        """Return the last number given: nothing asks in simulation."""
        return self.seq

    async def commit(self) -> int:
        """Return it too."""
        return self.seq

    def digest(self) -> bytes:
        """Return what tells this trace from every other: who said what of which order, when."""
        return hashlib.blake2b(repr(self.trace).encode(), digest_size=12).digest()

    def covering(self, order: OpenIntent | OrderRequest) -> list[str]:
        """Return the holds in force that cover an order which adds exposure."""
        adds = "long" if order.side is Side.BUY else "short"
        if order.position_side is not PositionSide.BOTH:
            adds = order.position_side.value
        facts = {
            "venue": "paper",
            "strategy": order.strategy,
            "symbol": order.symbol,
            "side": adds,
        }
        return [
            hold.hold_id
            for hold in self.in_force.values()
            if all(getattr(hold.scope, name) in (None, fact) for name, fact in facts.items())
        ]

    def handled(self, message: Message) -> None:
        """See an OPEN message reach a handler."""
        order = message.request if isinstance(message, ApprovedOpen) else message
        assert isinstance(order, OpenIntent | OrderRequest), "only these are in the OPEN lane"
        held = self.covering(order)
        if held:
            raise Violation(f"{type(message).__name__} was handled under {held}")

    def leaves(self, request: OrderRequest) -> None:
        """See an order at the broker's door."""
        if request.client_order_id in {each.client_order_id for each in self.submitted}:
            raise Violation(f"{request.client_order_id} left twice")
        self.submitted.append(request)
        if self.journaled.get(request.order_id, self.seq + 1) > self.durable:
            raise Violation(f"{request.order_id} left before its record was durable")
        if self.in_force:
            self.left_under_holds += 1
        held = [] if request.reduce_only else self.covering(request)
        if held:
            raise Violation(f"{request.order_id} left under {held}")


class WatchedVenue(UnrulyVenue):
    """A venue with the judge at its door."""

    judge: Judge

    def submit(self, request: OrderRequest, now: int) -> None:
        """Let the judge see it first."""
        self.judge.leaves(request)
        super().submit(request, now)
