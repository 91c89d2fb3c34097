"""
What of several strategies' positions there is to close.

The venue knows no strategies: where one is long what another is short, only what remains
of the two is there to be closed, and an order for more would be refused or open something.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from messages import PositionSide
from state.ledger import Position
from state.money import ZERO


def to_reduce(held: Iterable[Position]) -> list[tuple[Position, Decimal]]:
    """Return which of the positions that are ``held`` to reduce, each with how much of it."""
    positions = [position for position in held if position.quantity]
    net: dict[tuple[str, PositionSide], Decimal] = {}
    for position in positions:
        book = (position.symbol, position.position_side)
        net[book] = net.get(book, ZERO) + position.quantity
    wanted = []
    for position in positions:
        book = (position.symbol, position.position_side)
        left = net[book]
        if left and (left > 0) is (position.quantity > 0):
            quantity = min(abs(left), abs(position.quantity))
            net[book] = left - quantity if left > 0 else left + quantity
            wanted.append((position, quantity))
    return wanted
