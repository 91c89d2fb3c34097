"""
The market that every benchmark case replays: a seeded random walk, cached as one binary file.

Prices lie on a grid of 0.25, so that float sums of them are exact: every engine, whatever
its arithmetic, sees the same averages and the same ties, takes the same decisions and can be
checked to have done the same work. A bar opens where the one before closed, so that filling
at the signal bar's close (NautilusTrader) and at the next open (everybody else) is one price.

Only the standard library is used: each case runs in its own process and interpreter.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FORMAT = "walk-1"
TICK = 0.25
START_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
MINUTE_MS = 60_000
START_TICKS = 40_000  # a price of 10,000
VOLATILITY = 0.0005  # of one minute's log return
COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol's bars as columns; bar ``i`` opens at ``START_MS + i * MINUTE_MS``."""

    symbol: str
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]

    def rows(self) -> Iterator[tuple[int, float, float, float, float, float]]:
        """Yield (timestamp ms, open, high, low, close, volume) in order of time."""
        times = range(START_MS, START_MS + len(self.open) * MINUTE_MS, MINUTE_MS)
        return zip(times, self.open, self.high, self.low, self.close, self.volume, strict=True)


def walk_file(symbols: int, bars: int, seed: int) -> Path:
    """Return the cached file of this market, written first if there is none."""
    folder = Path(tempfile.gettempdir()) / f"tidegate-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{FORMAT}-{symbols}x{bars}-seed{seed}.bin"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}")
        _write(partial, symbols, bars, seed)
        partial.replace(path)
    return path


def load(path: Path, *, bars: int | None = None) -> list[Series]:
    """Return the series of a file, sorted by symbol; ``bars`` takes the first so many of each."""
    with path.open("rb") as file:
        head = json.loads(file.readline())
        count = head["bars"]
        found = []
        for symbol in head["symbols"]:
            columns = []
            for _ in COLUMNS:
                ticks = array("q")
                ticks.fromfile(file, count)
                columns.append([tick * TICK for tick in ticks[: bars or count]])
            found.append(Series(symbol, *columns))
    return found


def fingerprint(path: Path) -> str:
    """Return the sha256 of a file: what proves that two runs replayed the same market."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, symbols: int, bars: int, seed: int) -> None:
    names = [f"S{number:02d}/USD" for number in range(symbols)]
    with path.open("wb") as file:
        head = {"format": FORMAT, "seed": seed, "bars": bars, "symbols": names}
        file.write(json.dumps(head).encode() + b"\n")
        for number in range(symbols):
            # A symbol's walk depends on its number alone: the first of 20 is the only one of 1.
            for column in _columns(random.Random(f"{FORMAT}/{seed}/{number}"), bars):
                column.tofile(file)


def _columns(rng: random.Random, bars: int) -> tuple[array[int], ...]:
    columns = tuple(array("q") for _ in COLUMNS)
    opens, highs, lows, closes, volumes = columns
    price = START_TICKS
    gauss, uniform, exp = rng.gauss, rng.random, math.exp
    for _ in range(bars):
        close = max(4, round(price * exp(gauss(0.0, VOLATILITY))))
        reach = VOLATILITY * price
        opens.append(price)
        highs.append(max(price, close) + int(uniform() * reach))
        lows.append(max(1, min(price, close) - int(uniform() * reach)))
        closes.append(close)
        volumes.append(4 * (400 + int(uniform() * 4_000)))  # in ticks of 0.25: whole units
        price = close
    return columns
