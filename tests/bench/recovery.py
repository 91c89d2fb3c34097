"""
What recovery costs: states kept with every commit, and the facts folded from a journal.

    python tests/bench/recovery.py [--rounds 3] [--starts 10000 100000 1000000]

``--starts`` leaves sessions whose journals have so many entries, with an order at rest and a
position in each market, goes on with each in a fresh process, and prints the seconds from the
first look at the folder to each phase (the least of the rounds) and the peak of memory: from the
newest snapshot of the facts, and from the whole journal as if there were none.

Commits are those of a live journal on this disk, three entries each, every one synced. The fold
reads a busy session's own lines: decoded, then folded through the order table and the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "facts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import run
from case import peak_rss_mib
from fact_makers import busy_world, facts_of
from long_run import turning

from actors.resuming import left_in
from actors.session import resume_paper, run_paper
from actors.turns import Session
from messages import FeedGap
from state.fact_snapshots import FACTS_PART
from state.journal import decode_line
from state.journal.durable import DurableJournal, States
from state.journal.limits import LINGER_S

ROOT = Path(__file__).resolve().parents[2]
COMMITS = 400
ENTRIES = 3
BARS = 400
SYMBOLS = 10
BARS_MOST = 20_000
SESSION = "paper-bench-abc"
FOLDER = Path("paper", "sessions", SESSION)


def commits(states: States | None) -> float:
    """Return us per commit, the median."""

    async def measure() -> float:
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
            journal = await DurableJournal.open(Path(folder, "journal.sqlite"))
            if states is not None:
                journal.keep(states)
            costs = []
            for number in range(COMMITS):
                for _ in range(ENTRIES):
                    event = FeedGap("feed", number, "BTC/USDT", number, number + 1, 1)
                    journal.append(number, "feed", "c", "bar", event)
                started = time.perf_counter()
                await journal.commit()
                costs.append(time.perf_counter() - started)
            await journal.close()
            return statistics.median(costs) * 1e6

    return asyncio.run(measure())


def changing(parts: int, size: int) -> States:
    """Return states of which every one is another at each commit."""
    count = [0]

    def states() -> dict[str, bytes]:
        count[0] += 1
        return {f"part-{part}": b"%8d" % count[0] * (size // 8) for part in range(parts)}

    return states


def still() -> dict[str, bytes]:
    """Return states that never change."""
    return {"strategy": b"1" * 500, "plan": b"2" * 500}


COSTS: dict[str, Callable[[], float]] = {
    "commit without states": lambda: commits(None),
    "commit, no state changed": lambda: commits(still),
    "commit, 3 states of 500 bytes changed": lambda: commits(changing(3, 500)),
    "commit, 10 states of 2,000 bytes changed": lambda: commits(changing(10, 2000)),
}


def fold(rounds: int) -> None:
    """Print what an entry costs to decode and to fold."""
    world = busy_world(1, bars=BARS).run()
    lines = world.sink.lines
    decoding, folding = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        entries = [decode_line(line) for line in lines]
        decoded = time.perf_counter()
        facts_of(world.session, entries)
        folded = time.perf_counter()
        decoding.append((decoded - started) / len(lines) * 1e6)
        folding.append((folded - decoded) / len(lines) * 1e6)
    kinds = f"{len(lines):,} entries of a busy session"
    print(f"{'an entry decoded':<46}{min(decoding):>8,.1f} us ({kinds})")
    print(f"{'an entry folded':<46}{min(folding):>8,.1f} us")


def starts(sizes: list[int], rounds: int, *, keep: Path | None) -> None:
    """Print how long journals of these sizes take to be protected, and to trade, again."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        home = keep or Path(folder)
        for entries in sizes:
            left = home / f"left-{entries}"
            if not left.exists():
                made = home / "making"
                shutil.rmtree(made, ignore_errors=True)
                _leave(made, entries)
                made.rename(left)
            journal = left / FOLDER / "journal.sqlite"
            size = sum(path.stat().st_size for path in journal.parent.glob("journal.sqlite*"))
            found = [_start_again(left, Path(folder) / "again", entries) for _ in range(rounds)]
            for kind in ("snapshot", "whole fold"):
                times = [each[kind] for each in found]
                phases = ", ".join(
                    f"{phase} {min(each[phase] for each in times):.2f} s"
                    for phase in ("read", "protected", "checked", "trading")
                )
                peak = max(each["rss_mib"] for each in times)
                print(
                    f"{entries:>9,} entries ({size / 1e6:,.0f} MB), {kind}: {phases}, "
                    f"peak {peak:.0f} MiB"
                )


