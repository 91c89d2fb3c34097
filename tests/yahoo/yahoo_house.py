"""
Yahoo's chart endpoint on loopback, over TLS, and a market whose time a test moves.

What is answered has the form of what the real one answers: seconds instead of milliseconds, the
exchange's own zone, empty columns for a minute without trades, the candle that still changes, an
error with a code and a sentence. Every request is kept, whatever its host.
"""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from feeds.rows import Row

HOSTS = ("*.yahoo.com", "*.finance.yahoo.com")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
INTERVALS = {"1m": MINUTE, "2m": 2 * MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR}
INTERVALS |= {"90m": 90 * MINUTE, "1d": DAY, "1wk": 7 * DAY}
LONGEST = {"1m": 8 * DAY}
OLDEST = {"1m": 30 * DAY, "1h": 730 * DAY} | dict.fromkeys(("2m", "5m", "15m", "90m"), 60 * DAY)

COLUMNS = ("open", "high", "low", "close", "volume")

Spoil = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Hours:
    """When an exchange trades: its zone, minutes of its day, holidays; all week if ``always``."""

    zone: str = "America/New_York"
    opens: int = 9 * 60 + 30
    closes: int = 16 * 60
    holidays: frozenset[dt.date] = frozenset()
    always: bool = False

    def day(self, at: int) -> dt.date:
        """Return the exchange's date at ``at``."""
        return dt.datetime.fromtimestamp(at / 1000, ZoneInfo(self.zone)).date()

    def session(self, day: dt.date) -> tuple[int, int] | None:
        """Return when trading begins and ends on ``day``, int ms UTC."""
        if not self.always and (day.weekday() >= 5 or day in self.holidays):
            return None
        midnight = dt.datetime.combine(day, dt.time(), ZoneInfo(self.zone))
        start, end = (
            (midnight + dt.timedelta(minutes=minutes)).timestamp()
            for minutes in (self.opens, self.closes)
        )
        return int(start) * 1000, int(end) * 1000


ALWAYS = Hours("UTC", 0, 24 * 60, always=True)


