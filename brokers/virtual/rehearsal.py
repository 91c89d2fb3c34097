"""
The market that a session shows its virtual venue, so that both live in the same one.

Each piece has a number and is shown until the venue says that it has it; the venue takes each
number once. A piece knows which orders were handed over before it, for those must meet it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import anyio

from brokers.shown import EverySymbol
from brokers.virtual.wire import MarketData, Shown

MARKET_MAX: Final = 100_000
"""Most pieces that wait to be shown; one more ends the rehearsal."""

BATCH_MAX: Final = 500
"""Most pieces in one request."""


class Rehearsal:
    """
    What of the market is still to be shown; nothing ever, without a ``source``.

    ``source`` names whose market it is: the venue keeps numbers apart by it.
    """

    def __init__(self, source: str) -> None:
        """Begin at number 1."""
        self.source = source
        self.working: Mapping[str, object] = EverySymbol() if source else {}
        self._pieces: list[MarketData] = []
        self._barriers: list[int] = []
        self.shown = 0
        """How many pieces the venue is known to have."""
        self._came = anyio.Event()

    def __len__(self) -> int:
        """Return how many pieces the venue is not known to have."""
        return len(self._pieces)

    def show(self, piece: MarketData, handed_over: int) -> None:
        """Have a piece shown after the orders up to number ``handed_over``."""
        if not self.source:
            return
        assert len(self._pieces) < MARKET_MAX, "the venue does not keep up with its market"
        self._pieces.append(piece)
        self._barriers.append(handed_over)
        self._came.set()

    async def some(self) -> None:
        """Return when there is something to show."""
        if not self._pieces:
            self._came = anyio.Event()
            await self._came.wait()

    @property
    def barrier(self) -> int:
        """Return which order the next piece comes after."""
        return self._barriers[0]

    def batch(self) -> Shown:
        """Return the next pieces between the same orders."""
        count = 1
        most = min(len(self._pieces), BATCH_MAX)
        while count < most and self._barriers[count] == self._barriers[0]:
            count += 1
        return Shown(self.source, self.shown + 1, tuple(self._pieces[:count]))

    def taken(self, count: int) -> None:
        """Note that the venue has the next ``count`` pieces."""
        del self._pieces[:count], self._barriers[:count]
        self.shown += count
