"""What is known of an intent while orders are made of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from messages import CancelIntent, Cause, Intent
from state.money import ZERO
from state.projections.ordered_rows import Place

if TYPE_CHECKING:
    from state.projections.round_trips import Trip

Counts = tuple[int, int, int, int]
"""Orders made, retries, reprices, fallbacks."""

NOTHING: Counts = (0, 0, 0, 0)


class CancelWatch(msgspec.Struct, gc=False):
    """A cancel that waits for the end of what it is for: ``waits`` of ``concerned`` intents."""

    cancel: CancelIntent
    place: Place
    concerned: int
    waits: int
    cancelled: int = 0


class Root(msgspec.Struct, gc=False):
    """
    An intent that orders are made of: a *root*, for the further ones count to it.

    ``pursued`` says that its policy permits more than one order: then it lasts until the journal
    says that it has ended. ``quantity`` is what Risk approved, ``outcome`` what became of its
    newest order. ``live`` are the ids of its further orders that are not finished, ``counted`` is
    what round trips have been told of.
    """

    intent: Intent
    place: Place
    pursued: bool = False
    quantity: Decimal | None = None
    orders: int = 0
    retries: int = 0
    reprices: int = 0
    fallbacks: int = 0
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    outcome: str = ""
    causes: tuple[Cause, ...] = ()
    trip: Trip | None = None
    counted: Counts = NOTHING
    live: list[str] | None = None
    watches: list[CancelWatch] | None = None

    @property
    def result(self) -> str:
        """Return what came of it at its end: filled, partly filled, or its last order's end."""
        if not self.filled:
            return self.outcome
        whole = self.quantity is not None and self.filled >= self.quantity
        return "filled" if whole else "partly_filled"
