"""
Whether memory grows with the number of bars, streamed from a file by `tidegate replay`.

    python tests/bench/memory.py [--bars 500000 2000000]

Two strategies on the same files: one that never orders (what grows is owed to bars alone),
and SMA 10/30 (39 orders per 1,000 bars: what grows besides is owed to orders).
"""

from __future__ import annotations

import argparse
import csv
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import run
import walk
from case import peak_rss_mib

ROOT = Path(__file__).resolve().parents[2]
IDLE = """
from strategies import Strategy


class Idle(Strategy):
    def on_bar(self, bar):
        return None
"""


def child(arguments: list[str]) -> None:
    """Run the command line inside this process, then print its peak memory on stderr."""
    sys.argv = ["tidegate", *arguments]
    try:
        runpy.run_module("tidegate", run_name="__main__")
    finally:
        print(f"peak {peak_rss_mib():.1f}", file=sys.stderr)


def write_csv(path: Path, bars: int) -> None:
    """Write the benchmark's walk as a CSV; done by a process of its own, which forgets it."""
    (series,) = walk.load(walk.walk_file(1, bars, run.SEED))
    with path.open("w") as file:
        file.write("timestamp,open,high,low,close,volume\n")
        file.writelines(f"{t},{o},{h},{low},{c},{v}\n" for t, o, h, low, c, v in series.rows())


def measure(data: Path, strategy: str) -> tuple[float, int]:
    """Return peak MiB and the number of orders of one replay."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        out = Path(folder) / "session"
        command = [sys.executable, __file__, "--child", "replay", "--data", f"{data}@BTC/USDT"]
        command += ["--strategy", strategy, "--cash", "1000000000", "--out", str(out)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"replay failed with exit {done.returncode}:\n{done.stderr}")
        peaks = [line for line in done.stderr.splitlines() if line.startswith("peak ")]
        with (out / "orders.csv").open(newline="") as file:
            orders = sum(1 for _ in csv.reader(file)) - 1
        return float(peaks[-1].split()[1]), orders


def main() -> None:
    """Print the peak of every size and strategy, and what a bar and an order add."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
        return
    if sys.argv[1:2] == ["--write"]:
        write_csv(Path(sys.argv[2]), int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description="peak memory by number of bars")
    parser.add_argument("--bars", type=int, nargs="+", default=[500_000, 2_000_000])
    sizes = sorted(parser.parse_args().bars)
    print(run.machine())
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        idle = Path(folder) / "idle.py"
        idle.write_text(IDLE)
        for name, strategy in (("no orders", f"{idle}:Idle"), ("SMA 10/30", "sma_cross")):
            peaks: list[tuple[int, float, int]] = []
            for bars in sizes:
                data = Path(folder) / f"{bars}.csv"
                if not data.exists():
                    subprocess.run(
                        [sys.executable, __file__, "--write", str(data), str(bars)], check=True
                    )
                peak, orders = measure(data, strategy)
                peaks.append((bars, peak, orders))
                print(f"{name:<12}{bars:>10,} bars {orders:>8,} orders  peak {peak:>7.1f} MiB")
            (few, low, fewer), (many, high, more) = peaks[0], peaks[-1]
            grown = (high - low) * 2**20
            per_order = f", {grown / (more - fewer):,.0f} per order" if more > fewer else ""
            print(f"{'':<12}grows by {grown / max(1, many - few):,.1f} bytes per bar{per_order}")


if __name__ == "__main__":
    main()
