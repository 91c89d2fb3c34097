"""
A stand for each feed: the same words, whatever source is behind it.

A test says which minutes the source has for two symbols, and reads what the feed brings. A live
feed stands at a lab whose time a test moves: the bars of minutes before ``PRESENT`` have been, the
others happen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import market_data_house as ccxt_lab
import yahoo_house as yahoo_lab
from alpaca_house import KEYS
from alpaca_lab import LabAlpaca
from market_data_house import BTC, ETH, MINUTE, LabClock, LabVenue, minute
from passing import InFlight, Passing, Running, closing

from feeds.alpaca.reach import AlpacaReach
from feeds.alpaca.venue import alpaca_source
from feeds.ccxt.venue import ccxt_source
from feeds.contract import BarFeed, Group
from feeds.file import FileFeed
from feeds.live.feed import VenueFeed
from feeds.live.venue import FeedClock, VenueSource
from feeds.memory import MemoryFeed
from feeds.merge import group_by_time
from feeds.rows import COLUMNS, Row
from feeds.settings import FeedSettings, build_feed
from feeds.synthetic import SyntheticFeed
from feeds.timeframe import parse_timeframe
from feeds.yfinance.reach import YahooReach
from feeds.yfinance.venue import yahoo_source
from messages import Bar

PRESENT = 100
"""The minute that has just begun when a live feed starts."""

Places = Iterable[int]


def bar_of(symbol: str, place: int, shift: float = 0.0) -> Bar:
    """Return the bar of one minute: a function of its symbol and its place."""
    return ccxt_lab.bar_at(place, shift=shift, symbol=symbol)


def row_of(bar: Bar) -> Row:
    """Return a bar as a source's row."""
    return (bar.timestamp, bar.open, bar.high, bar.low, bar.close, bar.volume)


def impossible(bar: Bar) -> Bar:
    """Return a bar whose high is below its low."""
    return Bar(bar.symbol, bar.timestamp, bar.open, 1.0, bar.low, bar.close, 1.0, MINUTE)


class Stand(ABC):
    """One feed and its source."""

    symbols: tuple[str, str] = ("ACME", "BETA")

    def __init__(self, folder: Path, certificate: Callable[[], Path]) -> None:
        self.folder = folder
        self.certificate = certificate
        self.bars: dict[str, dict[int, Bar]] = {symbol: {} for symbol in self.symbols}

    def put(self, places: Places, *others: Places) -> None:
        """Let the source have the first symbol's minutes, and the second's (else the same)."""
        for symbol, mine in zip(self.symbols, (places, *(others or (places,))), strict=True):
            self.bars[symbol] |= {place: bar_of(symbol, place) for place in mine}

    def spoil(self, which: int, place: int) -> None:
        """Make one bar of the source one that cannot be."""
        symbol = self.symbols[which]
        self.bars[symbol][place] = impossible(self.bars[symbol][place])

    def expected(self, *without: tuple[int, int]) -> list[Group]:
        """Return what the source has, in groups, without some bars (which symbol, place)."""
        return group_by_time(
            [
                [mine[place] for place in sorted(mine) if (which, place) not in without]
                for which, mine in enumerate(self.bars.values())
            ]
        )

    @abstractmethod
    def open(self) -> AbstractAsyncContextManager[BarFeed]:
        """Give a feed of what the source has."""

    @abstractmethod
    async def brought(self, feed: BarFeed) -> list[Group]:
        """Return all that the feed brings of what was put."""

    @abstractmethod
    def missing(self, feed: BarFeed) -> dict[str, int]:
        """Return how many bars the feed has found left out, by symbol."""

    @abstractmethod
    def bad(self, feed: BarFeed) -> int:
        """Return how many bars it has refused."""

    @abstractmethod
    async def asked_for(self, symbol: str | None, timeframe: str | None) -> None:
        """Ask for a symbol or a time frame, which may be refused."""


# ---------------------------------------------------------------------------------------- history


