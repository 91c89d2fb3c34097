"""
A process that keeps a journal until it is killed, or leaves it in one of several ways.

    python crashing_child.py PATH write|keep|forget|abort|fail
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from journal_makers import T0, gap  # noqa: E402

from state.journal import JournalFailed  # noqa: E402
from state.journal.durable import DurableJournal  # noqa: E402
from state.ndjson import NdjsonSink  # noqa: E402


async def write(path: Path) -> None:
    """Commit for ever, and say after each commit what is durable."""
    events = NdjsonSink(path.with_name("events.ndjson"), append=True, settle_bytes=0)
    journal = await DurableJournal.open(path, sinks=[events])
    print(f"opened {journal.seq}", flush=True)
    while True:
        for _ in range(1 + journal.seq % 5):
            journal.append(T0, "execution", "order", "bar", gap(journal.seq))
        print(await journal.commit(), flush=True)


async def keep(path: Path) -> None:
    """As ``write``, with three states: two say after which entry they hold, one comes and goes."""
    journal = await DurableJournal.open(path)

    def states() -> dict[str, bytes | None]:
        now = b"%d" % journal.seq
        return {"strategy": now, "venue": now * 700, "hold": now if journal.seq % 3 else None}

    journal.keep(states)
    print(f"opened {journal.seq}", flush=True)
    while True:
        for _ in range(1 + journal.seq % 5):
            journal.append(T0, "execution", "order", "bar", gap(journal.seq))
        print(await journal.commit(), flush=True)


async def forget(path: Path) -> None:
    """End without closing anything."""
    journal = await DurableJournal.open(path)
    journal.append(T0, "execution", "order", "bar", gap(0))


async def abort(path: Path) -> None:
    """Give up in the very step that ends the loop, with a commit on its way."""
    journal = await DurableJournal.open(path)
    journal.append(T0, "execution", "order", "bar", gap(0))
    waiter = asyncio.ensure_future(journal.commit())
    await asyncio.wait([waiter], timeout=0)
    waiter.cancel()
    journal.abort()


async def fail(path: Path) -> None:
    """End after a failure without closing anything."""
    journal = await DurableJournal.open(path)
    journal.append(T0, "\ud800", "order", "bar", gap(0))
    try:
        await journal.commit()
    except JournalFailed:
        print("failed", flush=True)


if __name__ == "__main__":
    ways = {"write": write, "keep": keep, "forget": forget, "abort": abort, "fail": fail}
    asyncio.run(ways[sys.argv[2]](Path(sys.argv[1])))
