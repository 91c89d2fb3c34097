"""Rows of ``account.csv``: the account each time it was valued."""

from __future__ import annotations

from decimal import Decimal

from messages import PortfolioMarked
from state.money import plain
from state.projections.csv_text import CsvFile, Words
from state.projections.drawdown import drawdown

ACCOUNT_COLUMNS = (
    "timestamp",
    "currency",
    "cash",
    "equity",
    "realized_pnl",
    "unrealized_pnl",
    "fees",
    "funding",
    "drawdown",
)


class AccountRows:
    """
    Write one row for every mark of the account; drawdown counts from each currency's peak.

    Below a peak that is not positive drawdown is left empty. Call it under ``EXACT``.
    """

    __slots__ = ("_lines", "_peaks", "_words")

    def __init__(self, file: CsvFile) -> None:
        self._lines = file.lines
        self._words = Words()
        self._peaks: dict[str, Decimal] = {}

    def on_mark(self, at: str, marked: PortfolioMarked) -> None:
        """Write the row of one moment; ``at`` is its text."""
        currency = marked.currency
        equity = marked.equity
        peak = self._peaks.get(currency)
        if peak is None or equity >= peak:
            self._peaks[currency] = peak = equity
        below = drawdown(peak, equity)
        # Each number as ``plain`` writes it, in place: rows are many, exponents are rare.
        numbers = (
            f"{marked.cash or 0!s},{equity or 0!s},{marked.realized_pnl or 0!s},"
            f"{marked.unrealized_pnl or 0!s},{marked.fees or 0!s},{marked.funding or 0!s},"
            f"{'' if below is None else below or 0!s}"
        )
        if "E" in numbers:
            numbers = (
                f"{plain(marked.cash)},{plain(equity)},{plain(marked.realized_pnl)},"
                f"{plain(marked.unrealized_pnl)},{plain(marked.fees)},{plain(marked.funding)},"
                f"{'' if below is None else plain(below)}"
            )
        self._lines.append(f"{at},{self._words[currency]},{numbers}\n")
