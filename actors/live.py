"""A live feed beside its session: connected before it, listening with it, closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from actors.runtime.clock import LOOK_UP_S, sleep_s
from actors.runtime.supervisor import portable_traceback
from actors.turns import Session
from feeds.contract import BarFeed, LiveFeed

BARS: Final = "bars"
"""The folder of a session in which the bars of a live feed are kept."""


@asynccontextmanager
async def closed_afterwards(feed: BarFeed) -> AsyncIterator[None]:
    """Close a live feed afterwards, whatever happens."""
    try:
        yield
    finally:
        if isinstance(feed, LiveFeed):
            with anyio.CancelScope(shield=True):
                await feed.close()


async def connected(feed: LiveFeed, out: Path, after: int | None = None) -> int:
    """Connect ``feed``, what it sees kept in the session's folder ``out``; return its time."""
    feed.keep_in(out / BARS)
    return await feed.connect(after)


async def listening(session: Session, feed: LiveFeed) -> None:
    """Let a live feed listen; one that raises is a failed child, for its supervisor to restart."""
    assembly = session.assembly
    cell = assembly.feed_cell
    while True:
        try:
            await feed.run()
        except Exception as failed:  # noqa: BLE001 - the supervisor's business, never lost
            where, text = f"{type(failed).__name__}: {failed}", portable_traceback(failed)

            def tell(where: str = where, text: str = text) -> None:
                assembly.supervisor.source_failed(cell, where, text, str(session.place))

            assembly.dispatcher.when_idle(tell)
        await sleep_s(LOOK_UP_S)
        while not cell.runs:
            await sleep_s(LOOK_UP_S)
