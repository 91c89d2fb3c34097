"""
Alpaca as a live feed asks a venue: bars of history, closed bars of a stream, quotes and trades.

A streamed bar is closed when it comes, a moment after its minute; trades that are reported late may
change it in history half a minute later, and what was handed on stays. Minutes without a trade have
no bar. Bars are of the hours before and after the session too. A day's bar stands at midnight UTC
of its date.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from feeds.alpaca.line import Questions, module, session_of
from feeds.alpaca.line import Stream as Line
from feeds.alpaca.reach import AlpacaReach
from feeds.alpaca.sessions import DAY_MS, Sessions, back, sessions_of
from feeds.ccxt.venue import Allowance, Unshared
from feeds.errors import FeedSettingError
from feeds.history import VenueRefused, VenueTrouble
from feeds.live.venue import Candles, LiveVenue, Stream, VenueSource
from feeds.rows import Row
from feeds.timeframe import format_timeframe
from messages import Quote, Tick

MINUTE_MS: Final = 60_000
UNITS: Final = {
    "1m": (1, "Minute"),
    "5m": (5, "Minute"),
    "15m": (15, "Minute"),
    "30m": (30, "Minute"),
    "1h": (1, "Hour"),
    "1d": (1, "Day"),
}
"""The time frames whose bars open where ours do; longer hours begin at midnight in New York."""

PAGES_MAX: Final = 20
CALENDAR_DAYS: Final = 60
CALENDAR_LEFT_MS: Final = 10 * DAY_MS
"""How much of the calendar must be left; with less it is asked for anew."""

ZONE: Final = "America/New_York"


class AlpacaVenue:
    """Market data of US shares; made by ``open_alpaca``."""

    def __init__(self, reach: AlpacaReach, questions: Questions, line: Line) -> None:
        """Ask through ``questions``, listen on ``line``."""
        self.name = reach.name
        self.page_bars = 1_000
        self._reach = reach
        self._ask = questions
        self._line = line
        self._sessions = Sessions()
        self._now = 0

    async def load(self, symbols: Sequence[str], timeframe: str) -> None:
        """Refuse symbols and a time frame that Alpaca does not have; learn when it trades."""
        if timeframe not in UNITS:
            raise FeedSettingError(
                f"{self.name} has no bars of {timeframe}; expected one of {' '.join(UNITS)}"
            )
        for symbol in symbols:
            try:
                asset = await self._ask.trading.get_asset(symbol)
            except VenueRefused as refusal:
                if "404" not in str(refusal):
                    raise
                raise FeedSettingError(f"{self.name} does not list {symbol}") from None
            if asset.get("class") != "us_equity":
                raise FeedSettingError(
                    f"{self.name}: {symbol} is {asset.get('class')}; expected a US share like SPY"
                )
        await self.server_time_ms()

    async def server_time_ms(self) -> int:
        """Return Alpaca's time, and learn when the exchange trades if that is not known."""
        clock = await self._ask.trading.get_clock()
        self._now = _ms(clock["timestamp"])
        if self._sessions.until - self._now < CALENDAR_LEFT_MS:
            await self._learn_sessions()
        return self._now

    async def _learn_sessions(self) -> None:
        today = datetime.fromtimestamp(self._now / 1000, UTC).date()
        first, last = today - timedelta(days=4), today + timedelta(days=CALENDAR_DAYS)
        asked = module("alpaca.trading.requests").GetCalendarRequest(start=first, end=last)
        days = await self._ask.trading.get_calendar(asked)
        until = self._now + CALENDAR_DAYS * DAY_MS
        # pytz, which alpaca-py needs, has the zones on every machine.
        self._sessions = sessions_of(days, module("pytz").timezone(ZONE).localize, until)

    def back(self, bars: int, timeframe_ms: int, now: int) -> int:
        """Return how early ``bars`` bars begin: nights and weekends lie between them."""
        return back(bars, timeframe_ms, now)

    def quiet_until(self, _symbol: str, due: int, now: int) -> int | None:
        """Return when the exchange opens, if it has not traded since ``due``."""
        return None if self._reach.own_time else self._sessions.quiet_until(due, now)

    async def candles(
        self, symbol: str, timeframe_ms: int, since: int | None, limit: int
    ) -> Sequence[Row]:
        """Return one page of bars; see ``feeds.history.CandleVenue``."""
        amount, unit = UNITS[format_timeframe(timeframe_ms)]
        frames = module("alpaca.data.timeframe")
        asked = module("alpaca.data.requests").StockBarsRequest(
            symbol_or_symbols=symbol,
            timeframe=frames.TimeFrame(amount, getattr(frames.TimeFrameUnit, unit)),
            start=_moment(self._since(limit, timeframe_ms) if since is None else since),
            limit=limit,
            adjustment=self._reach.adjustment,
            feed=self._reach.data_feed,
            sort="asc" if since is not None else "desc",
        )
        fields: dict[str, Any] = asked.to_request_fields()
        rows: list[Row] = []
        for _ in range(PAGES_MAX):
            answer = await self._ask.history.get("/stocks/bars", fields)
            rows += [_row(bar, timeframe_ms) for bar in _bars(answer, symbol)]
            token = answer.get("next_page_token")
            if token is None or len(rows) >= limit:
                break
            fields["page_token"] = token
        return sorted(rows[:limit])

    def _since(self, bars: int, timeframe_ms: int) -> int:
        """Return since when the newest ``bars`` bars are looked for."""
        return 0 if self._reach.own_time else back(bars, timeframe_ms, self._now)

    # -- streams

    async def watch_candles(self, symbol: str, timeframe_ms: int) -> Candles:
        """Return the next closed bar of a minute; other lengths are not streamed."""
        if timeframe_ms != MINUTE_MS:
            raise VenueRefused(f"{self.name} streams bars of 1m only: others are asked for")
        return Candles((), [_row(await self._line.next("bars", symbol), MINUTE_MS)])

    async def watch_trades(self, symbol: str) -> list[Tick]:
        """Return the next trade."""
        trade = await self._line.next("trades", symbol)
        return [Tick(symbol, _ms(trade["t"]), float(trade["p"]), float(trade["s"]))]

    async def watch_quote(self, symbol: str) -> Quote | None:
        """Return the next best bid and ask, or None where one is missing."""
        quote = await self._line.next("quotes", symbol)
        if not (quote.get("bp") and quote.get("ap")):
            return None
        figures = (float(quote[name]) for name in ("bp", "ap", "bs", "as"))
        return Quote(symbol, _ms(quote["t"]), *figures)

    def line(self) -> object:
        """Return what identifies the connection."""
        return self._line.dials

    def hang_up(self, *, candles: bool = False) -> None:
        """End the stream, there is one for all, as if the line were dead."""
        del candles
        self._line.hang_up()


