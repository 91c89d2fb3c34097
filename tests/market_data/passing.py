"""A live feed at a lab whose time a test moves: nothing passes while a question is on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from market_data_house import LabClock

from feeds.contract import Arrival, Group
from feeds.live.feed import VenueFeed
from feeds.live.venue import LiveVenue, VenueSource

PATIENCE_S = 20.0
"""How long a test waits for loopback: only a test that fails waits as long."""

SPELL_S = 0.001
"""How long we let the loop go on before we look again."""


class InFlight:
    """How many questions the feed waits for: time does not pass meanwhile, however slow we are."""

    def __init__(self) -> None:
        self.count = 0

    @asynccontextmanager
    async def watched(self, source: VenueSource) -> AsyncIterator[LiveVenue]:
        """Open the source, its questions counted while they are asked."""
        async with source.open() as venue:
            for name in ("load", "server_time_ms", "candles"):
                setattr(venue, name, self._counted(getattr(venue, name)))
            yield venue

    def _counted(self, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(*arguments: Any) -> Any:
            self.count += 1
            try:
                return await ask(*arguments)
            finally:
                self.count -= 1

        return asked


@dataclass
class Passing:
    """The lab's time as it passes: from one moment at which somebody wakes to the next."""

    clock: LabClock
    in_flight: InFlight

    async def step(self, end: int | None = None) -> None:
        """Let time pass to the next moment, ``end`` at the latest, and questions be answered."""
        due = self.clock.next_due
        moments = [at for at in (due, end) if at is not None]
        if moments:
            self.clock.move(max(min(moments), self.clock.venue.now))
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is asked any more."""
        await anyio.sleep(SPELL_S)
        while self.in_flight.count:  # noqa: ASYNC110 - a question ends when it ends
            await anyio.sleep(SPELL_S)

    async def until(self, happens: Callable[[], Any]) -> None:
        """Let time pass until something has happened."""
        with anyio.fail_after(PATIENCE_S):
            while not happens():
                await self.step()

    async def heard(self, happens: Callable[[], Any]) -> None:
        """Wait until something has happened, while time stands still."""
        with anyio.fail_after(PATIENCE_S):
            while not happens():
                await self.settle()

    async def to(self, end: int) -> None:
        """Let time pass until it is ``end``."""
        with anyio.fail_after(PATIENCE_S):
            while self.clock.venue.now < end:
                await self.step(end)
            await self.settle()


class Running:
    """A live feed that runs, and whoever takes from it."""

    def __init__(self, feed: VenueFeed, time: Passing) -> None:
        self.feed = feed
        self.time = time
        self.woken = False
        feed.wake = self.wake

    def wake(self) -> None:
        self.woken = True

    async def next(self, *, as_time_passes: bool = True) -> Arrival:
        """Return what comes next, time passing or standing still while nothing does."""
        with anyio.fail_after(PATIENCE_S):
            while (arrival := self.feed.take()) is None:
                await (self.time.step() if as_time_passes else self.time.settle())
        return arrival

    async def groups(self, count: int) -> list[Group]:
        """Return the next groups of bars that have ``count`` bars in all."""
        found: list[Group] = []
        while sum(map(len, found)) < count:
            arrival = await self.next()
            assert isinstance(arrival, tuple)
            found.append(arrival)
        return found


@asynccontextmanager
async def closing(feed: VenueFeed) -> AsyncIterator[None]:
    """Close a feed afterwards, whatever happens."""
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await feed.close()
