"""The market of a session on a live feed, as its journal has it: for a scenario of an incident."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from feeds.contract import Group
from messages import Bar, MarketBefore, MarketSeen, Quote, Tick
from state.journal import Entry


class MarketOnRecord:
    """
    The bars that a live feed brought, and before them what strategies warmed up with, in time.

    What they missed between two processes is left out: nobody acted upon it.
    """

    synthetic = False

    def __init__(self, entries: Iterable[Entry], timeframe_ms: int) -> None:
        """Read the bars of ``entries``."""
        self.timeframe_ms = timeframe_ms
        self._bars: dict[int, dict[str, Bar]] = {}
        knew = False
        for entry in entries:
            message = entry.message
            if isinstance(message, MarketSeen):
                self._take(bar for bar in message.seen if isinstance(bar, Bar))
            elif isinstance(message, MarketBefore) and not knew:
                knew = True
                self._take(message.bars)
        self.symbols = tuple(sorted({symbol for at in self._bars.values() for symbol in at}))

    def _take(self, bars: Iterable[Bar]) -> None:
        for bar in bars:
            self._bars.setdefault(bar.timestamp, {})[bar.symbol] = bar

    def groups(self) -> Iterator[Group]:
        """Yield the bars, grouped by timestamp."""
        for at in sorted(self._bars):
            yield tuple(self._bars[at][symbol] for symbol in sorted(self._bars[at]))

    def fingerprints(self) -> dict[str, str]:
        """Return nothing: the journal is the input."""
        return {}


def between_bars(entries: Iterable[Entry], start: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """
    Yield (entry, step) of every quote and trade that a live feed brought.

    The steps' times are from ``start``.
    """
    for entry in entries:
        if not isinstance(entry.message, MarketSeen):
            continue
        at = f"{entry.ts - start}ms"
        for seen in entry.message.seen:
            if isinstance(seen, Quote):
                sizes = {"bid_size": seen.bid_size, "ask_size": seen.ask_size}
                quote = {"symbol": seen.symbol, "bid": seen.bid, "ask": seen.ask, **sizes}
                yield entry.seq, {"at": at, "quote": quote}
            elif isinstance(seen, Tick):
                tick = {"symbol": seen.symbol, "price": seen.price, "size": seen.size}
                yield entry.seq, {"at": at, "tick": tick}
