"""What every benchmark case has in common: its arguments, its stopwatch, its result."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import walk

FAST = 10
SLOW = 30
QUANTITY = 1
FEE = "0.001"
FEE_BPS = 10
CASH = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """The work: which market, how much of it, with what money."""

    name: str
    market_file: Path
    bars: int | None
    cash: int = CASH

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> Case:
        """Read a case's command line."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--name", required=True)
        parser.add_argument("--market", type=Path, required=True)
        parser.add_argument("--bars", type=int, default=None, help="of each symbol; default all")
        chosen = parser.parse_args(arguments)
        return cls(chosen.name, chosen.market, chosen.bars)

    def market(self) -> list[walk.Series]:
        """Return the bars as plain columns."""
        return walk.load(self.market_file, bars=self.bars)


class Stopwatch:
    """Times two phases apart: the load (reading, building bars) and the engine's own work."""

    def __init__(self) -> None:
        """Start with the load."""
        self._begun = time.perf_counter()
        self.load_s = 0.0
        self.engine_s = 0.0

    def loaded(self) -> None:
        """End the load, start the engine's time. Garbage of the load is nobody's cost."""
        gc.collect()
        gc.freeze()
        now = time.perf_counter()
        self.load_s = now - self._begun
        self._begun = now

    def first_bar(self) -> None:
        """Start the engine's time again: whatever came before it is set-up, part of the load."""
        now = time.perf_counter()
        self.load_s += now - self._begun
        self._begun = now

    def done(self) -> None:
        """End the engine's time."""
        self.engine_s = time.perf_counter() - self._begun


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one case, as it goes back to the runner: one line of JSON."""

    name: str
    engine: str
    python: str
    bars: int
    orders: int
    fills: int
    equity: float
    load_s: float
    engine_s: float
    peak_rss_mib: float

    @classmethod
    def of(
        cls, case: Case, watch: Stopwatch, *, engine: str, orders: int, fills: int, equity: float
    ) -> Result:
        """Return the result of a finished case; the peak is this process's own."""
        peak = peak_rss_mib()
        bars = sum(len(series.close) for series in case.market())
        version = platform.python_version()
        return cls(
            case.name,
            engine,
            version,
            bars,
            orders,
            fills,
            equity,
            watch.load_s,
            watch.engine_s,
            peak,
        )

    def print(self) -> None:
        """Print the line."""
        print(json.dumps(asdict(self)), flush=True)


def peak_rss_mib() -> float:
    """Return the peak resident memory of this process in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss also remembers the parent's size from before exec; VmHWM does not.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
