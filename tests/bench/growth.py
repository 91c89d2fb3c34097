"""
What grows in a month: memory, collections, and files, of a paper session that runs durably.

    python tests/bench/growth.py [--days 30] [--symbols 5] [--out FOLDER]

A ladder and a crossover trade 1-minute bars of a seeded walk, as fast as they go, with every
commit synced. Printed at the end of each day: resident memory of the session and of the process of
its projections, the longest collections that hang on the session, and the bytes of each file; at
the end what each grew by from day to day, over the last half of them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import run
from collections_of import sizes_of
from long_run import DAY_BARS, ordinary

from actors.session import run_paper
from actors.turns import Session

SESSION = "paper-growth-abc"
FILES = (
    "journal.sqlite",
    "journal.sqlite-wal",
    "events.ndjson",
    "orders.csv",
    "intents.csv",
    "trades.csv",
    "positions.csv",
    "account.csv",
    "round_trips.csv",
    "state.jsonl",
)
PAGE = 4096


@dataclass
class Day:
    """What was seen at a day's end."""

    rss: int
    projections: int
    entries: int
    files: dict[str, int]
    collections: dict[str, int]


def resident(process: str) -> int:
    """Return the bytes of memory that a process holds, 0 for one that is gone."""
    with suppress(OSError):
        return int(Path("/proc", process, "statm").read_text().split()[1]) * PAGE
    return 0


def children() -> list[str]:
    """Return the ids of this process's own children."""
    return Path("/proc/self/task", str(_me()), "children").read_text().split()


def _me() -> int:
    return int(Path("/proc/self").readlink().name)


class Watch:
    """Looks at a session at the end of each of its days, and at its log in between."""

    def __init__(self, symbols: int) -> None:
        """Begin on the first day."""
        self.day_bars = DAY_BARS * symbols
        self.session: Session | None = None
        self.folder: Path | None = None
        self.days: list[Day] = []
        self.log_most = 0
        self.began = time.perf_counter()

    def progressed(self, bars: int) -> None:
        """Look, if a day is over."""
        assert self.session is not None
        assert self.folder is not None
        log = self.folder / "journal.sqlite-wal"
        if bars % 50 == 0 and log.exists():
            self.log_most = max(self.log_most, log.stat().st_size)
        if bars % self.day_bars:
            return
        files = {name: self.folder / name for name in FILES}
        day = Day(
            resident("self"),
            max(map(resident, children()), default=0),
            self.session.journal.seq,
            {name: path.stat().st_size for name, path in files.items() if path.exists()},
            sizes_of(self.session),
        )
        self.days.append(day)
        number = len(self.days)
        disk = ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in day.files.items())
        took_s = time.perf_counter() - self.began
        print(
            f"day {number:>2}: {day.entries:>9,} entries, {day.rss / 2**20:,.1f} MiB, projections "
            f"{day.projections / 2**20:,.1f} MiB, {took_s:,.0f} s; MB: {disk}",
            flush=True,
        )

    def conclude(self) -> None:
        """Print what has grown."""
        middle, last = self.days[len(self.days) // 2], self.days[-1]
        days = len(self.days) - 1 - len(self.days) // 2
        if days < 1:
            return
        print(f"write-ahead log: {self.log_most / 1e6:,.1f} MB at most")
        print(
            f"a day of the last {days}: memory {(last.rss - middle.rss) / days / 1024:+,.0f} KiB, "
        )
        grown = (last.projections - middle.projections) / days / 1024
        print(f"  projections' memory {grown:+,.0f} KiB")
        for name, size in last.files.items():
            print(f"  {name} {(size - middle.files.get(name, 0)) / days / 1e6:+,.2f} MB")
        for name, size in sorted(last.collections.items(), key=lambda item: -item[1])[:40]:
            before = middle.collections.get(name, 0)
            mark = "GROWS" if size > before * 1.05 + 8 else ""
            print(f"  {size:>8,} ({before:>8,} in the middle) {name} {mark}")


async def _month(days: int, symbols: int, out: Path) -> None:
    spec = ordinary(out, SESSION, symbols=symbols, bars=days * DAY_BARS)
    watch = Watch(symbols)

    def opened(session: Session) -> None:
        watch.session = session
        watch.folder = out / "paper" / "sessions" / SESSION

    await run_paper(spec, speed=0, on_open=opened, on_progress=watch.progressed)
    watch.conclude()
    assert watch.folder is not None
    for path in sorted(watch.folder.iterdir()):
        print(f"  at the end: {path.name} {path.stat().st_size / 1e6:,.2f} MB")


def main() -> None:
    """Run a month, or as many days as are asked for."""
    parser = argparse.ArgumentParser(description="what grows with the days of a session")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--symbols", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where to leave the session (new)")
    asked = parser.parse_args()
    print(run.machine())
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        asyncio.run(_month(asked.days, asked.symbols, asked.out or Path(folder)))


if __name__ == "__main__":
    main()