def alpaca_source(reach: AlpacaReach, allowance: Allowance | None = None) -> VenueSource:
    """
    Return Alpaca, to be listened to or fetched from.

    ``allowance`` is that of an account which is traded there by the same machine.
    """

    def opened() -> AbstractAsyncContextManager[LiveVenue]:
        return open_alpaca(reach, allowance)

    return VenueSource(reach.name, opened, frozenset(Stream))


@asynccontextmanager
async def open_alpaca(
    reach: AlpacaReach, allowance: Allowance | None = None
) -> AsyncIterator[AlpacaVenue]:
    """Give Alpaca, and close it afterwards; raises ``ExtraMissing`` without alpaca-py."""
    session = session_of(reach)
    try:
        line = Line(session, reach)
        try:
            yield AlpacaVenue(reach, Questions(session, reach, allowance or Unshared()), line)
        finally:
            await line.close()
    finally:
        await session.close()


def _bars(answer: Any, symbol: str) -> Sequence[Mapping[str, Any]]:
    bars = answer.get("bars") if isinstance(answer, dict) else None
    if not isinstance(bars, dict):
        raise VenueTrouble("alpaca: an answer without bars")
    found: Sequence[Mapping[str, Any]] = bars.get(symbol) or ()
    return found


def _row(bar: Mapping[str, Any], timeframe_ms: int) -> Row:
    try:
        at = _ms(bar["t"])
        figures = tuple(float(bar[name]) for name in ("o", "h", "l", "c", "v"))
    except (KeyError, TypeError, ValueError) as error:
        raise VenueTrouble(f"alpaca: {bar!r} is no bar") from error
    # A day begins at midnight in New York: its date is the same at midnight UTC before.
    opened = at // DAY_MS * DAY_MS if timeframe_ms == DAY_MS else at
    return (opened, *figures)  # type: ignore[return-value]


def _ms(said: Any) -> int:
    """Return a moment in int ms UTC: RFC 3339, or a timestamp of msgpack."""
    if hasattr(said, "to_unix_nano"):
        return int(said.to_unix_nano()) // 1_000_000
    whole, _, rest = str(said).replace("Z", "+00:00").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    moment = datetime.fromisoformat(whole + rest[len(digits) :])
    return int(moment.timestamp()) * 1000 + int(f"{digits:0<3.3}")


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
