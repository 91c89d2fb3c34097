"""
The anchor: a plain Python loop with a strategy object, float money, no events, no journal.

It says what the machine is worth today; ratios to it travel, bars per second do not.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque

from case import FAST, FEE, QUANTITY, SLOW, Case, Result, Stopwatch

Row = tuple[int, str, float, float]  # timestamp, symbol, open, close


class SmaCross:
    """Say at each close whether to be long; one symbol per instance."""

    __slots__ = ("bars", "fast", "slow", "window")

    def __init__(self) -> None:
        self.window: deque[float] = deque([0.0] * SLOW)
        self.bars = 0
        self.fast = 0.0
        self.slow = 0.0

    def on_bar(self, close: float) -> bool:
        """Return whether the fast average is above the slow one."""
        window = self.window
        window.append(close)
        fast = self.fast = self.fast + close - window[-FAST - 1]
        slow = self.slow = self.slow + close - window.popleft()
        self.bars += 1
        return self.bars >= SLOW and fast / FAST > slow / SLOW


def replay(rows: list[Row], symbols: list[str], cash: float) -> tuple[int, int, float]:
    """Return how many orders were made, how many of them filled, and the final equity."""
    strategies = {symbol: SmaCross() for symbol in symbols}
    held = dict.fromkeys(symbols, False)
    wanted = dict.fromkeys(symbols, False)
    last = dict.fromkeys(symbols, 0.0)
    fee = float(FEE)
    fills = 0
    for _, symbol, open_, close in rows:
        if wanted[symbol] is not held[symbol]:
            fills += 1
            buys = held[symbol] = wanted[symbol]
            cash -= (open_ if buys else -open_) * QUANTITY + open_ * QUANTITY * fee
        wanted[symbol] = strategies[symbol].on_bar(close)
        last[symbol] = close
    waiting = sum(1 for symbol in symbols if wanted[symbol] is not held[symbol])
    equity = cash + sum(last[symbol] * QUANTITY for symbol in symbols if held[symbol])
    return fills + waiting, fills, equity


def main() -> None:
    """Run the case that the command line names."""
    case = Case.from_arguments(sys.argv[1:])
    watch = Stopwatch()
    market = case.market()
    columns = (
        [(row[0], series.symbol, row[1], row[4]) for row in series.rows()] for series in market
    )
    rows: list[Row] = list(heapq.merge(*columns))
    symbols = [series.symbol for series in market]
    watch.loaded()
    orders, fills, equity = replay(rows, symbols, float(case.cash))
    watch.done()
    Result.of(
        case, watch, engine="bare Python loop", orders=orders, fills=fills, equity=equity
    ).print()


if __name__ == "__main__":
    main()
