"""
ccxt itself, for market data: loaded here and nowhere else on this floor.

A thin port. It turns ccxt's answers into rows and its many exceptions into two: what asking again
may help (``VenueTrouble``, with the venue's Retry-After), and what it will not (``VenueRefused``).
Reads may be repeated freely, so everything that is not a clear refusal is trouble.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol

import aiohttp

from feeds.ccxt.differences import COIN_AMOUNTS, CONTRACT_VOLUMES
from feeds.ccxt.listening import FOR_CANDLES, listening
from feeds.ccxt.reach import Reach, session_of
from feeds.errors import ExtraMissing, FeedSettingError
from feeds.history import VenueRefused, VenueTrouble
from feeds.live.venue import Candles, Stream, VenueSource
from feeds.rows import Row
from feeds.timeframe import format_timeframe
from messages import Quote, Tick
from state.loopback import UrlsUnfit, merged
from state.money import apart
from state.overlay import overlaid

PAGE_BARS: Final = 500
"""Candles asked for at a time where ccxt does not know the venue's most."""

PAGE_BARS_MAX: Final = 1_000

KEEP_ALIVE_MS: Final = 10_000
"""How often a silent stream is pinged; ccxt's own default lets a dead one stand for minutes."""

MISSED_PONGS_MAX: Final = 2.0

TRADES_TOLD_MAX: Final = 2_000
"""Trades remembered for each symbol, by their numbers: more than ccxt itself keeps."""

REFUSALS: Final = (
    "ArgumentsRequired",
    "AuthenticationError",
    "BadRequest",
    "ExchangeClosedByUser",
    "NotSupported",
)
"""ccxt's errors, and what derives from them, that no second try would change."""


class Allowance(Protocol):
    """What a venue grants to all who ask it from here, the broker of an account among them."""

    async def turn(self) -> None:
        """Return when a question about the market may be asked."""

    def left_alone(self, wait_s: float) -> None:
        """Hear that the venue wants to be left alone for so long."""


class Unshared:
    """Nobody else asks the venue: ccxt's own pace is all there is to keep."""

    async def turn(self) -> None:
        """Return at once."""

    def left_alone(self, wait_s: float) -> None:
        """Do nothing: whoever asked waits himself."""


