"""Files of bars into the store: judged row by row as replay judges them, then all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from feeds.errors import FeedSettingError
from feeds.file import FileFeed
from feeds.report import FileReport
from feeds.sources import FIXTURE_PREFIX, split_symbol
from feeds.store.layout import Series
from feeds.store.store import BarStore, Merged
from feeds.timeline import Gap
from messages import Bar

CHUNK_BARS = 50_000
"""Bars merged at a time: more than a month of minutes, so that a part is written once or twice."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One file's way into the store: what was in it, what came of it, what the series lacks now."""

    report: FileReport
    series: Series
    folder: Path
    merged: Merged
    gaps: tuple[Gap, ...]


def import_file(
    store: BarStore,
    file: str,
    *,
    venue: str,
    symbol: str | None = None,
    timeframe: str | None = None,
    max_bad_rows: int = 0,
    quarantine_path: Path | None = None,
    replace: bool = False,
) -> Imported:
    """
    Merge the bars of ``file`` (``FILE[@SYMBOL]``) into their series.

    The file is read to its end before anything is written: one that is refused (``BadInput``)
    changes nothing. Where the store has other figures for a bar, those stay unless ``replace``.
    """
    if symbol is None and split_symbol(file)[1] is None and not file.startswith(FIXTURE_PREFIX):
        raise FeedSettingError(f"{file} has no symbol; expected FILE@SYMBOL, or --symbol for all")
    feed = FileFeed(
        [file],
        symbol=symbol,
        timeframe=timeframe,
        max_bad_rows=max_bad_rows,
        quarantine_path=quarantine_path,
    )
    for _ in feed.groups():
        continue  # the first reading is for what is wrong with it, and writes the quarantine
    series = Series(venue, feed.symbols[0], feed.timeframe_ms)
    with store.writing(series) as writer:
        merged = Merged()
        for bars in _chunks(chain.from_iterable(feed.groups()), CHUNK_BARS):
            merged += writer.merge(bars, newer_wins=replace)
    gaps = tuple(store.gaps(series))
    return Imported(feed.report().files[0], series, series.folder(store.root), merged, gaps)


def _chunks(bars: Iterable[Bar], size: int) -> Iterator[list[Bar]]:
    rest = iter(bars)
    while chunk := list(islice(rest, size)):
        yield chunk
