"""
The arithmetic of a ladder: how far away its rungs are, how large, and where that leaves the mean.

Rung 0 is the base order, at the base price. Distances are fractions of it, sizes are quantities
or notionals. Everything is exact until it is a price or a size, which have at most 12 decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from state.money import BASIS_POINT, ZERO, ratio

ONE = Decimal(1)
WHOLE_BPS = Decimal(10_000)


def tidy(figure: Decimal) -> Decimal:
    """Return a price or a size with at most 12 decimals, and none that are zero."""
    return ratio(figure, ONE)


@dataclass(frozen=True, slots=True)
class Levels:
    """The distances and sizes of a ladder's rungs, the base order's first."""

    distances: tuple[Decimal, ...]
    sizes: tuple[Decimal, ...]

    @classmethod
    def of(
        cls,
        size: Decimal,
        size_growth: Decimal,
        step_bps: Decimal,
        step_growth: Decimal,
        rungs: int,
    ) -> Levels:
        """Return the ladder of a base order and ``rungs`` adds."""
        distances, sizes = [ZERO], [size]
        step = step_bps * BASIS_POINT
        for _ in range(rungs):
            distances.append(distances[-1] + step)
            sizes.append(tidy(sizes[-1] * size_growth))
            step *= step_growth
        return cls(tuple(distances), tuple(sizes))

    @property
    def depth(self) -> Decimal:
        """Return how far the last rung is from the base price."""
        return self.distances[-1]

    def price(self, base: Decimal, rung: int, sign: int) -> Decimal:
        """Return the price of a rung: below ``base`` in a long book (``sign`` 1), else above."""
        return tidy(base * (ONE - sign * self.distances[rung]))

    def average(self, sign: int, *, by_quantity: bool) -> Decimal:
        """Return the mean price of the whole ladder, as a part of the base price."""
        total = cost = ZERO
        for size, distance in zip(self.sizes, self.distances, strict=True):
            part = ONE - sign * distance
            quantity = size if by_quantity else ratio(size, part)
            total += quantity
            cost += quantity * part
        return ratio(cost, total)

    def room_for_stop(self, sign: int, *, by_quantity: bool) -> Decimal:
        """
        Return how far (bps) the last rung is from the mean price of the whole ladder.

        A stop that is nearer than that is triggered by the very price that fills the last rung.
        """
        last = ONE - sign * self.depth
        away = ONE - ratio(last, self.average(sign, by_quantity=by_quantity))
        return tidy(away * sign * WHOLE_BPS)


def profit_price(paid: Decimal, bps: Decimal, sign: int) -> Decimal:
    """Return the price that is ``bps`` better than what was paid, for a book of that direction."""
    return tidy(paid * (ONE + sign * bps * BASIS_POINT))


def loss_price(paid: Decimal, bps: Decimal, sign: int) -> Decimal:
    """Return the price that is ``bps`` worse than what was paid."""
    return tidy(paid * (ONE - sign * bps * BASIS_POINT))
