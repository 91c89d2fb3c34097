"""A live feed of the real ccxt at a stranger's candles, in a time that a test moves."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
from candle_stand import CandleStand, standing
from candle_words import KRAKEN, SPOT, SWAP, BybitCandles, KrakenCandles, OkxCandles

sys.path.append(str(Path(__file__).parents[1] / "market_data"))

from market_data_house import MINUTE, LabClock, minute
from passing import PATIENCE_S, InFlight, Passing, Running, closing

from feeds.ccxt.venue import ccxt_source
from feeds.live.feed import GRACE_MS, JITTER_MS, VenueFeed
from feeds.live.venue import FeedClock, Stream, VenueSource
from messages import Tick

PRESENT = 100
"""The minute that has just begun when a feed starts."""

POLLED_MS = GRACE_MS + JITTER_MS
"""By then after its end history has been asked for a bar."""

STEP_MS = 25
"""How much time passes at once where a line is dialled anew."""


@dataclass(frozen=True)
class Case:
    """A venue, a market of it, and the way there: pinned with TLS, or by one address without."""

    kind: type[CandleStand]
    symbol: str
    tls: bool = True


CASES: Mapping[str, Case] = {
    "okx": Case(OkxCandles, SWAP),
    "okx-spot": Case(OkxCandles, SPOT, tls=False),
    "bybit": Case(BybitCandles, SWAP),
    "bybit-spot": Case(BybitCandles, SPOT, tls=False),
    "kraken": Case(KrakenCandles, KRAKEN),
}
VENUES = ("okx", "bybit", "kraken")


class AtWork(Running):
    """A feed that listens to a venue, and what the venue has heard."""

    def __init__(self, feed: VenueFeed, time: Passing, stand: CandleStand, symbol: str) -> None:
        super().__init__(feed, time)
        self.stand = stand
        self.symbol = symbol
        self.asked_at_start = len(stand.asked)

    @property
    def questions(self) -> int:
        """Return how often candles were asked for since the feed has started."""
        return len(self.stand.asked) - self.asked_at_start

    async def unfinished(self, place: int, symbol: str = "", *, shift: float = 5.0) -> None:
        """Have the venue show a candle that is not over, and the feed hear of it."""
        self.woken = False
        await self.stand.send_candle(place, symbol or self.symbol, shift=shift)
        await self.time.heard(lambda: self.woken)

    async def closes(self, place: int) -> None:
        """Have a minute be over, and the venue say so in its own way: time stands still then."""
        end = max(minute(place + 1) + 1, self.stand.now)
        self.time.clock.move(end)
        self.woken = False
        await self.stand.send_candle(place, self.symbol, closed=True)
        if not self.stand.says_closed:
            await self.stand.send_candle(place + 1, self.symbol, shift=7.0)
        await self.time.heard(lambda: self.woken)

    async def subscriptions(self, count: int) -> None:
        """Wait until the venue has taken so many in all, while time stands still."""
        await self.time.heard(lambda: len(self.stand.subscribed) >= count)

    async def until_trade(self, price: float) -> None:
        """Take what comes, while time stands still, until it is a trade at this price."""
        while not (isinstance(found := await self.next(as_time_passes=False), Tick)):
            pass
        assert price == found.price

    async def subscribed_anew(self, count: int) -> None:
        """Let time pass, slowly enough for a dial, until the venue has taken so many in all."""
        with anyio.fail_after(PATIENCE_S):
            while len(self.stand.subscribed) < count:
                await self.time.to(self.stand.now + STEP_MS)


@asynccontextmanager
async def at_work(
    case: Case,
    folder: Path,
    *streams: Stream,
    symbols: tuple[str, ...] = (),
    params: Mapping[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[AtWork]:
    """Let a feed listen to ``streams`` (bars, if none is named) of a venue that runs."""
    stand = case.kind(minute(PRESENT) + 1)
    for name, value in more.items():
        setattr(stand, name, value)
    symbols = symbols or (case.symbol,)
    for symbol in symbols:
        stand.fill(range(PRESENT + 1), symbol)
    async with standing(stand, folder / "tls", tls=case.tls) as reach:
        way = replace(reach, params={**reach.params, **(params or {})})
        clock = LabClock(stand)  # type: ignore[arg-type]
        feed, time = feed_of(ccxt_source(way), clock, symbols, *streams)
        async with closing(feed), anyio.create_task_group() as tasks:
            await feed.connect()
            running = AtWork(feed, time, stand, case.symbol)
            tasks.start_soon(feed.run)
            yield running
            tasks.cancel_scope.cancel()


def feed_of(
    source: VenueSource, clock: LabClock, symbols: tuple[str, ...], *streams: Stream
) -> tuple[VenueFeed, Passing]:
    """Return a feed in a lab's time, and how that passes."""
    in_flight = InFlight()
    feed = VenueFeed(
        replace(source, open=lambda: in_flight.watched(source)),
        symbols,
        MINUTE,
        clock=FeedClock(clock.wall_ms, clock.sleep_s),
        chance=Random(1).random,
        warm_up=4,
        streams=frozenset(streams or {Stream.BARS}),
    )
    return feed, Passing(clock, in_flight)
