"""
What makes a row of OHLCV data good, and what is wrong with one that is not.

A good row is judged in one chained comparison (``Gate.admit``): it follows its predecessor by
exactly one time frame and is consistent in itself. Everything else, a gap included, takes the
slow road through ``Gate.judge``, which names the flaw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf, isfinite

from feeds.flaws import BadRow, Flaw
from feeds.quarantine import Quarantine
from feeds.timeline import Timeline, check_unit, clip, parse_timestamp
from messages import Bar

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
HEADER = ",".join(COLUMNS)

Row = tuple[int, float, float, float, float, float]


class Gate:
    """
    Let the good rows of one file through as bars, in strictly increasing time.

    Every row is either returned as a bar or put into the quarantine, never both, never
    neither. The first good row of several with one timestamp wins.
    """

    def __init__(self, file: str, symbol: str, timeframe_ms: int, quarantine: Quarantine) -> None:
        """Stand before the first row of ``file``."""
        self.file = file
        self.symbol = symbol
        self.timeline = Timeline(timeframe_ms)
        self.bars = 0
        self.flaws: dict[Flaw, int] = {}
        self._quarantine = quarantine

    def admit(
        self, rows: Iterable[Row], first_line: int, text_of: Callable[[int], str]
    ) -> list[Bar]:
        """Return the bars of consecutive rows; ``text_of(i)`` is the source text of the i-th."""
        timeline, symbol = self.timeline, self.symbol
        step, due = timeline.step, timeline.due
        bars: list[Bar] = []
        append = bars.append
        refused = 0
        for t, o, hi, lo, c, v in rows:
            # NaN and infinity fail these comparisons too.
            if t == due and 0.0 < lo <= o <= hi < inf and lo <= c <= hi and 0.0 <= v < inf:
                append(Bar(symbol, t, o, hi, lo, c, v, step))
                due += step
                continue
            timeline.due = due
            index = len(bars) + refused
            try:
                append(self.judge((t, o, hi, lo, c, v)))
            except BadRow as bad:
                refused += 1
                self._refuse(first_line + index, bad, text_of(index))
            due = timeline.due
        timeline.due = due
        self.bars += len(bars)
        return bars

    def admit_each(self, candidates: Iterable[tuple[int, Row | BadRow, str]]) -> list[Bar]:
        """Return the bars of (line, row or why there is none, text), judged one by one."""
        bars: list[Bar] = []
        for line, row, text in candidates:
            try:
                if isinstance(row, BadRow):
                    raise row
                bars.append(self.judge(row))
            except BadRow as bad:
                self._refuse(line, bad, text)
        self.bars += len(bars)
        return bars

    def judge(self, row: Row) -> Bar:
        """Return the row's bar after a check of everything, or raise ``BadRow``."""
        check_unit(row[0])
        check_prices(row)
        self.timeline.place(row[0])
        return Bar(self.symbol, *row, self.timeline.step)

    def _refuse(self, line: int, bad: BadRow, text: str) -> None:
        self.flaws[bad.flaw] = self.flaws.get(bad.flaw, 0) + 1
        self._quarantine.put(self.file, line, bad, text)


def check_prices(row: Row) -> None:
    """Raise ``BadRow`` unless the prices and the volume of a bar are possible."""
    for name, value in zip(COLUMNS[1:], row[1:], strict=True):
        if not isfinite(value):
            raise BadRow(Flaw.NOT_FINITE, f"{name} is {value}", "a finite number")
    _, open_, high, low, close, volume = row
    for name, value in (("open", open_), ("high", high), ("low", low), ("close", close)):
        if value <= 0:
            raise BadRow(Flaw.PRICE_NOT_POSITIVE, f"{name} is {value}", "a price above zero")
    if high < low:
        raise BadRow(Flaw.HIGH_BELOW_LOW, f"high {high} is below low {low}", "high >= low")
    if high < open_ or high < close:
        raise BadRow(
            Flaw.HIGH_BELOW_BODY,
            f"high {high} is below open {open_} or close {close}",
            "high >= max(open, close)",
        )
    if low > open_ or low > close:
        raise BadRow(
            Flaw.LOW_ABOVE_BODY,
            f"low {low} is above open {open_} or close {close}",
            "low <= min(open, close)",
        )
    if volume < 0:
        raise BadRow(Flaw.NEGATIVE_VOLUME, f"volume is {volume}", "a volume of zero or more")


def parse_row(text: str) -> Row:
    """Return the numbers of one line of text, or raise ``BadRow``; judges no values."""
    fields = [field.strip().strip('"') for field in text.split(",")]
    if len(fields) != len(COLUMNS):
        raise BadRow(
            Flaw.FIELD_COUNT, f"{len(fields)} fields", f"the {len(COLUMNS)} fields {HEADER}"
        )
    open_, high, low, close, volume = map(_parse_number, COLUMNS[1:], fields[1:])
    return parse_timestamp(fields[0]), open_, high, low, close, volume


def _parse_number(name: str, text: str) -> float:
    # float() takes 1_000 and digits of other scripts too; a data file means neither.
    if text.isascii() and "_" not in text:
        try:
            return float(text)
        except ValueError as error:
            raise BadRow(
                Flaw.NOT_A_NUMBER, f"{name} is {clip(text)}", "a decimal number"
            ) from error
    raise BadRow(Flaw.NOT_A_NUMBER, f"{name} is {clip(text)}", "a decimal number")
