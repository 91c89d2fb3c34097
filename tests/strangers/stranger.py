"""
A stranger: a small venue on loopback that nobody of us has seen, with the books of one account.

The venue is the same behind every dialect: one market, orders that rest or trade at its price,
positions or holdings, money, fees. A dialect only words it. What arrived is kept, with the amounts
in the venue's own unit: tests look at that, the broker never does.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

from capture_venue import Capture, Reply, Sent

from actors.runtime.clock import wall_ms
from scenarios.exchange.authority import HOSTS, TestAuthority

MINUTE = 60_000
CASH = Decimal(100_000)


@dataclass
class Market:
    """The one market: ``size`` base units to a contract, 1 where it counts coins."""

    symbol: str
    id: str
    size: Decimal = Decimal(1)
    spot: bool = False
    base: str = "BTC"
    quote: str = "USDT"


@dataclass
class Order:
    """One order, its amounts in the venue's own unit."""

    id: str
    client: str
    side: str
    amount: Decimal
    price: Decimal | None
    book: str
    reduce_only: bool
    at: int
    filled: Decimal = Decimal(0)
    status: str = "open"  # open, filled, cancelled
    waits: str = ""
    """What the venue calls its kind, if it waits for a price."""

    @property
    def sign(self) -> int:
        return 1 if self.side == "buy" else -1


@dataclass
class Trade:
    """One execution."""

    id: str
    order: Order
    amount: Decimal
    price: Decimal
    fee: Decimal
    currency: str
    at: int


@dataclass
class Position:
    """What is held in one book, in contracts with sign, and its mean price."""

    amount: Decimal = Decimal(0)
    entry: Decimal = Decimal(0)


@dataclass
class Books:
    """The account: its orders, trades, positions and money."""

    market: Market
    hedge: bool = False
    fee_rate: Decimal = Decimal("0.0005")
    fee_in_base: bool = False
    price: Decimal = Decimal(50_000)
    money: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.money.setdefault(self.market.quote, CASH)

    def place(
        self,
        client: str,
        side: str,
        amount: object,
        price: object = None,
        *,
        book: str = "both",
        reduce_only: bool = False,
        at_once: bool = False,
        waits: str = "",
    ) -> Order:
        """Take an order; it trades at once where it may, and rests or waits where not."""
        number = str(1_000 + len(self.orders))
        limit = None if price in (None, "", "0", 0) else Decimal(str(price))
        order = Order(
            number, client, side, Decimal(str(amount)), limit, book, reduce_only, wall_ms()
        )
        order.waits = waits
        self.orders[number] = order
        if waits:
            return order
        if limit is None or (limit - self.price) * order.sign >= 0:
            self.fill(order)
        elif at_once:
            order.status = "cancelled"
        return order

    def fill(self, order: Order, amount: Decimal | None = None) -> None:
        """Have an order trade at the market's price."""
        amount = order.amount - order.filled if amount is None else amount
        order.filled += amount
        order.status = "filled" if order.filled == order.amount else "open"
        coins = amount * self.market.size
        worth = coins * self.price
        fee, currency = worth * self.fee_rate, self.market.quote
        if self.market.spot:
            in_base = self.fee_in_base and order.side == "buy"
            if in_base:
                fee, currency = coins * self.fee_rate, self.market.base
            self._add(self.market.base, coins * order.sign)
            self._add(self.market.quote, -worth * order.sign)
        else:
            self._move(order, amount)
        self._add(currency, -fee)
        number = str(9_000 + len(self.trades))
        self.trades.append(Trade(number, order, amount, self.price, fee, currency, wall_ms()))

    def _add(self, currency: str, amount: Decimal) -> None:
        self.money[currency] = self.money.get(currency, Decimal(0)) + amount

    def _move(self, order: Order, amount: Decimal) -> None:
        held = self.positions.setdefault(order.book, Position())
        change = amount * order.sign
        if held.amount * change >= 0:
            total = held.amount + change
            held.entry = (held.entry * held.amount + self.price * change) / total
        else:
            profit = min(abs(change), abs(held.amount)) * (self.price - held.entry)
            sign = 1 if held.amount > 0 else -1
            self._add(self.market.quote, profit * sign * self.market.size)
            if abs(change) > abs(held.amount):
                held.entry = self.price
        held.amount += change

    def cancel(self, order: Order) -> bool:
        """Cancel an order that is open; return whether it was."""
        if order.status != "open":
            return False
        order.status = "cancelled"
        return True

    def find(self, *names: object) -> Order | None:
        """Return the order of one of these ids, ours or the venue's."""
        for order in self.orders.values():
            if order.id in map(str, names) or (order.client and order.client in names):
                return order
        return None

    def open(self) -> list[Order]:
        """Return what rests."""
        return [order for order in self.orders.values() if order.status == "open"]

    def over(self) -> list[Order]:
        """Return what does not rest any more, the newest first."""
        return [order for order in reversed(self.orders.values()) if order.status != "open"]

    def held(self) -> dict[str, Position]:
        """Return the positions that are not flat."""
        return {book: held for book, held in self.positions.items() if held.amount}


