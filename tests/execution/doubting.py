"""Execution alone, whose answers get lost: with holds that are kept, and the timer of doubts."""

from __future__ import annotations

from typing import Any

from execution_bench import Bench

from actors.execution.doubt import PLAN
from actors.execution.resolver import DoubtPorts
from messages import OrderEvent, OrderRequest, OrderStatus, Scope, VenueOrder, Wake


class Doubting(Bench):
    """Execution at a broker that only remembers, with holds that are kept, and timers."""

    def __init__(self, *, at_once: bool = True) -> None:
        super().__init__()
        self.holds_of: dict[str, tuple[Scope, str]] = {}
        self.broker.answers_at_once = at_once
        self.actor = self.make()

    def make(self) -> Any:
        """Return an incarnation whose holds are kept."""
        made = super().make()
        ports = DoubtPorts(
            lambda hold_id, cause, scope: self.holds_of.update({hold_id: (scope, cause)}),
            lambda hold_id, _reason: self.holds_of.pop(hold_id),
        )
        if hasattr(self, "holds_of"):
            made = type(made)(
                self.books, self.broker, self.board, self.clock, self.holds, PLAN, ports
            )
        return made

    def lose(self, **terms: Any) -> OrderRequest:
        """Send an order whose answer is lost."""
        request = self.approve(**terms)
        self.commit()
        self.hear(request, OrderEvent.SILENCE)
        return request

    def wait(self, ms: int) -> None:
        """Let time pass, with the timer of doubts in it."""
        until = self.clock.now + ms
        doubts = self.books.doubts
        while doubts.armed_at is not None and doubts.armed_at <= until:
            self.clock.advance(doubts.armed_at)
            self.tell(Wake("execution", "doubts", 1, self.clock.now))
        self.clock.advance(until)

    def reply(self, request: OrderRequest, *fills: Any, **told: Any) -> list[Any]:
        """Answer the newest question about an order, by default that it is not known."""
        now = self.clock.now
        what = {"known": False, "open": False, "asked_at": now, "remembers_from": 0, **told}
        return self.tell(VenueOrder(request.client_order_id, now, fills=fills, **what))

    def status(self, request: OrderRequest) -> OrderStatus:
        """Return where an order stands."""
        found = self.books.orders.by_order_id(request.order_id)
        assert found is not None
        return found.status
