"""What a kill's report says, in words: what is held, and what is waited for."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from messages import RATE_LIMIT_HOLDS, Hold
from state.money import plain
from state.projections.timestamps import iso_ms
from state.reconciliation import AccountView


def positions_in(view: AccountView) -> tuple[str, ...]:
    """Return the positions that a venue has, in words."""
    return tuple(
        position_text(symbol, side.value, quantity)
        for (symbol, side), quantity in sorted(view.positions.items())
    )


def position_text(symbol: str, side: str, quantity: Decimal) -> str:
    """Return a position in words."""
    return f"{symbol} {side} {plain(quantity)}"


def waits_in(holds: Iterable[Hold]) -> str:
    """Return which tools want to be left alone, until when and why; empty where none does."""
    return "; ".join(
        f"{hold.hold_id.removeprefix(RATE_LIMIT_HOLDS)} wants to be left alone until "
        f"{iso_ms(hold.until)} ({hold.cause})"
        for hold in holds
        if hold.hold_id.startswith(RATE_LIMIT_HOLDS) and hold.until is not None
    )