class HistoryStand(Stand):
    """A source of what has been."""

    @abstractmethod
    def made(self) -> BarFeed:
        """Return a feed of the bars that were put."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[BarFeed]:
        yield self.made()

    async def brought(self, feed: BarFeed) -> list[Group]:
        return list(feed.groups())

    def missing(self, feed: BarFeed) -> dict[str, int]:
        raise NotImplementedError

    def bad(self, feed: BarFeed) -> int:
        raise NotImplementedError

    async def asked_for(self, symbol: str | None, timeframe: str | None) -> None:
        raise NotImplementedError


class Memory(HistoryStand):
    def made(self) -> BarFeed:
        return MemoryFeed(
            {symbol: [mine[each] for each in sorted(mine)] for symbol, mine in self.bars.items()}
        )


class Synthetic(HistoryStand):
    def made(self) -> BarFeed:
        return SyntheticFeed(self.symbols[::-1], profile="equity", seed=7, bars=900)


class Csv(HistoryStand):
    ending = "csv"

    def write(self, path: Path, rows: list[Row]) -> None:
        lines = [
            "timestamp,open,high,low,close,volume",
            *(",".join(map(repr, row)) for row in rows),
        ]
        path.write_text("\n".join(lines) + "\n", "utf-8")

    def settings(self, symbols: Iterable[str], timeframe: str | None = None) -> FeedSettings:
        files = []
        for symbol in symbols:
            path = self.folder / f"{symbol}.{self.ending}"
            if symbol in self.bars:
                mine = self.bars[symbol]
                self.write(path, [row_of(mine[place]) for place in sorted(mine)])
            files.append(f"{path}@{symbol}")
        return FeedSettings(source="file", files=tuple(files), timeframe=timeframe, max_bad_rows=9)

    def made(self) -> FileFeed:
        feed = build_feed(self.settings(self.symbols[::-1]), self.symbols, seed=1)
        assert isinstance(feed, FileFeed)
        return feed

    def missing(self, feed: BarFeed) -> dict[str, int]:
        assert isinstance(feed, FileFeed)
        return {each.symbol: each.missing for each in feed.report().files}

    def bad(self, feed: BarFeed) -> int:
        assert isinstance(feed, FileFeed)
        return sum(feed.report().bad_rows.values())

    async def asked_for(self, symbol: str | None, timeframe: str | None) -> None:
        wanted = (*self.symbols, *([] if symbol is None else [symbol]))
        feed = build_feed(self.settings(self.symbols, timeframe), wanted, seed=1)
        list(feed.groups())


class Parquet(Csv):
    ending = "parquet"

    def write(self, path: Path, rows: list[Row]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
        parquet.write_table(pa.table(columns), path)


# ------------------------------------------------------------------------------------------- live


class LiveStand(Stand):
    """A source of what happens now: a lab with a clock of its own."""

    lab: Any
    """Has ``now``, and takes what was put with ``show``."""

    def __init__(self, folder: Path, certificate: Callable[[], Path]) -> None:
        super().__init__(folder, certificate)
        self.clock = LabClock(self.lab)
        self.in_flight = InFlight()
        self.time = Passing(self.clock, self.in_flight)

    @abstractmethod
    def served(self) -> AbstractAsyncContextManager[VenueSource]:
        """Let the lab listen; give the way to it."""

    @abstractmethod
    def show(self) -> None:
        """Let the lab have what was put."""

    @property
    @abstractmethod
    def questions(self) -> int:
        """Return how often the lab was asked for candles."""

    @abstractmethod
    def fail(self, times: int) -> None:
        """Let the lab fail to answer so many questions for candles, each for good."""

    def close_between(self, start: int, end: int) -> None:
        """Let the exchange be closed between two minutes: an evening and the morning after."""
        raise NotImplementedError

    def feed(self, source: VenueSource, symbols: Iterable[str], **others: Any) -> VenueFeed:
        own = FeedClock(self.clock.wall_ms, self.clock.sleep_s)
        watched = replace(source, open=lambda: self.in_flight.watched(source))
        return VenueFeed(
            watched,
            tuple(symbols),
            others.pop("timeframe_ms", MINUTE),
            clock=own,
            chance=Random(1).random,
            **others,
        )

    @asynccontextmanager
    async def running(
        self, *, after: int | None = None, warm_up: int = 4, kept: Path | None = None, **others: Any
    ) -> AsyncIterator[Running]:
        """Give a feed that runs, connected."""
        async with self.served() as source:
            feed = self.feed(source, self.symbols[::-1], warm_up=warm_up, **others)
            if kept is not None:
                feed.keep_in(kept)
            async with closing(feed), anyio.create_task_group() as tasks:
                running = Running(feed, self.time)
                await self.connected(feed, after)
                tasks.start_soon(feed.run)
                await self.time.settle()
                yield running
                tasks.cancel_scope.cancel()

    async def connected(self, feed: VenueFeed, after: int | None = None) -> int:
        """Connect a feed, time passing while it waits to ask again."""
        found: list[int] = []
        failed: list[Exception] = []

        async def connect() -> None:
            try:
                found.append(await feed.connect(after))
            except Exception as error:  # noqa: BLE001 - raised below, out of the task group
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connect)
            await self.time.settle()
            await self.time.until(lambda: found or failed)
        if failed:
            raise failed[0]
        return found[0]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[BarFeed]:
        oldest = min(place for mine in self.bars.values() for place in mine)
        async with self.running(warm_up=PRESENT - oldest) as running:
            self._running = running
            yield running.feed

    async def brought(self, feed: BarFeed) -> list[Group]:
        before = list(feed.groups())
        news = sum(place >= PRESENT for mine in self.bars.values() for place in mine)
        return before + await self._running.groups(news)

    def missing(self, feed: BarFeed) -> dict[str, int]:
        assert isinstance(feed, VenueFeed)
        return {each: counts["missing"] for each, counts in feed.statistics()["symbols"].items()}

    def bad(self, feed: BarFeed) -> int:
        assert isinstance(feed, VenueFeed)
        return sum(counts["bad"] for counts in feed.statistics()["symbols"].values())

    def shown(self) -> Iterator[tuple[str, list[Bar]]]:
        """Yield each symbol's bars, and the one with which its market goes on behind the last."""
        last = max(place for mine in self.bars.values() for place in mine)
        for symbol, mine in self.bars.items():
            yield symbol, [*mine.values(), bar_of(symbol, last + 1)]

    async def asked_for(self, symbol: str | None, timeframe: str | None) -> None:
        wanted = (*self.symbols, *([] if symbol is None else [symbol]))
        async with self.served() as source:
            feed = self.feed(source, wanted, timeframe_ms=parse_timeframe(timeframe or "1m"))
            async with closing(feed):
                await self.connected(feed)


