"""
Tidegate's replay on the benchmark's work: the real actors, every decision journaled.

The whole session runs, with all its artifacts written to a temporary folder. The clock runs
from the moment the feed is asked for its first bar to the return of ``run_replay``, which
is after the last artifact is flushed; what the session does before (fingerprints, manifest,
actors made) is printed with the load.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from case import FAST, FEE_BPS, QUANTITY, SLOW, Case, Result, Stopwatch
from walk import MINUTE_MS, Series

import tidegate
from actors.risk import RiskLimits
from actors.session import SessionSpec, StrategySpec, run_replay
from brokers.matching import EngineConfig
from feeds.contract import Group
from feeds.memory import MemoryFeed
from messages import Bar
from state.instruments import Instrument
from strategies.sma_cross import SmaCross, SmaCrossParams


class TimedFeed(MemoryFeed):
    """A feed in memory that starts the clock when it is asked for its first bar."""

    def __init__(self, bars_by_symbol: dict[str, list[Bar]], watch: Stopwatch) -> None:
        super().__init__(bars_by_symbol, synthetic=True)
        self._watch = watch

    def groups(self) -> Iterator[Group]:
        """Yield the bars, grouped by timestamp."""
        self._watch.first_bar()
        return super().groups()


def bars_of(series: Series) -> list[Bar]:
    """Return a series as our own bars."""
    symbol = series.symbol
    return [Bar(symbol, at, o, h, low, c, v, MINUTE_MS) for at, o, h, low, c, v in series.rows()]


def bench_ours(
    bars_by_symbol: dict[str, list[Bar]], watch: Stopwatch, out: Path, cash: int
) -> None:
    """Replay the bars through a whole session whose files go to ``out``."""
    symbols = tuple(sorted(bars_by_symbol))
    spec = SessionSpec(
        mode="replay",
        name="bench",
        seed=42,
        feed=TimedFeed(bars_by_symbol, watch),
        strategies=(
            StrategySpec(
                name="sma_cross",
                factory=SmaCross,  # type: ignore[arg-type]  # its own parameters, given below
                params=SmaCrossParams(fast=FAST, slow=SLOW, quantity=Decimal(QUANTITY)),
                symbols=symbols,
            ),
        ),
        instruments={symbol: Instrument.permissive(symbol, Decimal(FEE_BPS)) for symbol in symbols},
        currency="USD",
        cash=Decimal(cash),
        engine=EngineConfig(trade_tag="bench"),
        limits=RiskLimits(),
        out=out,
    )
    watch.loaded()
    run_replay(spec)
    watch.done()


def main() -> None:
    """Run the case that the command line names."""
    case = Case.from_arguments(sys.argv[1:])
    watch = Stopwatch()
    bars = {series.symbol: bars_of(series) for series in case.market()}
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        out = Path(folder) / "session"
        bench_ours(bars, watch, out, case.cash)
        with (out / "account.csv").open(newline="") as file:
            *_, last = csv.DictReader(file)
        Result.of(
            case,
            watch,
            engine=f"tidegate {tidegate.__version__}",
            orders=_rows(out / "orders.csv"),
            fills=_rows(out / "trades.csv"),
            equity=float(last["equity"]),
        ).print()


def _rows(path: Path) -> int:
    with path.open(newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


if __name__ == "__main__":
    main()
