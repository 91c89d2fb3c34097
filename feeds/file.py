"""Replay of bar files: one or many, merged by time and then by symbol, every row accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from feeds.contract import Group
from feeds.errors import BadInput, FeedSettingError
from feeds.merge import merge
from feeds.quarantine import Quarantine
from feeds.readers import Peek, Reader, content_sha256, open_reader
from feeds.report import FeedReport, FileReport
from feeds.rows import Gate
from feeds.sources import Source, resolve_sources
from feeds.timeframe import commonest_spacing, format_timeframe, parse_timeframe, spacings
from feeds.timeline import iso
from messages import Bar

PEEK_ROWS = 5_000
"""Rows at the start of each file that are looked at to find its time frame."""

DESCENDING_ROWS_MIN = 3
"""Rows that must all go back in time before a file is called descending."""


class FileFeed:
    """
    Replay files of bars.

    What is wrong with a file as a whole (not there, encoding, header, descending order, no good
    row) raises ``BadInput``, here where the first ``PEEK_ROWS`` rows show it, else from ``groups``.
    A bad row goes to the quarantine and is counted; one more than ``max_bad_rows`` of them, over
    all files, raises ``BadInput``. Gaps are counted and never fatal.

    Without ``timeframe`` the commonest spacing of the rows is taken, the smallest on a tie.
    A file named ``…synthetic…`` makes the feed a synthetic one: that is how such files are
    labelled.
    """

    def __init__(
        self,
        files: Sequence[str],
        *,
        symbol: str | None = None,
        timeframe: str | None = None,
        max_bad_rows: int = 0,
        quarantine_path: Path | None = None,
    ) -> None:
        """Look at the start of every file, each named as ``FILE[@SYMBOL]``."""
        if max_bad_rows < 0:
            raise FeedSettingError(f"max_bad_rows is {max_bad_rows}; expected 0 or more")
        self.sources = resolve_sources(files, symbol)
        self.symbols = tuple(source.symbol for source in self.sources)
        self.synthetic = any("synthetic" in source.path.name for source in self.sources)
        self.max_bad_rows = max_bad_rows
        self._readers = [open_reader(source.path, source.name) for source in self.sources]
        self.timeframe_ms = _timeframe_of(
            self.sources, self._readers, None if timeframe is None else parse_timeframe(timeframe)
        )
        self._quarantine_path = quarantine_path
        self._gates: list[Gate] = []
        self._fingerprints: dict[str, str] = {}

    def write_quarantine_to(self, path: Path) -> None:
        """Write the bad rows of later calls of ``groups`` to ``path``; no bad row, no file."""
        self._quarantine_path = path

    def groups(self) -> Iterator[Group]:
        """Yield the bars, grouped by timestamp, and count anew."""
        quarantine = Quarantine(self.max_bad_rows, self._quarantine_path)
        self._gates = [
            Gate(source.name, source.symbol, self.timeframe_ms, quarantine)
            for source in self.sources
        ]
        streams = [
            self._stream(reader, gate)
            for reader, gate in zip(self._readers, self._gates, strict=True)
        ]
        try:
            yield from merge(streams)
        finally:
            for stream in streams:
                stream.close()
            quarantine.close()

    def _stream(self, reader: Reader, gate: Gate) -> Generator[list[Bar], None, None]:
        yield from reader.batches(gate)
        if gate.bars == 0:
            raise BadInput(gate.file, "no good row", "at least one bar", reason="empty")

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of every input's bytes under ``file name@symbol``."""
        if not self._fingerprints:
            for source in self.sources:
                sha256 = content_sha256(source.path, source.name)
                self._fingerprints[f"{source.path.name}@{source.symbol}"] = sha256
        return dict(self._fingerprints)

    def report(self) -> FeedReport:
        """Return what the newest ``groups`` has met so far, file by file."""
        return FeedReport(self.timeframe_ms, tuple(FileReport.of(gate) for gate in self._gates))


def _timeframe_of(
    sources: Sequence[Source], readers: Sequence[Reader], asked_ms: int | None
) -> int:
    """Return the time frame of all files, or raise ``BadInput`` when they are not of one."""
    peeks = [reader.peek(PEEK_ROWS) for reader in readers]
    for source, peek in zip(sources, peeks, strict=True):
        _check_start(source.name, peek)
    counts = [spacings(peek.timestamps) for peek in peeks]
    timeframe_ms = asked_ms or commonest_spacing(sum(counts, Counter()))
    if timeframe_ms is None:
        for source, peek in zip(sources, peeks, strict=True):
            if peek.first_bad is not None:
                line, bad = peek.first_bad
                raise BadInput(source.name, bad.found, bad.expected, line=line, reason=bad.flaw)
        raise BadInput(
            sources[0].name,
            "no two bars to find the time frame from",
            "two bars or --timeframe",
            reason="timeframe",
        )
    for source, own in zip(sources, counts, strict=True):
        commonest = commonest_spacing(own)
        if commonest is None:
            continue
        # Bars longer than their spacing would overlap. Bars taken for shorter than they are
        # would be acted on before they are complete; who names a time frame vouches for that.
        if commonest < timeframe_ms or (asked_ms is None and min(own) > timeframe_ms):
            raise BadInput(
                source.name,
                f"bars {format_timeframe(commonest)} apart",
                f"bars of the time frame {format_timeframe(timeframe_ms)} (nothing is resampled)",
                reason="timeframe",
            )
    return timeframe_ms


def _check_start(name: str, peek: Peek) -> None:
    if peek.rows == 0:
        raise BadInput(name, "a header and no rows", "at least one bar", reason="empty")
    times = peek.timestamps
    descends = all(later < earlier for earlier, later in pairwise(times))
    if len(times) >= DESCENDING_ROWS_MIN and descends:
        raise BadInput(
            name,
            f"rows in descending order ({iso(times[0])}, {iso(times[1])}, ...)",
            "the oldest bar first",
            reason="descending",
        )
