"""What the account came to, from its marks."""

from __future__ import annotations

from decimal import Decimal

from messages import PortfolioMarked
from state.money import ZERO, ratio
from state.projections.drawdown import drawdown
from state.projections.limits import EXPOSURE_POINTS_MAX
from state.projections.series import BoundedSeries
from state.projections.summary import AccountResult


class AccountTally:
    """
    Follow one account's marks: first, last, the worst fall, the time with a position.

    Call everything under the ``EXACT`` context.
    """

    __slots__ = (
        "_exposed_ms",
        "_peak",
        "_trough",
        "_worst",
        "equity",
        "exposure",
        "first",
        "last",
    )

    def __init__(self, first: PortfolioMarked) -> None:
        self.first = first
        self.last = first
        self.equity: BoundedSeries[Decimal] = BoundedSeries()
        self.exposure: BoundedSeries[Decimal] = BoundedSeries(EXPOSURE_POINTS_MAX)
        self._exposed_ms = 0
        self._peak = self._trough = first.equity
        self._worst = ZERO

    def on_mark(self, marked: PortfolioMarked) -> None:
        """Take the next mark."""
        last = self.last
        if last.marks:  # every symbol with a position has a mark
            self._exposed_ms += marked.at - last.at
        self.last = marked
        equity = marked.equity
        # Only the lowest point of a fall can be its worst: a quotient each is enough.
        if equity >= self._peak:
            self._settle()
            self._peak = self._trough = equity
        elif equity < self._trough:
            self._trough = equity
        self.equity.put(marked.at, equity)

    def result(
        self, sampled_drawdown: float | None, sampled_exposure: float | None
    ) -> AccountResult:
        """Return the result; samples of every bar, where there are any, say more than marks."""
        self._settle()
        first, last = self.first, self.last
        exposure_share = sampled_exposure
        if exposure_share is None and last.at > first.at:
            exposure_share = self._exposed_ms / (last.at - first.at)
        return AccountResult(
            currency=last.currency,
            first_equity=first.equity,
            cash=last.cash,
            equity=last.equity,
            realized_pnl=last.realized_pnl,
            unrealized_pnl=last.unrealized_pnl,
            fees=last.fees,
            funding=last.funding,
            return_share=(
                ratio(last.equity - first.equity, first.equity) if first.equity > ZERO else None
            ),
            max_drawdown=self._worst,
            max_drawdown_bars=sampled_drawdown,
            exposure_share=exposure_share,
        )

    def _settle(self) -> None:
        """Measure the fall from the current peak to its lowest point so far."""
        if self._trough < self._peak:
            fall = drawdown(self._peak, self._trough)
            if fall is not None and fall > self._worst:
                self._worst = fall
