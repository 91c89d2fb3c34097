"""A market with a time of its own: read off its candles, at any speed, and never ahead of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import anyio
import pytest
from market_data_house import BTC, MINUTE, LabVenue, bar_at, minute

from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import ccxt_source
from feeds.history import VenueTrouble
from feeds.live.feed import VenueFeed
from feeds.live.market_time import ByItsCandles, MarketTime
from feeds.live.venue import FeedClock, Stream
from feeds.rows import Row
from messages import Bar
from tidegate.compose import feed_of
from tidegate.config import load
from tidegate.exits import ConfigError

SPEED = 60.0
LATER = 1_900_000_000_000
"""What the machine says: years after the market."""

PATIENCE_S = 20.0


def test_time_passes_as_fast_as_it_is_told_to() -> None:
    """From where it began, by the machine's clock; what is of the network is converted."""
    wall = [LATER]
    time = MarketTime(lambda: wall[0], SPEED)
    time.begin(minute(100), MINUTE)
    wall[0] += 2_000

    assert minute(100) + 120_000 == time.now_ms()
    assert 120_000 == time.of_network(2_000)
    assert 2.0 == time.real_s(120_000)


def test_a_market_of_its_own_is_never_later_than_its_newest_candle() -> None:
    """One that stands still, because its process does, is not thought to have gone on."""
    wall = [LATER]
    time = MarketTime(lambda: wall[0], SPEED, own=True)
    time.begin(minute(100), MINUTE)
    wall[0] += 3_600_000

    assert minute(101) - 1 == time.now_ms()
    time.has_begun(minute(103), MINUTE)
    assert minute(103) <= time.now_ms() < minute(104)


def test_a_candle_that_has_begun_moves_a_market_of_its_own_forward() -> None:
    """It is so late there, whatever was thought."""
    time = MarketTime(lambda: LATER, SPEED, own=True)
    time.begin(minute(100), MINUTE)
    time.has_begun(minute(102), MINUTE)
    time.has_begun(minute(101), MINUTE)

    assert minute(102) == time.now_ms()


def test_a_venue_with_a_clock_is_not_moved_by_its_candles() -> None:
    """Its clock says what time it is."""
    time = MarketTime(lambda: LATER)
    time.begin(minute(100), MINUTE)
    time.has_begun(minute(105), MINUTE)

    assert minute(100) == time.now_ms()


class Candles:
    """A venue with candles of one symbol."""

    name = "lab"
    page_bars = 500

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    async def server_time_ms(self) -> int:
        return LATER

    async def candles(
        self, symbol: str, timeframe_ms: int, since: int | None, limit: int
    ) -> Sequence[Row]:
        return self.rows[-limit:]


async def test_a_market_without_a_candle_has_no_time_yet() -> None:
    """It is trouble, and so asked for again."""
    with pytest.raises(VenueTrouble, match="no candle yet"):
        await ByItsCandles(Candles([]), [BTC], MINUTE).server_time_ms()


def taken(feed: VenueFeed, bars: list[Bar]) -> None:
    """Take what has come."""
    while isinstance(group := feed.take(), tuple):
        bars += group


async def subscribed(venue: LabVenue) -> None:
    """Return when somebody listens."""
    while True:
        await anyio.sleep(0.005)
        if venue.subscribed:
            return


async def test_a_feed_goes_by_the_markets_own_time(venue: LabVenue, reach: Reach) -> None:
    """
    Years after the market, and sixty times as fast: history ends, and bars close, by its candles.

    Without that nothing of it would be news, and the candle that runs would be taken for closed.
    """
    wall = [LATER]

    async def sleep_s(delay_s: float) -> None:
        wall[0] += int(min(delay_s, 0.5) * 1_000)
        await anyio.sleep(0.001)

    venue.fill(range(101))
    clock = FeedClock(lambda: wall[0], sleep_s)
    chance = Random(1).random
    feed = VenueFeed(
        ccxt_source(reach),
        (BTC,),
        MINUTE,
        clock=clock,
        chance=chance,
        warm_up=3,
        speed=SPEED,
        streams=frozenset({Stream.BARS}),
    )
    bars: list[Bar] = []
    try:
        began = await feed.connect()
        before = [bar for group in feed.groups() for bar in group]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.run)
            with anyio.fail_after(PATIENCE_S):
                await subscribed(venue)
                for place in range(101, 106):
                    venue.now = minute(place)
                    await venue.send_candle(place)
                while len(bars) < 4:
                    await anyio.sleep(0.005)
                    taken(feed, bars)
            # However long it lasts, the candle that runs is not over.
            wall[0] += 3_600_000
            for _ in range(50):
                await anyio.sleep(0.002)
                taken(feed, bars)
            tasks.cancel_scope.cancel()
    finally:
        await feed.close()

    assert minute(100) == began
    assert [bar_at(place) for place in range(97, 100)] == before
    assert [bar_at(place) for place in range(100, 100 + len(bars))] == bars
    assert minute(105) not in [bar.timestamp for bar in bars]


def test_only_a_rehearsals_market_has_a_time_of_its_own(tmp_path: Path) -> None:
    """A real venue's is what its clock says: a speed for it is refused, by its key."""
    file = tmp_path / "tidegate.toml"
    file.write_text(
        '[venue]\nexchange = "binanceusdm"\n'
        '[universe]\nsymbols = ["BTC/USDT:USDT"]\n'
        '[feed]\nsource = "ccxt"\n[feed.live]\nspeed = 60\n'
    )

    with pytest.raises(ConfigError, match=r"feed\.live\.speed: found 60 without venue\.loopback"):
        feed_of(load([file]))