class Dialect(ABC):
    """A venue's words for ``books``; ``streams`` false: whoever dials a stream gets 404."""

    exchange: str
    symbol: str

    def __init__(self, books: Books, *, streams: bool = True) -> None:
        """Speak of ``books``."""
        self.books = books
        self.streams = streams
        self.sockets: list[web.WebSocketResponse] = []
        self.said: list[dict[str, Any]] = []
        """What arrived on streams."""

    @abstractmethod
    def answer(self, sent: Sent) -> Reply | dict[str, Any] | list[Any] | None:
        """Return the answer to a request."""

    def heard(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the answers to a message on a stream."""
        del message
        return []

    def news(self, order: Order) -> list[dict[str, Any]]:
        """Return what the private stream says of an order now."""
        del order
        return []


class House(Capture):
    """The server: requests go to the dialect, and what an order came to goes to the streams."""

    def __init__(self, dialect: Dialect) -> None:
        """Serve ``dialect``."""
        super().__init__(dialect.answer)
        self.dialect = dialect
        self._told: dict[str, tuple[str, Decimal]] = {}
        self.muted = False
        """Whether the streams are up and say nothing."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or keep a stream."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if not self.dialect.streams:
                return web.Response(status=404)
            return await self._stream(request)
        response = await super().handle(request)
        await self._tell()
        return response

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.dialect.sockets.append(socket)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            if message.data == "ping":
                await socket.send_str("pong")
                continue
            document = message.json()
            self.dialect.said.append(document)
            for each in self.dialect.heard(document):
                await socket.send_json(each)
        self.dialect.sockets.remove(socket)
        return socket

    async def _tell(self) -> None:
        for order in self.dialect.books.orders.values():
            state = (order.status, order.filled)
            if self._told.get(order.id) == state:
                continue
            self._told[order.id] = state
            for message in [] if self.muted else self.dialect.news(order):
                for socket in list(self.dialect.sockets):
                    await socket.send_json(message)


@dataclass
class Running:
    """A server that runs: its port, and the certificate to trust if it has one."""

    house: House
    port: int
    ca: Path
    loop: asyncio.AbstractEventLoop


@contextmanager
def served(dialect: Dialect, folder: Path, *, tls: bool = True) -> Iterator[Running]:
    """Serve a dialect on loopback in a thread of its own."""
    house = House(dialect)
    authority = TestAuthority(
        folder,
        (
            *HOSTS,
            "*.gateio.ws",
            "*.kraken.com",
            "*.crypto.com",
            "*.kucoin.com",
            "*.coinbase.com",
            "127.0.0.1",
        ),
    )
    started = threading.Event()
    stop: asyncio.Event
    found: dict[str, Any] = {}

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", house.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        context = authority.tls if tls else None
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        found.update(port=runner.addresses[0][1], loop=asyncio.get_running_loop())
        found["stop"] = asyncio.Event()
        started.set()
        try:
            await found["stop"].wait()
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield Running(house, found["port"], authority.ca_path, found["loop"])
    finally:
        stop = found["stop"]
        found["loop"].call_soon_threadsafe(stop.set)
        thread.join()
