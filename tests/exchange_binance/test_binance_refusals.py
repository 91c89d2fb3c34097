"""What the venue refuses: its code, what ccxt makes of it, and what the truth log says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ccxt
import pytest
from binance_house import BTC, KEYS, WINDOW_MS, House, house, terms

from messages import PositionMode
from scenarios.exchange.binanceusdm import Limits
from scenarios.exchange.facts import FactKind

Ask = Callable[[House], Awaitable[Any]]


def order(
    kind: str, side: str, quantity: str | None, price: str | None = None, **params: Any
) -> Ask:
    """Return what asks for an order, as raw as the venue's own parameters."""

    async def ask(home: House) -> Any:
        wire = {"symbol": "BTCUSDT", "side": side, "type": kind, **params}
        if quantity is not None:
            wire["quantity"] = quantity
        if price is not None:
            wire["price"] = price
        if kind == "LIMIT":
            wire.setdefault("timeInForce", "GTC")
        return await home.client.fapiPrivatePostOrder(wire)

    return ask


def call(method: str, **params: Any) -> Ask:
    """Return what asks one of the venue's endpoints."""

    async def ask(home: House) -> Any:
        return await getattr(home.client, method)(params)

    return ask


LIMIT = ("LIMIT", "BUY", "0.01", "49000")
REFUSALS: list[tuple[str, int, type[Exception], Ask]] = [
    ("symbol", -1121, ccxt.BadSymbol, order("MARKET", "BUY", "1", symbol="NOSUSDT")),
    ("side", -1117, ccxt.BadRequest, order("MARKET", "HOLD", "1")),
    ("type", -1116, ccxt.BadRequest, order("ICEBERG", "BUY", "1")),
    ("time in force", -1115, ccxt.BadRequest, order(*LIMIT, timeInForce="DAY")),
    ("no quantity", -1102, ccxt.BadRequest, order("MARKET", "BUY", None)),
    ("no price", -1102, ccxt.BadRequest, order("LIMIT", "BUY", "1")),
    ("letters", -1100, ccxt.BadRequest, order("MARKET", "BUY", "1e3")),
    ("unwanted", -1106, ccxt.BadRequest, order("MARKET", "BUY", "1", timeInForce="GTC")),
    ("precision", -1111, ccxt.BadRequest, order("LIMIT", "BUY", "0.0101", "49000")),
    ("price precision", -1111, ccxt.BadRequest, order("LIMIT", "BUY", "0.01", "49000.05")),
    ("zero", -4003, ccxt.BadRequest, order("MARKET", "BUY", "0")),
    ("large", -4005, ccxt.BadRequest, order("MARKET", "BUY", "1001")),
    ("notional", -4164, ccxt.InvalidOrder, order("LIMIT", "BUY", "0.001", "4900")),
    ("high", -4016, ccxt.BadRequest, order("LIMIT", "BUY", "0.01", "60000")),
    ("low", -4024, ccxt.BadRequest, order("LIMIT", "SELL", "0.01", "40000")),
    ("client id", -4015, ccxt.BadRequest, order(*LIMIT, newClientOrderId="a b")),
    ("margin", -2019, ccxt.InsufficientFunds, order("MARKET", "BUY", "900")),
    ("reduce", -2022, ccxt.InvalidOrder, order("MARKET", "SELL", "1", reduceOnly="true")),
    (
        "post only",
        -5022,
        ccxt.OrderNotFillable,
        order("LIMIT", "BUY", "0.01", "50001", timeInForce="GTX"),
    ),
    ("side of another mode", -4061, ccxt.OperationRejected, order(*LIMIT, positionSide="LONG")),
    ("conditional", -4120, ccxt.InvalidOrder, order("STOP_MARKET", "SELL", "1", stopPrice="40000")),
    (
        "would trigger",
        -2021,
        ccxt.OrderImmediatelyFillable,
        call(
            "fapiPrivatePostAlgoOrder",
            symbol="BTCUSDT",
            side="SELL",
            type="STOP_MARKET",
            algoType="CONDITIONAL",
            quantity="0.01",
            triggerPrice="50001",
        ),
    ),
    (
        "cancel unknown",
        -2011,
        ccxt.OrderNotFound,
        call("fapiPrivateDeleteOrder", symbol="BTCUSDT", orderId="99"),
    ),
    (
        "ask unknown",
        -2013,
        ccxt.OrderNotFound,
        call("fapiPrivateGetOrder", symbol="BTCUSDT", origClientOrderId="never"),
    ),
    (
        "same mode",
        -4059,
        ccxt.OperationRejected,
        call("fapiPrivatePostPositionSideDual", dualSidePosition="false"),
    ),
    (
        "same margin",
        -4046,
        ccxt.MarginModeAlreadySet,
        call("fapiPrivatePostMarginType", symbol="BTCUSDT", marginType="CROSSED"),
    ),
    (
        "leverage",
        -4028,
        ccxt.BadRequest,
        call("fapiPrivatePostLeverage", symbol="BTCUSDT", leverage="126"),
    ),
    (
        "interval",
        -1120,
        ccxt.BadRequest,
        call("fapiPublicGetKlines", symbol="BTCUSDT", interval="7m"),
    ),
    ("no listen key", -1125, ccxt.AuthenticationError, call("fapiPrivatePutListenKey")),
    (
        "long span",
        -1127,
        ccxt.BadRequest,
        call("fapiPrivateGetUserTrades", symbol="BTCUSDT", startTime="1", endTime="700000000"),
    ),
    (
        "window",
        -1131,
        ccxt.ExchangeError,
        call("fapiPrivateGetOpenOrders", symbol="BTCUSDT", recvWindow="60001"),
    ),
]


