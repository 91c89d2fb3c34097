"""
The order of the news: each item once, in the venue's own order, whatever the line does to it.

Pure. Items come in any number of copies, in any order, with gaps; item n + 1 is released after
item n and never otherwise. What comes too early waits for what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from brokers.virtual.wire import NewsItem
from messages import VenueReport

EARLY_ITEMS_MAX: Final = 10_000
"""Most items that wait for a missing one; more are dropped, and asked for again later."""


@dataclass(slots=True)
class NewsStream:
    """
    Where the news of one account has come to.

    ``taken`` is the number of the last item released, ``known`` the highest number that the venue
    is known to have reached: where they differ, news is missing.
    """

    taken: int = 0
    known: int = 0
    repeated: int = 0
    """Items that came again, counted."""
    refilled: int = 0
    """Fills whose trade had been told before under another number: a venue's fault, counted."""
    _early: dict[int, NewsItem] = field(default_factory=dict)
    _trades: set[str] = field(default_factory=set)

    def start_after(self, seq: int) -> None:
        """Begin after item ``seq``: earlier ones are another session's."""
        assert not self.taken, "only at the beginning"
        self.taken = self.known = seq

    def take(self, items: Iterable[NewsItem]) -> list[VenueReport]:
        """Return the reports that are due now, in order."""
        due: list[VenueReport] = []
        for item in items:
            self.known = max(self.known, item.seq)
            if item.seq <= self.taken or item.seq in self._early:
                self.repeated += 1
            elif item.seq > self.taken + 1:
                if len(self._early) < EARLY_ITEMS_MAX:
                    self._early[item.seq] = item
            else:
                self._release(item, due)
        return due

    def _release(self, item: NewsItem | None, due: list[VenueReport]) -> None:
        while item is not None:
            self.taken = item.seq
            fill = item.report.fill
            if fill is not None and fill.trade_id in self._trades:
                self.refilled += 1
            else:
                if fill is not None:
                    self._trades.add(fill.trade_id)
                due.append(item.report)
            item = self._early.pop(self.taken + 1, None)

    def note(self, seq: int) -> None:
        """Note how far the venue has come by its own word."""
        self.known = max(self.known, seq)

    @property
    def is_whole(self) -> bool:
        """Return whether nothing that the venue is known to have said is missing."""
        return self.taken >= self.known
