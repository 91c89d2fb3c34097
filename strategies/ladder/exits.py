"""
Which lots of a ladder leave where: each by itself, the newest alone, or all at their mean price.

A rule says what should be there at this moment. Exits of one *place* take each other's: a place
has at most one order that counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from state.money import ZERO
from strategies.ladder.levels import profit_price
from strategies.ladder.lots import ALL, Lot


@dataclass(frozen=True, slots=True)
class Exit:
    """That a lot (by its number, or ``ALL``), or so much of it, should leave at a price."""

    number: int
    quantity: Decimal
    price: Decimal


class ExitRule(ABC):
    """What decides which exits there should be."""

    reopens: ClassVar[bool] = True
    """Whether a rung can be free again while others are held."""

    def __init__(self, take_profit_bps: Decimal) -> None:
        """Let lots leave with so much profit."""
        self.take_profit_bps = take_profit_bps

    @abstractmethod
    def exits(self, lots: Sequence[Lot], average: Decimal, sign: int) -> list[Exit]:
        """Return the exits that ``lots``, newest last, should have; ``average`` is their mean."""

    def place(self, number: int) -> int:
        """Return the place of an exit, by the number that it is of."""
        return number

    def _exit(self, number: int, quantity: Decimal, paid: Decimal, sign: int) -> Exit:
        return Exit(number, quantity, profit_price(paid, self.take_profit_bps, sign))


class EachLot(ExitRule):
    """Each lot leaves by itself, at its own profit."""

    def exits(self, lots: Sequence[Lot], average: Decimal, sign: int) -> list[Exit]:
        """Return one exit for each lot."""
        return [self._exit(lot.number, lot.quantity, lot.price, sign) for lot in lots]


class NewestLot(ExitRule):
    """Only the newest lot may leave, at its own profit; there is one place for exits."""

    def exits(self, lots: Sequence[Lot], average: Decimal, sign: int) -> list[Exit]:
        """Return the exit of the newest lot."""
        return [self._exit(lot.number, lot.quantity, lot.price, sign) for lot in lots[-1:]]

    def place(self, number: int) -> int:
        """Return the one place that there is."""
        return ALL


class AllAtOnce(ExitRule):
    """All lots leave together, at a profit on their mean price."""

    reopens = False

    def exits(self, lots: Sequence[Lot], average: Decimal, sign: int) -> list[Exit]:
        """Return the exit of everything."""
        total = ZERO
        for lot in lots:
            total += lot.quantity
        return [self._exit(ALL, total, average, sign)] if total else []
