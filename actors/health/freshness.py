"""
Freshness: how old the data of each symbol is, and when that is too old.

A bar is due one time frame after the last one closed. A symbol is stale when a bar has been due
for longer than ``stale_after_ms``; one that never had a bar was due its first when the session's
first interval ended. Nothing happens per bar: one timer stands at the first moment at which
anything could become stale, and is set anew when it fires and when a bar has ended a staleness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from messages import Bar


def overdue(
    symbols: Iterable[str],
    last: Mapping[str, Bar],
    timeframe_ms: int,
    start_at: int,
    now: int,
) -> dict[str, int]:
    """
    Return for each symbol how long (ms) its next bar has been due at ``now``.

    Negative while it is not due yet. ``last`` holds the newest closed bars, ``start_at`` is when
    the session began.
    """
    return {symbol: now - due_at(last.get(symbol), timeframe_ms, start_at) for symbol in symbols}


def due_at(bar: Bar | None, timeframe_ms: int, start_at: int) -> int:
    """Return when the bar after ``bar`` closes, or the first one of a symbol that had none."""
    if bar is None:
        return start_at + timeframe_ms
    return bar.timestamp + 2 * timeframe_ms  # it closed one after its open, the next one later


@dataclass(frozen=True, slots=True)
class Overdue:
    """A symbol that has become stale: its bar was due ``overdue_ms`` ago."""

    symbol: str
    overdue_ms: int


class Freshness:
    """
    The age of every symbol's data.

    ``stale`` holds each stale symbol with the time since when it is: always the same object, to
    be kept and looked into, empty while all is well. ``last`` is somebody else's newest bars.
    """

    __slots__ = ("_last", "stale", "stale_after_ms", "start_at", "symbols", "timeframe_ms")

    def __init__(
        self,
        symbols: Sequence[str],
        timeframe_ms: int,
        stale_after_ms: int,
        last: Mapping[str, Bar],
        start_at: int,
    ) -> None:
        """Watch ``symbols`` from ``start_at`` on."""
        self.symbols = tuple(symbols)
        self.timeframe_ms = timeframe_ms
        self.stale_after_ms = stale_after_ms
        self.start_at = start_at
        self._last = last
        self.stale: dict[str, int] = {}

    @property
    def silent(self) -> bool:
        """Return whether nothing at all comes: every symbol is stale."""
        return len(self.stale) == len(self.symbols) > 0

    def stale_market_data(self, symbol: str, now: int) -> bool:
        """Return whether the data of ``symbol`` is too old at this very moment."""
        ages = overdue((symbol,), self._last, self.timeframe_ms, self.start_at, now)
        return ages[symbol] > self.stale_after_ms

    def check(self, now: int) -> list[Overdue]:
        """Return, and remember, what has become stale by ``now``."""
        found = []
        ages = overdue(self.symbols, self._last, self.timeframe_ms, self.start_at, now)
        for symbol, overdue_ms in ages.items():
            if overdue_ms > self.stale_after_ms and symbol not in self.stale:
                self.stale[symbol] = now
                found.append(Overdue(symbol, overdue_ms))
        return found

    def overdue_ms(self, now: int) -> int:
        """Return how long the most recent of all bars that are due has been so."""
        ages = overdue(self.symbols, self._last, self.timeframe_ms, self.start_at, now)
        return min(ages.values(), default=0)

    def reopen(self, symbol: str, now: int) -> bool:
        """Take over a symbol that was stale in an earlier session; return whether it is ours."""
        if symbol not in self.symbols:
            return False
        self.stale.setdefault(symbol, now)
        return True

    def fresh(self, group: Iterable[Bar], now: int) -> list[tuple[Bar, int]]:
        """
        Return the bars of stale symbols with the time (ms) that those were stale, and end it.

        A bar that comes so late that the one after it is overdue as well ends nothing: what a feed
        makes good after a silence is as old as when it was missed.
        """
        stale = self.stale
        ends = [
            bar
            for bar in group
            if bar.symbol in stale
            and now - due_at(bar, self.timeframe_ms, self.start_at) <= self.stale_after_ms
        ]
        return [(bar, now - stale.pop(bar.symbol)) for bar in ends]

    def next_check(self, now: int, group: Iterable[Bar] = ()) -> int:
        """
        Return the first moment after ``now`` at which anything could become stale.

        What is stale now cannot be so again before a bar has come and the next one is overdue: a
        bar that ends it may be late itself, so this is asked again then, with the ``group`` that
        has come and is not among the newest bars yet. While nothing at all comes, that is said
        again after each further ``stale_after_ms``.
        """
        come = {bar.symbol: bar for bar in group}
        dues = [
            due_at(come.get(symbol, self._last.get(symbol)), self.timeframe_ms, self.start_at)
            for symbol in self.symbols
            if symbol not in self.stale
        ]
        if not dues:
            return now + self.stale_after_ms
        return max(min(dues) + self.stale_after_ms, now) + 1
