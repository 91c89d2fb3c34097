"""Coins that a venue lists, and takes from its list, while a session runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from ccxt_house import BTC, order
from dialect_house import CLOCK, Desk, address, at_work, bar, opened, terms
from structlog.testing import capture_logs

from brokers.ccxt.broker import CcxtBroker
from messages import PositionSide, VenueTrades
from scenarios.exchange.binanceusdm import Exchange

ETH = "ETH/USDT:USDT"
FIRST, SECOND = "tg-0123456789-1", "tg-0123456789-2"


@contextmanager
def unlisted(exchange: Exchange, name: str) -> Iterator[None]:
    """Have the exchange not list a market yet, or not any more; what there is of it stays."""
    listings = exchange.server.book.listings
    told = listings.information

    def without(now: int, limits: object) -> dict[str, object]:
        found = told(now, limits)  # type: ignore[arg-type]
        return {**found, "symbols": [each for each in found["symbols"] if each["symbol"] != name]}

    listings.information = without  # type: ignore[method-assign]
    try:
        yield
    finally:
        listings.information = told  # type: ignore[method-assign]


async def bought_by_another(exchange: Exchange, *, is_listed: bool = False) -> None:
    """Have somebody else buy in the same account what is listed to him, and from then on to all."""
    await exchange.server.show(ETH, [bar(0, 3_000.0, ETH)])
    listings = exchange.server.book.listings
    hidden = vars(listings).pop("information")
    other = CcxtBroker(address(exchange, account="other"), CLOCK, (ETH,))
    desk = Desk(exchange, other)
    desk.listen()
    await other.connect()
    if not is_listed:
        listings.information = hidden  # type: ignore[method-assign]
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other.run)
            other.submit(order(FIRST, "1", symbol=ETH), 1)
            await desk.until(lambda: desk.ended(FIRST))
            tasks.cancel_scope.cancel()
    finally:
        await other.close()


async def test_a_position_in_a_coin_that_was_listed_after_the_start_is_read(tmp_path: Path) -> None:
    """Somebody trades it in the same account: it is known all the same, by its name."""
    async with opened(tmp_path, venue=terms(BTC, ETH)) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        with unlisted(exchange, "ETHUSDT"):
            async with at_work(exchange) as at:
                await bought_by_another(exchange, is_listed=True)
                await at.quiet()
                await at.broker.refresh()
                held = at.broker.account().positions
                tools = [each.detail for each in at.tools]

    assert [] == tools
    assert {(ETH, PositionSide.BOTH): Decimal(1)} == held


async def test_a_coin_of_which_nothing_can_be_made_keeps_nothing_from_being_read(
    tmp_path: Path,
) -> None:
    """Its position has the name that the venue gives it, and the list is not asked for again."""
    async with opened(tmp_path, venue=terms(BTC, ETH)) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        with unlisted(exchange, "ETHUSDT"):
            async with at_work(exchange) as at:
                await bought_by_another(exchange)
                await at.quiet()
                await at.broker.refresh()
                held, known = at.broker.account().positions, set(at.broker._at.surveyor._unlisted)

    assert {("ETHUSDT", PositionSide.BOTH): Decimal(1)} == held
    assert {"ETHUSDT"} == known


async def traded(at: Desk, name: str, symbol: str = BTC) -> list[str]:
    """Buy a little, and return what became of it."""
    at.broker.submit(order(name, "0.01", symbol=symbol), 1)
    await at.until(lambda: at.ended(name))
    return at.life(name)


@asynccontextmanager
async def of_two(folder: Path, **given: Any) -> AsyncIterator[Desk]:
    """Have a broker at work that trades two coins."""
    async with opened(folder, venue=terms(ETH, BTC)) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        await exchange.server.show(ETH, [bar(0, 3_000.0, ETH)])
        async with at_work(exchange, symbols=(ETH, BTC), **given) as at:
            yield at


def delist(at: Desk, name: str = "ETHUSDT") -> None:
    """Take a coin from the list: whoever names it is refused."""
    del at.exchange.server.book.listings._symbols[name]


def said_of(at: Desk, symbol: str) -> list[str]:
    """Return what was told of a symbol beside orders."""
    return [each.detail for each in at.tools if symbol in each.detail]


async def test_a_coin_that_is_gone_is_told_and_the_others_are_read_on(tmp_path: Path) -> None:
    """Once as missing and once as gone, however often it is looked for; and then as there again."""
    async with of_two(tmp_path) as at:
        book, listed = at.broker._at.rulebook, at.exchange.server.book.listings._symbols
        delist(at)
        at.set_faults({"fault": "change_rules", "on": ["rules"], "count": 1})
        for _ in range(4):
            await book.read()
        gone, tick = set(book.gone), book.rules[BTC].price_tick
        listed["ETHUSDT"] = ETH
        await book.read()

        assert {ETH} == gone
        assert Decimal(1) == tick
        assert set() == book.gone
        there, missing, again, *rest = said_of(at, ETH)
        assert "does not list it any more: the rules that are known stay" in there
        assert "does not list it any more, and nothing opens there" in missing
        assert f"other rules of {ETH}: it can be read again" == again
        assert 1 >= len(rest)  # the rules that have changed by then


async def test_nothing_opens_where_a_coin_is_gone_and_the_rest_of_the_account_is_known(
    tmp_path: Path,
) -> None:
    """
    Each refusal of the venue's would count as its failure: of the account, of every order.

    One refusal has the list read at once, not within the hour.
    """
    async with of_two(tmp_path) as at:
        delist(at)
        at.broker._at.rulebook._again_s = 0.0
        await at.broker.refresh()
        for _ in range(2):
            await at.until(at.broker._at.rulebook._is_due)
            await at.broker._at.rulebook.read()
            at.broker._at.rulebook._again_s = 0.0
        before = len(at.tools)
        await at.broker.refresh()
        lives = [await traded(at, FIRST, ETH), await traded(at, SECOND)]
        at.broker.list_trades(1, 1)
        await at.until(lambda: any(isinstance(each, VenueTrades) for each in at.news))
        await at.quiet()
        held = at.broker.account().positions

        assert ["rejected"] == lives[0]
        assert 0 == at.received(FIRST)
        assert "filled" in lives[1]
        assert {(BTC, PositionSide.BOTH): Decimal("0.01")} == held
        assert [] == [each.detail for each in at.tools[before:] if not each.ok]


async def test_the_timer_of_a_coin_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    """It is told until it is known to be gone, and stopped with no error."""
    with capture_logs() as logs:
        async with of_two(tmp_path, dead_man_s=3) as at:
            delist(at)
            await at.broker._at.rulebook.read()
            await at.broker._at.rulebook.read()
            before, timers = len(at.tools), at.exchange.server.book.countdowns
            fed = timers[BTC]
            await at.until(lambda: timers.get(BTC, 0) > fed + 2_000)
            told = [each.detail for each in at.tools[before:] if not each.ok]

    assert [] == told[1:]  # one may have been on its way
    assert [] == [each for each in logs if each["event"] == "dead_man_not_stopped"]


@pytest.mark.parametrize("where", ["ccxt", "rules"])
async def test_a_coin_that_cannot_be_read_keeps_no_other_from_being_read(
    where: str, tmp_path: Path
) -> None:
    """Neither where ccxt makes nothing of it, nor where we make no rules of what ccxt made."""
    async with of_two(tmp_path) as at:
        book, exchange = at.broker._at.rulebook, at.broker._at.client.exchange
        make, was = exchange.parse_market, exchange.markets[ETH]

        def parse_market(market: Any) -> Any:
            made = make(market)
            if market["symbol"] != "ETHUSDT":
                return made
            if where == "ccxt":
                raise KeyError("filters")
            return {**made, "precision": {"price": "a tenth"}}

        exchange.parse_market = parse_market
        at.set_faults({"fault": "change_rules", "on": ["rules"], "count": 1})
        for _ in range(3):
            await book.read()
        changed = [each.detail for each in at.tools if each.ok and "other rules" in each.detail]

        assert Decimal(1) == book.rules[BTC].price_tick
        assert was is exchange.markets[ETH]
        assert Decimal(1) == Decimal(exchange.markets[BTC]["precision"]["price"])
        assert 1 == len(changed)
        (told,) = said_of(at, ETH)
        assert "cannot be read" in told
        assert set() == book.gone
