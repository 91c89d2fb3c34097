"""The store, and the venue on loopback with its certificate."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from live_house import Running, Taker
from market_data_house import BTC, MINUTE, SYMBOL, LabClock, LabVenue, Waits, mint, minute, serving

from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import ccxt_source
from feeds.live.feed import VenueFeed
from feeds.live.venue import FeedClock, Stream
from feeds.store.layout import Series
from feeds.store.store import BarStore


@pytest.fixture
def series() -> Series:
    """Return the series that most tests are about."""
    return Series("binanceusdm", SYMBOL, MINUTE)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    """Return an empty store."""
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    return BarStore(tmp_path / "data")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the lab venue's certificate and key."""
    pytest.importorskip("cryptography", reason="needs the extra `ccxt`")
    return mint(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def venue() -> LabVenue:
    """Return a venue without candles, whose time is just after bar 100 has begun."""
    return LabVenue(now=minute(100) + 1)


@pytest.fixture
async def reach(venue: LabVenue, certificate: Path) -> AsyncIterator[Reach]:
    """Let the venue listen; return how the real ccxt gets there."""
    pytest.importorskip("ccxt", reason="needs the extra `ccxt`")
    async with serving(venue, certificate) as port:
        yield venue.reach(port, certificate)


@pytest.fixture
def waits() -> Waits:
    """Return a sleep that takes no time."""
    return Waits()


@pytest.fixture
def clock(venue: LabVenue) -> LabClock:
    return LabClock(venue)


@pytest.fixture
def make(reach: Reach, clock: LabClock) -> Callable[..., VenueFeed]:
    """Return a maker of feeds."""

    def feed(*symbols: str, **others: Any) -> VenueFeed:
        own = FeedClock(clock.wall_ms, clock.sleep_s)
        chance = Random(1).random
        others = {"streams": frozenset({Stream.BARS}), **others}
        return VenueFeed(
            ccxt_source(reach), symbols or (BTC,), MINUTE, clock=own, chance=chance, **others
        )

    return feed


@pytest.fixture
def running(make: Callable[..., VenueFeed], clock: LabClock) -> Running:
    """Return a context in which a feed runs, connected."""

    @asynccontextmanager
    async def context(
        *symbols: str, after: int | None = None, kept: Path | None = None, **others: Any
    ) -> AsyncIterator[Taker]:
        feed = make(*symbols, **others)
        if kept is not None:
            feed.keep_in(kept)
        await feed.connect(after)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run)
                yield Taker(feed, clock)
                tasks.cancel_scope.cancel()
        finally:
            await feed.close()

    return context
