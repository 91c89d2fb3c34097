"""
NautilusTrader 2 (Rust core) on the benchmark's work; runs in an environment of its own.

Set up as fast as we found it to go without taking work away from it: bars prebuilt and
presorted, logging bypassed, no analysis, no equity curve, no bar history, no message queue in
the venue, one strategy instance per symbol, each with an incremental SMA in Python and its
own idea of its position. Its risk engine stays on, as ours does. The clock runs over
``BacktestEngine.run`` alone. It writes no artifact.
"""

from __future__ import annotations

import sys
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import nautilus_trader
from case import FAST, FEE, QUANTITY, SLOW, Case, Result, Stopwatch
from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import CacheConfig, LoggerConfig
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import (
    AccountType,
    Bar,
    BarType,
    Currency,
    Equity,
    InstrumentId,
    Money,
    OmsType,
    OrderSide,
    Price,
    Quantity,
    Symbol,
    Venue,
)
from nautilus_trader.portfolio import PortfolioConfig
from nautilus_trader.trading import Strategy, StrategyConfig

if TYPE_CHECKING:
    from walk import Series

USD = Currency.from_str("USD")
VENUE = Venue("SIM")
MS = 1_000_000  # nanoseconds


class SmaCross(Strategy):  # type: ignore[misc]
    """Long exactly when the fast average is above the slow one; one symbol per instance."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # The compiled base takes its configuration at construction and nothing else.
        made: Self = super().__new__(cls, kwargs.get("config"))
        return made

    def __init__(self, config: Any, bar_type: Any) -> None:
        super().__init__(config)
        self.bar_type = bar_type
        self.instrument_id = bar_type.instrument_id
        self.quantity = Quantity.from_int(QUANTITY)
        self.window: deque[float] = deque([0.0] * SLOW)
        self.bars = 0
        self.fast = 0.0
        self.slow = 0.0
        self.long = False
        self.sent = 0

    def on_start(self) -> None:
        self.make_market_order = self.order_factory.market
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar: Any) -> None:
        close = bar.close.as_double()
        window = self.window
        window.append(close)
        fast = self.fast = self.fast + close - window[-FAST - 1]
        slow = self.slow = self.slow + close - window.popleft()
        self.bars += 1
        if self.bars < SLOW:
            return
        want = fast / FAST > slow / SLOW
        if want is not self.long:
            self.long = want
            self.sent += 1
            side = OrderSide.BUY if want else OrderSide.SELL
            self.submit_order(self.make_market_order(self.instrument_id, side, self.quantity))


def main() -> None:
    """Run the case that the command line names."""
    case = Case.from_arguments(sys.argv[1:])
    watch = Stopwatch()
    engine = BacktestEngine(
        BacktestEngineConfig(
            bypass_logging=True,
            run_analysis=False,
            logging=LoggerConfig(bypass_logging=True),
            portfolio=PortfolioConfig(bar_updates=False, equity_curve=False),
            cache=CacheConfig(bar_capacity=10, tick_capacity=10),
            data_engine=DataEngineConfig(
                validate_data_sequence=False, disable_historical_cache=True
            ),
        )
    )
    engine.add_venue(
        VENUE,
        OmsType.NETTING,
        AccountType.CASH,
        [Money(float(case.cash), USD)],
        base_currency=USD,
        fee_model=MakerTakerFeeModel(Decimal(FEE), Decimal(FEE)),
        use_message_queue=False,
    )
    strategies = [_add(engine, series) for series in case.market()]
    engine.sort_data()
    watch.loaded()
    engine.run()
    watch.done()
    cash = engine.cache.account_for_venue(VENUE).balance_total(USD).as_double()
    held = sum(
        strategy.window[-1] * QUANTITY
        for strategy in strategies
        if engine.portfolio.is_net_long(strategy.instrument_id)
    )
    Result.of(
        case,
        watch,
        engine=f"nautilus_trader {nautilus_trader.__version__}",
        orders=engine.get_result().total_orders,
        fills=len(engine.cache.orders_closed()),
        equity=cash + held,
    ).print()


def _add(engine: Any, series: Series) -> SmaCross:
    name = series.symbol.replace("/", "")
    instrument_id = InstrumentId(Symbol(name), VENUE)
    engine.add_instrument(Equity(instrument_id, Symbol(name), USD, 2, Price.from_str("0.01"), 0, 0))
    bar_type = BarType.from_str(f"{instrument_id}-1-MINUTE-LAST-EXTERNAL")
    close_after = 60_000
    engine.add_data(
        [
            Bar(
                bar_type,
                Price(o, 2),
                Price(h, 2),
                Price(low, 2),
                Price(c, 2),
                Quantity(v, 0),
                (at + close_after) * MS,
                (at + close_after) * MS,
            )
            for at, o, h, low, c, v in series.rows()
        ],
        validate=False,
        sort=False,
    )
    strategy = SmaCross(
        config=StrategyConfig(order_id_tag=name, log_events=False, log_commands=False),
        bar_type=bar_type,
    )
    engine.add_strategy(strategy)
    return strategy


if __name__ == "__main__":
    main()
