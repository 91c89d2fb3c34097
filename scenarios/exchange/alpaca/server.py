"""
The virtual venue on Alpaca's wire: trading, market data and both streams on one port.

Theory of operation. A request is counted against the allowance, told who it is from, read, and does
what it does to the core in one synchronous step that also makes its answer. The facts are written
and synced; only after that are the streams told, and only after them is it answered. Every request
is kept in ``hits``, for whoever must show what was sent, and that nothing else was.
"""

from __future__ import annotations

import hmac
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from actors.runtime.clock import sleep_s, wall_ms
from messages import Bar
from scenarios.exchange.alpaca import trading
from scenarios.exchange.alpaca.book import Book, stamp
from scenarios.exchange.alpaca.errors import TOO_MANY, WRONG_FIELD, Refused, unauthorized
from scenarios.exchange.alpaca.streams import Streams, figures
from scenarios.exchange.facts import Fact, NotListable, Terms
from scenarios.exchange.faults import PLAIN_FAULTS, Action, Faults, WireFault, WireFaultKind
from scenarios.exchange.host import Gone, Host, page
from scenarios.exchange.log import TruthLogOver
from scenarios.exchange.venue import TruthContradicted
from state.instruments import Instrument

K = WireFaultKind

KNOWN_FAULTS: Final = (
    PLAIN_FAULTS | {K.BLANK_ANSWERS, K.CLOSE_STREAM, K.ABORT_STREAM, K.REFUSE_STREAM}
) - {K.DELAY_NEWS}

TAG: Final = "alpaca"
"""What a log of this dialect is known by."""

WINDOW_MS: Final = 60_000
REQUESTS_MAX: Final = 200
"""What a real account may ask in a minute."""

HITS_MAX: Final = 100_000
BARS_MAX: Final = 10_000
_FRAME: Final = re.compile(r"(\d{1,2})(Min|Hour|Day)")
_FRAME_MS: Final = {"Min": 60_000, "Hour": 3_600_000, "Day": 86_400_000}


@dataclass(frozen=True, slots=True)
class Keys:
    """The account's key and its secret."""

    key_id: str
    secret: str

    def __repr__(self) -> str:
        """Return no secret."""
        return "<Keys>"


