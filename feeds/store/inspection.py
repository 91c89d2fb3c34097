"""What a file or a series holds: its span, what is missing, and what deserves a look."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from feeds.errors import BadInput
from feeds.file import FileFeed
from feeds.report import FileReport
from feeds.sources import split_symbol
from feeds.store.layout import parts_in, series_of
from feeds.store.store import series_below
from messages import Bar

LISTED_MAX = 20
"""Places of a kind that are listed; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A bar that opens far from the close of the one before it: ``change_pct`` away."""

    timestamp: int
    change_pct: float


@dataclass(slots=True)
class Oddities:
    """
    Good rows that deserve a look.

    ``flat``: high = low and no volume: nothing traded, or the venue filled in. ``off_grid``: not
    on a multiple of the time frame, as most venues' bars are. ``jumps``: the open is more than
    ``jump_pct`` away from the close before it, or the range of one bar is as wide.
    """

    timeframe_ms: int
    jump_pct: float
    flat: int = 0
    off_grid: int = 0
    jumps: int = 0
    off_grid_first: int | None = None
    jump_list: list[Jump] = field(default_factory=list)
    _close: float | None = None

    def see(self, bar: Bar) -> None:
        """Take in the next bar."""
        if bar.high == bar.low and bar.volume == 0:
            self.flat += 1
        if bar.timestamp % self.timeframe_ms:
            self.off_grid += 1
            if self.off_grid_first is None:
                self.off_grid_first = bar.timestamp
        before, self._close = self._close, bar.close
        moves = [(bar.high - bar.low) / bar.low]
        if before is not None:
            moves.append(abs(bar.open - before) / before)
        largest = max(moves) * 100
        if largest > self.jump_pct:
            self.jumps += 1
            if len(self.jump_list) < LISTED_MAX:
                self.jump_list.append(Jump(bar.timestamp, round(largest, 2)))


@dataclass(frozen=True, slots=True)
class Inspection:
    """One input: its account as replay would give it, and its oddities; ``symbol`` if it says."""

    path: str
    symbol: str | None
    timeframe_ms: int
    report: FileReport
    oddities: Oddities

    @property
    def duplicates(self) -> int:
        """Return the rows whose time had been there already."""
        return self.report.bad_rows.get("duplicate_timestamp", 0)


def inspect_path(
    path: str, *, timeframe: str | None = None, jump_pct: float = 10.0
) -> Iterator[Inspection]:
    """
    Yield what there is to say of a file, of a series, or of every series below a folder.

    Bad rows are counted and never fatal; a file that cannot be read raises ``BadInput``.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir() or parts_in(folder):
        yield _inspect(path, timeframe, jump_pct)
        return
    found = series_below(folder)
    if not found:
        raise BadInput(path, "a folder without bars", "a file, a series, or a store of them")
    for series in found:
        yield _inspect(str(series.folder(folder)), timeframe, jump_pct)


def _inspect(path: str, timeframe: str | None, jump_pct: float) -> Inspection:
    folder = Path(path).expanduser()
    series = series_of(folder) if folder.is_dir() else None
    # A series says its time frame itself; with gaps the commonest spacing may be another.
    given = timeframe or (series.timeframe if series is not None else None)
    feed = FileFeed([path], timeframe=given, max_bad_rows=sys.maxsize)
    oddities = Oddities(feed.timeframe_ms, jump_pct)
    for group in feed.groups():
        for bar in group:
            oddities.see(bar)
    symbol = split_symbol(path)[1] or (None if series is None else series.symbol)
    return Inspection(path, symbol, feed.timeframe_ms, feed.report().files[0], oddities)
