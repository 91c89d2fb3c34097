"""
The arithmetic of a grid: where its lines are, and where a price is among them.

Between two neighbouring lines is a *level*; n levels have n + 1 lines, counted from 0, and level k
lies between the lines k - 1 and k. Lines have at most 12 decimals.

A price's *place* is a whole number: 2i between the lines i - 1 and i, 2i + 1 right on line i. What
a grid decides by is the place alone, so a market that moves within a level changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from math import inf, nextafter

from state.money import BASIS_POINT, EXACT, ratio

ONE = Decimal(1)


class Spacing(StrEnum):
    """What two neighbouring steps of a grid have in common."""

    ARITHMETIC = "arithmetic"  # the difference
    GEOMETRIC = "geometric"  # the ratio


def tidy(price: Decimal) -> Decimal:
    """Return a price with at most 12 decimals, and none that are zero."""
    return ratio(price, ONE)


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a grid, in ascending order."""

    prices: tuple[Decimal, ...]

    @classmethod
    def between(cls, lower: Decimal, upper: Decimal, levels: int, spacing: Spacing) -> Lines:
        """Return the lines of so many levels from ``lower`` to ``upper``, both included."""
        if spacing is Spacing.ARITHMETIC:
            inner = [lower + (upper - lower) * i / levels for i in range(1, levels)]
        else:
            whole = EXACT.divide(upper, lower)
            inner = [
                EXACT.multiply(lower, EXACT.power(whole, EXACT.divide(Decimal(i), Decimal(levels))))
                for i in range(1, levels)
            ]
        return cls((lower, *map(tidy, inner), upper))

    @classmethod
    def around(cls, centre: Decimal, step_bps: Decimal, levels: int, spacing: Spacing) -> Lines:
        """
        Return the lines of so many levels around ``centre``, half of them (rounded down) below.

        A geometric step is counted from the line before, an arithmetic one from the centre.
        """
        step = step_bps * BASIS_POINT
        first = -(levels // 2)
        steps = range(first, first + levels + 1)
        if spacing is Spacing.ARITHMETIC:
            return cls(tuple(tidy(centre * (ONE + step * i)) for i in steps))
        return cls(
            tuple(tidy(EXACT.multiply(centre, EXACT.power(ONE + step, Decimal(i)))) for i in steps)
        )

    @property
    def ascend(self) -> bool:
        """Return whether each line is above the one before it, and all are prices."""
        rising = all(a < b for a, b in pairwise(self.prices))
        return rising and self.prices[0] > 0

    def place(self, price: Decimal) -> int:
        """Return where a price is: 2i below line i and above the one before it, 2i + 1 on it."""
        i = bisect_left(self.prices, price)
        return 2 * i + (i < len(self.prices) and self.prices[i] == price)

    def level_at(self, price: Decimal, levels: Iterable[int]) -> int:
        """Return which of ``levels`` a price is in, or nearest to."""
        among = (self.place(price) + 1) // 2
        return min(levels, key=lambda level: abs(level - among))

    def room(self, place: int) -> tuple[float, float]:
        """
        Return the prices between which the place is the same, as floats that are safe to compare.

        Right on a line there is no room at all.
        """
        if place % 2:
            return inf, -inf
        i = place // 2
        low = nextafter(float(self.prices[i - 1]), inf) if i else -inf
        high = nextafter(float(self.prices[i]), -inf) if i < len(self.prices) else inf
        return low, high
