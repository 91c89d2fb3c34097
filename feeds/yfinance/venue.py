"""
yfinance itself: loaded here and nowhere else.

Theory of operation. A thin port: Yahoo's frames become rows, its complaints become what asking
again may help (``VenueTrouble``) and what it will not (``VenueRefused``). The library blocks, so it
is asked in a thread, one question at a time: its session is one for the whole process. It also
remembers answers about the past, empty ones too; what it remembers is forgotten before each
question, because two answers that agree are what we take for proof.

Time is stamped at a bar's open in UTC. Yahoo stamps a day where its exchange begins it, which a
change of the clocks moves by an hour; a day and a week are stamped at midnight UTC of their date
instead. That is before the exchange opens or after it closed the day before, wherever it is, so the
bar is not taken for closed too early. A minute of an exchange that is shut has no bar.
"""

from __future__ import annotations

import json
from calendar import timegm
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from math import isnan
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from feeds.errors import FeedError, FeedSettingError
from feeds.history import VenueRefused, VenueTrouble
from feeds.live.venue import VenueSource
from feeds.rows import Row
from feeds.timeframe import format_timeframe, parse_timeframe
from feeds.timeline import iso
from feeds.yfinance.intervals import DAY_MS, Interval, interval_of
from feeds.yfinance.reach import YahooReach, library, session_of

T = TypeVar("T")

COLUMNS: Final = ("Open", "High", "Low", "Close", "Volume")

CLOSED_LOOK_MS: Final = 300_000
"""How often a closed exchange is looked at: Yahoo says of today only when trading begins."""

ZONE: Final = "exchangeTimezoneName"
"""What Yahoo says of every ticker it knows, with candles or without."""

UNTRADED: Final = "Data doesn't exist for startDate"
"""What Yahoo says of a time in which nothing was traded."""

PERIOD_LOADED: Final = "5d"


