"""Exchanges that the table has no row for: coins become their contracts, and nothing is guessed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ccxt
import pytest

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

from capture_venue import SECRETS, Answer, Capture, Desk, Reply, Sent, serving
from ccxt_house import BTC, NAME, order

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.calls import Calls
from brokers.ccxt.capabilities import GENERIC, TABLE, capabilities_of
from brokers.ccxt.client import LEFT, CcxtClient
from brokers.ccxt.deviations import DEVIATIONS
from brokers.ccxt.known import KnownOrders
from brokers.ccxt.lanes import Lane, Lanes
from brokers.ccxt.ordering import Ordering
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.rounding import rules_of
from feeds.ccxt.differences import COIN_AMOUNTS
from messages import OrderEvent, PositionMode, Side, VenueReport

CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
SPOT = "BTC/USDT"
PASSPHRASED = {"bitget", "kucoinfutures"}
"""They want a passphrase beside key and secret; without a row that is known, it is handed on."""

WIRE_ID = "tgZ0123456789Z17"


def market(symbol: str) -> dict[str, Any]:
    """Return a market as ccxt has it: a thousandth of a coin to a contract."""
    swap = ":" in symbol
    return {
        "id": "BTCUSDT", "lowercaseId": "btcusdt", "symbol": symbol, "base": "BTC",
        "quote": "USDT", "settle": "USDT" if swap else None, "baseId": "BTC", "quoteId": "USDT",
        "settleId": "usdt" if swap else None, "type": "swap" if swap else "spot",
        "spot": not swap, "margin": False, "swap": swap, "future": False, "option": False,
        "active": True, "contract": swap, "linear": swap or None, "inverse": not swap and None,
        "contractSize": "0.001" if swap else None,
        "precision": {"amount": "1" if swap else "0.0001", "price": "0.1"},
        "limits": {"amount": {}, "price": {}, "cost": {}, "leverage": {}},
        "info": {"symbol": "BTCUSDT"},
    }  # fmt: skip


@asynccontextmanager
async def at(exchange: str, folder: Path, answer: Answer = lambda _: {}) -> AsyncIterator[Desk]:
    """Open an exchange at a server that knows no trading, its markets given."""
    capture = Capture(answer)
    async with serving(capture, folder, tls=False) as (port, _):
        url = f"http://127.0.0.1:{port}"
        options = {"unifiedAccount": False, "uta": False}
        secrets = {**SECRETS, "api_key": "account-key-0001"}  # as Gemini wants it
        # More than a session can give yet: without it ccxt does not come to the order.
        params = {"uid": "7"}
        address = CcxtAddress(exchange, secrets=secrets, urls=url, options=options, params=params)
        row = capabilities_of(exchange)
        client = CcxtClient(address, row, CLOCK)
        client.exchange.set_markets([market(BTC), market(SPOT)])
        try:
            calls = Calls(client, Lanes(client.weights, monotonic_s, sleep_s), CLOCK, Redactor([]))
            rules = {symbol: rules_of(market(symbol), row) for symbol in (BTC, SPOT)}
            ordering = Ordering(calls, KnownOrders(), rules, PositionMode.ONE_WAY, CLOCK)
            desk = Desk(capture, client, calls, ordering, rules, KnownOrders(), [], [], [])
            ordering.tell = desk.news.extend
            yield desk
        finally:
            await client.close()


@pytest.mark.parametrize(
    ("exchange", "amount", "reduces", "name"),
    [
        ("bitget", ("size", "500"), ("reduceOnly", "YES"), "clientOid"),
        ("kucoinfutures", ("size", 500), ("reduceOnly", True), "clientOid"),
        ("krakenfutures", ("size", "500"), ("reduceOnly", "true"), "cliOrdId"),
        ("phemex", ("orderQtyRq", "500"), ("reduceOnly", True), "clOrdID"),
        ("htx", ("volume", "500"), ("reduce_only", 1), "clientOrderId"),
    ],
)
async def test_half_a_coin_is_so_many_contracts_at_any_exchange(
    exchange: str, amount: tuple[str, Any], reduces: tuple[str, Any], name: str, tmp_path: Path
) -> None:
    """Under our id, and an order that only reduces says so; a reply without an order is silence."""
    async with at(exchange, tmp_path) as desk:
        asked = order(NAME, "0.5", side=Side.SELL, price="50000", reduce_only=True)
        await desk.ordering.submit(asked, Lane.REDUCE)
        (sent,) = [each for each in desk.capture.sent if each.method == "POST"]

        for field, value in (amount, reduces):
            assert str(value) == str(sent.fields[field])
        assert WIRE_ID == sent.fields[name]
        assert exchange not in PASSPHRASED or desk.client.exchange.password == SECRETS["password"]
        assert ["silence"] == desk.life()


async def test_a_market_buy_that_would_be_counted_in_money_is_refused(tmp_path: Path) -> None:
    """Half a coin would be half a dollar there: nothing is sent."""
    async with at("bitget", tmp_path) as desk:
        await desk.ordering.submit(order(NAME, "0.5", symbol=SPOT, decision="50000"), Lane.CREATE)
        (report,) = desk.news

        assert isinstance(report, VenueReport)
        assert OrderEvent.REJECTED is report.event
        assert "requires the price argument" in str(report.cause)
        assert [] == desk.capture.sent


async def test_what_fails_in_ccxt_itself_was_not_sent_and_is_in_no_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text where it compares numbers is an error before anything has left."""
    async with at("kucoinfutures", tmp_path) as desk:
        monkeypatch.setattr(desk.calls, "_given", str)
        await desk.ordering.submit(order(NAME, "0.5", price="50000"), Lane.CREATE)
        (report,) = desk.news

        assert isinstance(report, VenueReport)
        assert OrderEvent.REJECTED is report.event
        assert "not sent: TypeError" in str(report.cause)
        assert [] == desk.capture.sent


