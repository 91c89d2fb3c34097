"""
A paper session that goes on for as long as one likes: its market costs no memory.

For what is asked of a long run: how a start after it takes, and what grows with it. The market
is a seeded walk, made anew whenever it is read; the strategies are two that are shipped, and one
that turns its position over at every bar, for journals that grow fast.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from session_world import instruments_of, make_spec

from actors.spec import SessionSpec, StrategySpec
from feeds.contract import Group
from messages import Bar, ExecutionPolicy, OrderType, Side
from state.ledger import LotMethod
from strategies import Desk, Strategy, StrategyParams
from strategies.contract import Intents
from strategies.loader import load_strategy, parse_params, resolve_lot_method

START = 1_704_067_200_000
MINUTE = 60_000
DAY_BARS = 1_440


class WalkFeed:
    """Minute bars of a seeded walk on a grid of cents; every reading is the same."""

    synthetic = True
    timeframe_ms = MINUTE

    def __init__(self, symbols: int, bars: int, seed: int = 7) -> None:
        """Plan so many symbols and so many bars of each."""
        self.symbols = tuple(f"S{number:02d}/USDT" for number in range(symbols))
        self.bars = bars
        self.seed = seed

    def groups(self) -> Iterator[Group]:
        """Yield the bars, grouped by timestamp."""
        chance = Random(self.seed)
        prices = dict.fromkeys(self.symbols, 10_000)
        for number in range(self.bars):
            group = []
            for symbol in self.symbols:
                opened = prices[symbol]
                closed = prices[symbol] = min(
                    20_000, max(5_000, opened + chance.randrange(-25, 26))
                )
                high = max(opened, closed) + chance.randrange(10)
                low = min(opened, closed) - chance.randrange(10)
                at = START + number * MINUTE
                ohlc = (opened / 100, high / 100, low / 100, closed / 100)
                group.append(Bar(symbol, at, *ohlc, 1000.0, MINUTE))
            yield tuple(group)

    def fingerprints(self) -> dict[str, str]:
        """Return what the walk follows from."""
        return {"walk": f"{len(self.symbols)}x{self.bars} seed {self.seed}"}


class Turner(Strategy):
    """Buys at one bar and sells at the next but for one unit; one order rests far below."""

    def __init__(self, desk: Desk, params: StrategyParams) -> None:
        """Begin with nothing."""
        super().__init__(desk, params)
        self.seen: dict[str, int] = {}

    def on_bar(self, bar: Bar) -> Intents:
        """Turn over."""
        seen = self.seen[bar.symbol] = self.seen.get(bar.symbol, 0) + 1
        one = Decimal(1)
        if seen == 1:
            resting = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(10))
            return [self.desk.open(bar.symbol, Side.BUY, one, policy=resting)]
        if seen % 100 >= 90:
            return []  # a pause, in which nothing is under way
        if seen % 2:
            return [self.desk.reduce(bar.symbol, Side.SELL, one)]
        return [self.desk.open(bar.symbol, Side.BUY, one * 2 if seen == 2 else one)]

    def snapshot(self) -> dict[str, int]:
        """Return what it has counted."""
        return self.seen

    def restore(self, state: dict[str, int]) -> None:
        """Take back what ``snapshot`` gave."""
        self.seen = dict(state)


def turning(runs: Path, session_id: str, *, symbols: int, bars: int) -> SessionSpec:
    """Return a paper session whose journal grows by about 11 entries a bar and symbol."""
    feed = WalkFeed(symbols, bars)
    turner = StrategySpec("turner", Turner, StrategyParams(), feed.symbols, LotMethod.FIFO)
    return _paper(make_spec(feed, turner, instruments=_instruments(feed)), runs, session_id)


def ordinary(runs: Path, session_id: str, *, symbols: int, bars: int) -> SessionSpec:
    """Return a paper session of a ladder and a crossover over the same symbols."""
    feed = WalkFeed(symbols, bars)
    ladder = _shipped(
        "dual_dca",
        feed.symbols,
        quantity=Decimal(5),
        rungs=4,
        step_bps=Decimal(40),
        take_profit_bps=Decimal(60),
        dca_order_type="limit",
        resting_rungs=2,
    )
    crossover = _shipped("sma_cross", feed.symbols, fast=10, slow=30, quantity=Decimal(1))
    made = make_spec(feed, ladder, crossover, cash=10_000_000, instruments=_instruments(feed))
    return _paper(made, runs, session_id)


def _instruments(feed: WalkFeed) -> dict[str, object]:
    return instruments_of(feed.symbols, Decimal(5))


def _shipped(use: str, symbols: tuple[str, ...], **params: object) -> StrategySpec:
    loaded = load_strategy(use)
    method = resolve_lot_method(loaded, None)
    return StrategySpec(use, loaded.factory, parse_params(loaded, params), symbols, method)


def _paper(made: SessionSpec, runs: Path, session_id: str) -> SessionSpec:
    return replace(made, mode="paper", runs_dir=runs, session_id=session_id)
