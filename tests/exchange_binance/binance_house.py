"""A virtual binanceusdm over TLS on loopback, and the real ccxt client on it, for tests."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import anyio.lowlevel
import ccxt.pro

from actors.runtime.clock import within
from messages import Bar, PositionMode
from scenarios.exchange.binanceusdm import Exchange, Keys, Limits, TestAuthority, open_binanceusdm
from scenarios.exchange.facts import Fact, FactKind, Terms
from scenarios.exchange.faults import Faults, FaultScript
from scenarios.exchange.log import read_truth
from state.instruments import Instrument, InstrumentKind
from state.money import apart

KEYS = Keys("virtual_key_for_tests", "virtual secret for tests only")
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
START = 1_704_067_200_000
MINUTE = 60_000
PRICE = 50_000.0

PATIENCE_S = 60.0
"""How long something is waited for that comes: a busy machine takes its time."""

WINDOW_MS = 20_000
"""How old a request may be when the exchange looks at it."""


def instrument(symbol: str = BTC, leverage: int = 20) -> Instrument:
    """Return a perpetual with the rules of a real one."""
    base = symbol.partition("/")[0]
    return Instrument(
        symbol,
        InstrumentKind.LINEAR_PERPETUAL,
        base,
        "USDT",
        "USDT",
        Decimal("0.1"),
        Decimal("0.001"),
        Decimal("0.001"),
        Decimal(1000),
        Decimal(100),
        Decimal(2),
        Decimal(5),
        Decimal(1) / leverage,
    )


def terms(
    *symbols: str,
    deposit: str = "100000",
    mode: PositionMode = PositionMode.ONE_WAY,
    at_once: bool = True,
) -> Terms:
    """Return the terms of a venue that fills at once what can be filled."""
    listed = {symbol: instrument(symbol) for symbol in symbols or (BTC, ETH)}
    return Terms(listed, "USDT", Decimal(deposit), "", mode, at_once=at_once)


def faults(*script: dict[str, Any], seed: int = 1) -> Faults:
    """Put faults in force."""
    return Faults(FaultScript.model_validate({"seed": seed, "faults": list(script)}))


def bar(number: int, price: float = PRICE, symbol: str = BTC, **prices: float) -> Bar:
    """Return minute ``number`` of a market at ``price``; its high and low can be named."""
    low, high = prices.get("low", price), prices.get("high", price)
    first = prices.get("open", price)
    return Bar(symbol, START + number * MINUTE, first, high, low, price, 1000.0, MINUTE)


class ToLoopback(aiohttp.abc.AbstractResolver):
    """Finds every host on loopback: nothing can leave the machine."""

    def __init__(self, port: int) -> None:
        """Find them all at ``port``."""
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[Any]:
        """Return loopback, whoever is asked for."""
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": self._port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self) -> None:
        """Have nothing to close."""


@dataclass
class House:
    """The exchange, its client, and the bars that were shown."""

    exchange: Exchange
    client: Any
    session: aiohttp.ClientSession
    shown: int = 0
    streams: list[aiohttp.ClientWebSocketResponse] = field(default_factory=list)
    held: list[asyncio.Event] = field(default_factory=list)

    async def listen(self, url: str) -> aiohttp.ClientWebSocketResponse:
        """Open a stream, which is closed with the house."""
        stream = await self.session.ws_connect(url)
        self.streams.append(stream)
        return stream

    @property
    def truth(self) -> list[Fact]:
        """Return what the truth log says by now."""
        return read_truth(self.exchange.truth / "truth.ndjson")

    def kinds(self, kind: FactKind) -> list[Fact]:
        """Return the facts of one kind."""
        return [fact for fact in self.truth if fact.fact is kind]

    async def bar(self, price: float = PRICE, symbol: str = BTC, **prices: float) -> None:
        """Show the next minute."""
        await self.exchange.server.show(symbol, [bar(self.shown, price, symbol, **prices)])
        self.shown += 1

    async def buy(self, name: str, quantity: str = "0.01", price: str | None = None) -> Any:
        """Place a buy: at market, or with ``price`` a limit."""
        kind = "market" if price is None else "limit"
        return await self.client.create_order(
            BTC, kind, "buy", quantity, price, {"clientOrderId": name}
        )

    def hold_up(self) -> asyncio.Event:
        """
        Keep what faults delay or let hang until the event that is returned is set, or to the end.

        However long that takes: no test has to be faster than a clock.
        """
        let_go = asyncio.Event()
        self.held.append(let_go)

        async def held(_delay_s: float) -> None:
            await let_go.wait()

        vars(self.exchange.server)["pause"] = held
        return let_go

    def set_faults(self, *script: dict[str, Any], seed: int = 1) -> None:
        """Put other faults in force."""
        self.exchange.server.faults.replace(
            FaultScript.model_validate({"seed": seed, "faults": list(script)})
        )


@asynccontextmanager
async def house(
    folder: Path,
    *script: dict[str, Any],
    venue: Terms | None = None,
    limits: Limits | None = None,
    options: dict[str, Any] | None = None,
    secret: str = KEYS.secret,
    first_price: float | None = PRICE,
    ca: TestAuthority | None = None,
) -> AsyncIterator[House]:
    """Open an exchange and a client that has loaded its markets."""
    authority = ca or TestAuthority(folder / "tls")
    exchange = await open_binanceusdm(
        venue or terms(),
        folder,
        credentials=KEYS,
        ca=authority,
        faults=faults(*script),
        limits=limits,
    )
    context = ssl.create_default_context(cafile=str(authority.ca_path))
    connector = aiohttp.TCPConnector(ssl=context, resolver=ToLoopback(exchange.port))
    session = aiohttp.ClientSession(connector=connector)
    client = ccxt.pro.binanceusdm(
        {
            "apiKey": KEYS.api_key,
            "secret": secret,
            "session": session,
            "enableRateLimit": False,
            "timeout": int(1000 * PATIENCE_S),
            "streaming": {"keepAlive": 10_000, "maxPingPongMisses": 2},
            "options": {"fetchCurrencies": False, "recvWindow": WINDOW_MS, **(options or {})},
        }
    )
    client.number = str
    client.decimal_to_precision = apart(client.decimal_to_precision)
    made = House(exchange, client, session)
    try:
        if first_price is not None:
            await made.bar(first_price)
        yield made
    finally:
        for let_go in made.held:
            let_go.set()
        for stream in made.streams:
            await stream.close()
        await client.close()
        await session.close()
        await exchange.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Let everybody else have their turn until something is so."""

    async def met() -> None:
        while not condition():
            await anyio.lowlevel.checkpoint()

    await within(PATIENCE_S, met)
    assert condition(), "it never was"
