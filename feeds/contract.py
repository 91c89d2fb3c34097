"""What a feed is to the rest of the house: closed bars in order, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from messages import Bar, Quote, Tick

Group = Sequence[Bar]
"""Bars of one timestamp, one per symbol at most, sorted by symbol."""


class BarFeed(Protocol):
    """
    A source of history.

    ``groups`` yields strictly increasing timestamps and reads its source as it goes: memory
    does not grow with its length. ``symbols`` and ``timeframe_ms`` are known before it starts.
    ``fingerprints`` name the inputs by content (``file name@symbol`` -> sha256, or for a synthetic
    market what it is a function of).
    """

    symbols: tuple[str, ...]
    timeframe_ms: int
    synthetic: bool

    def groups(self) -> Iterator[Group]:
        """Yield the bars, grouped by timestamp."""

    def fingerprints(self) -> dict[str, str]:
        """Return what identifies the input."""


Arrival = Group | Quote | Tick
"""What a live feed brings: the closed bars of one moment, or what comes between bars."""


@runtime_checkable
class LiveFeed(BarFeed, Protocol):
    """
    A source of what happens now.

    ``connect`` comes first and ``close`` last; ``run`` goes on between them, beside whoever takes.
    Nothing is handed over within a call: what has arrived waits for ``take``, which never waits.
    Bars are closed, each is given once, and in increasing time for each symbol; a symbol that is
    late has a group of its own, which may be earlier than the one before it. ``groups`` yields what
    was before that: for indicators, not to be acted upon.
    """

    speed: float
    """How many seconds of the source's time pass in a real one: more than one in a rehearsal."""

    wake: Callable[[], object]
    """Called when something may have arrived: for a driver that waits."""

    def keep_in(self, folder: Path) -> None:
        """Keep what is seen of the market below ``folder``; before ``connect``."""

    async def connect(self, after: int | None = None) -> int:
        """
        Find the source, load what was before, and return the source's time, int ms UTC.

        What was before goes back to the bar that opened at ``after``, that one not included, or
        without it as far as indicators need. Raises ``FeedError`` with nothing left open.
        """

    async def run(self) -> None:
        """Listen, until cancelled."""

    def take(self) -> Arrival | None:
        """Return what has arrived next, or None."""

    def reconnect(self) -> None:
        """Let ``run`` dial anew, because what should have come has not; nothing unless it runs."""

    async def close(self) -> None:
        """Close the connections, and write what is kept."""
