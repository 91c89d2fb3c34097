"""
Bars, rows, and a venue on loopback that speaks binanceusdm's market data over TLS.

The venue's time stands still until a test moves it. What it answers next can be spoilt by faults,
which are taken one a request in the order in which they were given.
"""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from aiohttp import WSMsgType, web
from anyio import lowlevel

from feeds.ccxt.reach import Reach
from feeds.rows import Row
from messages import Bar

MINUTE = 60_000
START = 1_704_067_200_000
"""2024-01-01, midnight UTC."""

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
SYMBOL = BTC
IDS = {"BTCUSDT": BTC, "ETHUSDT": ETH}
HOST = "*.binance.com"

Spoil = Callable[[web.Request, list[list[Any]]], Awaitable[web.StreamResponse]]


def bar_at(place: int, *, shift: float = 0.0, symbol: str = SYMBOL) -> Bar:
    """Return the bar of minute ``place`` after START: its figures are a function of both."""
    base = 100.0 + place % 50 + shift
    opened = START + place * MINUTE
    return Bar(symbol, opened, base, base + 2.5, base - 1.25, base + 1, float(place % 7), MINUTE)


def row_at(place: int, *, shift: float = 0.0) -> Row:
    """Return the same bar as a venue's row."""
    bar = bar_at(place, shift=shift)
    return (bar.timestamp, bar.open, bar.high, bar.low, bar.close, bar.volume)


def minute(place: int) -> int:
    """Return when bar ``place`` opens."""
    return START + place * MINUTE


