"""Lists of an account that a venue tells in parts: each part is asked for, or the list is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import venue_answers as answers
from capture_venue import CLOCK, SECRETS, Answer, Capture, Sent, serving, trading
from ccxt_house import BTC, known

from actors.runtime.clock import monotonic_s
from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.calls import Done
from brokers.ccxt.emergency import CcxtEmergency
from brokers.ccxt.errors import Unknown
from brokers.ccxt.survey import Funding, Surveyor, TradeCount
from brokers.emergency import Trouble
from messages import PositionMode
from state.reconciliation import AccountView
from tidegate.emergency import Bounds, Emergency

OK: dict[str, Any] = {"retCode": 0, "retMsg": "OK", "time": answers.NOW}
PERP_USDC = "BTC/USDC:USDC"


def part_of(sent: Sent) -> str:
    """Return which part of an account a Bybit list was asked of."""
    return str(sent.fields.get("settleCoin") or sent.fields.get("category"))


def market(symbol: str, category: str, settle: str) -> dict[str, Any]:
    """Return one of Bybit's instruments."""
    contract = {
        "contractType": "LinearPerpetual", "settleCoin": settle, "launchTime": "1",
        "deliveryTime": "0", "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "1"},
    } if category == "linear" else {"marginTrading": "none"}  # fmt: skip
    return {
        "symbol": symbol, "status": "Trading", "baseCoin": "BTC", "quoteCoin": settle,
        "priceFilter": {"minPrice": "0.1", "maxPrice": "1999999", "tickSize": "0.10"},
        "lotSizeFilter": {"maxOrderQty": "1190", "minOrderQty": "0.001", "qtyStep": "0.001",
                          "basePrecision": "0.001", "quotePrecision": "0.01"},
        **contract,
    }  # fmt: skip


def bybit(orders: Callable[[Sent], list[dict[str, Any]]]) -> Answer:
    """Return a Bybit with spot and two currencies of contracts; ``orders`` are what is open."""

    def answer(sent: Sent) -> dict[str, Any] | None:
        match sent.path, sent.fields.get("category"):
            case "/v5/market/instruments-info", "linear":
                found = [market("BTCUSDT", "linear", "USDT"), market("BTCPERP", "linear", "USDC")]
                return {**OK, "result": {"list": found, "nextPageCursor": ""}}
            case "/v5/market/instruments-info", "spot":
                found = [market("BTCUSDT", "spot", "USDT")]
                return {**OK, "result": {"list": found, "nextPageCursor": ""}}
            case "/v5/order/realtime", category:
                return {**OK, "result": {"list": orders(sent), "category": category}}
            case "/v5/position/list", _:
                held = {"USDC": "BTCPERP", "USDT": "BTCUSDT"}[part_of(sent)]
                row = {"symbol": held, "side": "Buy", "size": "2", "avgPrice": "50000",
                       "positionIdx": 0, "markPrice": "50000", "tradeMode": 0}  # fmt: skip
                return {**OK, "result": {"list": [row], "category": "linear"}}
            case "/v5/execution/list", _:
                return {**OK, "result": {"list": [], "nextPageCursor": ""}}
            case "/v5/account/wallet-balance", _:
                return {**OK, "result": {"list": [{"accountType": "UNIFIED", "coin": []}]}}
        return answers.bybit(sent)

    return answer


def resting(name: str, symbol: str, *, contract: bool = True) -> dict[str, Any]:
    """Return an open order as Bybit lists it; only those of contracts have a mode of targets."""
    return {
        **({"tpslMode": "Full"} if contract else {}),
        "orderId": name, "orderLinkId": "", "symbol": symbol, "side": "Buy", "orderType": "Limit",
        "price": "40000", "qty": "1", "leavesQty": "1", "cumExecQty": "0", "orderStatus": "New",
        "timeInForce": "GTC", "createdTime": str(answers.NOW), "updatedTime": str(answers.NOW),
    }  # fmt: skip


def one_of_each(sent: Sent) -> list[dict[str, Any]]:
    """Return what is open in the part of the account that was asked for."""
    part = part_of(sent)
    symbol = "BTCPERP" if part == "USDC" else "BTCUSDT"
    return [resting(part, symbol, contract=part != "spot")]


async def test_a_panic_lists_every_part_of_an_account(tmp_path: Path) -> None:
    """
    Orders on spot, and contracts of each settling currency: a venue tells of one part at a time.

    Without them it would call an account empty that is not.
    """
    capture = Capture(bybit(one_of_each))
    async with serving(capture, tmp_path) as (port, ca):
        address = CcxtAddress("bybit", secrets=SECRETS, loopback_port=port, loopback_ca=ca)
        way = CcxtEmergency(address, CLOCK)
        try:
            assert await way.connect() is None
            orders, held = await way.resting(), await way.held()
        finally:
            await way.shut()

    assert not isinstance(orders, Trouble), orders
    assert not isinstance(held, Trouble), held
    assert {("spot", "BTC/USDT"), ("USDT", BTC), ("USDC", PERP_USDC)} == {
        (order.order_id, order.symbol) for order in orders
    }
    assert {BTC, PERP_USDC} == {position.symbol for position in held}


