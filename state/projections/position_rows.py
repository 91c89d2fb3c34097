"""Rows of ``positions.csv``: every open position, valued at the account's marks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal

from messages import Booking, Fill
from state.money import ZERO, plain
from state.projections.csv_text import CsvFile, quoted

POSITION_COLUMNS = (
    "timestamp",
    "strategy",
    "symbol",
    "position_side",
    "quantity",
    "average_price",
    "mark_price",
    "realized_pnl",
    "unrealized_pnl",
)

_Key = tuple[str, str, str]


class _Position:
    """One position; what its rows repeat is kept as text."""

    __slots__ = ("average", "is_open", "name", "quantity", "realized", "size", "symbol")

    def __init__(self, key: _Key) -> None:
        self.symbol = key[1]
        self.name = ",".join(map(quoted, key))
        self.quantity = ZERO
        self.average = ZERO
        self.is_open = False
        self.size = ""  # name, quantity and average price
        self.realized = ""


class PositionRows:
    """
    Write a row for every open position, in order of strategy, symbol and side, at each mark.

    A position whose symbol has no mark yet has no mark price and no unrealised profit: both
    are left empty. Call everything under ``EXACT``.
    """

    __slots__ = ("_lines", "_open", "_open_keys", "_positions")

    def __init__(self, file: CsvFile) -> None:
        self._lines = file.lines
        self._positions: dict[_Key, _Position] = {}
        self._open_keys: list[_Key] = []  # sorted, and ``_open`` beside it
        self._open: list[_Position] = []

    def on_fill(self, fill: Fill, booking: Booking | None) -> str:
        """
        Take the state of a position right after a fill.

        Return the position's name as rows show it: strategy, symbol, side. A fill that the
        ledger did not book changes no position.
        """
        key = (fill.strategy, fill.symbol, fill.position_side)
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = _Position(key)
        if booking is None:
            return position.name
        quantity = booking.quantity
        if quantity:
            position.quantity = quantity
            position.average = average = booking.average_price
            size = f"{quantity!s},{average or 0!s}"
            if "E" in size:
                size = f"{plain(quantity)},{plain(average)}"
            position.size = f",{position.name},{size},"
            position.realized = f",{plain(booking.realized_total)},"
            if not position.is_open:
                position.is_open = True
                index = bisect_left(self._open_keys, key)
                self._open_keys.insert(index, key)
                self._open.insert(index, position)
        elif position.is_open:
            position.is_open = False
            index = bisect_left(self._open_keys, key)
            del self._open_keys[index], self._open[index]
        return position.name

    def on_mark(self, at: str, prices: Sequence[tuple[str, Decimal]]) -> None:
        """Write the rows of one moment, valued at ``prices`` (by symbol); ``at`` is its text."""
        if not self._open:
            return
        marks = dict(prices)
        lines = self._lines
        for position in self._open:
            mark = marks.get(position.symbol)
            if mark is None:
                lines.append(f"{at}{position.size}{position.realized}\n")
                continue
            unrealized = position.quantity * (mark - position.average)
            # As ``plain`` writes them, in place: this loop is most of a session's rows.
            mark_text = f"{mark or 0!s}"
            unrealized_text = f"{unrealized or 0!s}"
            if "E" in mark_text or "E" in unrealized_text:
                mark_text, unrealized_text = plain(mark), plain(unrealized)
            lines.append(f"{at}{position.size}{mark_text}{position.realized}{unrealized_text}\n")