class CcxtVenue:
    """
    Market data of one venue; made by ``open_venue``.

    Questions take their turn of the ``allowance``; what is streamed costs none of it.
    Every method raises ``VenueTrouble`` or ``VenueRefused`` and nothing else of ccxt's.
    """

    def __init__(self, name: str, exchange: Any, errors: Any, allowance: Allowance) -> None:
        """Ask ``exchange``, a ccxt.pro object; ``errors`` is ccxt's module of them."""
        self.name = name
        self._allowance = allowance
        self.exchange = exchange
        self._refusals = tuple(getattr(errors, each) for each in REFUSALS)
        self._dead_line = errors.NetworkError
        self.page_bars = PAGE_BARS
        self._told: dict[str, dict[str, None]] = {}

    async def load(self, symbols: Sequence[str], timeframe: str) -> None:
        """Load the markets; refuse symbols and a time frame that the venue does not have."""
        await self._allowance.turn()
        await self._asked(self.exchange.load_markets())
        unknown = [symbol for symbol in symbols if symbol not in self.exchange.markets]
        if unknown:
            known = ", ".join(sorted(self.exchange.markets)[:5])
            raise FeedSettingError(
                f"{self.name} does not list {', '.join(unknown)}; it has {known}, ... "
                f"({len(self.exchange.markets)} markets)"
            )
        timeframes = self.exchange.timeframes or {}
        if timeframe not in timeframes:
            raise FeedSettingError(
                f"{self.name} has no candles of {timeframe}; expected one of {' '.join(timeframes)}"
            )
        most = self.exchange.feature_value(symbols[0], "fetchOHLCV", "limit") if symbols else None
        self.page_bars = min(int(most or PAGE_BARS), PAGE_BARS_MAX)

    async def server_time_ms(self) -> int:
        """Return the venue's time; its clock is ours where it does not say."""
        if not self.exchange.has.get("fetchTime"):
            return int(self.exchange.milliseconds())
        await self._allowance.turn()
        answer = await self._asked(self.exchange.fetch_time())
        if not isinstance(answer, int):
            raise VenueTrouble(f"{self.name}: {answer!r} is no time")
        return answer

    async def candles(
        self, symbol: str, timeframe_ms: int, since: int | None, limit: int
    ) -> Sequence[Row]:
        """Return one page of candles; see ``feeds.history.CandleVenue``."""
        await self._allowance.turn()
        timeframe = format_timeframe(timeframe_ms)
        answer = await self._asked(self.exchange.fetch_ohlcv(symbol, timeframe, since, limit))
        return self._rows(symbol, answer)

    def back(self, bars: int, timeframe_ms: int, now: int) -> int:
        """Return where ``bars`` bars begin: these venues never close."""
        return now - bars * timeframe_ms

    def quiet_until(self, symbol: str, due: int, now: int) -> int | None:
        """Return None: there may always be news."""
        return None

    # -- streams

    async def watch_candles(self, symbol: str, timeframe_ms: int) -> Candles:
        """Return what is known after the next message; one time frame is watched of a venue."""
        timeframe = format_timeframe(timeframe_ms)
        token = FOR_CANDLES.set(True)
        try:
            answer = await self._asked(self.exchange.watch_ohlcv(symbol, timeframe))
        finally:
            FOR_CANDLES.reset(token)
        rows = self._rows(symbol, answer)
        told = self.exchange.take_closed(symbol)
        return Candles(rows, [row for row in rows if row[0] in told])

    async def watch_trades(self, symbol: str) -> list[Tick]:
        """Return the trades that no earlier call has given, the oldest first."""
        trades = await self._asked(self.exchange.watch_trades(symbol))
        told = self._told.setdefault(symbol, {})
        ticks = []
        for each in trades:
            number = each["id"]
            if number is not None and number in told:
                continue  # ccxt gives some of them again
            if each["timestamp"] and each["price"] and each["amount"]:
                at, price, size = each["timestamp"], each["price"], each["amount"]
                ticks.append(Tick(symbol, int(at), float(price), self._base(symbol, size)))
            if number is not None:
                told[number] = None
        while len(told) > TRADES_TOLD_MAX:
            del told[next(iter(told))]
        return ticks

    async def watch_quote(self, symbol: str) -> Quote | None:
        """Return the newest best bid and ask, or None where the message had not both."""
        tickers = await self._asked(self.exchange.watch_bids_asks([symbol]))
        found = tickers.get(symbol)
        if found is None or not (found.get("bid") and found.get("ask")):
            return None
        at = found.get("timestamp") or self.exchange.milliseconds()
        sizes = (self._base(symbol, found.get(name) or 0.0) for name in ("bidVolume", "askVolume"))
        return Quote(symbol, int(at), float(found["bid"]), float(found["ask"]), *sizes)

    def _rows(self, symbol: str, answer: object) -> list[Row]:
        rows = rows_of(self.name, answer)
        if self.name not in CONTRACT_VOLUMES:
            return rows
        return [(*row[:5], self._base(symbol, row[5])) for row in rows]

    def _base(self, symbol: str, amount: float) -> float:
        """Return base units of an amount in the venue's unit: contracts, where there are any."""
        size = self.exchange.market(symbol).get("contractSize")
        if size in (None, 1, 1.0) or self.name in COIN_AMOUNTS:
            return float(amount)
        # As it would be written: the quotient of two floats has digits that nobody meant.
        return float(Decimal(str(amount)) * Decimal(str(size)))

    def line(self) -> object:
        """
        Return what identifies the connections that the streams run over at this moment.

        ccxt dials anew without a word where one broke while nobody was watching.
        """
        clients = self.exchange.clients.items()
        return tuple((url, client.connectionEstablished) for url, client in sorted(clients))

    def hang_up(self, *, candles: bool = False) -> None:
        """End streams as if their line were dead: whoever watches hears so, and dials anew."""
        # Not `close`: that cancels the futures, and so the tasks that wait for them.
        for url, client in list(self.exchange.clients.items()):
            if not candles or url in self.exchange.candle_urls:
                client.on_error(self._dead_line("hung up"))

    async def _asked(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except self._refusals as error:
            raise VenueRefused(_said(self.name, error)) from error
        except Exception as error:
            if isinstance(error, VenueTrouble | VenueRefused):
                raise
            after_s = getattr(error, "retry_after_s", None)
            if after_s:
                self._allowance.left_alone(after_s)
            raise VenueTrouble(_said(self.name, error), after_s) from error


def ccxt_source(reach: Reach, allowance: Allowance | None = None) -> VenueSource:
    """
    Return the venue of ``reach``, to be listened to or fetched from.

    ``allowance`` is that of an account which is traded there by the same machine.
    """
    return VenueSource(reach.exchange, partial(open_venue, reach, allowance), frozenset(Stream))


@asynccontextmanager
async def open_venue(reach: Reach, allowance: Allowance | None = None) -> AsyncIterator[CcxtVenue]:
    """
    Give the venue of ``reach``, its markets not yet loaded, and close it afterwards.

    Raise ``ExtraMissing`` without ccxt, ``FeedSettingError`` for a venue that it does not know.
    """
    session = session_of(reach)
    try:
        exchange, errors = _made(reach, session)
        try:
            yield CcxtVenue(reach.exchange, exchange, errors, allowance or Unshared())
        finally:
            await exchange.close()
    finally:
        if session is not None:
            await session.close()


def _made(reach: Reach, session: aiohttp.ClientSession | None) -> tuple[Any, Any]:
    try:
        pro = import_module("ccxt.pro")
        errors = import_module("ccxt.base.errors")
    except ImportError as error:
        raise ExtraMissing(reach.exchange, "ccxt", "ccxt") from error
    base = _class_of(reach.exchange, pro)
    # ccxt logs requests with what they carry, at DEBUG.
    logging.getLogger("ccxt.base.exchange").setLevel(logging.WARNING)
    own: dict[str, Any] = {
        "enableRateLimit": True,
        "timeout": int(reach.timeout_s * 1000),
        "streaming": {"keepAlive": KEEP_ALIVE_MS, "maxPingPongMisses": MISSED_PONGS_MAX},
        # Names and precision come with the markets; the list of coins is not ours to read.
        "has": {"fetchCurrencies": False},
        "options": {"fetchCurrencies": False},
    }
    given = overlaid(own, reach.params)
    if session is not None:
        given["session"] = session
    urls = given.pop("urls", {})
    exchange = listening(base, reach)(given)
    try:
        exchange.urls = merged(exchange.urls, urls)
    except UrlsUnfit as unfit:
        raise FeedSettingError(f"[venue.ccxt] {unfit}") from None
    exchange.decimal_to_precision = apart(exchange.decimal_to_precision)
    return exchange, errors


def _class_of(exchange: str, pro: Any) -> Any:
    """Return ccxt's class: with streams where it has them, and history is polled where not."""
    asking = import_module("ccxt.async_support")
    for module in (pro, asking):
        if exchange in module.exchanges:
            return getattr(module, exchange)
    raise FeedSettingError(f"venue {exchange!r}; expected an id of ccxt, such as binanceusdm")


def rows_of(name: str, answer: object) -> list[Row]:
    """Return copies of the candles of an answer, or raise ``VenueTrouble`` if it is none."""
    if not isinstance(answer, list):
        raise VenueTrouble(f"{name}: an answer without candles ({type(answer).__name__})")
    rows: list[Row] = []
    for candle in answer:
        try:
            timestamp, open_, high, low, close, volume = candle[:6]
            rows.append(
                (int(timestamp), float(open_), float(high), float(low), float(close), float(volume))
            )
        except (TypeError, ValueError, IndexError) as error:
            raise VenueTrouble(f"{name}: {candle!r} is no candle") from error
    return rows


def _said(name: str, error: Exception) -> str:
    """Return what ccxt says in one line, without the page of HTML that some venues answer with."""
    first = (str(error).splitlines() or [""])[0].split("<")[0].strip()[:240]
    text = (first or type(error).__name__) + _cause(error)
    return text if text.startswith(name) else f"{name}: {type(error).__name__}: {text}"


def _cause(error: Exception) -> str:
    """Return why nobody was reached: of a failed connection ccxt itself tells the address only."""
    cause = error.__cause__
    if not isinstance(cause, OSError):
        return ""
    return f" ({': '.join(filter(None, (type(cause).__name__, str(cause))))})"