async def test_positions_that_cannot_be_read_keep_no_order_from_being_cancelled(
    tmp_path: Path,
) -> None:
    """A panic says so, cancels what it can list, and does not call the account empty."""
    book = [resting("o-1", "BTCUSDT")]

    def emptied(sent: Sent) -> dict[str, Any] | None:
        if sent.path == "/v5/order/cancel-all":
            book.clear()
            return {**OK, "result": {"list": []}}
        return None

    async def floats(*_arguments: Any) -> list[dict[str, Any]]:
        return [{"symbol": BTC, "contracts": 2.0, "side": "long"}]

    def orders(sent: Sent) -> list[dict[str, Any]]:
        return book if part_of(sent) == "USDT" else []

    said: list[str] = []
    async with serving(Capture(emptied, bybit(orders)), tmp_path) as (port, ca):
        address = CcxtAddress("bybit", secrets=SECRETS, loopback_port=port, loopback_ca=ca)
        way = CcxtEmergency(address, CLOCK)
        way._client.exchange.fetch_positions = floats  # as ccxt has them at some venues
        bounds = Bounds(whole_s=1.0, rest_first_s=0.05, rest_max_s=0.1)
        panic = Emergency(
            way, CLOCK, "a test", flatten=True, chance=lambda: 0.5, say=said.append, bounds=bounds
        )
        try:
            await panic.run()
        finally:
            await way.shut()

    assert [] == book
    assert not panic.outcome.is_clean
    assert ["what the venue says of the positions cannot be read: TypeError"] == said


async def surveyed(folder: Path, symbol: str, many: int) -> AccountView | object:
    """Return what a survey of a Bybit account comes to that has so many open orders in a market."""

    def orders(_sent: Sent) -> list[dict[str, Any]]:
        return [resting(f"o-{number}", "BTCPERP") for number in range(many)]

    async with trading("bybit", folder, bybit(orders), symbols=(symbol,)) as desk:
        surveyor = Surveyor(
            desk.calls, desk.rules, PositionMode.ONE_WAY, Funding(), TradeCount(), monotonic_s
        )
        return await surveyor.read()


async def test_positions_are_asked_for_in_the_currency_that_is_traded(tmp_path: Path) -> None:
    """A session in contracts of another currency sees its own position, and no other is left."""
    view = await surveyed(tmp_path, PERP_USDC, 1)

    assert isinstance(view, AccountView), view
    assert [PERP_USDC] == [symbol for symbol, _side in view.positions]


@pytest.mark.parametrize(("many", "is_told"), [(49, True), (50, False)])
async def test_a_list_that_may_go_on_is_no_account(
    many: int, *, is_told: bool, tmp_path: Path
) -> None:
    """Orders that are not on a full page would count as gone: nothing is compared by it."""
    view = await surveyed(tmp_path, PERP_USDC, many)

    assert is_told is isinstance(view, AccountView)
    if not is_told:
        assert (
            Unknown(f"{PERP_USDC}: 50 open orders or more, which are not told in one list") == view
        )


OTHERS = 250
"""Trades of other orders, in the same market and after ours was made: more than a page has."""


def busy(sent: Sent) -> list[dict[str, Any]] | None:
    """Answer as a Hyperliquid account that trades a lot: our order is filled by the last of all."""
    if sent.fields.get("type") != "userFillsByTime":
        return None
    since, until = sent.fields["startTime"], sent.fields.get("endTime", answers.NOW * 2)
    fills = [
        {
            "coin": "BTC", "px": "50000.0", "sz": "0.1", "side": "B", "time": answers.NOW + number,
            "oid": 77 if number == OTHERS else 1, "tid": number, "fee": "0.1", "feeToken": "USDC",
            "crossed": True, "dir": "Open Long", "startPosition": "0", "hash": "0x", "cloid": None,
        }
        for number in range(OTHERS + 1)
    ]  # fmt: skip
    return [fill for fill in fills if since <= fill["time"] <= until]  # type: ignore[operator]


async def test_an_orders_trades_are_found_behind_those_of_others(tmp_path: Path) -> None:
    """Where they have to be picked out of all trades, page after page is read, not the first."""
    symbol = "BTC/USDC:USDC"
    async with trading(
        "hyperliquid", tmp_path, busy, answers.hyperliquid, symbols=(symbol,)
    ) as desk:
        asked = known(symbol=symbol)
        asked.venue_id = "77"
        found = await desk.calls.trades_of_order(asked, answers.NOW)

    assert isinstance(found, Done), found
    assert [str(OTHERS)] == [trade["id"] for trade in found.value]
