"""A venue's history into the store: only what is lacking, page by page, to be stopped anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from feeds.errors import FeedError
from feeds.history import History, Page
from feeds.quarantine import Quarantine
from feeds.rows import Gate
from feeds.store.layout import Series
from feeds.store.spans import Span
from feeds.store.store import BarStore, Merged, SeriesWriter
from feeds.timeline import Gap, iso
from messages import Bar

FLUSH_BARS: Final = 10_000
"""Bars held in memory before they are merged: each merge writes a month anew."""


SAME_FACTOR: Final = 1e-5
"""How alike the factors of a bar's four prices are if all were divided by one number."""

REBASED: Final = 1e-4
"""The least change of a price that is one: floats of a venue differ in their seventh digit."""


class Rebased(FeedError):
    """The venue has divided its prices since: what is in the store is in another unit."""


@dataclass(slots=True)
class Fetched:
    """
    What a fetch came to.

    ``until`` is up to where everything is here, ``bars`` how many came; ``revised`` counts bars of
    the store that the venue has changed since, and ``bad_rows`` rows of the venue that are no bars.
    """

    series: Series
    span: Span
    until: int
    pages: int = 0
    bars: int = 0
    merged: Merged = field(default_factory=Merged)
    bad_rows: int = 0
    gaps: tuple[Gap, ...] = ()

    @property
    def revised(self) -> int:
        """Return the number of bars that were here with other figures."""
        return self.merged.differing


async def fetch(
    history: History,
    store: BarStore,
    series: Series,
    span: Span,
    *,
    max_bad_rows: int = 0,
    on_progress: Callable[[int], None] = lambda _bars: None,
) -> Fetched:
    """
    Bring what the store lacks of ``span`` from the venue; what is there is not fetched again.

    One bar before each missing part is asked for once more: the newest bar of an earlier fetch is
    the one that a venue revises. The store holds all that had come when this returns, raises or is
    cancelled. Raises ``StoreBusy``, ``VenueTrouble``, ``VenueRefused``, ``BadInput`` for one bad
    row more than ``max_bad_rows``, or ``Rebased``, the store as it was, where that bar's prices
    have all changed by one factor: a split, or a dividend where prices are adjusted for those.
    """
    fetched = Fetched(series, span, span[0])
    with store.writing(series) as writer:
        taking = _Taking(store, writer, fetched, Quarantine(max_bad_rows))
        try:
            for start, end in store.needed(series, span):
                await _fetch_part(history, taking, start, end, on_progress)
        finally:
            taking.flush()
    still = store.needed(series, span)
    fetched.until = still[0][0] if still else span[1]
    fetched.gaps = tuple(
        gap for gap in store.gaps(series) if span[0] <= gap.before and gap.after < span[1]
    )
    return fetched


async def _fetch_part(
    history: History, taking: _Taking, start: int, end: int, on_progress: Callable[[int], None]
) -> None:
    series = taking.fetched.series
    step = series.timeframe_ms
    since = start - step if taking.has(start - step) else start
    first = since
    while since < end:
        page = await history.page(series.symbol, step, since, end)
        if since == first < start:
            taking.refuse_rebased(page, since)
        taking.take(page, first)
        on_progress(taking.fetched.bars)
        if page.is_last:
            return
        # The last bar of a page once more: its later word counts, if the venue has one.
        since = max(page.until - step, since + step)


class _Taking:
    """Pages on their way into the store."""

    def __init__(
        self, store: BarStore, writer: SeriesWriter, fetched: Fetched, quarantine: Quarantine
    ) -> None:
        self.fetched = fetched
        self._store = store
        self._writer = writer
        self._quarantine = quarantine
        self._waiting: list[Bar] = []
        self._proved: Span | None = None
        self._present = store.present(writer.series)

    def has(self, timestamp: int) -> bool:
        """Return whether the store had the bar that opens at ``timestamp``."""
        return any(start <= timestamp < end for start, end in self._present)

    def refuse_rebased(self, page: Page, at: int) -> None:
        """Raise ``Rebased`` if the bar that is here has been divided by something since."""
        series = self.fetched.series
        here = next(self._store.bars(series, (at, at + series.timeframe_ms)))
        there = next((row for row in page.rows if row[0] == at), None)
        if there is None:
            return
        prices = (here.open, here.high, here.low, here.close)
        factors = [new / old for new, old in zip(there[1:5], prices, strict=True)]
        if max(factors) - min(factors) > SAME_FACTOR or abs(factors[0] - 1.0) < REBASED:
            return
        raise Rebased(
            f"{series}: the venue has {factors[0]:.6g} times the prices that are here for "
            f"{iso(at)}: a split or a dividend since; remove {series.folder(self._store.root)} "
            "and fetch it anew"
        )

    def take(self, page: Page, first: int) -> None:
        """Take in a page of the part that begins at ``first``."""
        series = self.fetched.series
        # A gate of its own: pages overlap, and the venue may repeat a bar on the next one.
        gate = Gate(str(series), series.symbol, series.timeframe_ms, self._quarantine)
        rows = (
            (row_number, row, str(row))
            for row_number, row in enumerate(page.rows, self.fetched.bars + 1)
        )
        good = gate.admit_each(rows)
        self.fetched.pages += 1
        self.fetched.bad_rows += sum(gate.flaws.values())
        self.fetched.bars += len(good)
        self._waiting += good
        if page.proves:
            self._proved = (first, page.until)
        if page.is_last or len(self._waiting) >= FLUSH_BARS:
            self.flush()

    def flush(self) -> None:
        """Put what waits into the store, then what it proves."""
        if self._waiting:
            self.fetched.merged += self._writer.merge(self._waiting, newer_wins=True)
            self._waiting = []
        if self._proved is not None:
            self._writer.note_asked(self._proved)
            self._proved = None
