"""What no stream has told is found by asking: the list of open orders against what we know."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

from capture_venue import SECRETS, Capture, serving
from ccxt_house import BTC, NAME, order
from stranger import Books
from strangers_house import KINDS

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.columns import FillSource
from brokers.ccxt.lanes import Lane
from brokers.contract import News
from messages import VenueOrder

CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)


@dataclass
class Rested:
    """A broker at a stranger's OKX, and an order of ours at rest there."""

    broker: CcxtBroker
    books: Books
    news: list[News]


@asynccontextmanager
async def rested(folder: Path) -> AsyncIterator[Rested]:
    """Open a broker, whose stream nobody dials, with a buy of half a coin at rest."""
    dialect, market = KINDS["okx"]
    books, news = Books(market), list[News]()
    async with serving(Capture(dialect(books).answer), folder) as (port, ca):
        address = CcxtAddress("okx", secrets=SECRETS, loopback_port=port, loopback_ca=ca)
        broker = CcxtBroker(address, CLOCK, (BTC,))
        broker.bind(news.append)
        await broker.connect()
        try:
            await broker._at.ordering.submit(order(NAME, "0.5", price="46000"), Lane.REDUCE)
            await broker.refresh()
            yield Rested(broker, books, news)
        finally:
            await broker.close()


@pytest.mark.parametrize("amount", [None, Decimal(20)], ids=["whole", "in-part"])
async def test_a_fill_that_nobody_told_of_is_found_by_the_next_look_at_the_account(
    amount: Decimal | None, tmp_path: Path
) -> None:
    """Not in the list any more, or with more filled there: it is asked about, and booked once."""
    async with rested(tmp_path) as at:
        assert {} == at.broker._checks
        at.books.fill(at.books.open()[0], amount)
        await at.broker.refresh()
        assert [NAME] == list(at.broker._checks)
        for _ in range(2):
            await at.broker._at.ordering.query(NAME, 5)
        fills = {
            fill.trade_id: fill.quantity
            for each in at.news
            if isinstance(each, VenueOrder)
            for fill in each.fills
        }

        assert [Decimal("0.5") if amount is None else Decimal("0.2")] == list(fills.values())


async def test_without_the_look_at_the_list_it_is_not_found(tmp_path: Path) -> None:
    """A stream that is believed, and is up, is not doubted: so only it would have told."""
    async with rested(tmp_path) as at:
        at.broker.row = replace(at.broker.row, fill_source=FillSource.STREAM)
        at.broker._at.stream.up = True
        at.books.fill(at.books.open()[0])
        await at.broker.refresh()

        assert {} == at.broker._checks
