"""The markets are read again in a session at work: orders leave meanwhile, and all or none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import venue_answers as answers
from capture_venue import Answer, Sent, trading
from ccxt_house import BTC, order
from dialect_house import PATIENCE_S, at_work, desk, opened, terms

from brokers.ccxt.limits import LISTING_ROUNDS_MAX

ETH = "ETH/USDT:USDT"
FIRST = "tg-0123456789-1"
SYMBOLS = {
    "binanceusdm": BTC,
    "okx": BTC,
    "bybit": BTC,
    "kraken": "BTC/USD",
    "hyperliquid": "BTC/USDC:USDC",
}
OTHERS: dict[str, dict[str, Any]] = {
    "binanceusdm": {"symbol": "ETHUSDT", "pair": "ETHUSDT", "baseAsset": "ETH"},
    "okx": {"instId": "ETH-USDT-SWAP", "uly": "ETH-USDT", "ctValCcy": "ETH"},
    "bybit": {"symbol": "ETHUSDT", "baseCoin": "ETH"},
    "kraken": {"altname": "ETHUSD", "wsname": "ETH/USD", "base": "XETH"},
    "hyperliquid": {"name": "ETH"},
}
BY_PLACE = {"hyperliquid"}
"""There what an entry means depends on its place: all are made."""

BYBIT_PAIR: dict[str, Any] = {
    "symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading",
    "lotSizeFilter": {"basePrecision": "0.000001", "minOrderQty": "0.00004"},
    "priceFilter": {"tickSize": "0.01"},
}  # fmt: skip
"""A pair whose id is that of the perpetual."""


def crowded(venue: str) -> Answer:
    """Return an answer in which the venue lists another market beside the one that is traded."""

    def beside(entries: list[Any]) -> list[Any]:
        return [*entries, {**entries[0], **OTHERS[venue]}] if entries else []

    def answer(sent: Sent) -> Any:
        found = deepcopy(getattr(answers, venue)(sent))
        match venue, sent.path:
            case "binanceusdm", "/fapi/v1/exchangeInfo":
                found["symbols"] = beside(found["symbols"])
            case "okx", "/api/v5/public/instruments":
                found["data"] = beside(found["data"])
            case "bybit", "/v5/market/instruments-info":
                is_spot = sent.fields.get("category") == "spot"
                found["result"]["list"] = beside(
                    [BYBIT_PAIR] if is_spot else found["result"]["list"]
                )
            case "kraken", "/0/public/AssetPairs":
                pairs = found["result"]
                pairs["XETHZUSD"] = {**pairs["XXBTZUSD"], **OTHERS[venue]}
            case "hyperliquid", "/info" if sent.fields.get("type") == "metaAndAssetCtxs":
                meta, contexts = found
                found = [{"universe": beside(meta["universe"])}, [contexts[0], contexts[0]]]
        return found

    return answer


def noting(exchange: Any, note: Callable[[list[Any]], object]) -> None:
    """Have ``note`` hear what ccxt makes of the answers."""
    made = type(exchange).fetch_markets

    async def noted(self: Any, *args: Any) -> Any:
        found = await made(self, *args)
        note(found)
        return found

    type(exchange).fetch_markets = noted  # a class of this client alone


@pytest.mark.parametrize("venue", SYMBOLS)
async def test_a_market_that_is_read_again_is_what_ccxt_makes_of_it(
    venue: str, tmp_path: Path
) -> None:
    """The same market, in both tables; the others are left as they are, and mostly not made."""
    symbol, made = SYMBOLS[venue], list[tuple[bool, int]]()
    async with trading(venue, tmp_path, crowded(venue), symbols=(symbol,)) as desk:
        exchange = desk.client.exchange
        was, by_id = dict(exchange.markets), dict(exchange.markets_by_id)
        name = was[symbol]["id"]
        noting(
            exchange,
            lambda found: made.append(
                (threading.current_thread() is threading.main_thread(), len(found))
            ),
        )
        found = await desk.client.listed((symbol,))
        untouched = exchange.markets == was and exchange.markets_by_id == by_id
        found.take((symbol,))
        now, ids = dict(exchange.markets), dict(exchange.markets_by_id)
        beside, made_of = list(made), {each["symbol"] for each in ids[name]}
        await exchange.load_markets(reload=True)

        assert {symbol} == found.markets.keys()
        assert len(was) > 1
        assert untouched
        assert exchange.markets[symbol] == now[symbol]
        assert now[symbol] is not was[symbol]
        assert all(now[each] is was[each] for each in was if each != symbol)
        assert exchange.markets_by_id[name] == ids[name]
        assert {each["symbol"] for each in by_id[name]} == made_of
        assert all(new is by_id[key] for key, new in ids.items() if key != name)
        expected = len(was) if venue in BY_PLACE else len(by_id[name])
        assert [(False, expected)] == beside


async def test_an_order_leaves_while_the_markets_are_made(tmp_path: Path) -> None:
    """They are made in another thread, and nothing waits for it; the requests are the loop's."""
    begun, go_on = threading.Event(), threading.Event()
    makers: list[threading.Thread] = []
    askers: list[threading.Thread] = []
    async with desk(tmp_path) as at, anyio.create_task_group() as tasks:
        client, book = at.broker._at.client, at.broker._at.rulebook
        held(client.exchange, makers, begun, go_on)
        hear = client.on_headers
        client.on_headers = lambda headers: (
            askers.append(threading.current_thread()),
            hear(headers),
        )
        tasks.start_soon(book.read)
        await at.until(begun.is_set)
        at.broker.submit(order(FIRST, "0.011", price="49000.5"), 1)
        await at.until(lambda: "accepted" in at.life(FIRST) or at.ended(FIRST))
        readings = book._readings
        go_on.set()
        await at.until(lambda: book._readings == 1)

        assert ["accepted"] == at.life(FIRST)
        assert 0 == readings
        assert makers
        assert threading.main_thread() not in makers
        assert {threading.main_thread()} == set(askers)
        assert [] == [each for each in at.tools if not each.ok]


