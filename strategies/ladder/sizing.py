"""How large an order of a ladder is, and what becomes of one that the venue would not accept."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from messages import MinimumOrder, Side
from state.instruments import Instrument
from state.money import BASIS_POINT, EXACT, RATIO_QUANTUM, ZERO, ratio


@dataclass(frozen=True, slots=True)
class Size:
    """How much is ordered: a quantity, or a notional that Risk divides by the worst price."""

    quantity: Decimal | None = None
    notional: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Sizing:
    """
    The ladder's way with sizes that are too small.

    An order that is raised to the minimum says its quantity. It is the least one on the symbol's
    grid that still is enough when the market has moved by ``margin_bps``.
    """

    by_quantity: bool
    raises: bool
    margin_bps: Decimal

    def of(
        self,
        size: Decimal,
        price: Decimal,
        side: Side,
        minimum: MinimumOrder | None,
        rules: Instrument | None,
    ) -> Size | None:
        """Return how much to order at ``price`` for a ``size``; ``None`` if it is skipped."""
        planned = Size(quantity=size) if self.by_quantity else Size(notional=size)
        if minimum is None:
            return planned
        worth = price if rules is None else rules.round_limit(price, side)
        least = least_quantity(minimum, worth, rules)
        quantity = size if self.by_quantity else ratio(size, worth)
        if _on_grid(quantity, rules) >= least:
            return planned
        if not self.raises:
            return None
        return Size(quantity=least_quantity(minimum, worth, rules, self.margin_bps))


def least_quantity(
    minimum: MinimumOrder, price: Decimal, rules: Instrument | None, margin_bps: Decimal = ZERO
) -> Decimal:
    """Return the least quantity on the grid that a venue accepts at ``price``, and some more."""
    least = minimum.min_quantity or ZERO
    if minimum.min_notional is not None and price > ZERO:
        worth = minimum.min_notional * (1 + margin_bps * BASIS_POINT)
        enough = ratio(worth, price)
        if enough * price < worth:  # rounded the wrong way: a hair too small is refused
            enough += RATIO_QUANTUM
        least = max(least, enough)
    # The grid is rounded down to, so the negative goes up.
    return EXACT.minus(_on_grid(EXACT.minus(least), rules))


def _on_grid(quantity: Decimal, rules: Instrument | None) -> Decimal:
    return quantity if rules is None else rules.round_quantity(quantity)