@dataclass
class Waits:
    """A sleep that takes no time, and remembers what was slept."""

    slept: list[float] = field(default_factory=list)

    async def sleep_s(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        await lowlevel.checkpoint()


@dataclass
class LabVenue:
    """The venue: its candles by symbol and open, its time, what was asked of it."""

    now: int
    rows: dict[str, dict[int, Row]] = field(default_factory=dict)
    faults: list[Spoil] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    deaf: bool = False
    """Whether subscriptions are taken without an answer: a line that is half open."""
    ports: dict[str, int] = field(default_factory=dict)

    def fill(self, places: range, symbol: str = BTC, *, shift: float = 0.0) -> None:
        """Have candles at ``places``."""
        mine = self.rows.setdefault(symbol, {})
        mine.update({minute(place): row_at(place, shift=shift) for place in places})

    def reach(self, port: int, ca: Path) -> Reach:
        """Return the way to it, as a configuration would give it."""
        return Reach("binanceusdm", {"rateLimit": 1}, port, ca, timeout_s=5.0)

    # -- REST

    async def info(self, request: web.Request) -> web.Response:
        return web.json_response({"symbols": [_listed(each) for each in IDS]})

    async def time(self, request: web.Request) -> web.Response:
        return web.json_response({"serverTime": self.now})

    async def klines(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        since = int(request.query.get("startTime", "0"))
        limit = int(request.query.get("limit", "500"))
        mine = self.rows.get(IDS[request.query["symbol"]], {})
        found = [mine[at] for at in sorted(mine) if since <= at <= self.now]
        found = found[:limit] if "startTime" in request.query else found[-limit:]
        answer = [[row[0], *map(str, row[1:]), row[0] + MINUTE - 1] for row in found]
        if self.faults:
            return await self.faults.pop(0)(request, answer)
        return web.json_response(answer)

    # -- streams

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT and not self.deaf:
                document = message.json()
                self.subscribed += document.get("params", [])
                await socket.send_json({"result": None, "id": document["id"]})
        self.sockets.remove(socket)
        return socket

    async def send_candle(
        self, place: int, symbol: str = BTC, *, shift: float = 0.0, closed: bool = False
    ) -> None:
        """Send the candle as it is, and have it; ``closed`` says that it is over."""
        self.fill(range(place, place + 1), symbol, shift=shift)
        row = self.rows[symbol][minute(place)]
        name = next(each for each, unified in IDS.items() if unified == symbol)
        names = ("t", "o", "h", "l", "c", "v")
        kline: dict[str, Any] = {
            key: value if key == "t" else str(value) for key, value in zip(names, row, strict=True)
        }
        kline |= {"s": name, "i": "1m", "x": closed}
        await self.send({"e": "kline", "E": self.now, "s": name, "k": kline})

    async def send_trade(self, place: int, price: float, number: int = 1) -> None:
        """Send a public trade of bitcoin at the beginning of minute ``place``."""
        at = minute(place)
        trade = {"e": "trade", "E": at, "T": at, "s": "BTCUSDT", "t": number, "a": number}
        await self.send({**trade, "p": str(price), "q": "0.5", "m": False, "X": "MARKET"})

    async def send_quote(self, place: int, bid: float, ask: float) -> None:
        """Send the best bid and ask of bitcoin."""
        at = minute(place)
        book = {"e": "bookTicker", "u": 1, "E": at, "T": at, "s": "BTCUSDT"}
        await self.send({**book, "b": str(bid), "B": "2", "a": str(ask), "A": "3"})

    async def send(self, document: dict[str, Any]) -> None:
        for socket in list(self.sockets):
            await socket.send_json(document)

    async def hang_up(self) -> None:
        """Cut every stream, without a word."""
        for socket in list(self.sockets):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()


def _listed(name: str) -> dict[str, Any]:
    base = name.removesuffix("USDT")
    return {
        "symbol": name,
        "pair": name,
        "status": "TRADING",
        "contractType": "PERPETUAL",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "orderTypes": ["LIMIT", "MARKET"],
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.1",
                "maxPrice": "1000000",
                "tickSize": "0.1",
            },
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
    }


@asynccontextmanager
async def serving(venue: LabVenue, certificate: Path) -> AsyncIterator[int]:
    """Let the venue listen on a port of loopback, which is given."""
    app = web.Application()
    app.router.add_get("/fapi/v1/exchangeInfo", venue.info)
    app.router.add_get("/fapi/v1/time", venue.time)
    app.router.add_get("/fapi/v1/klines", venue.klines)
    app.router.add_get("/{stream:(market|public)/.*}", venue.stream)
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


def mint(folder: Path, *hosts: str) -> Path:
    """Write a throw-away certificate of ``hosts`` with its key, and return the file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test's own")])
    names = [x509.DNSName(host) for host in hosts or (HOST,)]
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=2100))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "venue.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass
class LabClock:
    """The venue's time as the feed's own: it moves when a test moves it, and wakes who sleeps."""

    venue: LabVenue
    _sleepers: list[tuple[int, anyio.Event]] = field(default_factory=list)

    @property
    def wall_ms(self) -> Callable[[], int]:
        return lambda: self.venue.now

    async def sleep_s(self, delay_s: float) -> None:
        due = self.venue.now + int(delay_s * 1000)
        if delay_s <= 0:
            await lowlevel.checkpoint()
            return
        woken = anyio.Event()
        self._sleepers.append((due, woken))
        await woken.wait()

    @property
    def next_due(self) -> int | None:
        """Return when the first sleeper wakes, or None while nobody sleeps."""
        return min((due for due, _ in self._sleepers), default=None)

    def move(self, to: int) -> None:
        """Let it be ``to``."""
        assert to >= self.venue.now
        self.venue.now = to
        due = [woken for at, woken in self._sleepers if at <= to]
        self._sleepers = [each for each in self._sleepers if each[0] > to]
        for woken in due:
            woken.set()


# -- faults, one request each


def too_many(retry_after_s: int) -> Spoil:
    async def spoil(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
        error = {"code": -1003, "msg": "Too many requests."}
        return web.json_response(error, status=429, headers={"Retry-After": str(retry_after_s)})

    return spoil


async def disconnected(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_short(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000"})
    await response.prepare(request)
    await response.write(b"[[1704067200000,")
    assert request.transport is not None
    request.transport.abort()
    return response


async def a_page_of_html(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
    return web.Response(text="<html>maintenance</html>", content_type="text/html")


async def nothing(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
    return web.json_response([])


async def unwell(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
    return web.Response(status=503, text="<html>\n<b>503</b>")


def without(*places: int) -> Spoil:
    async def spoil(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
        left_out = {minute(place) for place in places}
        return web.json_response([row for row in answer if row[0] not in left_out])

    return spoil


def stale(rows: int) -> Spoil:
    async def spoil(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
        return web.json_response(answer[: max(len(answer) - rows, 0)])

    return spoil


async def as_it_is(request: web.Request, answer: list[list[Any]]) -> web.StreamResponse:
    return web.json_response(answer)
