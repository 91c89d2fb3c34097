"""An exchange on loopback, and a broker that talks to it, for tests."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio

from actors.runtime.clock import sleep_s, wall_ms, within
from brokers.contract import News
from brokers.virtual.address import MachineClock, VenueAddress
from brokers.virtual.broker import VirtualBroker
from messages import (
    Bar,
    OrderRequest,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    ToolReport,
    VenueOrder,
    VenueReport,
)
from scenarios.exchange.facts import Terms
from scenarios.exchange.faults import Faults, FaultScript
from scenarios.exchange.server import Exchange
from state.instruments import Instrument

KEY = "a key for tests only"
BTC, ETH = "BTC/USDT", "ETH/USDT"
START = 1_704_067_200_000
MINUTE = 60_000

PATIENCE_S = 20.0
"""
How long an answer is waited for that comes: a machine that is busy with others takes its time.

Who wants a time out says so, and for the one call that it is about.
"""


def terms(*symbols: str, deposit: str = "100000", fee_bps: str = "10") -> Terms:
    """Return the terms of a venue that lists ``symbols`` without rules."""
    listed = symbols or (BTC, ETH)
    instruments = {symbol: Instrument.permissive(symbol, Decimal(fee_bps)) for symbol in listed}
    settle = next(iter(instruments.values())).settle
    return Terms(instruments, settle, Decimal(deposit), "test")


def order(
    name: str,
    quantity: str = "1",
    *,
    symbol: str = BTC,
    side: Side = Side.BUY,
    price: str | None = None,
    at: int = START,
) -> OrderRequest:
    """Return a market order, or with a ``price`` a limit order."""
    return OrderRequest(
        f"o-{name}",
        name,
        "s",
        symbol,
        side,
        PositionSide.BOTH,
        OrderType.MARKET if price is None else OrderType.LIMIT,
        TimeInForce.GTC,
        Decimal(quantity),
        at,
        price=None if price is None else Decimal(price),
    )


def bar(number: int, price: float = 100.0, *, symbol: str = BTC) -> Bar:
    """Return minute ``number`` of a market that stays about ``price``."""
    low, high = price - 1, price + 1
    return Bar(symbol, START + number * MINUTE, price, high, low, price, 1000.0, MINUTE)


class Client:
    """A broker, and everything that it has said."""

    def __init__(self, broker: VirtualBroker) -> None:
        """Listen to ``broker``."""
        self.broker = broker
        self.news: list[News] = []
        self.tools: list[ToolReport] = []
        self._numbers = itertools.count()
        broker.bind(self.news.append)
        broker.watch(self.tools.append)
        self._woken = anyio.Event()
        broker.wake = self._wake

    def _wake(self) -> None:
        self._woken.set()

    def patience(self, timeout_s: float) -> None:
        """Let the calls that begin from now on wait so long for their answers."""
        self.broker._line._timeout_s = timeout_s

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was heard meets ``condition``."""

        async def met() -> None:
            while not condition():
                self._woken = anyio.Event()
                await self._woken.wait()

        await within(3 * PATIENCE_S, met)
        assert condition(), f"never heard: {self.news} {self.tools}"

    async def caught_up(self, exchange: Exchange) -> None:
        """
        Wait until all that the venue has said by now is heard.

        ``quiet`` alone does not: of an order whose answer was lost the client knows nothing, and
        what was held up on its way arrives when nobody waits for it any more.
        """
        while True:
            await self.broker.refresh()
            await self.quiet()
            if exchange.venue.seq == self.broker.stream.taken:
                return

    def reports(self, name: str) -> list[VenueReport]:
        """Return the reports of one order."""
        return [
            news
            for news in self.news
            if isinstance(news, VenueReport) and news.client_order_id == name
        ]

    def life(self, name: str) -> list[str]:
        """Return the events of one order."""
        return [report.event.value for report in self.reports(name)]

    def answers(self) -> list[VenueOrder]:
        """Return what was said of orders that were asked for."""
        return [news for news in self.news if isinstance(news, VenueOrder)]

    def bar(self, price: float = 100.0, *, symbol: str = BTC) -> None:
        """Show the next minute."""
        self.broker.on_bar(bar(next(self._numbers), price, symbol=symbol))

    async def quiet(self) -> None:
        """
        Wait until all that was asked for is done, and the news that it was told of is heard.

        The account is not waited for: it may be that of before the last news.
        """
        assert await self.broker.quiet(2 * PATIENCE_S), "the broker does not come to rest"


def script(*faults: dict[str, object], seed: int = 0) -> Faults:
    """Return faults as a file would state them."""
    return Faults(FaultScript.model_validate({"seed": seed, "faults": list(faults)}))


@asynccontextmanager
async def serving(
    path: Path, *faults: dict[str, object], listed: Terms | None = None, seed: int = 0
) -> AsyncIterator[tuple[Exchange, str]]:
    """Serve an exchange on a free port; gives it and its address."""
    exchange = Exchange(listed or terms(), path, KEY, faults=script(*faults, seed=seed))
    host, port = await exchange.start()
    try:
        yield exchange, f"http://{host}:{port}"
    finally:
        await exchange.stop()


@asynccontextmanager
async def client_of(
    url: str,
    *,
    timeout_s: float = PATIENCE_S,
    source: str = "test",
    key: str = KEY,
    state: dict[str, Any] | None = None,
) -> AsyncIterator[Client]:
    """Run a broker that talks to ``url``, restored from ``state`` if that is given."""
    clock = MachineClock(wall_ms, sleep_s)
    broker = VirtualBroker(VenueAddress(url, key, timeout_s), clock, source=source)
    client = Client(broker)
    if state is not None:
        broker.restore(state)
    await broker.connect()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(broker.run)
            yield client
            tasks.cancel_scope.cancel()
    finally:
        await broker.close()
