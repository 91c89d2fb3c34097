"""
What one journal entry and one booked fill cost.

    python tests/bench/books.py [--rounds 5]

The journal is that of a simulation: append, encode, and write `events.ndjson` and
`journal.sqlite`, closed and synced within the time. The ledger books alternating buys and
sales of one unit with a fee, each entry checked to balance.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import run

from messages import (
    Fill,
    Liquidity,
    PositionSide,
    RiskDecision,
    Side,
    Verdict,
)
from state.instruments import Instrument
from state.journal import Journal, Sink
from state.journal.bulk import SqliteSink
from state.ledger import Ledger
from state.ndjson import NdjsonSink

ENTRIES = 100_000
FILLS = 20_000
SYMBOL = "BTC/USDT"


def journal_without_sinks() -> float:
    """Return ns per entry that is numbered and encoded, and written nowhere."""
    return _journal([])


def journal_with_files() -> float:
    """Return ns per entry that ends in both files."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        return _journal([_ndjson(folder), _sqlite(folder)])


def _ndjson(folder: str) -> NdjsonSink:
    return NdjsonSink(Path(folder, "events.ndjson"))


def _sqlite(folder: str) -> SqliteSink:
    return SqliteSink(Path(folder, "journal.sqlite"))


def _journal(sinks: list[Sink]) -> float:
    decisions = [
        RiskDecision(f"tag-1-{n}", "sma", SYMBOL, Verdict.APPROVED, n, Decimal(1))
        for n in range(ENTRIES)
    ]
    began = time.perf_counter()
    journal = Journal(sinks)
    for decision in decisions:
        journal.append(decision.decided_at, "risk", decision.intent_id, "7", decision)
    journal.close()
    return (time.perf_counter() - began) / ENTRIES * 1e9


def ledger() -> float:
    """Return ns per booked fill."""
    books = Ledger(
        {SYMBOL: Instrument.permissive(SYMBOL, Decimal(10))},
        currency="USDT",
        deposit=Decimal(1_000_000_000),
    )
    fills = [_fill(number) for number in range(FILLS)]
    began = time.perf_counter()
    for fill in fills:
        books.book_fill(fill)
    return (time.perf_counter() - began) / FILLS * 1e9


def _fill(number: int) -> Fill:
    price = Decimal(9_600_000 + number * 37 % 5_000).scaleb(-2)
    return Fill(
        f"trade-{number}",
        f"order-{number}",
        f"client-{number}",
        "sma",
        SYMBOL,
        Side.SELL if number % 2 else Side.BUY,
        PositionSide.BOTH,
        Decimal(1),
        price,
        price / 1000,
        "USDT",
        Liquidity.TAKER,
        number,
    )


COSTS: dict[str, Callable[[], float]] = {
    "journal entry, encoded only": journal_without_sinks,
    "journal entry, both files": journal_with_files,
    "fill booked and checked": ledger,
}


def main() -> None:
    """Print the cost of each in ns: median of the rounds, interleaved."""
    parser = argparse.ArgumentParser(description="the cost of a journal entry and of a fill")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(run.machine())
    figures: dict[str, list[float]] = {name: [] for name in COSTS}
    for _ in range(rounds):
        for name, measure in COSTS.items():
            figures[name].append(measure())
    for name, costs in figures.items():
        spread = f"{min(costs):,.0f}..{max(costs):,.0f}"
        print(f"{name:<46}{statistics.median(costs):>8,.0f} ns ({spread})")


if __name__ == "__main__":
    main()
