"""
What the disk, and SQLite on it, take of an order that is recorded first, with nothing of ours.

Taken at the pace of orders, not back to back: a disk, a processor and its caches that were left
alone for 20 ms answer later than busy ones. In ms:

    disk    an append of what one commit writes, and its sync, on the thread that measures
    row     half of that as one row of a table, committed through SQLite with a write-ahead log
            and full syncs, in a thread of its own that wakes the event loop when it is done

Neither runs a line of ours: no session, no strategy, no risk, no venue.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import anyio

COMMIT_BYTES = 8_192
"""What a commit of one order's records comes to in the write-ahead log, about: two pages."""


@contextmanager
def _appending(path: Path) -> Iterator[Callable[[], float]]:
    """Give what appends to a file and syncs it, and says how long that took, in ms."""
    content = os.urandom(COMMIT_BYTES)
    with path.open("wb", buffering=0) as file:

        def append() -> float:
            began = time.perf_counter_ns()
            file.write(content)
            os.fdatasync(file.fileno())
            return (time.perf_counter_ns() - began) / 1e6

        yield append
    path.unlink()


async def _at_pace(times: int, pause_s: float) -> AsyncIterator[int]:
    """Yield ``times``, as unevenly as orders come."""
    chance = random.Random(times)
    for number in range(times):
        await anyio.sleep(pause_s * chance.uniform(0.5, 1.5))
        yield number


def syncs(folder: Path, times: int) -> list[float]:
    """Return how long an append and its sync take, one right after the other."""
    with _appending(folder / "syncs") as append:
        return [append() for _ in range(times)]


async def disk(folder: Path, times: int, pause_s: float) -> list[float]:
    """Return how long an append and its sync take."""
    with _appending(folder / "paced-syncs") as append:
        return [append() async for _ in _at_pace(times, pause_s)]


async def row(folder: Path, times: int, pause_s: float) -> list[float]:
    """Return how long a row takes through SQLite in a thread."""
    path = folder / "rows.sqlite"
    content = os.urandom(COMMIT_BYTES // 2)
    loop = asyncio.get_running_loop()
    found: list[float] = []
    with ThreadPoolExecutor(1) as thread:
        file = await loop.run_in_executor(thread, _table, path)
        try:
            async for _ in _at_pace(times, pause_s):
                began = time.perf_counter_ns()
                await loop.run_in_executor(thread, file.execute, _INSERT, (content,))
                found.append((time.perf_counter_ns() - began) / 1e6)
        finally:
            await loop.run_in_executor(thread, file.close)
    path.unlink()
    return found


_INSERT = "INSERT INTO record (content) VALUES (?)"


def _table(path: Path) -> sqlite3.Connection:
    """Make a file like the journal's, with one table of one column."""
    file = sqlite3.connect(path, isolation_level=None)  # each statement commits
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = FULL")
    file.execute("PRAGMA wal_autocheckpoint = 0")
    file.execute("CREATE TABLE record (content BLOB)")
    return file
