"""What a file feed met on its way: the numbers of the session's summary."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from feeds.rows import Gate
from feeds.timeline import Gap


@dataclass(frozen=True, slots=True)
class FileReport:
    """
    One file's account: ``rows`` is ``bars`` plus the sum of ``bad_rows``.

    ``missing`` is the number of intervals that the ``gaps`` leave out; ``gap_positions`` holds
    the first of them. ``short_steps`` counts bars closer to their predecessor than one time
    frame (a day of 23 hours), ``backward_jumps`` rows earlier than the row before them.
    """

    file: str
    symbol: str
    rows: int
    bars: int
    first: int | None
    last: int | None
    gaps: int
    missing: int
    largest_gap: Gap | None
    gap_positions: tuple[Gap, ...]
    short_steps: int
    backward_jumps: int
    bad_rows: dict[str, int]

    @classmethod
    def of(cls, gate: Gate) -> FileReport:
        """Return the account of the file behind ``gate``."""
        line = gate.timeline
        bad_rows = {flaw.value: gate.flaws[flaw] for flaw in sorted(gate.flaws)}
        return cls(
            file=gate.file,
            symbol=gate.symbol,
            rows=gate.bars + sum(bad_rows.values()),
            bars=gate.bars,
            first=line.first,
            last=line.last,
            gaps=line.gaps,
            missing=line.missing,
            largest_gap=line.largest_gap,
            gap_positions=tuple(line.gap_list),
            short_steps=line.short_steps,
            backward_jumps=line.backward_jumps,
            bad_rows=bad_rows,
        )


@dataclass(frozen=True, slots=True)
class FeedReport:
    """The files' accounts, in order of their symbols, and their totals."""

    timeframe_ms: int
    files: tuple[FileReport, ...]

    @property
    def rows(self) -> int:
        """Return the rows of all files, good and bad."""
        return sum(file.rows for file in self.files)

    @property
    def bars(self) -> int:
        """Return the bars of all files."""
        return sum(file.bars for file in self.files)

    @property
    def gaps(self) -> int:
        """Return the gaps of all files."""
        return sum(file.gaps for file in self.files)

    @property
    def missing(self) -> int:
        """Return the intervals left out in all files."""
        return sum(file.missing for file in self.files)

    @property
    def bad_rows(self) -> dict[str, int]:
        """Return the bad rows of all files by reason, in order of the reason."""
        total: Counter[str] = Counter()
        for file in self.files:
            total.update(file.bad_rows)
        return dict(sorted(total.items()))
