"""
The store of bars: what is in it stays whole, whatever ends the process that writes.

Theory of operation. A series is a folder of parts (see ``layout``). A change reads the parts that
it concerns, puts the new bars among the old ones and replaces each part in one step, so a reader,
or the next process, finds every part old or new. ``asked.json`` beside the parts lists the spans
of time for which a venue has said all that it has: a bucket in there without a bar is a gap at the
venue, not one of ours, and is not asked for again. It is written after the bars that it vouches
for; a process that dies in between asks once more, and finds the same bars.

One writer a series: its folder is locked while it is written, and who comes second is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from operator import attrgetter
from pathlib import Path

from feeds.errors import BadInput, FeedError
from feeds.store.layout import Series, part_span, parts_in, series_of
from feeds.store.parts import arrow_of, read_part, timestamps_in, write_part
from feeds.store.spans import Span, joined, lacking, runs
from feeds.timeline import Gap
from messages import Bar
from state.atomic import replace_file

ASKED = "asked.json"
LOCK = ".lock"


class StoreBusy(FeedError):
    """Another process writes this series at this moment."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a change came to, in bars; ``differing`` ones had other figures in the store."""

    added: int = 0
    same: int = 0
    differing: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(
            self.added + other.added, self.same + other.same, self.differing + other.differing
        )


class BarStore:
    """
    The series below one folder, which is made when the first bar is written.

    Raise ``ExtraMissing`` at once if pyarrow is not there.
    """

    def __init__(self, root: Path) -> None:
        """Look at ``root``."""
        arrow_of(str(root))
        self.root = root

    def series(self) -> list[Series]:
        """Return every series that has bars, sorted."""
        return series_below(self.root)

    def parts(self, series: Series) -> list[Path]:
        """Return the files of one series, the oldest first."""
        folder = series.folder(self.root)
        return parts_in(folder) if folder.is_dir() else []

    def bars(self, series: Series, span: Span | None = None) -> Iterator[Bar]:
        """Yield the bars of a series that open within ``span``, or all, in increasing time."""
        for part in self.parts(series):
            start, end = part_span(part)
            if span is not None and (end <= span[0] or span[1] <= start):
                continue
            for bar in chain.from_iterable(read_part(part, series)):
                if span is None or span[0] <= bar.timestamp < span[1]:
                    yield bar

    def present(self, series: Series) -> list[Span]:
        """Return the time that the bars of a series cover."""
        times = chain.from_iterable(map(timestamps_in, self.parts(series)))
        return joined(runs(times, series.timeframe_ms))

    def asked(self, series: Series) -> list[Span]:
        """Return the time for which the venue has said all that it has."""
        path = series.folder(self.root) / ASKED
        try:
            document = json.loads(path.read_bytes())
            return joined((int(start), int(end)) for start, end in document["asked"])
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadInput(
                str(path), f"unreadable ({error})", "what `data fetch` wrote; delete it to ask anew"
            ) from error

    def needed(self, series: Series, span: Span) -> list[Span]:
        """Return the parts of ``span`` of which neither a bar nor the venue's word is here."""
        return lacking(span, [*self.present(series), *self.asked(series)])

    def gaps(self, series: Series) -> list[Gap]:
        """Return the intervals that the bars of a series leave out between them."""
        step = series.timeframe_ms
        spans = self.present(series)
        return [
            Gap(before[1] - step, after[0], (after[0] - before[1]) // step)
            for before, after in pairwise(spans)
        ]

    @contextmanager
    def writing(self, series: Series) -> Iterator[SeriesWriter]:
        """Be the one who writes ``series``; raise ``StoreBusy`` if somebody else is."""
        folder = series.folder(self.root)
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreBusy(
                    f"{folder}: another process writes this series; expected to be the only one"
                ) from None
            yield SeriesWriter(self, series, folder)
        finally:
            os.close(descriptor)


class SeriesWriter:
    """The right to change one series; ends with the ``with`` block that gave it."""

    def __init__(self, store: BarStore, series: Series, folder: Path) -> None:
        """Write into ``folder``."""
        self.series = series
        self.folder = folder
        self._store = store

    def merge(self, bars: Iterable[Bar], *, newer_wins: bool) -> Merged:
        """
        Put ``bars``, in increasing time, among those of the store.

        Where both have one, and they differ, the store's stays unless ``newer_wins``. A part that
        would not change is not written.
        """
        total = Merged()
        for name, group in groupby(bars, lambda bar: self.series.part_of(bar.timestamp)):
            total += self._merge_part(self.folder / name, list(group), newer_wins=newer_wins)
        return total

    def _merge_part(self, path: Path, bars: Sequence[Bar], *, newer_wins: bool) -> Merged:
        step, symbol = self.series.timeframe_ms, self.series.symbol
        assert all(bar.timeframe_ms == step and bar.symbol == symbol for bar in bars)
        old = list(chain.from_iterable(read_part(path, self.series))) if path.exists() else []
        kept = {bar.timestamp: bar for bar in old}
        added = differing = 0
        for bar in bars:
            there = kept.get(bar.timestamp)
            if there is None:
                added += 1
            elif there != bar:
                differing += 1
                if not newer_wins:
                    continue
            kept[bar.timestamp] = bar
        if added or (differing and newer_wins):
            write_part(path, self.series, sorted(kept.values(), key=attrgetter("timestamp")))
        return Merged(added, len(bars) - added - differing, differing)

    def note_asked(self, span: Span) -> None:
        """Note that the venue has said all that it has of ``span``, and that this is here."""
        spans = joined([*self._store.asked(self.series), span])
        content = json.dumps({"asked": spans}).encode() + b"\n"
        replace_file(self.folder / ASKED, content)

    def prune(self, before: int) -> int:
        """Remove every bar that opens earlier than ``before``, and return how many there were."""
        removed = 0
        for part in parts_in(self.folder):
            times = timestamps_in(part)
            if not times or times[0] >= before:
                break
            if part_span(part)[1] <= before:
                removed += len(times)
                part.unlink()
                continue
            bars = list(chain.from_iterable(read_part(part, self.series)))
            first = bisect_left(bars, before, key=attrgetter("timestamp"))
            removed += first
            if first == len(bars):
                part.unlink()
            else:
                write_part(part, self.series, bars[first:])
        return removed


def series_below(root: Path) -> list[Series]:
    """Return every series with bars in a store, sorted."""
    if not root.is_dir():
        return []
    found = [
        series
        for folder in root.glob("*/*/*")
        if folder.is_dir() and parts_in(folder) and (series := series_of(folder)) is not None
    ]
    return sorted(found)
