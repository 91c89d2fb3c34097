"""What a session has seen of the market, kept in its folder: written at a distance, and pruned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from feeds.store.layout import Series
from feeds.store.store import BarStore
from messages import Bar

SPACING_MS_MIN: Final = 300_000
"""Bars are written this far apart at least: each write makes a month's file anew."""

WAITING_MAX: Final = 100_000
"""Bars that wait for a disk; past this the oldest are let go, counted."""


class Capture:
    """
    Keep the bars of one venue and time frame in ``store``.

    They are to be written when the newest is ``spacing_ms`` past the last write (the time frame's
    length if that is longer), and what is older than ``keep_ms`` is pruned then; 0 keeps
    everything. A bar that waits is lost with the process: the venue has it still. Who drives this
    takes a batch with ``cut``, writes it where it holds up nobody, and gives it back to ``take`` if
    that fails.
    """

    def __init__(
        self,
        store: BarStore,
        venue: str,
        timeframe_ms: int,
        *,
        spacing_ms: int = SPACING_MS_MIN,
        keep_ms: int = 0,
    ) -> None:
        """Start with nothing waiting."""
        self.store = store
        self.spacing_ms = max(spacing_ms, timeframe_ms)
        self.keep_ms = keep_ms
        self.dropped = 0
        self.pruned = 0
        self._venue = venue
        self._timeframe_ms = timeframe_ms
        self._waiting: dict[str, list[Bar]] = {}
        self._waiting_count = 0
        self._written_at: int | None = None
        self._newest = 0

    def take(self, bars: Iterable[Bar]) -> None:
        """Take in closed bars."""
        for bar in bars:
            waiting = self._waiting.setdefault(bar.symbol, [])
            waiting.append(bar)
            self._waiting_count += 1
            self._newest = max(self._newest, bar.timestamp)
            if self._written_at is None:
                self._written_at = bar.timestamp
            if self._waiting_count > WAITING_MAX:
                del waiting[0]
                self._waiting_count -= 1
                self.dropped += 1

    @property
    def is_due(self) -> bool:
        """Return whether enough time of the market has passed since the last write."""
        return self._written_at is not None and (self._newest - self._written_at >= self.spacing_ms)

    def cut(self) -> list[Bar]:
        """Return what waits, as no longer waiting."""
        batch = [bar for symbol in sorted(self._waiting) for bar in self._waiting[symbol]]
        self._waiting.clear()
        self._waiting_count = 0
        self._written_at = self._newest if batch else self._written_at
        return batch

    def write(self, batch: Sequence[Bar]) -> None:
        """Write what was cut, and prune: for a thread beside the event loop."""
        before = self._newest - self.keep_ms
        for symbol, bars in groupby(batch, attrgetter("symbol")):
            series = Series(self._venue, symbol, self._timeframe_ms)
            with self.store.writing(series) as writer:
                writer.merge(sorted(bars, key=attrgetter("timestamp")), newer_wins=True)
                if self.keep_ms:
                    self.pruned += writer.prune(before)
