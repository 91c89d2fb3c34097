"""How far the account is below its best."""

from __future__ import annotations

from decimal import Decimal

from state.money import ZERO

_PLACES = Decimal("1e-8")


class Drawdown:
    """
    Measure each equity against the highest so far: (peak - equity) / peak, to eight decimals.

    Zero at a peak. ``None`` below a peak that is not positive: no fraction of it has a meaning.
    """

    __slots__ = ("peak",)

    def __init__(self) -> None:
        self.peak: Decimal | None = None

    def advance(self, equity: Decimal) -> Decimal | None:
        """Take the next equity and return its drawdown; call it under the ``EXACT`` context."""
        peak = self.peak
        if peak is None or equity >= peak:
            self.peak = equity
            return ZERO
        if peak <= ZERO:
            return None
        return ((peak - equity) / peak).quantize(_PLACES)
