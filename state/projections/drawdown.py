"""How far an account is below its best."""

from __future__ import annotations

from decimal import Decimal

from state.money import ZERO

_PLACES = Decimal("1e-8")


def drawdown(peak: Decimal, equity: Decimal) -> Decimal | None:
    """
    Return (peak - equity) / peak to eight decimals, zero at the peak or above.

    ``None`` below a peak that is not positive: no fraction of it has a meaning. Call it under
    the ``EXACT`` context.
    """
    if equity >= peak:
        return ZERO
    if peak <= ZERO:
        return None
    return ((peak - equity) / peak).quantize(_PLACES)