async def test_without_the_note_of_what_has_left_it_would_be_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has left may have come to something: only what has not is certain."""
    async with at("kucoinfutures", tmp_path) as desk:

        async def failing(*_args: Any) -> None:
            left = LEFT.get()
            assert left is not None
            left.append("POST")
            raise TypeError("after it was sent")

        monkeypatch.setattr(desk.client.exchange, "create_order", failing)
        await desk.ordering.submit(order(NAME, "0.5", price="50000"), Lane.CREATE)

        assert ["silence"] == desk.life()


@pytest.mark.parametrize(
    ("exchange", "amount", "name"),
    [("deribit", ("amount", "2"), "label"), ("toobit", ("quantity", "2000"), "newClientOrderId")],
)
async def test_an_exchange_that_is_not_as_ccxt_says_has_its_own_words(
    exchange: str, amount: tuple[str, str], name: str, tmp_path: Path
) -> None:
    """Deribit tells of a contract's size and counts coins: two would be two thousand of them."""
    async with at(exchange, tmp_path) as desk:
        asked = order(NAME, "2", side=Side.SELL, price="50000")
        await desk.ordering.submit(asked, Lane.CREATE)
        (sent,) = [each for each in desk.capture.sent if amount[0] in each.fields]

        assert amount[1] == sent.fields[amount[0]]
        assert WIRE_ID == sent.fields[name]
        assert ["silence"] == desk.life()


@pytest.mark.parametrize("exchange", ["luno", "coinmate"])
async def test_a_market_buy_that_ccxt_counts_in_money_is_never_sent(
    exchange: str, tmp_path: Path
) -> None:
    """It does not say so there: half a coin would be half a dollar. A sale is one of coins."""
    async with at(exchange, tmp_path) as desk:
        await desk.ordering.submit(order(NAME, "0.5", symbol=SPOT, decision="50000"), Lane.CREATE)
        (report,) = desk.news
        assert isinstance(report, VenueReport)
        assert OrderEvent.REJECTED is report.event
        assert f"venue={exchange} order_type=market side=buy: counted in money" in str(report.cause)
        assert [] == desk.capture.sent

        sale = order("tg-0-2-1", "0.5", symbol=SPOT, side=Side.SELL, decision="50000")
        await desk.ordering.submit(sale, Lane.CREATE)
        assert 1 == len(desk.capture.sent)


@pytest.mark.parametrize("exchange", sorted(DEVIATIONS))
def test_a_deviation_is_of_an_exchange_that_ccxt_has_and_of_columns_that_there_are(
    exchange: str,
) -> None:
    """A misspelt one would deviate from nothing."""
    assert exchange in ccxt.exchanges
    assert exchange not in TABLE
    row = capabilities_of(exchange)
    for column, value in DEVIATIONS[exchange].items():
        assert value == getattr(row, column) != getattr(GENERIC, column)