@dataclass(frozen=True, slots=True)
class Hit:
    """One request as it came; of the headers only whose it said it was."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    key_id: str
    body: str


Work = Callable[[web.Request, bytes], trading.Answer]


class Alpaca(Host):
    """
    One account of US shares.

    ``tells`` is the clock that is told to whoever asks; ``is_open`` whether the exchange is said to
    be open, ``requests_max`` how many a minute are answered. The rest is as of ``Host``.
    """

    def __init__(
        self,
        terms: Terms,
        path: Path,
        keys: Keys,
        *,
        faults: Faults | None = None,
        requests_max: int = REQUESTS_MAX,
        wall: Callable[[], int] = wall_ms,
        sleep: Callable[[float], Awaitable[None]] = sleep_s,
    ) -> None:
        """Restore or open the venue; it serves nobody yet."""
        faults = faults or Faults()
        faults.limit(frozenset(KNOWN_FAULTS))
        super().__init__(shares(terms), path, faults=faults, wall=wall, sleep=sleep)
        if self.venue.terms.tag != TAG:
            self.log.close()
            raise TruthContradicted("the log is of an exchange that spoke another dialect")
        self._keys = keys
        self._asked: deque[int] = deque(maxlen=HITS_MAX)
        self.requests_max = requests_max
        self.tells = wall
        self.is_open = True
        self.payments: list[dict[str, str]] = []
        """Activities that are told beside the fills; whoever sets them sees to the cash."""
        self.calendar: list[dict[str, str]] = []
        """Days that are told instead of those of an ordinary week."""
        self.account: dict[str, Any] = {}
        """What is said of the account instead of what is true: flags that nothing here has."""
        self.hits: deque[Hit] = deque(maxlen=HITS_MAX)
        self.book = Book(self.venue, self.past)
        self.past = []
        self.streams = Streams(self.faults, self.admits)

    def admits(self, key_id: str, secret: str) -> bool:
        """Tell whether a key and its secret are the account's."""
        good = hmac.compare_digest(key_id.encode(), self._keys.key_id.encode())
        return hmac.compare_digest(secret.encode(), self._keys.secret.encode()) and good

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [
            web.post("/v2/orders", self._route("submit", self._place)),
            web.get("/v2/orders", self._route("orders", self._orders)),
            web.delete("/v2/orders", self._route("cancel_all", self._cancel_all)),
            web.get("/v2/orders:by_client_order_id", self._route("order", self._by_name)),
            web.get("/v2/orders/{id}", self._route("order", self._by_id)),
            web.delete("/v2/orders/{id}", self._route("cancel", self._cancel)),
            web.get("/v2/account", self._route("account", self._account)),
            web.get("/v2/account/activities/FILL", self._route("trades", self._activities)),
            web.get("/v2/account/activities", self._route("trades", self._payments)),
            web.get("/v2/positions", self._route("positions", self._positions)),
            web.get("/v2/assets/{symbol}", self._route("rules", self._asset)),
            web.get("/v2/calendar", self._route("time", self._calendar)),
            web.get("/v2/clock", self._route("time", self._clock)),
            web.get("/v2/stocks/bars", self._route("bars", self._bars)),
            web.get("/stream", self._dialled(self.streams.serve_updates)),
            web.get("/v2/iex", self._dialled(self.streams.serve_data)),
            web.get("/v2/sip", self._dialled(self.streams.serve_data)),
        ]

    def noted(self, facts: Sequence[Fact]) -> None:
        """Fold facts in the step that made them."""
        self.book.take(facts)

    async def tell(self, facts: Sequence[Fact]) -> None:
        """Tell the streams."""
        await self.streams.deliver(*self.book.told(facts[-1].n))

    async def closing_down(self) -> None:
        """End every stream."""
        await self.streams.close()

    # -- one request

    def _route(
        self, action: Action, work: Work
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            self.hits.append(_hit(request, body))
            try:
                return await self._served(request, body, action, work)
            except Gone:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            except Refused as refused:
                return web.json_response(refused.body, status=refused.status)
            except TruthLogOver:
                self.failed.set()
                return page(500)

        return handler

    async def _served(
        self, request: web.Request, body: bytes, action: Action, work: Work
    ) -> web.StreamResponse:
        fault = self.faults.strike(action)
        failed = None if fault is None else await self.before(fault)
        if failed is not None:
            return failed
        headers = self._spent()
        limited = int(headers["X-RateLimit-Remaining"]) < 0
        if limited or (fault is not None and fault.fault is K.RATE_LIMIT):
            return self._too_many(headers, fault)
        names = ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY")
        if not self.admits(*(request.headers.get(name, "") for name in names)):
            raise unauthorized()
        if self.log.failure is not None:
            raise TruthLogOver(str(self.log.failure))
        facts, content, status = work(request, body)
        await self.recorded(facts)
        if not facts:
            await self.log.synced()
        if fault is not None and fault.fault is K.REPEAT_REQUESTS:
            await self.recorded(work(request, body)[0])
        if isinstance(content, Refused):
            content = content.body
        if fault is not None and fault.fault is K.BLANK_ANSWERS:
            return web.Response(text=_BLANK[fault.body], content_type="application/json")
        encoded = b"" if content is None else msgspec.json.encode(content)
        return await self.answered(request, encoded, fault, status=status, headers=headers)

    def _spent(self) -> dict[str, str]:
        now = self.wall()
        while self._asked and self._asked[0] <= now - WINDOW_MS:
            self._asked.popleft()
        self._asked.append(now)
        return {
            "X-RateLimit-Limit": str(self.requests_max),
            "X-RateLimit-Remaining": str(self.requests_max - len(self._asked)),
            "X-RateLimit-Reset": str(-(-(self._asked[0] + WINDOW_MS) // 1000)),
        }

    def _too_many(self, headers: dict[str, str], fault: WireFault | None) -> web.Response:
        if fault is not None:
            headers = {**headers, "X-RateLimit-Reset": str(-(-(self.wall() + fault.by) // 1000))}
        headers["X-RateLimit-Remaining"] = "0"
        content = Refused(429, TOO_MANY, "rate limit exceeded").body
        return web.json_response(content, status=429, headers=headers)

    def _dialled(
        self, serve: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            self.hits.append(_hit(request, b""))
            fault = self.faults.strike("dial")
            if fault is not None and fault.fault is K.REFUSE_STREAM:
                return page(fault.status or 403)
            return await serve(request)

        return handler

    # -- what is asked

    def _place(self, _request: web.Request, body: bytes) -> trading.Answer:
        return trading.place(self.book, body, self.wall())

    def _orders(self, request: web.Request, _body: bytes) -> trading.Answer:
        return (), trading.orders(self.book, request.query), 200

    def _by_name(self, request: web.Request, _body: bytes) -> trading.Answer:
        name = request.query.get("client_order_id", "")
        return (), trading.found(self.book, name=name).document(), 200

    def _by_id(self, request: web.Request, _body: bytes) -> trading.Answer:
        order = trading.found(self.book, order_id=request.match_info["id"])
        return (), order.document(), 200

    def _cancel(self, request: web.Request, _body: bytes) -> trading.Answer:
        return trading.cancel(self.book, request.match_info["id"], self.wall())

    def _cancel_all(self, _request: web.Request, _body: bytes) -> trading.Answer:
        return trading.cancel_all(self.book, self.wall())

    def _account(self, _request: web.Request, _body: bytes) -> trading.Answer:
        return (), {**trading.account(self.book), **self.account}, 200

    def _activities(self, request: web.Request, _body: bytes) -> trading.Answer:
        after = _moment(request.query.get("after", ""))
        return (), trading.activities(self.book, request.query, after), 200

    def _payments(self, request: web.Request, _body: bytes) -> trading.Answer:
        kinds = request.query.get("activity_types", "").split(",")
        found = [each for each in self.payments if each["activity_type"] in kinds]
        return (), found[::-1], 200

    def _positions(self, _request: web.Request, _body: bytes) -> trading.Answer:
        return (), trading.positions(self.book), 200

    def _asset(self, request: web.Request, _body: bytes) -> trading.Answer:
        return (), trading.asset(self.book, request.match_info["symbol"]), 200

    def _clock(self, _request: web.Request, _body: bytes) -> trading.Answer:
        now = self.tells()
        clock = {
            "timestamp": stamp(now),
            "is_open": self.is_open,
            "next_open": stamp(now + 3_600_000),
            "next_close": stamp(now + 3_600_000),
        }
        return (), clock, 200

    def _calendar(self, request: web.Request, _body: bytes) -> trading.Answer:
        first, last = (date.fromisoformat(request.query[name]) for name in ("start", "end"))
        days = [first + timedelta(days=place) for place in range((last - first).days + 1)]
        hours = {
            "open": "09:30",
            "close": "16:00",
            "session_open": "0400",
            "session_close": "2000",
        }
        found = [{"date": day.isoformat(), **hours} for day in days if day.weekday() < 5]
        return (), self.calendar or found, 200

    def _bars(self, request: web.Request, _body: bytes) -> trading.Answer:
        query = request.query
        frame = _FRAME.fullmatch(query.get("timeframe", ""))
        if frame is None:
            raise Refused(400, WRONG_FIELD, "invalid timeframe")
        length = int(frame[1]) * _FRAME_MS[frame[2]]
        now = self.tells()
        start, limit = _moment(query.get("start", "")), int(query.get("limit", "1000"))
        found: dict[str, list[dict[str, Any]]] = {}
        for symbol in query.get("symbols", "").split(","):
            bars = [
                bar
                for bar in self.book.bars.get(symbol, ())
                if bar.timeframe_ms == length and start <= bar.timestamp <= now
            ]
            if query.get("sort") == "desc":
                bars.reverse()
            chosen: list[Bar] = bars[: min(limit, BARS_MAX)]
            if chosen:
                found[symbol] = [figures(bar) for bar in chosen]
        return (), {"bars": found, "next_page_token": None}, 200


_BLANK: Final = {"empty": "", "html": "<html></html>", "object": "{}", "list": "[]"}


def shares(terms: Terms) -> Terms:
    """
    Return ``terms`` as Alpaca has them: shares for dollars, without a commission.

    Raises ``NotListable`` for what is none.
    """
    for symbol, rules in terms.instruments.items():
        _refuse_other(symbol, rules)
    free = Decimal(0)
    return Terms(
        {
            symbol: replace(rules, maker_fee_bps=free, taker_fee_bps=free)
            for symbol, rules in terms.instruments.items()
        },
        terms.currency,
        terms.deposit,
        TAG,
        slippage_bps=terms.slippage_bps,
        participation=terms.participation,
        brackets=False,
        reserves=True,
        at_once=terms.at_once,
    )


def _refuse_other(symbol: str, rules: Instrument) -> None:
    if not rules.is_spot or "/" in symbol or rules.settle != "USD":
        raise NotListable(f"{symbol} is no share that is paid for in USD: expected one like SPY")


def _hit(request: web.Request, body: bytes) -> Hit:
    return Hit(
        request.method,
        request.host,
        request.path,
        dict(request.query),
        request.headers.get("APCA-API-KEY-ID", ""),
        body.decode("utf-8", "replace"),
    )


def _moment(text: str) -> int:
    """Return int ms UTC from RFC 3339, -1 without."""
    if not text:
        return -1
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, WRONG_FIELD, f"{text}: invalid time") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp() * 1000)
