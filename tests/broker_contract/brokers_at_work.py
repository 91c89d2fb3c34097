"""A desk for each adapter: the same words, whichever venue is behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import anyio
from alpaca_house import SPY, share
from alpaca_house import at_work as alpaca_at_work
from alpaca_house import opened as alpaca_opened
from ccxt_house import BTC
from dialect_house import at_work, opened
from exchange_house import client_of, serving

from actors.runtime.clock import within
from brokers.contract import News, Remote, SessionBroker
from brokers.matching import EngineConfig, MatchingEngine
from brokers.paper import PaperBroker
from messages import Bar, ToolReport, VenueOrder, VenueReport
from scenarios.exchange.facts import Terms
from state.instruments import Instrument
from state.reconciliation import AccountView

MINUTE = 60_000
START = 1_704_067_200_000
PATIENCE_S = 60.0
CASH = Decimal(100_000)


def perpetual() -> Instrument:
    """Return what all of them list: a perpetual with a fee."""
    return replace(
        Instrument.permissive(BTC, Decimal(5), currency="USDT"),
        price_tick=Decimal("0.1"),
        lot_step=Decimal("0.001"),
    )


@dataclass(frozen=True)
class Traded:
    """What a venue lists, what one order of it is, and what the venue takes for trading it."""

    symbol: str = BTC
    quantity: Decimal = Decimal("0.02")
    fee_bps: Decimal = Decimal(5)
    currency: str = "USDT"

    @property
    def fee(self) -> Decimal:
        """Return the fee of one order at the market's price."""
        return self.quantity * PRICE * self.fee_bps / 10_000


PRICE = Decimal(50_000)


@dataclass
class Desk:
    """A broker, what it has said, and how its market moves."""

    broker: SessionBroker
    move: Callable[[Bar], Awaitable[None]]
    traded: Traded = Traded()
    news: list[News] = field(default_factory=list)
    tools: list[ToolReport] = field(default_factory=list)
    bars: int = 1

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` holds; fail with all that was heard if it never does."""

        async def met() -> None:
            while not condition():
                await within(0.01, anyio.sleep_forever)

        await within(PATIENCE_S, met)
        assert condition(), f"{self.broker!r} {self.news} {self.tools}"

    async def bar(self, price: float = 50_000.0) -> None:
        """Let the next minute trade at ``price``."""
        at = START + self.bars * MINUTE
        self.bars += 1
        await self.move(Bar(self.traded.symbol, at, price, price, price, price, 1000.0, MINUTE))

    def life(self, name: str) -> list[str]:
        """Return the events of one order."""
        return [
            each.event.value
            for each in self.news
            if isinstance(each, VenueReport) and each.client_order_id == name
        ]

    def answer(self, asked_at: int) -> VenueOrder | None:
        """Return the answer to the question of ``asked_at``."""
        for each in self.news:
            if isinstance(each, VenueOrder) and each.asked_at == asked_at:
                return each
        return None

    async def account(self) -> AccountView:
        """Return the account once nothing is under way."""
        remote = self.broker
        if isinstance(remote, Remote):
            await self.until(lambda: remote.is_quiet)
            await remote.refresh()
        return self.broker.account()


@asynccontextmanager
async def paper(_folder: Path) -> AsyncIterator[Desk]:
    """Return the matching engine in this process."""
    engine = MatchingEngine({BTC: perpetual()}, EngineConfig("t"), currency="USDT", deposit=CASH)
    broker = PaperBroker(engine)

    async def move(bar: Bar) -> None:
        broker.on_time(bar.timestamp)
        broker.on_bar(bar)

    yield _listening(Desk(broker, move))


@asynccontextmanager
async def virtual(folder: Path) -> AsyncIterator[Desk]:
    """Return the matching engine over HTTP."""
    listed = Terms({BTC: perpetual()}, "USDT", CASH, "t")
    async with serving(folder / "truth", listed=listed) as (_, url), client_of(url) as client:
        broker = client.broker

        async def move(bar: Bar) -> None:
            broker.on_bar(bar)

        yield _listening(Desk(broker, move))


@asynccontextmanager
async def ccxt(folder: Path) -> AsyncIterator[Desk]:
    """Return the real ccxt client at the virtual binanceusdm, over TLS."""
    async with opened(folder) as exchange:
        await exchange.server.show(BTC, [Bar(BTC, START, *[50_000.0] * 4, 1000.0, MINUTE)])
        async with at_work(exchange) as there:

            async def move(bar: Bar) -> None:
                await exchange.server.show(BTC, [bar])

            yield _listening(Desk(there.broker, move))


@asynccontextmanager
async def alpaca(folder: Path) -> AsyncIterator[Desk]:
    """Return the real alpaca-py at the stand-in for Alpaca, over TLS."""
    listed = Terms({SPY: share()}, "USD", CASH, "t", at_once=True)
    async with alpaca_opened(folder, listed=listed) as exchange:
        await exchange.server.show(SPY, [Bar(SPY, START, *[50_000.0] * 4, 1000.0, MINUTE)])
        async with alpaca_at_work(exchange) as there:

            async def move(bar: Bar) -> None:
                await exchange.server.show(SPY, [bar])

            # Shares: whole ones rest until cancelled, and no commission is taken.
            traded = Traded(SPY, Decimal(1), Decimal(0), "USD")
            yield _listening(Desk(there.broker, move, traded))


def _listening(desk: Desk) -> Desk:
    desk.broker.bind(desk.news.append)
    desk.broker.watch(desk.tools.append)
    return desk


ADAPTERS = {"paper": paper, "virtual": virtual, "ccxt": ccxt, "alpaca": alpaca}