def gemini(sent: Sent) -> Reply | dict[str, Any] | list[Any]:
    """Answer as Gemini: the order is taken, and its answer lost; no list has what has ended."""
    match sent.path:
        case "/v1/order/new":
            return Reply(drop=True)
        case "/v1/mytrades":
            return [{
                "price": "50000", "amount": "0.5", "timestampms": 1_796_000_000_000, "type": "Buy",
                "fee_currency": "USDT", "fee_amount": "1", "tid": 9, "order_id": "7",
                "client_order_id": WIRE_ID, "symbol": "BTCUSDT",
            }]  # fmt: skip
        case "/v1/order/status":
            return {
                "order_id": "7", "client_order_id": WIRE_ID, "symbol": "btcusdt", "side": "buy",
                "type": "exchange limit", "timestampms": 1_796_000_000_000, "is_live": False,
                "is_cancelled": False, "price": "50010", "original_amount": "0.5",
                "executed_amount": "0.5", "remaining_amount": "0", "avg_execution_price": "50000",
            }  # fmt: skip
    return []


async def test_an_order_that_no_list_has_is_found_by_its_trades(tmp_path: Path) -> None:
    """Where orders that have ended are not listed: filled, its answer lost, and not lost itself."""
    async with at("gemini", tmp_path, gemini) as desk:
        asked = order(NAME, "0.5", symbol=SPOT, price="50010")
        await desk.ordering.submit(asked, Lane.CREATE)
        assert ["silence"] == desk.life()
        await desk.ordering.query(NAME, 0)

        assert [] == desk.trouble
        (answer,) = desk.answers()
        assert answer.known
        assert OrderEvent.FILLED is answer.ended
        assert ["0.5"] == [str(fill.quantity) for fill in answer.fills]
        assert 1 == len(desk.capture.of("POST", "/order/new"))


def bybit_spot(sent: Sent) -> dict[str, Any]:
    """Answer as Bybit: the order is taken, and is among those that are over."""
    if sent.method == "POST":
        return {"retCode": 0, "result": {"orderId": "7", "orderLinkId": WIRE_ID}}
    over = sent.path.endswith("order/history")
    rows = [{
        "orderId": "7", "orderLinkId": WIRE_ID, "symbol": "BTCUSDT", "side": "Buy", "orderType":
        "Limit", "orderStatus": "Cancelled", "price": "46000", "qty": "0.5", "cumExecQty": "0",
        "createdTime": "1796000000000", "updatedTime": "1796000000000",
    }] if over else []  # fmt: skip
    return {"retCode": 0, "result": {"category": "spot", "list": rows}}


async def test_what_ccxt_lacks_for_a_kind_of_market_is_asked_in_another_way(
    tmp_path: Path,
) -> None:
    """It says that it can fetch an order, and at spot refuses: an end would never be known."""
    async with at("bybiteu", tmp_path, bybit_spot) as desk:
        asked = order(NAME, "0.5", symbol=SPOT, price="46000")
        await desk.ordering.submit(asked, Lane.CREATE)
        assert ["accepted"] == desk.life()
        await desk.ordering.query(NAME, 0)

        assert [] == desk.trouble
        (answer,) = desk.answers()
        assert OrderEvent.CANCELLED is answer.ended


@pytest.mark.parametrize("exchange", ["aster", "extended", "grvt", "lighter", "nado", "pacifica"])
async def test_no_fee_of_ccxts_own_is_approved_or_added(exchange: str, tmp_path: Path) -> None:
    """It has one for itself at venues that know such, unless it is told otherwise."""
    assert getattr(ccxt, exchange)().options["builderFee"] is True
    async with at(exchange, tmp_path) as desk:
        assert desk.client.exchange.options["builderFee"] is False


def test_the_feed_counts_coins_where_the_broker_does() -> None:
    """Neither may know of the other, and both say of which exchanges ccxt's contract size lies."""
    coins = {name for name, row in DEVIATIONS.items() if row.get("amounts_in_contracts") is False}

    assert coins == COIN_AMOUNTS
