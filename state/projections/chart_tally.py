"""Prices and fills for the charts, bounded by symbol and in number of symbols."""

from __future__ import annotations

from decimal import Decimal
from heapq import merge
from operator import itemgetter

from messages import Fill, MarketSampled, Side
from state.money import plain
from state.projections.limits import CHART_SYMBOLS_MAX, FILL_MARKERS_MAX
from state.projections.series import BoundedSeries, ThinnedList
from state.projections.summary import FillMark, SymbolChart

_BUY = Side.BUY


_Fill = tuple[int, Decimal, Side, Decimal, str]
"""What a mark is made of, at the end: most marks are thinned out before."""


class _Symbol:
    """What is drawn of one symbol."""

    __slots__ = ("buys", "prices", "sells")

    def __init__(self) -> None:
        self.prices: BoundedSeries[float] = BoundedSeries()
        # Apart, because they alternate: every second fill of them all could be a buy.
        self.buys: ThinnedList[_Fill] = ThinnedList(FILL_MARKERS_MAX)
        self.sells: ThinnedList[_Fill] = ThinnedList(FILL_MARKERS_MAX)


class ChartTally:
    """
    Collect what the price charts show of each symbol, for the first symbols that come.

    Symbols that trade come before those that are only sampled: fills are seen as they happen,
    prices are sampled late.
    """

    __slots__ = ("_symbols",)

    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol | None] = {}

    def on_fill(self, fill: Fill) -> None:
        """Mark a fill, if it is one of those shown."""
        symbol = self._symbols.get(fill.symbol) or self._new(fill.symbol)
        if symbol is not None:
            fills = symbol.buys if fill.side is _BUY else symbol.sells
            if fills.wants_next():
                fills.append((fill.timestamp, fill.price, fill.side, fill.quantity, fill.strategy))

    def on_prices(self, sampled: MarketSampled) -> None:
        """Take a sample of closes: it continues the one before or begins anew."""
        symbol = self._symbols.get(sampled.symbol) or self._new(sampled.symbol)
        if symbol is not None:
            symbol.prices.extend(sampled.points)

    def results(self) -> tuple[SymbolChart, ...]:
        """Return one chart a symbol, sorted by symbol."""
        return tuple(
            SymbolChart(
                name,
                tuple(symbol.prices.points),
                tuple(map(_mark, merge(symbol.buys.items, symbol.sells.items, key=itemgetter(0)))),
                symbol.buys.count + symbol.sells.count,
            )
            for name, symbol in sorted(self._symbols.items(), key=lambda item: item[0])
            if symbol is not None
        )

    @property
    def symbols_seen(self) -> int:
        """Return how many symbols had a fill or a sample, charted or not."""
        return len(self._symbols)

    def _new(self, name: str) -> _Symbol | None:
        if name not in self._symbols:
            room = len(self._symbols) < CHART_SYMBOLS_MAX
            self._symbols[name] = _Symbol() if room else None
        return self._symbols[name]


def _mark(fill: _Fill) -> FillMark:
    at, price, side, quantity, strategy = fill
    return FillMark(at, float(price), 1 if side is _BUY else 0, plain(quantity), strategy)
