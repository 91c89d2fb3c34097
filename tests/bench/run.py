"""
Measure our replay beside its peers, on this machine, in one run.

    python tests/bench/run.py [--quick] [--rounds 3] [--sizes A B] [--cases ours nautilus ...]

The work: SMA 10/30 crossover, long or flat, market orders of 1 unit, 0.1 % fee, over (A) one
symbol of 500,000 one-minute bars and (B) 20 symbols of 50,000, the same seeded walk for all.
Each case runs in a process of its own with bars parsed beforehand; the cases are interleaved
round by round, and every ratio is taken within a round. Figures are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nautilus_home
import walk

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SEED = 42
CASE_TIMEOUT_S = 900
FEE_OF_ONE_ORDER_MAX = 20.0  # 0.1 % of a unit: prices of the walk stay below 20,000


@dataclass(frozen=True, slots=True)
class Size:
    """How much market a case replays."""

    name: str
    symbols: int
    bars: int

    def __str__(self) -> str:
        return f"{self.name}: {self.symbols} x {self.bars:,} one-minute bars"


SIZES = (Size("A", 1, 500_000), Size("B", 20, 50_000))
QUICK_SIZES = (Size("A", 1, 50_000), Size("B", 20, 5_000))
# In the order of a round: what is compared most closely runs back to back.
CASES = ("bare", "ours", "nautilus", "backtrader")


@dataclass(slots=True)
class Board:
    """Every result so far, by size and case, and why some cases have none."""

    results: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def of(self, size: Size, case: str) -> list[dict[str, Any]]:
        """Return the rounds of a case."""
        return self.results.setdefault((size.name, case), [])


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; exit 1 when our own case failed or the work was not the same."""
    chosen = _parser().parse_args(arguments)
    every = QUICK_SIZES if chosen.quick else SIZES
    sizes = [size for size in every if size.name in chosen.sizes]
    rounds = 1 if chosen.quick else chosen.rounds
    board = Board()
    pythons = _interpreters(chosen.cases, chosen.nautilus_python, board)
    print(machine())
    print("work: SMA 10/30, long or flat, market orders of 1 unit, fee 0.1 %; bars parsed before")
    same = True
    for size in sizes:
        market = walk.walk_file(size.symbols, size.bars, SEED)
        print(f"\n{size}, seed {SEED}, sha256 {walk.fingerprint(market)[:16]}, {rounds} round(s)")
        for _ in range(rounds):
            for case, python in pythons.items():
                _run_case(case, python, size, market, board)
        _print_table(size, board, pythons)
        _print_ratios(size, board)
        same &= _print_sameness(size, board, pythons)
    for case, reason in board.absent.items():
        print(f"\n{case} took no part, or no further part: {reason}")
    if chosen.json is not None:
        chosen.json.write_text(
            json.dumps(
                {"machine": machine(), "absent": board.absent, "results": _flat(board)}, indent=1
            )
        )
    return 0 if same and not {"ours"} & set(board.absent) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="measure our replay beside its peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the bars, one round")
    parser.add_argument("--sizes", nargs="+", choices=["A", "B"], default=["A", "B"])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--nautilus-python", help="an interpreter that has nautilus_trader 2")
    parser.add_argument("--json", type=Path, help="also write every round's figures here")
    return parser


