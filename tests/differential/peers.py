"""
The same trades by other people's engines: backtesting.py and backtrader.

Each can be fed decisions (one per bar, made elsewhere), or make them itself from its own
floating-point averages; the latter also returns what it decided at every bar.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import backtesting
import backtrader
import pandas as pd
from reference import Row

FAST = 10
SLOW = 30
EPOCH_DAY = 719_163  # of 1970-01-01 in the proleptic ordinals that backtrader counts in
DAY_MS = 86_400_000

Wants = Sequence[bool | None]


@dataclass(frozen=True, slots=True)
class PeerTrade:
    """An execution as a peer tells it, in floats; a fee of None is told per round trip only."""

    timestamp: int
    side: str
    price: float
    quantity: int
    fee: float | None


@dataclass(frozen=True, slots=True)
class PeerOutcome:
    """A peer's executions, fees paid in all, last equity, and (own averages) its decisions."""

    trades: list[PeerTrade]
    fees: float
    equity: float
    decided: list[bool | None]


# -- backtesting.py


def run_backtesting(
    rows: Sequence[Row], wants: Wants | None, *, quantity: int, cash: int, fee_rate: float
) -> PeerOutcome:
    """Run backtesting.py on ``wants``, or on its own averages where that is None."""
    decided: list[bool | None] = [None] * len(rows)

    class Fed(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            if wants is None:
                close = self.data.Close
                self.fast = self.I(_rolling_mean, close, FAST)
                self.slow = self.I(_rolling_mean, close, SLOW)

        def next(self) -> None:
            now = len(self.data) - 1
            want = bool(self.fast[-1] > self.slow[-1]) if wants is None else wants[now]
            decided[now] = want
            if want is None or want == bool(self.position):
                return
            if want:
                self.buy(size=quantity)
            else:
                self.sell(size=quantity)

    frame = pd.DataFrame(
        {
            "Open": [float(row.open) for row in rows],
            "High": [float(row.high) for row in rows],
            "Low": [float(row.low) for row in rows],
            "Close": [float(row.close) for row in rows],
            "Volume": [float(row.volume) for row in rows],
        },
        index=pd.to_datetime([row.timestamp for row in rows], unit="ms"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of open trades at the end, which is what we ask for
        stats = backtesting.Backtest(
            frame,
            Fed,
            cash=cash,
            commission=fee_rate,
            trade_on_close=False,
            hedging=False,
            exclusive_orders=False,
            finalize_trades=False,
        ).run()
    return _backtesting_outcome(rows, stats, fee_rate, decided)


def _rolling_mean(values: Any, period: int) -> Any:
    return pd.Series(values).rolling(period).mean()


def _backtesting_outcome(
    rows: Sequence[Row], stats: Any, fee_rate: float, decided: list[bool | None]
) -> PeerOutcome:
    trades: list[PeerTrade] = []
    fees = 0.0
    for closed in stats["_trades"].itertuples():
        fees += closed.Commission
        size = int(closed.Size)
        entered, left = rows[closed.EntryBar].timestamp, rows[closed.ExitBar].timestamp
        trades.append(PeerTrade(entered, "buy", float(closed.EntryPrice), size, None))
        trades.append(PeerTrade(left, "sell", float(closed.ExitPrice), size, None))
    for still_open in stats["_strategy"].trades:
        at = rows[still_open.entry_bar].timestamp
        price, size = float(still_open.entry_price), int(still_open.size)
        fees += price * size * fee_rate  # it books this one at the exit only, but has paid it
        trades.append(PeerTrade(at, "buy", price, size, None))
    # A position is closed before the next one opens, so time and side order them fully.
    trades.sort(key=lambda trade: (trade.timestamp, trade.side == "buy"))
    return PeerOutcome(trades, fees, float(stats["_equity_curve"]["Equity"].iloc[-1]), decided)


# -- backtrader


class _Rows(backtrader.feed.DataBase):  # type: ignore[misc]
    """A data feed over bars in memory."""

    params = (("rows", ()),)

    def start(self) -> None:
        super().start()
        self._left: Iterator[Row] = iter(self.p.rows)

    def _load(self) -> bool:
        row = next(self._left, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0] = EPOCH_DAY + row.timestamp / DAY_MS
        lines.open[0], lines.high[0] = float(row.open), float(row.high)
        lines.low[0], lines.close[0] = float(row.low), float(row.close)
        lines.volume[0] = float(row.volume)
        return True


class _Follow(backtrader.Strategy):  # type: ignore[misc]
    """Order where what is wanted differs from what is held."""

    params = (("wants", None), ("rows", ()), ("quantity", 1), ("trades", None), ("decided", None))

    def __init__(self) -> None:
        if self.p.wants is None:
            self.fast = backtrader.ind.SMA(self.data.close, period=FAST)
            self.slow = backtrader.ind.SMA(self.data.close, period=SLOW)

    def notify_order(self, order: Any) -> None:
        # Told at the bar of the execution, before `next`.
        assert order.status not in (order.Margin, order.Rejected, order.Canceled, order.Expired)
        if order.status == order.Completed:
            done = order.executed
            side = "buy" if order.isbuy() else "sell"
            at = self.p.rows[len(self) - 1].timestamp
            self.p.trades.append(PeerTrade(at, side, done.price, abs(int(done.size)), done.comm))

    def next(self) -> None:
        now = len(self) - 1
        want = self.fast[0] > self.slow[0] if self.p.wants is None else self.p.wants[now]
        self.p.decided[now] = want
        if want is None or want == bool(self.position.size):
            return
        if want:
            self.buy(size=self.p.quantity)
        else:
            self.sell(size=self.p.quantity)


def run_backtrader(
    rows: Sequence[Row], wants: Wants | None, *, quantity: int, cash: int, fee_rate: float
) -> PeerOutcome:
    """Run backtrader on ``wants``, or on its own averages where that is None."""
    trades: list[PeerTrade] = []
    decided: list[bool | None] = [None] * len(rows)
    cerebro: Any = backtrader.Cerebro(stdstats=False)
    cerebro.broker.setcash(float(cash))
    cerebro.broker.setcommission(commission=fee_rate)
    cerebro.adddata(_Rows(rows=rows))
    cerebro.addstrategy(
        _Follow, wants=wants, rows=rows, quantity=quantity, trades=trades, decided=decided
    )
    cerebro.run()
    fees = sum(trade.fee or 0.0 for trade in trades)
    return PeerOutcome(trades, fees, float(cerebro.broker.getvalue()), decided)


PEERS = {"backtesting.py": run_backtesting, "backtrader": run_backtrader}
