"""What the parts of Execution may have done, by the actor that they are parts of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from actors.runtime import Effect
from messages import Cause, OrderRequest, VenueReport
from state.orders import Order


class Hands(Protocol):
    """The actor, as its parts know it: each method returns the effects of what was done."""

    def send(self, order: Order) -> tuple[Effect, ...]:
        """Take the last look at a journaled order and hand it to the broker."""

    def cancel(self, order: Order, cause: Cause) -> Iterable[Effect]:
        """Cancel a live order, or suppress it where it has not been sent."""

    def give_up(self, order: Order, cause: Cause) -> tuple[Effect, ...]:
        """Suppress an order that was never sent."""

    def replace(self, request: OrderRequest) -> Iterable[Effect]:
        """End the intent in whose place another one is now, by whichever order it has."""

    def heard(self, order: Order, report: VenueReport) -> Iterable[Effect]:
        """Take a step of an order that is no fill."""