def held(
    exchange: Any, makers: list[threading.Thread], begun: threading.Event, go_on: threading.Event
) -> None:
    """Hold whoever makes a market until ``go_on``, if it is not the loop."""
    make = type(exchange).parse_market

    def parse_market(self: Any, market: Any) -> Any:
        makers.append(threading.current_thread())
        begun.set()
        if makers[-1] is not threading.main_thread():
            assert go_on.wait(PATIENCE_S)
        return make(self, market)

    type(exchange).parse_market = parse_market


async def test_who_gives_up_does_not_wait_for_the_thread_and_nothing_is_taken(
    tmp_path: Path,
) -> None:
    """A session ends in the middle of a reading."""
    begun, go_on = threading.Event(), threading.Event()
    async with desk(tmp_path) as at:
        exchange, book = at.broker._at.client.exchange, at.broker._at.rulebook
        was = exchange.markets[BTC]
        held(exchange, [], begun, go_on)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(book.read)
                await at.until(begun.is_set)
                tasks.cancel_scope.cancel()
            ended = not go_on.is_set()
        finally:
            go_on.set()

        assert ended
        assert was is exchange.markets[BTC]
        assert 0 == book._readings


async def test_markets_that_cannot_be_put_in_order_change_nothing(tmp_path: Path) -> None:
    """Half of a reading is none: what ccxt goes by is whole, and the old one."""
    async with desk(tmp_path) as at:
        exchange, book = at.broker._at.client.exchange, at.broker._at.rulebook
        tables = {name: each for name, each in vars(exchange).items() if "market" in name}
        put = type(exchange).set_markets

        def broken(self: Any, *args: Any) -> None:
            put(self, *args)
            raise KeyError("base")

        type(exchange).set_markets = broken
        await book.read()

        assert {"markets", "markets_by_id"} <= tables.keys()
        assert all(getattr(exchange, name) is each for name, each in tables.items())
        assert [False] == [each.ok for each in at.tools if "KeyError" in each.detail]


async def test_one_reading_makes_the_markets_of_the_session_and_no_others(tmp_path: Path) -> None:
    """The venue lists thousands."""
    made: list[str] = []
    async with opened(tmp_path, venue=terms(BTC, ETH)) as exchange, at_work(exchange) as at:
        client = at.broker._at.client
        noting(client.exchange, lambda found: made.extend(each["symbol"] for each in found))
        await at.broker._at.rulebook.read()

        assert ETH in client.exchange.markets
        assert [BTC] == made


@pytest.mark.parametrize("rounds", [3, LISTING_ROUNDS_MAX])
async def test_what_follows_from_an_answer_is_asked_after_it(rounds: int, tmp_path: Path) -> None:
    """Each request once, in as many rounds as it takes; not for ever."""
    async with trading("binanceusdm", tmp_path, crowded("binanceusdm"), symbols=(BTC,)) as desk:
        exchange = desk.client.exchange
        make = type(exchange).fetch_markets

        async def in_pages(self: Any) -> Any:
            for page in range(rounds - 1):
                await self.fapiPublicGetTime({"page": page})
            return await make(self)

        type(exchange).fetch_markets = in_pages
        listed = partial(desk.client.listed, (BTC,))
        if rounds < LISTING_ROUNDS_MAX:
            found = await listed()
            assert {BTC} == found.markets.keys()
        else:
            with pytest.raises(RuntimeError, match="and there are more"):
                await listed()
        pages = [each.fields.get("page") for each in desk.capture.of("GET", "/time")]

    assert [str(page) for page in range(rounds - 1)] == pages


async def test_the_loop_makes_the_markets_once_before_anything_else_goes_on(
    tmp_path: Path,
) -> None:
    """Not when the stream is dialled anew, nor by what is asked, nor when they are read again."""
    async with desk(tmp_path) as at:
        exchange = at.broker._at.client.exchange
        make, by_loop = type(exchange).parse_market, list[str]()

        def parse_market(self: Any, market: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                by_loop.append(market["symbol"])
            return make(self, market)

        type(exchange).parse_market = parse_market
        at.broker._at.client.redial("a drill")
        await at.until(lambda: not at.broker._at.stream.up)
        await at.until(lambda: at.broker._at.stream.up)
        at.broker.submit(order(FIRST, "0.011"), 1)
        await at.until(lambda: at.ended(FIRST))
        at.broker.query(FIRST, 1)
        await at.broker._at.rulebook.read()
        await at.broker.refresh()
        await at.quiet()

        assert [] == by_loop
