"""
What recovery costs: states kept with every commit, and the facts folded from a journal.

    python tests/bench/recovery.py [--rounds 3] [--going-on BARS]

Commits are those of a live journal on this disk, three entries each, every one synced. The fold
reads a busy session's own lines: decoded, then folded through the order table and the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "facts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import run
from fact_makers import busy_world, facts_of

from actors.agreement import RECOVERING_HOLD
from actors.resuming import left_in
from actors.session import resume_paper, run_paper
from actors.spec import SessionSpec
from actors.turns import Session
from messages import FeedGap
from state.journal import decode_line
from state.journal.durable import DurableJournal, States

COMMITS = 400
ENTRIES = 3
BARS = 400


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


def going_on(bars: int) -> None:
    """Print how long a session of so many bars takes to be protected, and to trade, again."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        made = busy_world(1, bars=bars).spec
        spec = replace(made, mode="paper", runs_dir=Path(folder), session_id="paper-bench-abc")
        with suppress(_Died, BaseExceptionGroup):
            asyncio.run(_die(spec, bars - bars // 20))
        out = Path(folder) / "paper" / "sessions" / "paper-bench-abc"
        started = time.perf_counter()
        left = left_in(out, spec)
        read = time.perf_counter()
        assert left.recorded is not None
        found: dict[str, float] = {}

        def opened(session: Session) -> None:
            found["protected"] = time.perf_counter() - started
            if RECOVERING_HOLD not in session.assembly.holds.view():
                found["trading"] = found["protected"]

        asyncio.run(resume_paper(spec, left, speed=0, on_open=opened))
        entries = left.recorded.facts.seq
        size = (out / "journal.sqlite").stat().st_size
        trading = f"{found['trading']:.2f} s" if "trading" in found else "after its doubts"
        print(
            f"{entries:,} entries ({size / 1e6:,.1f} MB): read and folded {read - started:.2f} s, "
            f"protected {found['protected']:.2f} s, trading {trading}"
        )


class _Died(BaseException):
    """The process is gone."""


async def _die(spec: SessionSpec, bars: int) -> None:
    def progressed(count: int) -> None:
        if count >= bars:
            raise _Died

    await run_paper(spec, speed=0, on_progress=progressed)


def main() -> None:
    """Print the cost of each in us: median of the rounds, interleaved."""
    parser = argparse.ArgumentParser(description="the cost of states kept and of facts folded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--going-on", type=int, metavar="BARS", help="only this, of so many bars")
    asked = parser.parse_args()
    rounds = asked.rounds
    if asked.going_on:
        going_on(asked.going_on)
        return
    print(run.machine())
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
