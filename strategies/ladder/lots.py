"""Of what a ladder's books are made: lots, orders and what each of them is for."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from messages import Intent
from state.money import ZERO, ratio

STRAY: Final = -1
"""The rung of a lot that no order of the ladder was known to bring."""

ALL: Final = 0
"""The number of an exit that is for all lots; lots are counted from 1."""


class Purpose(StrEnum):
    """What an order of a ladder is for."""

    ENTRY = "entry"
    RUNG = "rung"
    EXIT = "exit"
    STOP = "stop"


OPENS: Final = frozenset({Purpose.ENTRY, Purpose.RUNG})


@dataclass(slots=True)
class Lot:
    """
    What one order has brought, of which ``quantity`` is left, and the mean price that was paid.

    One that was too small to leave alone has joined another: it is of several ``rungs`` then.
    """

    number: int
    rungs: tuple[int, ...]
    quantity: Decimal
    price: Decimal

    def add(self, quantity: Decimal, price: Decimal) -> None:
        """Add to it; what is taken off does not change the mean."""
        total = self.quantity + quantity
        self.price = ratio(self.quantity * self.price + quantity * price, total)
        self.quantity = total


@dataclass(slots=True)
class Order:
    """
    An intent that is not over: what for, how much of it was filled, and what that cost.

    ``number`` is the rung's (0 the base order) or the lot's; ``quantity`` is what was asked for,
    ``None`` where a notional was. ``there`` says that the venue has it; that is no part of the
    book's state, which an acceptance does not change, and after a restart it is a guess.
    """

    purpose: Purpose
    number: int
    quantity: Decimal | None
    price: Decimal | None
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    there: bool = False

    @property
    def rest(self) -> Decimal | None:
        """Return what is left to fill, ``None`` where it is not known."""
        return None if self.quantity is None else self.quantity - self.filled


def tag_of(sign: int, purpose: Purpose, number: int) -> str:
    """Return the tag of an intent: ``long rung 2``, ``short exit all``."""
    direction = "long" if sign > 0 else "short"
    if purpose in (Purpose.RUNG, Purpose.EXIT):
        return f"{direction} {purpose.value} {number or 'all'}"
    return f"{direction} {purpose.value}"


def order_of(intent: Intent, filled: Decimal) -> Order | None:
    """Return the order that an intent's tag tells of, ``None`` for one of another kind."""
    words = intent.tag.split()
    if len(words) not in (2, 3) or words[1] not in set(Purpose):
        return None
    number = 0 if len(words) == 2 or words[2] == "all" else int(words[2])
    policy = intent.policy
    price = policy.limit_price if policy.stop_price is None else policy.stop_price
    return Order(Purpose(words[1]), number, intent.quantity, price, filled)
