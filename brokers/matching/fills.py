"""What a fill costs and how much of it there can be: slippage, ticks, lots and volume."""

from __future__ import annotations

from decimal import Decimal

from state.money import ZERO


def slipped(price: Decimal, rate: Decimal, tick: Decimal | None, *, is_buy: bool) -> Decimal:
    """
    Return ``price`` moved against the order by ``rate`` (a fraction), then to the tick beyond it.

    A sale is never rounded to a price of zero: it keeps the unrounded one.
    """
    moved = price + price * rate if is_buy else price - price * rate
    if tick is None:
        return moved
    beyond = moved % tick
    if not beyond:
        return moved
    return moved - beyond + tick if is_buy else moved - beyond or moved


def whole_lots(quantity: Decimal, lot_step: Decimal | None) -> Decimal:
    """Return ``quantity`` rounded down to whole lots."""
    return quantity if lot_step is None else quantity - quantity % lot_step


class Volume:
    """What the orders of one symbol may still take of a bar's volume, first come first served."""

    __slots__ = ("left",)

    def __init__(self, volume: Decimal, participation: Decimal) -> None:
        """Offer a share of ``volume``."""
        self.left = volume * participation

    def offer(self, wanted: Decimal, lot_step: Decimal | None) -> Decimal:
        """Return how much of ``wanted`` there is; a part is whole lots, the whole is the whole."""
        if wanted <= self.left:
            return wanted
        return whole_lots(self.left, lot_step) if self.left > ZERO else ZERO

    def take(self, quantity: Decimal) -> None:
        """Use up ``quantity`` of what was offered."""
        self.left -= quantity
