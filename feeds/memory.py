"""Bars that are in memory already: for tests and for benchmarks that leave loading out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from feeds.contract import Group
from feeds.merge import group_by_time
from messages import Bar


class MemoryFeed:
    """
    Replay given bars; all the work is done when it is made, none while it is read.

    ``bars_by_symbol`` must hold bars of the symbol they stand under, of one time frame, in
    strictly increasing time; anything else is a programmer's error.
    """

    def __init__(
        self, bars_by_symbol: Mapping[str, Sequence[Bar]], *, synthetic: bool = False
    ) -> None:
        """Check and group the bars."""
        timeframes = {bar.timeframe_ms for bars in bars_by_symbol.values() for bar in bars}
        assert len(timeframes) == 1, "a feed has bars, all of one time frame"
        for symbol, bars in bars_by_symbol.items():
            assert all(bar.symbol == symbol for bar in bars), f"a bar is not of {symbol}"
            assert all(a.timestamp < b.timestamp for a, b in pairwise(bars)), (
                f"the bars of {symbol} are not in strictly increasing time"
            )
        self.symbols = tuple(sorted(bars_by_symbol))
        self.timeframe_ms = timeframes.pop()
        self.synthetic = synthetic
        self._groups = group_by_time([bars_by_symbol[symbol] for symbol in self.symbols])

    def groups(self) -> Iterator[Group]:
        """Yield the bars, grouped by timestamp."""
        return iter(self._groups)

    def fingerprints(self) -> dict[str, str]:
        """Return a hash of the bars' content under the name ``memory``."""
        digest = hashlib.sha256()
        for group in self._groups:
            digest.update(msgspec.json.encode(group))
        return {"memory": digest.hexdigest()}
