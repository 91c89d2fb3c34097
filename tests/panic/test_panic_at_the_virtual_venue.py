"""The same at a venue of our own dialect, over HTTP."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from panic_house import BTC, CLOCK, QUICK

sys.path.append(str(Path(__file__).parents[1] / "exchange_binance"))

from binance_house import bar, faults, terms

from actors.runtime.clock import sleep_s, wall_ms
from brokers.virtual.address import MachineClock, VenueAddress
from brokers.virtual.emergency import VirtualEmergency
from messages import OrderRequest, OrderType, PositionMode, PositionSide, Side, TimeInForce
from scenarios.exchange.facts import FactKind
from scenarios.exchange.log import read_truth
from scenarios.exchange.server import Exchange
from tidegate.emergency import Emergency, Outcome

VENUE_KEY = "key-of-the-virtual-venue"


def order(
    name: str, quantity: str, price: str | None = None, book: PositionSide = PositionSide.BOTH
) -> OrderRequest:
    """Return an order of somebody's: a buy, of a short book a sell."""
    return OrderRequest(
        name,
        name,
        "somebody",
        BTC,
        Side.SELL if book is PositionSide.SHORT else Side.BUY,
        book,
        OrderType.MARKET if price is None else OrderType.LIMIT,
        TimeInForce.GTC,
        Decimal(quantity),
        0,
        price=None if price is None else Decimal(price),
    )


@asynccontextmanager
async def opened(
    folder: Path, *script: dict[str, Any], hedge: bool = False, at_once: bool = True
) -> AsyncIterator[tuple[Exchange, VirtualEmergency]]:
    """Open a venue with a market, and a way to it."""
    mode = PositionMode.HEDGE if hedge else PositionMode.ONE_WAY
    exchange = Exchange(
        terms(BTC, mode=mode, at_once=at_once),
        folder / "truth.ndjson",
        VENUE_KEY,
        faults=faults(*script),
    )
    host, port = await exchange.start("127.0.0.1", 0)
    address = VenueAddress(f"http://{host}:{port}", VENUE_KEY, 1.0, 500)
    way = VirtualEmergency(address, MachineClock(wall_ms, sleep_s))
    try:
        await exchange.show(BTC, [bar(0)])
        yield exchange, way
    finally:
        await way.shut()
        await exchange.stop()


async def emptied(way: VirtualEmergency) -> Outcome:
    """Return what a panic with --flatten came to."""
    emergency = Emergency(
        way,
        CLOCK,
        "a test's",
        flatten=True,
        chance=lambda: 0.5,
        say=lambda _text: None,
        bounds=QUICK,
    )
    await emergency.run()
    return emergency.outcome


@pytest.mark.parametrize("fault", [None, "lose_answers", "fail_after"])
async def test_a_virtual_venue_is_emptied_and_no_close_is_sent_twice(
    tmp_path: Path, fault: str | None
) -> None:
    """Orders are cancelled, the position is closed by one order, whatever becomes of its answer."""
    script = [] if fault is None else [{"fault": fault, "on": ["submit"], "count": 1}]
    async with opened(tmp_path, *script) as (exchange, way):
        await exchange.recorded(exchange.venue.submit(order("somebody-1", "0.3"), 0))
        await exchange.recorded(exchange.venue.submit(order("somebody-2", "0.1", "40000"), 0))

        outcome = await emptied(way)

        account = exchange.venue.account()
    assert outcome.is_clean
    assert (account.positions, account.open_orders) == ((), ())
    facts = read_truth(tmp_path / "truth.ndjson")
    names = [fact.client_order_id for fact in facts if fact.fact is FactKind.RECEIVED]
    assert len([name for name in names if name.startswith("tg-panic-")]) == 1


async def test_both_books_of_a_hedged_virtual_account_are_closed(tmp_path: Path) -> None:
    """Each by an order of its own side."""
    async with opened(tmp_path, hedge=True) as (exchange, way):
        await exchange.recorded(
            exchange.venue.submit(order("somebody-1", "0.3", book=PositionSide.LONG), 0)
        )
        await exchange.recorded(
            exchange.venue.submit(order("somebody-2", "0.2", book=PositionSide.SHORT), 0)
        )
        assert len(exchange.venue.account().positions) == 2

        outcome = await emptied(way)

        assert outcome.is_clean
        assert exchange.venue.account().positions == ()


async def test_an_order_that_closes_and_is_late_is_left_to_close(tmp_path: Path) -> None:
    """It is not cancelled with the others, and no second one is sent beside it."""
    async with opened(tmp_path, at_once=False) as (exchange, way):
        await exchange.recorded(exchange.venue.submit(order("somebody-1", "0.3"), 0))
        await exchange.show(BTC, [bar(1)])
        assert exchange.venue.account().positions

        async def next_price() -> None:
            while not exchange.venue.account().open_orders:
                await sleep_s(0.01)
            await sleep_s(0.4)  # some passes
            await exchange.show(BTC, [bar(2)])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(next_price)
            outcome = await emptied(way)

        assert outcome.is_clean
        assert len(outcome.sent) == 1
        assert exchange.venue.account().positions == ()