async def test_every_refusal_has_the_code_of_the_venue_and_its_class_in_ccxt(
    tmp_path: Path,
) -> None:
    """Nothing that was refused is an order, and every order that was refused is in the log."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        found = []
        for name, _, kind, ask in REFUSALS:
            try:
                await ask(home)
            except ccxt.BaseError as error:
                text = str(error)
                code = int(text.partition('"code":')[2].partition(",")[0] or 0)
                found.append((name, code, type(error)))
            else:
                found.append((name, 0, type(None)))
            assert kind is not None
        facts = home.truth

        assert [(name, code, kind) for name, code, kind, _ in REFUSALS] == found
        assert [] == [fact for fact in facts if fact.fact is FactKind.ACCEPTED]
        refused = {fact.reason for fact in facts if fact.fact is FactKind.REFUSED}
        assert {"-1121", "-1106", "-4061", "-4120", "-2021"} <= refused


async def test_a_duplicate_is_refused_while_the_first_is_open_and_a_second_order_after(
    tmp_path: Path,
) -> None:
    """The trap of the real venue: an id that was used up makes a second position."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        first = await home.buy("same", "0.01", "49000")
        with pytest.raises(ccxt.InvalidOrder, match="-4116"):
            await home.buy("same", "0.01", "49000")
        await home.client.cancel_order(None, BTC, {"clientOrderId": "same"})
        second = await home.buy("same", "0.01", "49000")
        found = await home.client.fetch_order(None, BTC, {"clientOrderId": "same"})

        assert first["id"] != second["id"] == found["id"]
        received = [fact.client_order_id for fact in home.kinds(FactKind.RECEIVED)]
        assert ["same", "same#2"] == received
        assert ["duplicate"] == [fact.reason for fact in home.kinds(FactKind.REFUSED)]


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("secret", -1022, ccxt.AuthenticationError),
        ("key", -2015, ccxt.AuthenticationError),
        ("form", -2014, ccxt.AuthenticationError),
        ("late", -1021, ccxt.InvalidNonce),
        ("early", -1021, ccxt.InvalidNonce),
    ],
)
async def test_who_it_is_and_how_old_it_is_come_first(
    tmp_path: Path, name: str, code: int, kind: type[Exception]
) -> None:
    """A wrong secret, key or time is refused, and nothing else of the request is looked at."""
    async with house(tmp_path, secret="another" if name == "secret" else KEYS.secret) as home:
        await home.client.load_markets()
        client = home.client
        now = client.milliseconds()
        if name == "key":
            client.apiKey = "some_other_key"
        elif name == "form":
            client.apiKey = "?"
        elif name == "late":
            client.milliseconds = lambda: now - WINDOW_MS - 1_000
        elif name == "early":
            client.milliseconds = lambda: now + 3_600_000

        with pytest.raises(kind, match=str(code)):
            await home.buy("never")

        assert [] == home.kinds(FactKind.RECEIVED)


