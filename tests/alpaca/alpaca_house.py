"""An Alpaca broker at the stand-in, over TLS on loopback, and everything that it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms, within
from brokers.alpaca.broker import AlpacaBroker
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.contract import News
from messages import Bar, ToolReport, VenueOrder, VenueReport
from scenarios.exchange.alpaca import Exchange, Hit, Keys, open_alpaca
from scenarios.exchange.authority import TestAuthority
from scenarios.exchange.facts import Terms
from scenarios.exchange.faults import Faults, FaultScript
from state.instruments import Instrument

SPY = "SPY"
PRICE = 400.0
MINUTE = 60_000
START = 1_704_067_200_000
CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
KEYS = Keys("PKSTANDINSTANDINSTAND", "standin/secret/of/forty/characters/abcdef")
PATIENCE_S = 10.0
"""Longest wait of a test: a loaded machine is slow, a broken broker is slower."""


def share(symbol: str = SPY, *, fractions: bool = True) -> Instrument:
    """Return a share's rules as the stand-in lists it: no commission."""
    return replace(
        Instrument.permissive(symbol, Decimal(0), currency="USD"),
        price_tick=Decimal("0.01"),
        lot_step=Decimal("0.000000001") if fractions else Decimal(1),
    )


def terms(*symbols: str, cash: int = 100_000, fractions: bool = True) -> Terms:
    """Return an account with shares to trade."""
    listed = {symbol: share(symbol, fractions=fractions) for symbol in symbols or (SPY,)}
    return Terms(listed, "USD", Decimal(cash), "t", at_once=True)


def bar(place: int, price: float = PRICE, symbol: str = SPY) -> Bar:
    """Return minute ``place`` at one price."""
    return Bar(symbol, START + place * MINUTE, price, price, price, price, 1_000.0, MINUTE)


def address(exchange: Exchange, **given: Any) -> CcxtAddress:
    """Return how a broker reaches the stand-in."""
    given.setdefault("timeout_s", 2.0)
    # An account has one allowance in a process: each exchange here is another account.
    given.setdefault("account", f"at-{exchange.port}")
    given.setdefault("secrets", {"api_key": KEYS.key_id, "secret": KEYS.secret})
    return CcxtAddress("alpaca", loopback_port=exchange.port, loopback_ca=exchange.ca_path, **given)


@dataclass
class Desk:
    """The stand-in, a broker at it, and all that it has said."""

    exchange: Exchange
    broker: AlpacaBroker
    news: list[News] = field(default_factory=list)
    tools: list[ToolReport] = field(default_factory=list)
    shown: int = 1
    _woken: anyio.Event = field(default_factory=anyio.Event)

    def listen(self) -> None:
        """Take what the broker says."""
        self.broker.bind(self.news.append)
        self.broker.watch(self.tools.append)
        self.broker.wake = self._wake

    def _wake(self) -> None:
        self._woken.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` holds; fail with all that was heard if it never does."""

        async def met() -> None:
            while not condition():
                self._woken = anyio.Event()
                await within(0.05, self._woken.wait)

        await within(PATIENCE_S, met)
        assert condition(), f"{self.broker!r} {self.news} {self.tools}"

    async def quiet(self) -> None:
        """Return when the broker has nothing under way."""
        await self.until(lambda: self.broker.is_quiet)

    def life(self, name: str) -> list[str]:
        """Return the events of one order."""
        return [
            each.event.value
            for each in self.news
            if isinstance(each, VenueReport) and each.client_order_id == name
        ]

    def report(self, name: str) -> VenueReport:
        """Return the newest report of one order."""
        return next(
            each
            for each in reversed(self.news)
            if isinstance(each, VenueReport) and each.client_order_id == name
        )

    def fills(self) -> dict[str, Decimal]:
        """Return the quantity of each trade that was told, by whatever news."""
        told: dict[str, Decimal] = {}
        for each in self.news:
            if isinstance(each, VenueReport) and each.fill is not None:
                told[each.fill.trade_id] = each.fill.quantity
            elif isinstance(each, VenueOrder):
                told.update({fill.trade_id: fill.quantity for fill in each.fills})
        return told

    def answers(self, name: str) -> list[VenueOrder]:
        """Return the answers to questions about one order."""
        return [
            each
            for each in self.news
            if isinstance(each, VenueOrder) and each.client_order_id == name
        ]

    def sent(self, method: str, path: str = "/v2/orders") -> list[Hit]:
        """Return the requests of a method whose path begins so."""
        hits = self.exchange.server.hits
        return [hit for hit in hits if hit.method == method and hit.path.startswith(path)]

    async def bar(self, price: float = PRICE) -> None:
        """Show the stand-in the next minute."""
        await self.exchange.server.show(SPY, [bar(self.shown, price)])
        self.shown += 1

    def set_faults(self, *script: dict[str, Any], seed: int = 1) -> None:
        """Put other faults in force."""
        self.exchange.server.faults.replace(
            FaultScript.model_validate({"seed": seed, "faults": list(script)})
        )


@asynccontextmanager
async def opened(
    folder: Path, *script: dict[str, Any], listed: Terms | None = None, requests_max: int = 10_000
) -> AsyncIterator[Exchange]:
    """Open a stand-in with a market."""
    exchange = await open_alpaca(
        listed or terms(),
        folder / "venue",
        credentials=KEYS,
        ca=TestAuthority(folder / "tls"),
        faults=Faults(FaultScript.model_validate({"faults": list(script)})),
        requests_max=requests_max,
    )
    try:
        yield exchange
    finally:
        await exchange.stop()


@asynccontextmanager
async def at_work(
    exchange: Exchange, *, state: dict[str, Any] | None = None, streams: bool = True, **given: Any
) -> AsyncIterator[Desk]:
    """Run a broker at the stand-in; what it is handed before its stream is up it asks about."""
    desk = Desk(exchange, AlpacaBroker(address(exchange, **given), CLOCK, (SPY,)))
    desk.listen()
    if state is not None:
        desk.broker.restore(state)
    await desk.broker.connect()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.broker.run)
            if streams:
                await desk.until(lambda: desk.broker._at.stream.up)
            yield desk
            tasks.cancel_scope.cancel()
    finally:
        await desk.broker.close()


@asynccontextmanager
async def desk(
    folder: Path, *script: dict[str, Any], fractions: bool = True, **given: Any
) -> AsyncIterator[Desk]:
    """Open a stand-in with a market, and a broker at work there."""
    async with opened(folder, *script, listed=terms(fractions=fractions)) as exchange:
        await exchange.server.show(SPY, [bar(0)])
        async with at_work(exchange, streams=not script, **given) as made:
            yield made
