"""
What `tidegate --help` costs in wall time, beside an interpreter that does nothing.

    python tests/bench/startup.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import run

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "tidegate --help": [sys.executable, "-m", "tidegate", "--help"],
}


def wall_s(command: list[str]) -> float:
    """Return how long a command takes."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the median, interleaved, after one warm-up round that writes the byte code."""
    parser = argparse.ArgumentParser(description="the wall time of --help")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(run.machine())
    figures: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            elapsed = wall_s(command)
            if number:
                figures[name].append(elapsed)
    for name, walls in figures.items():
        spread = f"{min(walls):.3f}..{max(walls):.3f}"
        print(f"{name:<20}{statistics.median(walls):>8.3f} s ({spread})")


if __name__ == "__main__":
    main()
