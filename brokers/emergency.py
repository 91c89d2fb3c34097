"""
The way to a venue of whoever needs it emptied now: list, cancel, close, and ask again.

It is no broker: it knows no session, no books and no strategy, and takes the venue's word for what
there is. Nothing here changes any other setting of the account. Each call is made once; whoever
calls decides whether to ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Protocol

from messages import PositionSide, Side
from state.money import plain


@dataclass(frozen=True, slots=True)
class Trouble:
    """A call that did not bring what was asked for; ``detail`` has no secret in it."""

    detail: str


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """
    An open order as the venue lists it, whoever placed it; empty is what it does not say.

    ``waits``: it is in the venue's list of orders that wait for a price.
    """

    order_id: str
    name: str = ""
    symbol: str = ""
    side: str = ""
    amount: str = ""
    waits: bool = False


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """
    A position as the venue has it: ``amount`` in its own unit, above zero when long.

    ``book`` is the side of a hedged account's book, ``BOTH`` of a net position.
    """

    symbol: str
    book: PositionSide
    amount: Decimal
    price: Decimal | None = None
    """The newest price that the venue values it at."""
    margin_mode: str = ""
    """How it is margined, where the venue says."""

    @property
    def key(self) -> tuple[str, PositionSide]:
        """Return which position it is."""
        return self.symbol, self.book

    @property
    def closing_side(self) -> Side:
        """Return the side of an order that reduces it."""
        return Side.SELL if self.amount > 0 else Side.BUY

    @property
    def side(self) -> str:
        """Return ``long`` or ``short``."""
        return "long" if self.amount > 0 else "short"

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.symbol} {self.side} {plain(abs(self.amount))}"


class Sent(Enum):
    """What is certain of an order after it was sent."""

    PLACED = "placed"
    REFUSED = "refused"  # or never left: it came to nothing, for certain
    LOST = "lost"  # nobody knows


class Fate(Enum):
    """What a venue says of an order that it is asked for by our name."""

    OPEN = "open"
    OVER = "over"
    ABSENT = "absent"  # it knows none of this name, by now
    UNTOLD = "untold"


class EmergencyVenue(Protocol):
    """One account at one venue; every method but ``shut`` may fail, and says so in its answer."""

    doubt_ms: int
    """How long after its sending an order without an answer may still come into being."""

    async def connect(self) -> Trouble | None:
        """Find the venue; raises ``VenueUnreachable`` where asking again would be no use."""

    async def resting(self) -> Sequence[RestingOrder] | Trouble:
        """Return all open orders."""

    async def held(self) -> Sequence[HeldPosition] | Trouble:
        """Return all open positions."""

    async def cancel(
        self, orders: Sequence[RestingOrder], *, one_by_one: bool
    ) -> Sequence[Trouble]:
        """Cancel these: all at once where the venue can, unless ``one_by_one``."""

    async def close(self, position: HeldPosition, name: str) -> tuple[Sent, str]:
        """
        Send one market order under ``name`` that can only reduce ``position``, by all of it.

        It may be less where the venue takes no such large order; never more.
        """

    async def fate(self, position: HeldPosition, name: str) -> tuple[Fate, str]:
        """Ask what became of the order ``name`` that was to close ``position``."""

    async def shut(self) -> None:
        """Close the connections."""