class Ccxt(LiveStand):
    """The real ccxt at a lab that speaks binanceusdm over TLS."""

    symbols = (BTC, ETH)

    def __init__(self, folder: Path, certificate: Callable[[], Path]) -> None:
        self.lab = LabVenue(now=minute(PRESENT) + 1)
        super().__init__(folder, certificate)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[VenueSource]:
        self.show()
        async with ccxt_lab.serving(self.lab, self.certificate()) as port:
            yield ccxt_source(self.lab.reach(port, self.certificate()))

    def show(self) -> None:
        for symbol, bars in self.shown():
            self.lab.rows[symbol] = {bar.timestamp: row_of(bar) for bar in bars}

    @property
    def questions(self) -> int:
        return len(self.lab.asked)

    def fail(self, times: int) -> None:
        self.lab.faults += [ccxt_lab.unwell] * times


class AlpacaStand(LiveStand):
    """The real alpaca-py at the stand-in for Alpaca over TLS."""

    lab: LabAlpaca

    def __init__(self, folder: Path, certificate: Callable[[], Path]) -> None:
        self.lab = LabAlpaca(minute(PRESENT) + 1)
        super().__init__(folder, certificate)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[VenueSource]:
        self.show()
        async with self.lab.serving(self.folder, self.certificate()) as port:
            ca = self.certificate()
            yield alpaca_source(
                AlpacaReach(KEYS.key_id, KEYS.secret, loopback_port=port, loopback_ca=ca)
            )

    def show(self) -> None:
        for symbol, bars in self.shown():
            self.lab.bars[symbol] = {bar.timestamp: bar for bar in bars}
        self.lab.apply()

    @property
    def questions(self) -> int:
        hits = () if self.lab.server is None else self.lab.server.hits
        return sum(hit.path == "/v2/stocks/bars" for hit in hits)

    def close_between(self, start: int, end: int) -> None:
        closes, opens = (
            datetime.fromtimestamp(minute(each) / 1000, ZoneInfo("America/New_York"))
            for each in (start, end)
        )
        evening = {"date": f"{closes:%Y-%m-%d}", "open": "00:00", "close": f"{closes:%H:%M}"}
        morning = {"date": f"{opens:%Y-%m-%d}", "open": f"{opens:%H:%M}", "close": "23:59"}
        if evening["date"] != morning["date"]:
            evening["open"] = "12:00"
        self.lab.calendar = [evening, morning]

    def fail(self, times: int) -> None:
        self.lab.failures = times
        self.lab.apply()


class Yahoo(LiveStand):
    """The real yfinance at a lab that speaks Yahoo's chart endpoint over TLS."""

    def __init__(self, folder: Path, certificate: Callable[[], Path]) -> None:
        self.lab = yahoo_lab.LabYahoo(now=minute(PRESENT) + 1)
        super().__init__(folder, certificate)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[VenueSource]:
        self.show()
        async with yahoo_lab.serving(self.lab, self.certificate()) as port:
            reach = YahooReach(loopback_port=port, loopback_ca=self.certificate())
            yield yahoo_source(reach, self.clock.wall_ms)

    def show(self) -> None:
        for symbol, bars in self.shown():
            self.lab.rows[symbol, "1m"] = {bar.timestamp: row_of(bar) for bar in bars}

    @property
    def questions(self) -> int:
        return sum("period1" in each for each in self.lab.asked)

    def close_between(self, start: int, end: int) -> None:
        # Two hours west of Greenwich midnight lies between the two.
        west = 2 * 60
        self.lab.hours = yahoo_lab.Hours(
            "Etc/GMT+2", opens=end - west, closes=start - west + 24 * 60, always=True
        )

    def fail(self, times: int) -> None:
        # The library asks a second time by itself.
        self.lab.faults += [yahoo_lab.unwell] * (2 * times)


STANDS: Mapping[str, Callable[[Path, Callable[[], Path]], Stand]] = {
    "memory": Memory,
    "file (CSV)": Csv,
    "file (Parquet)": Parquet,
    "synthetic": Synthetic,
    "ccxt": Ccxt,
    "alpaca": AlpacaStand,
    "yfinance": Yahoo,
}
"""A row for each feed of ``feeds.behaviours.FEEDS``."""
