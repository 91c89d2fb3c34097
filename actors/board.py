"""
The last price of every symbol: market data conflated to one value per key.

The feed actor writes it, everybody else reads it. It is what a mailbox of capacity one per
symbol would hold, without a message per reader and bar.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from messages import Bar, FundingRate, Quote


class Board:
    """
    Marks.

    ``last`` holds each symbol's newest closed bar; ``quotes`` and ``funding`` hold its newest
    quote and funding rate where a feed gives them.

    While a bar's open is being matched, the open is the newest price known and ``mark`` says
    so; afterwards it is the close. A mark is the exact decimal that the price's text stands for.
    """

    __slots__ = ("_cache", "_opening", "assumed", "funding", "last", "quotes")

    def __init__(self) -> None:
        """Start without prices."""
        self.last: dict[str, Bar] = {}
        self.quotes: dict[str, Quote] = {}
        self.funding: dict[str, FundingRate] = {}
        self.assumed: dict[str, Decimal] = {}
        """What positions are valued at that are held before their market was seen: adopted ones."""
        self._opening: dict[str, Bar] = {}
        self._cache: dict[str, tuple[float, Decimal]] = {}

    def opening(self, bars: Iterable[Bar]) -> None:
        """Let the opens of ``bars`` be the marks of their symbols until ``closed``."""
        self._opening = {bar.symbol: bar for bar in bars}

    def closed(self) -> None:
        """Let closes be the marks again."""
        self._opening = {}

    def price(self, symbol: str) -> float | None:
        """Return the newest price as observed, or ``None`` when there is none yet."""
        bar = self._opening.get(symbol)
        if bar is not None:
            return bar.open
        bar = self.last.get(symbol)
        return bar.close if bar is not None else None

    def mark(self, symbol: str) -> Decimal | None:
        """Return the newest price exactly, or ``None`` when there is none yet."""
        if self._opening:
            bar = self._opening.get(symbol)
            if bar is not None:
                return self.known(symbol)
        bar = self.last.get(symbol)
        if bar is None:
            return None
        cached = self._cache.get(symbol)
        if cached is not None and cached[0] == bar.close:
            return cached[1]
        return self.known(symbol)

    def known(self, symbol: str) -> Decimal:
        """Return the mark of a symbol that has traded or is held; anything else is a bug."""
        bar = self._opening.get(symbol)
        if bar is None and symbol not in self.last:
            return self.assumed[symbol]
        price = self.last[symbol].close if bar is None else bar.open
        cached = self._cache.get(symbol)
        if cached is not None and cached[0] == price:
            return cached[1]
        exact = Decimal(repr(price))
        self._cache[symbol] = (price, exact)
        return exact