def _leave(runs: Path, entries: int) -> None:
    """Leave a session whose process dies once its journal has so many entries."""
    opened: list[Session] = []

    def progressed(_bars: int) -> None:
        journal = opened[0].journal
        if journal.seq < entries:
            return
        if journal.durable_seq == journal.seq and not opened[0].assembly.dispatcher.pending:
            raise _Died  # what is under way is in doubt afterwards, which is another story
        time.sleep(2 * LINGER_S)

    spec = turning(runs, SESSION, symbols=SYMBOLS, bars=BARS_MOST)
    began = time.perf_counter()
    with suppress(_Died, BaseExceptionGroup):
        asyncio.run(run_paper(spec, speed=0, on_open=opened.append, on_progress=progressed))
    took = time.perf_counter() - began
    print(f"{'':>9} left after {opened[0].journal.seq:,} entries, {took:.0f} s")


def _start_again(left: Path, again: Path, entries: int) -> dict[str, dict[str, float]]:
    """Go on with copies of what was left, each in a process of its own, and let it die again."""
    found = {}
    for kind in ("snapshot", "whole fold"):
        shutil.rmtree(again, ignore_errors=True)
        shutil.copytree(left, again)
        if kind == "whole fold":
            with closing(sqlite3.connect(again / FOLDER / "journal.sqlite")) as file, file:
                file.execute("DELETE FROM state WHERE part = ?", (FACTS_PART,))
        command = [sys.executable, __file__, "--child", str(again)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not answers:
            raise SystemExit(f"{entries:,} entries: exit {done.returncode}:\n{done.stderr}")
        found[kind] = json.loads(answers[0])
    return found


def child(runs: Path) -> None:
    """Go on with what was left in ``runs``; print the phases, and die."""
    found: dict[str, float] = {}
    spec = turning(runs, SESSION, symbols=SYMBOLS, bars=BARS_MOST)
    began = time.perf_counter()
    left = left_in(runs / FOLDER, spec)
    found["read"] = time.perf_counter() - began
    assert left.recorded is not None
    live = left.recorded.facts.orders.live()
    assert len(live) == SYMBOLS, "an order rests in every market"
    assert left.recorded.facts.ledger.positions(), "it holds something"
    opened: list[Session] = []

    def stop() -> bool:
        times = opened[0].recovery.times if opened else {}
        if "trading" not in times:
            return False
        found.update(times)
        found["rss_mib"] = peak_rss_mib()
        print(json.dumps(found), flush=True)
        os._exit(0)

    asyncio.run(resume_paper(spec, left, speed=1, stop=stop, on_open=opened.append))


class _Died(BaseException):
    """The process is gone."""


def main() -> None:
    """Print the cost of each in us: median of the rounds, interleaved."""
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description="the cost of states kept and of facts folded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--starts", type=int, nargs="+", metavar="ENTRIES", help="only this, of so many entries"
    )
    parser.add_argument("--keep", type=Path, help="make the journals here, once")
    asked = parser.parse_args()
    rounds = asked.rounds
    print(run.machine())
    if asked.starts:
        starts(asked.starts, rounds, keep=asked.keep)
        return
    figures: dict[str, list[float]] = {name: [] for name in COSTS}
    for _ in range(rounds):
        for name, measure in COSTS.items():
            figures[name].append(measure())
    for name, costs in figures.items():
        spread = f"{min(costs):,.0f}..{max(costs):,.0f}"
        print(f"{name:<46}{statistics.median(costs):>8,.0f} us ({spread})")
    fold(rounds)


if __name__ == "__main__":
    main()
