"""A live feed of the real ccxt at the lab venue, and who takes what it brings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
from market_data_house import (
    LabClock,
)

from feeds.contract import Arrival
from feeds.live.feed import GRACE_MS, JITTER_MS, VenueFeed
from messages import Bar

PATIENCE_S = 20.0
"""How long a test waits for loopback: only a test that fails waits as long."""

SPELL_S, SPELL_MS = 0.05, 1_000
"""How fast time passes where it does."""

POLLED = GRACE_MS + JITTER_MS
"""By then history has been asked for a bar that is over."""


class Taker:
    """Takes what a feed brings, as a driver would."""

    def __init__(self, feed: VenueFeed, clock: LabClock) -> None:
        self.feed = feed
        self.clock = clock
        self.rung = anyio.Event()
        feed.wake = self.ring

    def ring(self) -> None:
        self.rung.set()

    async def next(self, *, as_time_passes: bool = False) -> Arrival:
        """Return what comes next; with time standing still, or passing while nothing comes."""
        with anyio.fail_after(PATIENCE_S):
            while (arrival := self.feed.take()) is None:
                with anyio.move_on_after(SPELL_S if as_time_passes else PATIENCE_S) as spell:
                    await self.rung.wait()
                if spell.cancelled_caught:
                    self.clock.move(self.clock.venue.now + SPELL_MS)
                self.rung = anyio.Event()
        return arrival

    async def bars(self, count: int, *, as_time_passes: bool = False) -> list[Bar]:
        found: list[Bar] = []
        while len(found) < count:
            arrival = await self.next(as_time_passes=as_time_passes)
            assert isinstance(arrival, tuple)
            found += arrival
        return found


async def until(happens: Callable[[], Any], clock: LabClock | None = None) -> None:
    """Let the loop go on, and time pass if there is a ``clock``, until something has happened."""
    with anyio.fail_after(PATIENCE_S):
        while not happens():
            await anyio.sleep(SPELL_S / 10)
            if clock is not None:
                clock.move(clock.venue.now + SPELL_MS // 10)


Running = Callable[..., AbstractAsyncContextManager[Taker]]