async def test_the_signature_is_over_the_exact_bytes(tmp_path: Path) -> None:
    """The same parameters in another order, or changed after signing, are not what was signed."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        sent = client.sign(
            "order",
            ["fapiPrivate"],
            "POST",
            {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"},
        )
        url, headers, body = sent["url"], sent["headers"], sent["body"]
        for changed in (
            body.replace("quantity=0.01", "quantity=0.02"),
            "side=BUY&" + body.replace("side=BUY&", ""),
            body.rpartition("&")[0],
        ):
            async with home.session.post(url, data=changed, headers=headers) as response:
                answer = await response.json()
                assert (400, True) == (response.status, answer["code"] in {-1022, -1102})
        async with home.session.post(url, data=body, headers=headers) as response:
            assert 200 == response.status

        assert 1 == len(home.kinds(FactKind.RECEIVED))


async def test_hedge_mode_has_two_books_and_its_own_refusals(tmp_path: Path) -> None:
    """Long and short stand side by side; a side that is missing or too much is refused."""
    venue = terms(mode=PositionMode.HEDGE)
    async with house(tmp_path, venue=venue) as home:
        client = home.client
        await client.load_markets()
        await client.create_order(BTC, "market", "buy", "0.02", None, {"hedged": True})
        await client.create_order(BTC, "market", "sell", "0.01", None, {"hedged": True})
        with pytest.raises(ccxt.OperationRejected, match="-4061"):
            await home.buy("no side")
        with pytest.raises(ccxt.BadRequest, match="-1106"):
            await client.create_order(
                BTC,
                "market",
                "sell",
                "0.01",
                None,
                {"positionSide": "LONG", "reduceOnly": True},
            )
        await client.create_order(
            BTC, "market", "sell", "0.02", None, {"hedged": True, "reduceOnly": True}
        )
        with pytest.raises(ccxt.InvalidOrder, match="-2022"):
            await client.create_order(
                BTC, "market", "sell", "0.01", None, {"hedged": True, "reduceOnly": True}
            )
        with pytest.raises(ccxt.ExchangeError, match="-4068"):
            await client.set_position_mode(False)
        positions = await client.fetch_positions([BTC])

        assert [("short", "0.01")] == [(each["side"], str(each["contracts"])) for each in positions]


async def test_past_its_weight_comes_429_and_for_who_goes_on_a_ban(tmp_path: Path) -> None:
    """Headers tell what is used; Retry-After says when; who does not listen is banned (418)."""
    async with house(tmp_path, limits=Limits(50, 3, 100)) as home:
        client = home.client
        await client.load_markets()
        bought, used, refused = 0, {}, ""
        while not refused and bought < 100:  # ten seconds, or a minute, may begin in the middle
            try:
                await home.buy(f"o{bought}", "0.01", "49000")
            except ccxt.DDoSProtection as error:
                refused = str(error)
            else:
                bought += 1
                used = {name.lower(): n for name, n in client.last_response_headers.items()}
        statuses, retry = [], None
        while statuses[-1:] != [418] and len(statuses) < 300:
            async with home.session.get("https://fapi.binance.com/fapi/v1/ping") as response:
                statuses.append(response.status)
                retry = response.headers.get("Retry-After")

        assert "-1015" in refused
        assert "3" == used["x-mbx-order-count-10s"]
        assert used["x-mbx-used-weight-1m"] in {"0", "1"}  # one was spent on the markets
        assert (200, 418) == (statuses[0], statuses[-1])
        assert 429 in statuses
        assert retry is not None
        assert 0 < int(retry) <= 120
        assert bought == len(home.kinds(FactKind.RECEIVED)) >= 3


async def test_changed_rules_hold_for_what_comes_after(tmp_path: Path) -> None:
    """A client that goes on with old filters is refused, and finds the new ones published."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        await home.buy("before", "0.011", "49000")
        home.set_faults({"fault": "change_rules", "count": 1})
        with pytest.raises(ccxt.BadRequest, match="-1111"):
            await home.buy("after", "0.011", "49000")
        markets = await home.client.load_markets(reload=True)

        precision = markets[BTC]["precision"]
        assert (1.0, 0.01) == (float(precision["price"]), float(precision["amount"]))
        assert (
            "open"
            == (await home.client.fetch_order(None, BTC, {"clientOrderId": "before"}))["status"]
        )
