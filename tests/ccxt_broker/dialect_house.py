"""A ccxt broker at the virtual binanceusdm, over TLS on loopback, and everything that it says."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms, within
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.broker import CcxtBroker
from brokers.contract import News
from messages import PositionMode, ToolReport, VenueOrder, VenueReport
from scenarios.exchange.binanceusdm import Exchange, Limits, TestAuthority, open_binanceusdm
from scenarios.exchange.facts import Fact, FactKind, Terms
from scenarios.exchange.faults import FaultScript
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Folded, fold_truth

sys.path.append(str(Path(__file__).parents[1] / "exchange_binance"))

from binance_house import BTC, KEYS, PRICE, bar, faults, terms

CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
PATIENCE_S = 60.0
"""Longest wait of a test: a loaded machine is slow, a broken broker is slower."""


@dataclass
class Desk:
    """The exchange, a broker at it, and all that it has said."""

    exchange: Exchange
    broker: CcxtBroker
    news: list[News] = field(default_factory=list)
    tools: list[ToolReport] = field(default_factory=list)
    shown: int = 0
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

    def fills(self) -> dict[str, Decimal]:
        """Return the quantity of each trade that was told, by whatever news."""
        told: dict[str, Decimal] = {}
        for each in self.news:
            if isinstance(each, VenueReport) and each.fill is not None:
                told[each.fill.trade_id] = each.fill.quantity
            elif isinstance(each, VenueOrder):
                told.update({fill.trade_id: fill.quantity for fill in each.fills})
        return told

    def ended(self, name: str) -> bool:
        """Return whether an end of an order was told, by whatever news."""
        over = {"filled", "cancelled", "expired", "rejected"}
        if over & set(self.life(name)):
            return True
        return any(
            isinstance(each, VenueOrder) and each.client_order_id == name and each.known
            and not each.open
            for each in self.news
        )  # fmt: skip

    @property
    def truth(self) -> Folded:
        """Return what the exchange's own log adds up to."""
        return fold_truth(self.facts)

    @property
    def facts(self) -> list[Fact]:
        """Return the exchange's own log."""
        return read_truth(self.exchange.truth / "truth.ndjson")

    def received(self, name: str) -> int:
        """Return how many orders of a name have come to the exchange."""
        return sum(
            fact.fact is FactKind.RECEIVED and fact.client_order_id == name for fact in self.facts
        )

    async def bar(self, price: float = PRICE, **prices: float) -> None:
        """Show the exchange the next minute."""
        await self.exchange.server.show(BTC, [bar(self.shown, price, BTC, **prices)])
        self.shown += 1

    def set_faults(self, *script: dict[str, Any], seed: int = 1) -> None:
        """Put other faults in force."""
        self.exchange.server.faults.replace(
            FaultScript.model_validate({"seed": seed, "faults": list(script)})
        )


def address(exchange: Exchange, **given: Any) -> CcxtAddress:
    """Return how a broker reaches ``exchange``."""
    secrets = {"api_key": KEYS.api_key, "secret": KEYS.secret}
    given.setdefault("timeout_s", 2.0)
    # An account has one allowance in a process: each exchange here is another account.
    given.setdefault("account", f"at-{exchange.port}")
    return CcxtAddress(
        "binanceusdm",
        secrets=secrets,
        loopback_port=exchange.port,
        loopback_ca=exchange.ca_path,
        **given,
    )


@asynccontextmanager
async def opened(
    folder: Path,
    *script: dict[str, Any],
    venue: Terms | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Exchange]:
    """Open an exchange."""
    exchange = await open_binanceusdm(
        venue or terms(BTC),
        folder / "venue",
        credentials=KEYS,
        ca=TestAuthority(folder / "tls"),
        faults=faults(*script),
        limits=limits,
    )
    try:
        yield exchange
    finally:
        await exchange.stop()


@asynccontextmanager
async def at_work(
    exchange: Exchange,
    *,
    state: dict[str, Any] | None = None,
    symbols: Sequence[str] = (BTC,),
    **given: Any,
) -> AsyncIterator[Desk]:
    """Run a broker at ``exchange``, gone on with from ``state`` if that is given."""
    desk = Desk(exchange, CcxtBroker(address(exchange, **given), CLOCK, symbols))
    desk.listen()
    desk.shown = len(exchange.server.venue.shown and range(exchange.server.venue.shown.get(BTC, 0)))
    if state is not None:
        desk.broker.restore(state)
    await desk.broker.connect()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.broker.run)
            tasks.start_soon(desk.broker.keep_alive)
            yield desk
            tasks.cancel_scope.cancel()
    finally:
        await desk.broker.close()


@asynccontextmanager
async def desk(
    folder: Path,
    *script: dict[str, Any],
    hedge: bool = False,
    limits: Limits | None = None,
    **given: Any,
) -> AsyncIterator[Desk]:
    """Open an exchange with a market, and a broker at work there."""
    mode = PositionMode.HEDGE if hedge else PositionMode.ONE_WAY
    async with opened(folder, *script, venue=terms(BTC, mode=mode), limits=limits) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange, position_mode=mode, **given) as made:
            yield made