def machine() -> str:
    """Return what the figures depend on, in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].partition(":")[2].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"machine: {os.cpu_count()} cores {model}, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, {platform.python_implementation()} {platform.python_version()}, "
        f"load before {load}"
    )


def _interpreters(cases: list[str], nautilus: str | None, board: Board) -> dict[str, str]:
    pythons = {case: sys.executable for case in CASES if case in cases}
    if "nautilus" in pythons:
        found = nautilus_home.find_or_make(nautilus)
        if isinstance(found, nautilus_home.Absent):
            board.absent["nautilus"] = found.reason
            del pythons["nautilus"]
        else:
            pythons["nautilus"] = str(found)
    return pythons


def _run_case(case: str, python: str, size: Size, market: Path, board: Board) -> None:
    if case in board.absent:
        return
    command = [python, str(HERE / f"case_{case}.py"), "--name", case, "--market", str(market)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=CASE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        board.absent[case] = str(error)
        return
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["no message"]
        board.absent[case] = f"exit {done.returncode}: {words[-1]}"
        return
    board.of(size, case).append(json.loads(done.stdout.splitlines()[-1]))


def _print_table(size: Size, board: Board, pythons: Mapping[str, str]) -> None:
    print(
        f"  {'engine':<30}{'Python':<9}{'bars/s':>11}{'min..max':>22}{'engine s':>10}"
        f"{'load s':>8}{'RSS MiB':>9}{'orders':>8}{'fills':>8}{'final equity':>17}"
    )
    for case in pythons:
        rounds = board.of(size, case)
        if not rounds:
            continue
        last = rounds[-1]
        rates = [speed(result) for result in rounds]
        print(
            f"  {last['engine']:<30}{last['python']:<9}{statistics.median(rates):>11,.0f}"
            f"{f'{min(rates):,.0f}..{max(rates):,.0f}':>22}"
            f"{_median(rounds, 'engine_s'):>10.2f}{_median(rounds, 'load_s'):>8.2f}"
            f"{_median(rounds, 'peak_rss_mib'):>9.0f}{last['orders']:>8,}{last['fills']:>8,}"
            f"{last['equity']:>17,.2f}"
        )


def _print_ratios(size: Size, board: Board) -> None:
    ours = board.of(size, "ours")
    for peer in ("nautilus", "backtrader", "bare"):
        theirs = board.of(size, peer)
        if ours and theirs:
            # Both of one round: what the machine did to one, it did to the other.
            ratios = [speed(a) / speed(b) for a, b in zip(ours, theirs, strict=False)]
            print(
                f"  ours / {peer:<11} {statistics.median(ratios):6.2f}"
                f"   ({min(ratios):.2f}..{max(ratios):.2f})"
            )


def _print_sameness(size: Size, board: Board, pythons: Mapping[str, str]) -> bool:
    """Say whether all cases took the same decisions; tell every difference."""
    counts = {
        case: (rounds[-1]["orders"], rounds[-1]["equity"])
        for case in pythons
        if (rounds := board.of(size, case))
    }
    if len({orders for orders, _ in counts.values()}) > 1:
        print("  NOT THE SAME WORK: orders differ: ", {case: n for case, (n, _) in counts.items()})
        return False
    if not counts:
        return True
    equities = [equity for _, equity in counts.values()]
    spread = max(equities) - min(equities)
    # NautilusTrader rounds each fee to the cent, and executes a decision of the last bar, which
    # costs that order's fee.
    orders = max(orders for orders, _ in counts.values())
    explained = 0.005 * orders + FEE_OF_ONE_ORDER_MAX * size.symbols
    if spread > explained:
        print(
            f"  NOT THE SAME WORK: final equities {spread:,.2f} apart, {explained:,.2f} explained"
        )
        return False
    print(
        f"  same work: as many orders in all cases; final equities {spread:,.2f} apart, of which "
        f"{explained:,.2f} at most is explained (fees rounded to the cent, last-bar decisions)"
    )
    return True


def speed(result: Mapping[str, Any]) -> float:
    """Return bars per second of the engine's own work."""
    return float(result["bars"]) / float(result["engine_s"])


def _median(rounds: list[dict[str, Any]], key: str) -> float:
    return statistics.median(float(result[key]) for result in rounds)


def _flat(board: Board) -> list[dict[str, Any]]:
    return [
        {"size": size, "round": number, **result}
        for (size, _), rounds in board.results.items()
        for number, result in enumerate(rounds, 1)
    ]


if __name__ == "__main__":
    sys.exit(main())
