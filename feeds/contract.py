"""What a feed is to the rest of the house: closed bars in order, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from messages import Bar

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
