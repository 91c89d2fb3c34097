"""
When a live bar is closed, and in which order closed bars are released.

Theory of operation. Pure. Two sources speak of each candle: a stream, which is quick and shows
candles that still change, and the venue's history, which is slow and final. For each symbol there
is one next bar, the one that opens where the last released one closed:

- history has it: released;
- the stream has it, and a newer one too, and has not been broken since before it opened: released;
- the stream says itself that it is closed: released;
- history has a later one and not it, by two answers: nothing traded; it is a gap, noted and passed;
- otherwise it is not known yet. Once its time is over, history is to be asked.

So a stream that breaks, lags, repeats itself or falls silent costs a question and never a bar.
What is released is released once, in increasing time for each symbol. The symbols of one moment
form one group, for which the slower ones are waited for a little; who is later still gets a group
of his own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from feeds.contract import Group
from feeds.flaws import BadRow
from feeds.history import Page
from feeds.rows import Row, check_prices
from feeds.timeline import Gap
from messages import Bar

ROWS_MAX: Final = 4_096
"""Candles of a stream that wait for an earlier one; more are left to history."""

GAPS_MAX: Final = 100
"""Gaps of one symbol that are listed; all are counted."""


@dataclass(slots=True)
class _Symbol:
    """Where one symbol stands: ``due`` is when its next bar opens."""

    due: int
    streamed: dict[int, Row] = field(default_factory=dict)
    final: dict[int, Row] = field(default_factory=dict)
    proved_until: int = 0
    trusted_from: int | None = None
    newest: int = 0
    gaps: int = 0
    missing: int = 0
    bad: int = 0
    late_words: int = 0
    gap_list: list[Gap] = field(default_factory=list)


class Closing:
    """
    The closing of the bars of several symbols; ``first`` says when the first of each opens.

    ``on_gap`` is called with a symbol and its gap when that is passed: once, before what follows it
    is released.
    """

    def __init__(
        self,
        first: Mapping[str, int],
        timeframe_ms: int,
        *,
        group_wait_ms: int,
        on_gap: Callable[[str, Gap], object] = lambda _symbol, _gap: None,
    ) -> None:
        """Wait for slower symbols of a moment for ``group_wait_ms`` at most."""
        self.timeframe_ms = timeframe_ms
        self.group_wait_ms = group_wait_ms
        self._on_gap = on_gap
        self._of = {symbol: _Symbol(first[symbol]) for symbol in sorted(first)}

    # -- what is heard

    def stream(self, symbol: str, rows: Sequence[Row]) -> None:
        """Hear what a stream shows: rows of which the newest may still change."""
        mine = self._of[symbol]
        if mine.trusted_from is None and rows:
            # The newest candle after a break may have been joined in its middle, and older ones
            # are memories of before.
            mine.trusted_from = max(row[0] for row in rows) + self.timeframe_ms
        for row in rows:
            opened = row[0]
            if opened < mine.due:
                continue
            mine.newest = max(mine.newest, opened)
            if len(mine.streamed) < ROWS_MAX or opened in mine.streamed:
                mine.streamed[opened] = row

    def closed(self, symbol: str, rows: Sequence[Row]) -> None:
        """Hear rows of which the stream says itself that they are whole and closed."""
        mine = self._of[symbol]
        for row in rows:
            if row[0] >= mine.due and len(mine.final) < ROWS_MAX:
                mine.final[row[0]] = row

    def broke(self, symbol: str) -> None:
        """Hear that a stream was broken: what it shows of the current candle proves nothing."""
        mine = self._of[symbol]
        mine.trusted_from = None
        mine.streamed.clear()

    def history(self, symbol: str, page: Page) -> None:
        """Hear what the venue's history says."""
        mine = self._of[symbol]
        for row in page.rows:
            if row[0] >= mine.due:
                mine.final[row[0]] = row
            else:
                mine.late_words += 1
        if page.proves:
            mine.proved_until = max(mine.proved_until, page.until)

    # -- what follows

    def wanted(self, symbol: str, now: int) -> int | None:
        """Return since when history is to be asked, if the next bar is over and not known."""
        mine = self._of[symbol]
        if now < mine.due + self.timeframe_ms or self._head(mine) is not None:
            return None
        return mine.due

    def due(self, symbol: str) -> int:
        """Return when the next bar of ``symbol`` will be over."""
        return self._of[symbol].due + self.timeframe_ms

    def take(self, now: int) -> Group | None:
        """Return the bars of the earliest moment that is complete, or has been waited for."""
        heads: dict[str, tuple[int, Row]] = {}
        for symbol, mine in self._of.items():
            head = self._settled(symbol, mine)
            if head is not None:
                heads[symbol] = (mine.due, head)
        if not heads:
            return None
        at = min(due for due, _ in heads.values())
        waiting = any(mine.due <= at for symbol, mine in self._of.items() if symbol not in heads)
        if waiting and now < at + self.timeframe_ms + self.group_wait_ms:
            return None
        group = []
        for symbol, (due, row) in heads.items():
            if due == at:
                group.append(Bar(symbol, *row, self.timeframe_ms))
                self._release(self._of[symbol], due)
        return tuple(group)

    def next_look(self, now: int) -> int | None:
        """Return when ``take`` may have a group that it has not yet, without any news."""
        heads = [mine.due for mine in self._of.values() if self._head(mine) is not None]
        if not heads:
            return None
        return max(now, min(heads) + self.timeframe_ms + self.group_wait_ms)

    def gaps(self) -> dict[str, list[Gap]]:
        """Return the gaps of the venue that were passed, by symbol."""
        return {symbol: list(mine.gap_list) for symbol, mine in self._of.items()}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return gaps, missing bars, refused rows, and words about bars released already."""
        return {
            symbol: {
                "gaps": mine.gaps,
                "missing": mine.missing,
                "bad": mine.bad,
                "late_words": mine.late_words,
            }
            for symbol, mine in self._of.items()
        }

    # -- one symbol

    def _settled(self, symbol: str, mine: _Symbol) -> Row | None:
        """Return the next bar's row if it is known, with gaps and impossible rows passed."""
        while True:
            head = self._head(mine)
            if head is None:
                if not self._passes_gap(symbol, mine):
                    return None
                continue
            try:
                check_prices(head)
            except BadRow:
                # Neither invented nor mended: as if the venue had nothing, and counted.
                mine.bad += 1
                self._release(mine, mine.due)
                continue
            return head

    def _head(self, mine: _Symbol) -> Row | None:
        final = mine.final.get(mine.due)
        if final is not None:
            return final
        trusted = mine.trusted_from is not None and mine.trusted_from <= mine.due
        return mine.streamed.get(mine.due) if trusted and mine.newest > mine.due else None

    def _passes_gap(self, symbol: str, mine: _Symbol) -> bool:
        if mine.proved_until <= mine.due:
            return False
        later = min((at for at in mine.final if at > mine.due), default=mine.proved_until)
        gap = Gap(mine.due - self.timeframe_ms, later, (later - mine.due) // self.timeframe_ms)
        self._move(mine, later)
        self.passed(symbol, gap)
        return True

    def passed(self, symbol: str, gap: Gap) -> None:
        """Count a gap, and say it."""
        mine = self._of[symbol]
        mine.gaps += 1
        mine.missing += gap.missing
        if len(mine.gap_list) < GAPS_MAX:
            mine.gap_list.append(gap)
        self._on_gap(symbol, gap)

    def _release(self, mine: _Symbol, due: int) -> None:
        self._move(mine, due + self.timeframe_ms)

    def _move(self, mine: _Symbol, due: int) -> None:
        mine.due = due
        for rows in (mine.streamed, mine.final):
            for opened in [at for at in rows if at < due]:
                del rows[opened]