@dataclass
class LabYahoo:
    """The service: its candles by ticker, interval and open, its time, what was asked of it."""

    now: int
    hours: Hours = ALWAYS
    rows: dict[tuple[str, str], dict[int, Row]] = field(default_factory=dict)
    adjusted: dict[str, float] = field(default_factory=dict)
    """What a ticker's closes are multiplied with for dividends."""
    splits: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    faults: list[Spoil] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    hits: list[tuple[str, str]] = field(default_factory=list)
    """Host and path of every request."""
    crumbless: bool = False

    # -- the market

    def put(self, ticker: str, interval: str, *rows: Row) -> None:
        """Have these candles."""
        self.rows.setdefault((ticker, interval), {}).update({row[0]: row for row in rows})

    # -- the service

    async def cookie(self, request: web.Request) -> web.Response:
        self.hits.append((request.host, request.path))
        answer = web.Response(status=404, text="not here")
        answer.set_cookie("A3", "lab", domain=".yahoo.com", secure=True, max_age=3600)
        return answer

    async def crumb(self, request: web.Request) -> web.Response:
        self.hits.append((request.host, request.path))
        return web.Response(status=429) if self.crumbless else web.Response(text="labcrumb")

    async def other(self, request: web.Request) -> web.Response:
        """Have nothing else: neither a form to consent to nor a company's profile."""
        self.hits.append((request.host, request.path))
        return web.json_response({"finance": {"result": None, "error": None}}, status=404)

    async def chart(self, request: web.Request) -> web.StreamResponse:
        self.hits.append((request.host, request.path))
        ticker = request.match_info["ticker"]
        query = {"ticker": ticker, **request.query}
        self.asked.append(query)
        status, document = self._answer(ticker, query)
        # Which zone a ticker has is asked for first, and is nobody's fault.
        if self.faults and "period1" in query:
            return await self.faults.pop(0)(request, document)
        return web.json_response(document, status=status)

    def _answer(self, ticker: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        interval = query["interval"]
        if not any(ticker == each for each, _ in self.rows):
            return 404, _error("Not Found", "No data found, symbol may be delisted")
        if interval not in INTERVALS:
            return 422, _error("Unprocessable Entity", f"Invalid input - interval={interval}")
        start, end = self._span(query)
        if end - start > LONGEST.get(interval, end):
            return 422, _error(
                "Unprocessable Entity",
                f"{interval} data not available for startTime={start // 1000} and "
                f"endTime={end // 1000}. Only 8 days worth of {interval} granularity data are "
                "allowed to be fetched per request.",
            )
        if self.now - start > OLDEST.get(interval, self.now):
            return 422, _error(
                "Unprocessable Entity",
                f"{interval} data not available for startTime={start // 1000} and "
                f"endTime={end // 1000}. The requested range must be within the last "
                f"{OLDEST[interval] // DAY} days.",
            )
        mine = self.rows.get((ticker, interval), {})
        found = [mine[at] for at in sorted(mine) if start <= at < end and at <= self.now]
        return 200, {"chart": {"result": [self._result(ticker, interval, found)], "error": None}}

    def _span(self, query: dict[str, str]) -> tuple[int, int]:
        if "period1" in query:
            return int(query["period1"]) * 1000, int(query["period2"]) * 1000
        assert query["range"].endswith("d"), query
        return self.now - int(query["range"][:-1]) * DAY, self.now

    def _result(self, ticker: str, interval: str, found: list[Row]) -> dict[str, Any]:
        days = sorted({self.hours.day(row[0]) for row in found} | {self.hours.day(self.now)})
        sessions = [span for day in days if (span := self.hours.session(day)) is not None]
        today = self._current()
        meta = {
            "currency": "USD",
            "symbol": ticker,
            "instrumentType": "EQUITY",
            "exchangeTimezoneName": self.hours.zone,
            "gmtoffset": 0,
            "regularMarketTime": self.now // 1000,
            "priceHint": 2,
            "dataGranularity": interval,
            "range": "",
            "validRanges": ["1d", "5d", "max"],
            "currentTradingPeriod": {
                "pre": _period(today[0], today[0]),
                "regular": _period(*today),
                "post": _period(today[1], today[1]),
            },
        }
        if interval[-1] in "mh":
            meta["tradingPeriods"] = [[_period(*span)] for span in sessions or [today]]
        quote: dict[str, Any] = {}
        result: dict[str, Any] = {"meta": meta, "indicators": {"quote": [quote]}}
        if not found:
            return result
        result["timestamp"] = [row[0] // 1000 for row in found]
        columns = zip(*(_shown(row) for row in found), strict=True)
        quote.update(
            zip(("open", "high", "low", "close", "volume"), map(list, columns), strict=True)
        )
        if interval[-1] not in "mh":
            factor = self.adjusted.get(ticker, 1.0)
            result["indicators"]["adjclose"] = [
                {"adjclose": [None if each is None else each * factor for each in quote["close"]]}
            ]
        splits = {
            str(at // 1000): {
                "date": at // 1000,
                "numerator": new,
                "denominator": old,
                "splitRatio": f"{new}:{old}",
            }
            for at, (new, old) in self.splits.get(ticker, {}).items()
            if found[0][0] <= at <= self.now
        }
        if splits:
            result["events"] = {"splits": splits}
        return result

    def _current(self) -> tuple[int, int]:
        """Return the session of today, or the newest one before it."""
        day = self.hours.day(self.now)
        while (span := self.hours.session(day)) is None:
            day -= dt.timedelta(days=1)
        return span


def _shown(row: Row) -> tuple[float | None, ...]:
    """Return the figures of a row: a bucket without trades has none."""
    if row[4] != row[4]:
        return (None,) * 5
    return row[1:]


def _period(start: int, end: int) -> dict[str, Any]:
    return {"timezone": "LAB", "gmtoffset": 0, "start": start // 1000, "end": end // 1000}


def _error(code: str, description: str) -> dict[str, Any]:
    return {"chart": {"result": None, "error": {"code": code, "description": description}}}


@asynccontextmanager
async def serving(yahoo: LabYahoo, certificate: Path) -> AsyncIterator[int]:
    """Let it listen on a port of loopback, which is given."""
    app = web.Application()
    app.router.add_get("/", yahoo.cookie)
    app.router.add_get("/v1/test/getcrumb", yahoo.crumb)
    app.router.add_get("/v8/finance/chart/{ticker}", yahoo.chart)
    app.router.add_get("/{other:.+}", yahoo.other)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


# -- faults, one request each


async def rate_limited(request: web.Request, document: dict[str, Any]) -> web.StreamResponse:
    """Refuse for now, and, since yfinance asks once more in another way, then too."""
    return web.Response(status=429, text="Too Many Requests\r\n")


async def down(request: web.Request, document: dict[str, Any]) -> web.StreamResponse:
    return web.Response(text="<html>Will be right back...</html>", content_type="text/html")


async def unwell(request: web.Request, document: dict[str, Any]) -> web.StreamResponse:
    return web.Response(status=503, text="<html>\n<b>503</b>")


async def disconnected(request: web.Request, document: dict[str, Any]) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def as_it_is(request: web.Request, document: dict[str, Any]) -> web.StreamResponse:
    return web.json_response(document)
