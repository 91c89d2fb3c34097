"""
Lots: what a position is made of, and which of them a closing fill uses up.

A lot is a signed quantity (negative in a short position) with its signed cost. Lots are
immutable: a partial close puts a smaller lot in the same place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from state.money import ZERO, share


class LotMethod(StrEnum):
    """Which lots a closing fill uses up."""

    FIFO = "fifo"  # the oldest first
    LIFO = "lifo"  # the newest first
    AVERAGE = "average"  # all alike: the position is one lot at its mean cost


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_LIFO: Final = LotMethod.LIFO


class Lot(msgspec.Struct, frozen=True, gc=False):
    """
    A quantity bought (or sold short) together.

    ``price`` is that of its fill, ``None`` when an average lot holds several prices; ``cost``
    is then all that is exact.
    """

    lot_id: str
    quantity: Decimal
    cost: Decimal
    price: Decimal | None
    opened_at: int


class Closing(msgspec.Struct, frozen=True, gc=False):
    """What a closing fill takes: so many whole lots, perhaps a part of one more, their cost."""

    quantity: Decimal
    whole: int
    rest: Lot | None
    cost: Decimal
    lot_ids: tuple[str, ...]


def close_lots(lots: deque[Lot], quantity: Decimal, method: LotMethod) -> Closing:
    """
    Return what closing ``quantity`` (signed as the lots are) takes, without taking it.

    The cost of a part is exact where the lot has one price. A part of an average lot costs its
    share of the whole, rounded half to even at 12 decimals; the rest stays in the lot, so that
    nothing is lost and closing it all comes out exactly.
    """
    sequence: Iterable[Lot] = reversed(lots) if method is _LIFO else lots
    is_long = quantity > ZERO
    closed = quantity
    cost = ZERO
    whole = 0
    lot_ids: list[str] = []
    for lot in sequence:
        lot_ids.append(lot.lot_id)
        left = quantity - lot.quantity
        if not left:
            return Closing(closed, whole + 1, None, cost + lot.cost, tuple(lot_ids))
        if (left > ZERO) is is_long:
            cost += lot.cost
            whole += 1
            quantity = left
            continue
        part = (
            share(lot.cost, quantity, lot.quantity) if lot.price is None else quantity * lot.price
        )
        rest = Lot(lot.lot_id, -left, lot.cost - part, lot.price, lot.opened_at)
        return Closing(closed, whole, rest, cost + part, tuple(lot_ids))
    raise AssertionError("the caller closes no more than the lots hold")


def take_lots(lots: deque[Lot], closing: Closing, method: LotMethod) -> None:
    """Remove from ``lots`` what ``close_lots`` found."""
    if method is _LIFO:
        for _ in range(closing.whole):
            lots.pop()
        if closing.rest is not None:
            lots[-1] = closing.rest
    else:
        for _ in range(closing.whole):
            lots.popleft()
        if closing.rest is not None:
            lots[0] = closing.rest


def merge(lot: Lot, quantity: Decimal, price: Decimal) -> Lot:
    """Return the average lot with one more fill in it; its cost and quantity stay exact."""
    return Lot(
        lot.lot_id,
        lot.quantity + quantity,
        lot.cost + quantity * price,
        price if lot.price == price else None,
        lot.opened_at,
    )
