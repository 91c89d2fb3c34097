"""
Where our replay spends its time, by sampling: a profile that does not distort.

    python tests/bench/where.py [--size A] [--bars N] [--top 30]

At every tick of processor time, from the first bar on, the stack is looked at. `own` is the
share of samples in the function itself (and what it calls in C), `with callees` the share in
which it was on the stack at all.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import case_ours
import run
import walk
from case import CASH, Stopwatch

INTERVAL_S = 0.001  # asked for; the kernel's tick (often 4 ms) is what one gets
ROOT = Path(__file__).resolve().parents[2]


class Sampler:
    """Counts where the interpreter is, once an interval of processor time."""

    def __init__(self) -> None:
        self.own: Counter[str] = Counter()
        self.inclusive: Counter[str] = Counter()
        self.files: Counter[str] = Counter()
        self.samples = 0

    def start(self) -> None:
        """Begin to sample."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def stop(self) -> None:
        """End sampling."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    def _sample(self, _signum: int, frame: FrameType | None) -> None:
        self.samples += 1
        seen: set[str] = set()
        leaf = True
        while frame is not None:
            place = _place(frame)
            if leaf:
                self.own[place] += 1
                self.files[place.partition(":")[0]] += 1
                leaf = False
            if place not in seen:
                seen.add(place)
                self.inclusive[place] += 1
            frame = frame.f_back


class SampledWatch(Stopwatch):
    """A stopwatch that samples while it times the engine."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self._sampler = sampler

    def first_bar(self) -> None:
        """Start the engine's time and the sampling."""
        super().first_bar()
        self._sampler.start()

    def done(self) -> None:
        """End both."""
        super().done()
        self._sampler.stop()


def _place(frame: FrameType) -> str:
    code = frame.f_code
    file = Path(code.co_filename)
    name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name
    return f"{name}:{code.co_qualname}"


def main() -> None:
    """Print the profile of one replay."""
    parser = argparse.ArgumentParser(description="where our replay spends its time")
    parser.add_argument("--size", choices=["A", "B"], default="A")
    parser.add_argument("--bars", type=int, help="of each symbol; default all")
    parser.add_argument("--top", type=int, default=30)
    chosen = parser.parse_args()
    (size,) = (size for size in run.SIZES if size.name == chosen.size)
    market = walk.load(walk.walk_file(size.symbols, size.bars, run.SEED), bars=chosen.bars)
    bars = {series.symbol: case_ours.bars_of(series) for series in market}
    sampler = Sampler()
    watch = SampledWatch(sampler)
    print(run.machine())
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        case_ours.bench_ours(bars, watch, Path(folder) / "session", CASH)
    count = sum(map(len, bars.values()))
    print(f"{size}: {count / watch.engine_s:,.0f} bars/s, {sampler.samples} samples")
    for title, counter in (("by file", sampler.files), ("own", sampler.own)):
        print(f"\n{title}")
        _print(counter, sampler.samples, chosen.top)
    print("\nwith callees")
    _print(sampler.inclusive, sampler.samples, chosen.top)


def _print(counter: Counter[str], samples: int, top: int) -> None:
    for place, hits in counter.most_common(top):
        print(f"  {100 * hits / samples:5.1f} %  {place}")


if __name__ == "__main__":
    main()
