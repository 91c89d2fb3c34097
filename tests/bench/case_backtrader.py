"""
backtrader on the benchmark's work: indicators vectorised (runonce), no observers, no writers.

Its data lines are filled inside ``Cerebro.run``; the clock starts after that, when the
strategy is made. Orders are market orders, executed at the next bar's open.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import backtrader as bt
from case import FAST, FEE, QUANTITY, SLOW, Case, Result, Stopwatch
from walk import Series

EPOCH_DAY = 719_163  # of 1970-01-01 in the proleptic ordinals that backtrader counts in
DAY_MS = 86_400_000


class Columns(bt.feed.DataBase):  # type: ignore[misc]
    """A data feed over columns that are in memory already."""

    params = (("series", None),)

    def start(self) -> None:
        """Begin at the first bar."""
        super().start()
        self._rows: Iterator[tuple[int, float, float, float, float, float]] = self.p.series.rows()

    def _load(self) -> bool:
        row = next(self._rows, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0] = EPOCH_DAY + row[0] / DAY_MS
        lines.open[0], lines.high[0], lines.low[0], lines.close[0], lines.volume[0] = row[1:]
        return True


class SmaCross(bt.Strategy):  # type: ignore[misc]
    """Long exactly when the fast average is above the slow one, on every data feed."""

    params = (("watch", None),)

    def __init__(self) -> None:
        """Declare the averages; the lines are loaded by now, so the clock starts here."""
        self.p.watch.first_bar()
        self.books = [
            (data, bt.ind.SMA(data.close, period=FAST), bt.ind.SMA(data.close, period=SLOW))
            for data in self.datas
        ]
        self.long = dict.fromkeys(self.datas, False)

    def next(self) -> None:
        """Order where what is wanted differs from what was last asked for."""
        long = self.long
        for data, fast, slow in self.books:
            want = fast[0] > slow[0]
            if want is not long[data]:
                long[data] = want
                if want:
                    self.buy(data=data, size=QUANTITY)
                else:
                    self.sell(data=data, size=QUANTITY)


def main() -> None:
    """Run the case that the command line names."""
    case = Case.from_arguments(sys.argv[1:])
    watch = Stopwatch()
    cerebro: Any = bt.Cerebro(stdstats=False, preload=True, runonce=True)
    cerebro.broker.setcash(float(case.cash))
    cerebro.broker.setcommission(commission=float(FEE))
    market: list[Series] = case.market()
    for series in market:
        cerebro.adddata(Columns(series=series), name=series.symbol)
    cerebro.addstrategy(SmaCross, watch=watch)
    watch.loaded()
    cerebro.run()
    watch.done()
    orders = cerebro.broker.orders
    Result.of(
        case,
        watch,
        engine=f"backtrader {bt.__version__}",
        orders=len(orders),
        fills=sum(1 for order in orders if order.status == order.Completed),
        equity=cerebro.broker.getvalue(),
    ).print()


if __name__ == "__main__":
    main()
