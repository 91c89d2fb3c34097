"""The scenario's market as a feed: inline, generated or read from files, and cut off if asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from feeds.contract import BarFeed, Group
from feeds.errors import FeedError
from feeds.file import FileFeed
from feeds.memory import MemoryFeed
from feeds.merge import merge
from feeds.report import FeedReport, FileReport
from feeds.sources import FIXTURE_PREFIX
from messages import Bar
from scenarios.errors import ScenarioError
from scenarios.model.market import Cut, Market
from scenarios.model.session import FeedTable, SessionTable

NEVER_BEFORE: Final = -(10**9)
"""Earlier than the number of any bar: those before the start have 0 and less."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scenario lies and where it may put files of its own."""

    folder: Path
    scratch: Path


class MarketFeed:
    """
    Several feeds of one symbol each, merged by time.

    ``after`` (int ms UTC) leaves out the bars that opened up to then: a market goes on where it
    was cut. ``before`` are bars from before the start: strategies warm up with them.
    """

    def __init__(
        self, parts: Mapping[str, BarFeed], *, after: int = -1, before: Sequence[Bar] = ()
    ) -> None:
        """Merge ``parts``; all are of one time frame."""
        self.before = tuple(before)
        self._parts = dict(sorted(parts.items()))
        self._after = after
        self.symbols = tuple(self._parts)
        self.timeframe_ms = next(iter(self._parts.values())).timeframe_ms
        self.synthetic = True

    def going_on(self, after: int) -> MarketFeed:
        """Return the same market without what opened at or before ``after``."""
        return MarketFeed(self._parts, after=max(after, self._after), before=self.before)

    def groups(self) -> Iterator[Group]:
        """Yield the bars, grouped by timestamp."""
        with ExitStack() as stack:
            streams = []
            for feed in self._parts.values():
                groups = feed.groups()
                if hasattr(groups, "close"):
                    stack.callback(groups.close)
                streams.append(list(group) for group in groups)
            for group in merge(streams):
                if group[0].timestamp > self._after:
                    yield tuple(group)

    def fingerprints(self) -> dict[str, str]:
        """Return what identifies every part."""
        return {
            f"{symbol}:{name}": value
            for symbol, feed in self._parts.items()
            for name, value in feed.fingerprints().items()
        }

    def write_quarantine_to(self, path: Path) -> None:
        """Have the bad rows of every file written to ``path``."""
        for feed in self._parts.values():
            if isinstance(feed, CutFeed):
                feed.whole.write_quarantine_to(path)
            elif isinstance(feed, FileFeed):
                feed.write_quarantine_to(path)

    def report(self) -> FeedReport:
        """Return what the files have met so far."""
        reports: list[FileReport] = []
        for feed in self._parts.values():
            if isinstance(feed, CutFeed):
                reports += feed.whole.report().files
            elif isinstance(feed, FileFeed):
                reports += feed.report().files
        return FeedReport(self.timeframe_ms, tuple(reports))


class CutFeed:
    """A file that is whole when it is looked at and cut off once it is read, or limited."""

    def __init__(self, whole: FileFeed, *, bars: int | None, path: Path | None, cut: Cut | None):
        """Read at most ``bars`` bars of ``whole``; truncate ``path`` first if ``cut`` says so."""
        self.whole = whole
        self._bars = bars
        self._path = path
        self._cut = cut
        self.symbols = whole.symbols
        self.timeframe_ms = whole.timeframe_ms
        self.synthetic = whole.synthetic

    def groups(self) -> Iterator[Group]:
        """Yield the bars up to the limit."""
        if self._path is not None and self._cut is not None:
            cut_off(self._path, self._cut.after_row)
        groups = self.whole.groups()
        try:
            yield from groups if self._bars is None else islice(groups, self._bars)
        finally:
            if hasattr(groups, "close"):
                groups.close()

    def fingerprints(self) -> dict[str, str]:
        """Return the digest of the file."""
        return self.whole.fingerprints()


def market_feed(
    markets: Mapping[str, Market], session: SessionTable, feed: FeedTable, place: Place
) -> MarketFeed:
    """Return the feed that a scenario's ``market`` describes, or raise ``ScenarioError``."""
    parts: dict[str, BarFeed] = {}
    before: list[Bar] = []
    for symbol, market in markets.items():
        try:
            parts[symbol] = _part(symbol, market, session, feed, place, before)
        except (FeedError, OSError) as error:
            raise ScenarioError(f"market.{symbol}: {error}") from error
    frames = {symbol: part.timeframe_ms for symbol, part in parts.items()}
    for symbol, timeframe_ms in frames.items():
        if timeframe_ms != session.timeframe_ms:
            raise ScenarioError(
                f"market.{symbol}: found bars of {timeframe_ms} ms, "
                f"expected session.timeframe = {session.timeframe}"
            )
    return MarketFeed(parts, before=sorted(before, key=lambda bar: (bar.timestamp, bar.symbol)))