class YahooVenue:
    """
    Market data of Yahoo Finance; made by ``open_yahoo``.

    Every method raises ``VenueTrouble``, ``VenueRefused`` or ``FeedSettingError``, nothing of the
    library's own.
    """

    page_bars = 7 * 24 * 60

    def __init__(
        self, reach: YahooReach, yfinance: Any, session: Any, wall_ms: Callable[[], int]
    ) -> None:
        """Ask through ``session``; ``wall_ms`` is the time, for Yahoo does not tell its own."""
        self.name = reach.name
        self._reach = reach
        self._yfinance = yfinance
        self._session = session
        self._wall_ms = wall_ms
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._tickers: dict[str, Any] = {}
        self._hours: dict[str, tuple[int, int]] = {}
        self._heard_at: dict[str, int] = {}
        self._timeframe_ms = 0
        self._data = yfinance.data.YfData(session=session)
        # It is one a process, and what it knows belongs to the cookies of the session before.
        self._data._crumb = self._data._cookie = None  # noqa: SLF001

    async def load(self, symbols: Sequence[str], timeframe: str) -> None:
        """Learn the symbols' exchanges; refuse what Yahoo does not have."""
        self._timeframe_ms = parse_timeframe(timeframe)
        interval = interval_of(self._timeframe_ms)
        if self._reach.adjusted and interval.is_intraday:
            raise FeedSettingError(
                f"feed.yfinance.adjusted: Yahoo adjusts no bars of {timeframe} for dividends; "
                "expected a time frame of a day or a week, or adjusted = false"
            )
        unknown = []
        for symbol in symbols:
            try:
                await self._asked(symbol, {"period": PERIOD_LOADED, "interval": "1d"})
            except VenueRefused as refusal:
                unknown.append(str(refusal))
        if unknown:
            raise FeedSettingError(
                f"{'; '.join(unknown)}; expected a ticker as Yahoo writes it, such as AAPL"
            )

    async def server_time_ms(self) -> int:
        """Return this machine's time."""
        return self._wall_ms()

    async def candles(
        self, symbol: str, timeframe_ms: int, since: int | None, limit: int
    ) -> Sequence[Row]:
        """Return one page of candles; see ``feeds.history.CandleVenue``."""
        interval = interval_of(timeframe_ms)
        now = self._wall_ms()
        newest, end = since is None, now + timeframe_ms
        if since is None:
            since = max(interval.back(limit, now), end - interval.span_ms)
        else:
            end = min(since + min(limit * timeframe_ms, interval.span_ms), end)
        if since < interval.oldest(now):
            raise VenueRefused(
                f"{self.name}: {symbol}: Yahoo has bars of {format_timeframe(timeframe_ms)} of "
                f"the last {interval.reach_ms // DAY_MS} days only, and was to be asked from "
                f"{iso(since)} on; expected {iso(interval.oldest(now))} or later"
            )
        # Where its exchange begins a day is not where we do.
        around = 0 if interval.is_intraday else DAY_MS
        window = {"start": max(since - around, DAY_MS) // 1000, "end": (end + around) // 1000}
        frame = await self._asked(symbol, {**window, "interval": interval.name})
        rows = [row for row in rows_of(frame, interval) if since <= row[0] < end]
        return rows[-limit:] if newest else rows[:limit]

    def back(self, bars: int, timeframe_ms: int, now: int) -> int:
        """Return where ``bars`` bars begin, with nights, weekends and holidays between them."""
        return interval_of(timeframe_ms).back(bars, now)

    def quiet_until(self, symbol: str, due: int, now: int) -> int | None:
        """Return when the day's first bar is over, or when to look again; None amid the day."""
        hours = self._hours.get(symbol)
        if hours is None:
            return None
        opens, closes = hours
        if due < opens:
            first = opens + self._timeframe_ms
            return first if now < first else None
        if due < closes:
            return None
        look = self._heard_at[symbol] + CLOSED_LOOK_MS
        return look if now < look else None

    # -- the library

    async def _asked(self, symbol: str, question: dict[str, Any]) -> Any:
        """Return Yahoo's frame; empty where nothing was traded."""
        frame, hours = await anyio.to_thread.run_sync(
            partial(self._ask, symbol, question), limiter=self._one_at_a_time
        )
        self._heard_at[symbol] = self._wall_ms()
        if hours is not None:
            self._hours[symbol] = hours
        return frame

    def _ask(self, symbol: str, question: dict[str, Any]) -> tuple[Any, tuple[int, int] | None]:
        """Ask, blocking."""
        errors = self._yfinance.exceptions
        # Given the session, the library asks through it from then on, for whatever ticker.
        ticker = self._tickers.get(symbol) or self._yfinance.Ticker(symbol, session=self._session)
        try:
            self._data.cache_get.cache_clear()
            frame = ticker.history(
                **question,
                auto_adjust=self._reach.adjusted,
                actions=False,
                prepost=False,
                timeout=self._reach.timeout_s,
            )
            self._tickers[symbol] = ticker
            return frame, _hours_of(ticker)
        except errors.YFRateLimitError as error:
            raise VenueTrouble(f"{self.name}: {symbol}: rate limited") from error
        except errors.YFPricesMissingError as error:
            reason = error.yahoo_reason
            if ZONE in ticker.history_metadata:
                self._tickers[symbol] = ticker
            if reason is None and ZONE in ticker.history_metadata:
                return None, _hours_of(ticker)
            if reason is None:
                raise VenueTrouble(f"{self.name}: {symbol}: an answer without candles") from error
            if reason.startswith(UNTRADED):
                return None, None
            raise VenueRefused(f"{self.name}: {symbol}: {_line(reason)}") from error
        except errors.YFTickerMissingError as error:
            raise VenueRefused(f"{self.name}: {_line(error)}") from error
        except (errors.YFException, OSError, json.JSONDecodeError) as error:
            if getattr(getattr(error, "response", None), "status_code", 0) == HTTPStatus.NOT_FOUND:
                raise VenueRefused(f"{self.name}: {symbol}: Yahoo does not have it") from error
            raise VenueTrouble(f"{self.name}: {symbol}: {_line(error)}") from error
        except FeedError:
            raise
        except (TypeError, KeyError, ValueError, IndexError, AttributeError) as error:
            # The library falls over an answer that has not the form of one.
            raise VenueTrouble(
                f"{self.name}: {symbol}: an answer that yfinance cannot read "
                f"({type(error).__name__}: {_line(error)})"
            ) from error


def yahoo_source(reach: YahooReach, wall_ms: Callable[[], int]) -> VenueSource:
    """Return Yahoo, to be asked for new bars or fetched from; it streams nothing."""
    return VenueSource(reach.name, partial(open_yahoo, reach, wall_ms))


@asynccontextmanager
async def open_yahoo(reach: YahooReach, wall_ms: Callable[[], int]) -> AsyncIterator[YahooVenue]:
    """
    Give Yahoo as ``reach`` says, and close its connections afterwards.

    Raise ``ExtraMissing`` without yfinance. The library has one session a process: open one at a
    time.
    """
    yfinance = await anyio.to_thread.run_sync(library)
    with session_of(reach) as session:
        yield YahooVenue(reach, yfinance, session, wall_ms)


def rows_of(frame: Any, interval: Interval) -> list[Row]:
    """Return the rows of one of yfinance's frames; none where nothing traded in an interval."""
    if frame is None:
        return []
    rows: dict[int, Row] = {}
    figures = zip(*(frame[name].tolist() for name in COLUMNS), strict=True)
    for stamp, (open_, high, low, close, volume) in zip(frame.index, figures, strict=True):
        if interval.is_intraday:
            at = int(stamp.timestamp()) * 1000
            if at % interval_step(interval):
                continue  # the last trade, which Yahoo shows as if it were a bar
        else:
            at = timegm(stamp.date().timetuple()) * 1000
        if any(map(isnan, (open_, high, low, close))):
            continue
        traded = 0.0 if isnan(volume) else float(volume)
        rows[at] = (at, float(open_), float(high), float(low), float(close), traded)
    return [rows[at] for at in sorted(rows)]


def interval_step(interval: Interval) -> int:
    """Return the grid that intraday bars open on: whole minutes, wherever a session begins."""
    return min(interval.timeframe_ms, 60_000)


def _hours_of(ticker: Any) -> tuple[int, int] | None:
    """Return when today's regular trading begins and ends, int ms UTC, where Yahoo says so."""
    regular = (ticker.history_metadata.get("currentTradingPeriod") or {}).get("regular") or {}
    try:
        return int(regular["start"].timestamp()) * 1000, int(regular["end"].timestamp()) * 1000
    except (KeyError, AttributeError):
        return None


def _line(said: object) -> str:
    """Return what was said in one line, without a page of HTML."""
    first = (str(said).splitlines() or [""])[0].split("<")[0].strip()
    return first[:240] or type(said).__name__
