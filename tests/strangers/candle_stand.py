"""
Strangers' public market data on loopback: candles, trades and quotes, asked for and streamed.

A venue here has a time that stands still until a test moves it, and says on its streams what a
test has it say, in the words of its own websocket as the real ccxt class expects them. What it was
asked and sent is kept.
"""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import WSMsgType, web

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))
sys.path.append(str(Path(__file__).parents[1] / "market_data"))

from capture_venue import Sent
from market_data_house import MINUTE, minute, row_at
from stranger import Books, Dialect, Market

from feeds.ccxt.reach import Reach
from feeds.rows import Row
from scenarios.exchange.authority import TestAuthority

Document = dict[str, Any]


@dataclass
class Line:
    """One connection of a client: the address that it dialled, and what it subscribed to."""

    path: str
    socket: web.WebSocketResponse
    topics: list[str] = field(default_factory=list)

    def cut(self) -> None:
        """End it without a word."""
        request = self.socket._req
        assert request is not None
        if request.transport is not None:
            request.transport.abort()


class CandleStand(ABC):
    """One venue's public market data: ``markets`` by their symbols."""

    exchange: ClassVar[str]
    dialect: ClassVar[type[Dialect]]
    markets: ClassVar[Mapping[str, Market]]
    says_closed: ClassVar[bool] = True
    """Whether its stream says that a candle is closed."""

    def __init__(self, now: int) -> None:
        """Have no candles yet; it is ``now``, int ms UTC."""
        self.now = now
        self.rows: dict[str, dict[int, Row]] = {symbol: {} for symbol in self.markets}
        self.asked: list[Sent] = []
        """Questions for candles."""
        self.hosts: set[str] = set()
        self.lines: list[Line] = []
        self.subscribed: list[tuple[str, str]] = []
        """Every subscription that was taken: the path of its line, and its topic."""
        self.refusals: list[Document] = []
        """What the next subscriptions are answered with, each instead of being taken."""
        self.pings = 0
        self.answers_pings = True
        self.streams = True
        """Whether it has a websocket: a dial is answered with 404 where not."""
        self.dials = 0
        self.dialects = [self.dialect(Books(market)) for market in self.markets.values()]

    # -- the market

    def fill(self, places: Iterable[int], symbol: str, *, shift: float = 0.0) -> None:
        """Have the candles of these minutes; their volume is in coins."""
        found = {minute(place): row_at(place, shift=shift) for place in places}
        self.rows[symbol].update(found)

    def reach(self, port: int, ca: Path | None) -> Reach:
        """Return the way to it: pinned where there is a certificate, else by one address."""
        params: dict[str, Any] = {"rateLimit": 1}
        if ca is None:
            params["urls"] = f"http://127.0.0.1:{port}"
            return Reach(self.exchange, params, timeout_s=5.0)
        return Reach(self.exchange, params, port, ca, timeout_s=5.0)

    # -- the server

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a question, or keep a line."""
        self.hosts.add(request.host.partition(":")[0])
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request)
        fields = dict(request.query)
        sent = Sent(request.host, request.method, request.path, fields, dict(request.headers))
        if (symbol := self.candles_asked(sent)) is not None:
            self.asked.append(sent)
            return web.json_response(self.page(symbol, fields))
        if request.path.lower().endswith("/time"):
            return web.json_response(self.time())
        for dialect in self.dialects:
            answer = dialect.answer(sent)
            if answer is not None and self.has_market(answer):
                return web.json_response(answer)
        return web.json_response(answer)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.dials += 1
        if not self.streams:
            return web.Response(status=404, text="<html>\n<b>no such page</b>")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        line = Line(request.path, socket)
        self.lines.append(line)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            document = message.data if message.data == "ping" else message.json()
            pong = self.pong(document)
            if pong is not None:
                self.pings += 1
                if self.answers_pings:
                    await socket.send_str(pong if isinstance(pong, str) else json.dumps(pong))
                continue
            for topic in self.topics(document):
                if self.refusals:
                    await socket.send_json(self.refusal(document, self.refusals.pop(0)))
                    continue
                self.subscribed.append((line.path, topic))
                line.topics.append(topic)
                await socket.send_json(self.taken(document, topic))
        self.lines.remove(line)
        return socket

    async def send_candle(
        self, place: int, symbol: str, *, shift: float = 0.0, closed: bool = False
    ) -> None:
        """Send a candle as it is with ``shift``; with ``closed`` as the venue ends one."""
        row = row_at(place, shift=shift)
        self.rows[symbol][row[0]] = row
        await self.send(self.candle_topic(symbol), symbol, self.candle(symbol, row, closed))

    async def send_trade(self, symbol: str, at: int, price: float, coins: float, no: int) -> None:
        """Send a public trade."""
        trade = self.trade(symbol, at, price, self.amount(symbol, coins), no)
        await self.send(self.trade_topic(symbol), symbol, trade)

    async def send_quote(self, symbol: str, at: int, bid: float, ask: float, coins: float) -> None:
        """Send the best bid and ask, each for so many coins."""
        quote = self.quote(symbol, at, bid, ask, self.amount(symbol, coins))
        await self.send(self.quote_topic(symbol), symbol, quote)

    async def send(self, topic: str, symbol: str, document: Document) -> None:
        """Send to whoever subscribed."""
        path = self.path(symbol, topic)
        for line in list(self.lines):
            if line.path == path and topic in line.topics:
                await line.socket.send_json(document)

    def cut(self) -> None:
        """End every line without a word."""
        for line in list(self.lines):
            line.cut()

    def amount(self, symbol: str, coins: float) -> str:
        """Return coins in the venue's own unit: contracts where it counts those."""
        return str(Decimal(str(coins)) / self.markets[symbol].size)

    # -- the words

    @abstractmethod
    def has_market(self, answer: Any) -> bool:
        """Return whether an answer is more than an empty list."""

    @abstractmethod
    def time(self) -> Document:
        """Return the answer to what time it is."""

    @abstractmethod
    def candles_asked(self, sent: Sent) -> str | None:
        """Return the symbol whose candles are asked for; None for another question."""

    @abstractmethod
    def page(self, symbol: str, fields: Mapping[str, str]) -> Document:
        """Return a page of candles."""

    @abstractmethod
    def pong(self, document: Any) -> Document | str | None:
        """Return the answer to a ping; None for another message."""

    @abstractmethod
    def topics(self, document: Document) -> list[str]:
        """Return what a message subscribes to."""

    @abstractmethod
    def taken(self, document: Document, topic: str) -> Document:
        """Return that it is subscribed."""

    @abstractmethod
    def refusal(self, document: Document, refusal: Document) -> Document:
        """Return that it is not, in the words of the venue."""

    @abstractmethod
    def path(self, symbol: str, topic: str) -> str:
        """Return the path of the address where a topic is streamed."""

    @abstractmethod
    def candle_topic(self, symbol: str) -> str:
        """Return the topic of a symbol's minutes."""

    @abstractmethod
    def trade_topic(self, symbol: str) -> str:
        """Return the topic of a symbol's trades."""

    @abstractmethod
    def quote_topic(self, symbol: str) -> str:
        """Return the topic of a symbol's best bid and ask."""

    @abstractmethod
    def candle(self, symbol: str, row: Row, closed: bool) -> Document:
        """Return a candle as it is streamed."""

    @abstractmethod
    def trade(self, symbol: str, at: int, price: float, amount: str, no: int) -> Document:
        """Return a trade as it is streamed."""

    @abstractmethod
    def quote(self, symbol: str, at: int, bid: float, ask: float, amount: str) -> Document:
        """Return the best bid and ask as they are streamed."""

    # -- what they share

    def known(self, symbol: str, since: int, limit: int, *, newest: bool = False) -> list[Row]:
        """Return candles that have begun, in increasing time: the first or the ``newest`` ones."""
        mine = self.rows[symbol]
        found = [mine[at] for at in sorted(mine) if since <= at <= self.now]
        return found[-limit:] if newest else found[:limit]

    def symbol_of(self, market_id: str, *, spot: bool) -> str:
        """Return the symbol of a market."""
        return next(
            symbol
            for symbol, market in self.markets.items()
            if market.id == market_id and market.spot is spot
        )


@asynccontextmanager
async def standing(stand: CandleStand, folder: Path, *, tls: bool) -> AsyncIterator[Reach]:
    """Let a venue listen on loopback; give the way to it."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", stand.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    authority = TestAuthority(folder) if tls else None
    context = None if authority is None else authority.tls
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield stand.reach(site.port, None if authority is None else authority.ca_path)
    finally:
        await runner.cleanup()


def end_of(row: Row) -> int:
    """Return the last millisecond of a minute."""
    return row[0] + MINUTE - 1