def _part(
    symbol: str,
    market: Market,
    session: SessionTable,
    feed: FeedTable,
    place: Place,
    before: list[Bar],
) -> BarFeed:
    match market.kind:
        case "closes":
            assert market.closes is not None, "its kind says so"
            bars = _by_closes(symbol, _closes(market.closes), market.volume, session)
        case "flat":
            assert market.flat is not None, "its kind says so"
            prices = [market.flat.price] * market.flat.bars
            bars = _by_closes(symbol, prices, market.volume, session)
        case "walk":
            assert market.walk is not None, "its kind says so"
            bars = _walk(symbol, market, session)
        case "rows":
            assert market.rows is not None, "its kind says so"
            known = _by_rows(symbol, market.rows, session)
            bars = [bar for bar in known if bar.timestamp >= session.start_ms]
            before += known[: len(known) - len(bars)]
            if not bars:
                raise ScenarioError(f"market.{symbol}.rows: found no bar numbered 1 or later")
        case _:
            assert market.file is not None, "its kind says so"
            return _file(symbol, market, session, feed, place)
    shift = (market.from_bar - 1) * session.timeframe_ms
    if shift:
        bars = [_later(bar, shift) for bar in bars]
    return MemoryFeed({symbol: bars}, synthetic=True)


def _closes(items: Sequence[tuple[float, int]]) -> list[float]:
    return [price for price, count in items for _ in range(count)]


def _by_closes(
    symbol: str, prices: Sequence[float], volume: float, session: SessionTable
) -> list[Bar]:
    bars: list[Bar] = []
    before = prices[0]
    for number, price in enumerate(prices):
        at = session.start_ms + number * session.timeframe_ms
        high, low = max(before, price), min(before, price)
        bars.append(Bar(symbol, at, before, high, low, price, volume, session.timeframe_ms))
        before = price
    return bars


def _walk(symbol: str, market: Market, session: SessionTable) -> list[Bar]:
    walk = market.walk
    assert walk is not None, "its kind says so"
    chance = Random(f"{session.seed}:{symbol}")  # seam: drawn from the scenario's seed alone
    prices = [walk.price]
    most = walk.step_bps / 10_000
    for _ in range(walk.bars - 1):
        step = (2 * chance.random() - 1) * most
        prices.append(max(0.01, round(prices[-1] * (1 + step), 2)))
    return _by_closes(symbol, prices, market.volume, session)


def _by_rows(symbol: str, rows: Sequence[tuple[float, ...]], session: SessionTable) -> list[Bar]:
    bars: list[Bar] = []
    number = 0
    for place, row in enumerate(rows):
        before = number if bars else NEVER_BEFORE
        number, prices = (int(row[0]), row[1:]) if len(row) == 6 else (number + 1, row)
        open_, high, low, close, volume = prices
        if number <= before:
            raise ScenarioError(
                f"market.{symbol}.rows[{place}]: found bar {number} after bar {before}, "
                "expected a later one"
            )
        if not 0 < low <= min(open_, close) <= max(open_, close) <= high or volume < 0:
            raise ScenarioError(
                f"market.{symbol}.rows[{place}]: found {list(prices)}, expected "
                "0 < low <= open, close <= high and a volume of 0 or more"
            )
        at = session.start_ms + (number - 1) * session.timeframe_ms
        bars.append(Bar(symbol, at, open_, high, low, close, volume, session.timeframe_ms))
    return bars


def _later(bar: Bar, shift_ms: int) -> Bar:
    return Bar(
        bar.symbol,
        bar.timestamp + shift_ms,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.timeframe_ms,
    )


def _file(
    symbol: str, market: Market, session: SessionTable, feed: FeedTable, place: Place
) -> BarFeed:
    name = market.file
    assert name is not None, "its kind says so"
    path: Path | None = None
    if name.startswith(FIXTURE_PREFIX):
        source = f"{name}@{symbol}"
        if market.cut is not None:
            raise ScenarioError(f"market.{symbol}.cut: only a file beside the scenario can be cut")
    else:
        original = place.folder / name
        if not original.is_file():
            raise ScenarioError(f"market.{symbol}.file: no such file: {original}")
        path = original
        if market.cut is not None:
            path = place.scratch / Path(name).name
            shutil.copyfile(original, path)
            if not market.cut.while_reading:
                cut_off(path, market.cut.after_row)
        source = f"{path}@{symbol}"
    whole = FileFeed([source], timeframe=session.timeframe, max_bad_rows=feed.max_bad_rows)
    late = market.cut if market.cut is not None and market.cut.while_reading else None
    return CutFeed(whole, bars=market.bars, path=path if late else None, cut=late)


def cut_off(path: Path, after_row: int) -> None:
    """Truncate a CSV file in the middle of the row after row ``after_row`` (from 1)."""
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) < after_row + 2:
        raise ScenarioError(
            f"{path.name}: found {len(lines) - 1} rows, expected more than {after_row} to cut one"
        )
    next_row = lines[after_row + 1]
    kept = [*lines[: after_row + 1], next_row[: max(1, len(next_row) // 2)]]
    path.write_bytes(b"".join(kept))
