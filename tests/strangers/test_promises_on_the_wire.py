"""
Every promise of the capability table, as the real ccxt puts it on the wire for each venue.

Types and triggers, how long an order lasts, what only reduces, our own id on orders, cancels and
questions, the margin mode, the venue's timer, and what an emergency cancels by.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

from capture_venue import SECRETS, WALLET, Capture, Desk, Sent, serving, trading
from ccxt_house import BTC, NAME, known, order
from stranger import Books
from strangers_house import KINDS

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.capabilities import TABLE
from brokers.ccxt.emergency import CcxtEmergency
from brokers.ccxt.identity import encoded
from brokers.ccxt.lanes import Lane
from brokers.contract import VenueUnreachable
from brokers.emergency import HeldPosition
from messages import OrderType, PositionMode, PositionSide, Side, TimeInForce

CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
SYMBOLS = {"kraken": "BTC/USD", "hyperliquid": "BTC/USDC:USDC"}
T, F = OrderType, TimeInForce

ASKED: dict[str, dict[str, Any]] = {
    "market": {"decision": "50000"},
    "limit": {"price": "50000"},
    "ioc": {"price": "50000", "tif": F.IOC},
    "fok": {"price": "50000", "tif": F.FOK},
    "post_only": {"price": "50000", "post_only": True},
    "stop": {"kind": T.STOP, "stop": "49000"},
    "stop_limit": {"kind": T.STOP_LIMIT, "stop": "49000", "price": "48900"},
    "take_profit": {"kind": T.TAKE_PROFIT, "stop": "51000"},
    "take_profit_limit": {"kind": T.TAKE_PROFIT_LIMIT, "stop": "51000", "price": "50900"},
}
"""Half a coin sold, in so many ways."""


def hyper(price: str, **kind: Any) -> dict[str, Any]:
    """Return what Hyperliquid is sent."""
    return {"p": price, "s": "0.5", "b": False, "r": True, "t": kind}


def trigger(price: str, tpsl: str) -> dict[str, Any]:
    """Return a trigger of Hyperliquid's."""
    return {"isMarket": True, "triggerPx": price, "tpsl": tpsl}


BYBIT = {"side": "Sell", "qty": "0.5", "reduceOnly": True, "category": "linear"}
OKX = {"side": "sell", "sz": "50", "reduceOnly": True, "tdMode": "cross"}
KRAKEN = {"type": "sell", "volume": "0.5"}
GATE = {"size": -5000, "reduce_only": True}
FALLS, RISES = {"triggerPrice": "49000", "triggerDirection": 2}, {"triggerPrice": "51000"}

SENT: dict[str, dict[str, dict[str, Any]]] = {
    "okx": {
        "market": {**OKX, "ordType": "market"},
        "limit": {**OKX, "ordType": "limit", "px": "50000"},
        "ioc": {**OKX, "ordType": "ioc", "px": "50000"},
        "fok": {**OKX, "ordType": "fok", "px": "50000"},
        "post_only": {**OKX, "ordType": "post_only", "px": "50000"},
    },
    "bybit": {
        "market": {**BYBIT, "orderType": "Market"},
        "limit": {**BYBIT, "orderType": "Limit", "price": "50000"},
        "ioc": {**BYBIT, "orderType": "Limit", "timeInForce": "IOC"},
        "fok": {**BYBIT, "orderType": "Limit", "timeInForce": "FOK"},
        "post_only": {**BYBIT, "orderType": "Limit", "timeInForce": "PostOnly"},
        "stop": {**BYBIT, "orderType": "Market", **FALLS},
        "stop_limit": {**BYBIT, "orderType": "Limit", "price": "48900", **FALLS},
        "take_profit": {**BYBIT, "orderType": "Market", **RISES, "triggerDirection": 1},
        "take_profit_limit": {**BYBIT, "orderType": "Limit", "price": "50900", **RISES},
    },
    "kraken": {
        "market": {**KRAKEN, "ordertype": "market"},
        "limit": {**KRAKEN, "ordertype": "limit", "price": "50000"},
        "ioc": {**KRAKEN, "ordertype": "limit", "timeinforce": "IOC"},
        "post_only": {**KRAKEN, "ordertype": "limit", "oflags": "post"},
        "stop": {**KRAKEN, "ordertype": "stop-loss", "price": "49000"},
        "stop_limit": {**KRAKEN, "ordertype": "stop-loss-limit", "price": "49000",
                       "price2": "48900"},
        "take_profit": {**KRAKEN, "ordertype": "take-profit", "price": "51000"},
        "take_profit_limit": {**KRAKEN, "ordertype": "take-profit-limit", "price": "51000",
                              "price2": "50900"},
    },
    "hyperliquid": {
        "market": hyper("49500", limit={"tif": "Ioc"}),
        "limit": hyper("50000", limit={"tif": "Gtc"}),
        "ioc": hyper("50000", limit={"tif": "Ioc"}),
        "post_only": hyper("50000", limit={"tif": "Alo"}),
        "stop": hyper("48510", trigger=trigger("49000", "sl")),
        "take_profit": hyper("50490", trigger=trigger("51000", "tp")),
    },
    "gate": {
        "market": {**GATE, "price": "0", "tif": "ioc"},
        "limit": {**GATE, "price": "50000"},
    },
}  # fmt: skip
"""What arrives, by venue and way; a way that a venue's row does not have is not in its table."""

CREATES = {"okx": "/batch-orders", "bybit": "/order/create", "kraken": "/AddOrder",
           "hyperliquid": "/exchange", "gate": "/orders"}  # fmt: skip
ID_FIELDS = {"okx": "clOrdId", "bybit": "orderLinkId", "kraken": "cl_ord_id",
             "hyperliquid": "c", "gate": "text"}  # fmt: skip


@dataclass
class Answers:
    """A stranger's words, to be asked."""

    books: Books
    answer: Any


def answers(venue: str, **books: Any) -> Answers:
    """Return a stranger's words."""
    dialect, market = KINDS[venue]
    own = Books(market, **books)
    return Answers(own, dialect(own).answer)


def fields_of(sent: Sent) -> dict[str, Any]:
    """Return the one order that a request is of."""
    if "action" in sent.fields:
        return dict(sent.fields["action"]["orders"][0])
    return dict(sent.fields.get("list", [sent.fields])[0])


async def sent_for(desk: Desk, name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Place an order, and return what arrived of it."""
    desk.capture.sent.clear()
    venue = desk.client.address.exchange
    symbol = SYMBOLS.get(venue, BTC)
    only = desk.client.row.reduce_only and ":" in symbol
    request = order(name, "0.5", side=Side.SELL, symbol=symbol, reduce_only=only, **asked)
    await desk.ordering.submit(request, Lane.CREATE)
    (sent,) = desk.capture.of("POST", CREATES[venue])
    return fields_of(sent)


def allowed(venue: str, asked: dict[str, Any]) -> bool:
    """Return whether the venue's row has such an order."""
    row, kind = TABLE[venue], asked.get("kind", T.LIMIT if "price" in asked else T.MARKET)
    lasts = asked.get("tif", F.GTC) in row.time_in_force
    return kind in row.order_types and lasts and (row.post_only or not asked.get("post_only"))


@pytest.mark.parametrize("venue", SENT)
async def test_every_order_that_a_row_has_is_said_in_the_venues_words(
    venue: str, tmp_path: Path
) -> None:
    """Each type, trigger and time in force of the row, under our id, in the venue's unit."""
    row, symbol = TABLE[venue], SYMBOLS.get(venue, BTC)
    assert set(SENT[venue]) == {way for way, asked in ASKED.items() if allowed(venue, asked)}
    async with trading(venue, tmp_path, answers(venue).answer, symbols=(symbol,)) as desk:
        for number, (way, expected) in enumerate(SENT[venue].items(), 1):
            name = f"tg-0123456789-{number}"
            found = await sent_for(desk, name, ASKED[way])

            assert expected == {field: found.get(field) for field in expected}, way
            assert encoded(name, row) == found[ID_FIELDS[venue]], way


@pytest.mark.parametrize(
    ("venue", "path", "asked"),
    [
        ("okx", "/trade/order", {"clOrdId": encoded(NAME, TABLE["okx"])}),
        ("bybit", "/order/realtime", {"orderLinkId": NAME}),
        ("bybit", "/order/history", {"orderLinkId": NAME, "orderStatus": None}),
        ("kraken", "/ClosedOrders", {"cl_ord_id": encoded(NAME, TABLE["kraken"])}),
        ("hyperliquid", "/info", {"oid": encoded(NAME, TABLE["hyperliquid"])}),
    ],
)
async def test_an_order_is_asked_for_by_our_id_however_it_ended(
    venue: str, path: str, asked: dict[str, Any], tmp_path: Path
) -> None:
    """Among those that are over too, and not only those that were filled."""
    symbol = SYMBOLS.get(venue, BTC)
    async with trading(venue, tmp_path, answers(venue).answer, symbols=(symbol,)) as desk:
        desk.orders.add(known(symbol=symbol, price="50000"))
        desk.capture.sent.clear()
        await desk.ordering.query(NAME, 5)
        (sent,) = [each for each in desk.capture.sent if each.path.endswith(path)]

        assert asked == {field: sent.fields.get(field) for field in asked}


@pytest.mark.parametrize("venue", [each for each in KINDS if each in TABLE])
async def test_a_trade_of_an_order_whose_answer_was_lost_is_that_orders(
    venue: str, tmp_path: Path
) -> None:
    """
    The process died before it heard the venue's id: the order is known by ours alone.

    ccxt refuses to ask Bybit for an order by its number: the fill would have been somebody else's.
    """
    stranger = answers(venue)
    symbol = stranger.books.market.symbol
    async with trading(venue, tmp_path, stranger.answer, symbols=(symbol,)) as desk:
        desk.orders.add(known(symbol=symbol, price="50000"))
        stranger.books.place(encoded(NAME, TABLE[venue]), "buy", 7, "50000")
        fills = await desk.ordering.fills_since(0)

    assert [(NAME, f"o-{NAME}")] == [(fill.client_order_id, fill.order_id) for fill in fills]


async def test_a_venue_without_ids_of_ours_is_asked_by_its_own(tmp_path: Path) -> None:
    """Gate's order is known by its number: it is asked for and cancelled by that."""
    async with trading("gate", tmp_path, answers("gate").answer, symbols=(BTC,)) as desk:
        found = await sent_for(desk, NAME, {"price": "51000"})
        number = desk.orders.named(NAME)
        assert number is not None
        assert "t-tg" == found["text"][:4]
        await desk.ordering.query(NAME, 5)
        await desk.ordering.cancel(number)
        paths = [(sent.method, sent.path.rpartition("/")[2]) for sent in desk.capture.sent[-2:]]

        assert [("GET", number.venue_id), ("DELETE", number.venue_id)] == paths
        assert [True] == [each.open for each in desk.answers()]


@pytest.mark.parametrize(
    ("venue", "mode", "position_mode", "sent"),
    [
        ("okx", "isolated", PositionMode.ONE_WAY, [{"lever": 5, "mgnMode": "isolated"}]),
        ("okx", "isolated", PositionMode.HEDGE, [
            {"lever": 5, "mgnMode": "isolated", "posSide": "long"},
            {"lever": 5, "mgnMode": "isolated", "posSide": "short"}]),
        ("okx", None, PositionMode.ONE_WAY, [{"lever": 5, "mgnMode": "cross"}]),
        ("bybit", None, PositionMode.ONE_WAY, [{"buyLeverage": "5", "sellLeverage": "5"}]),
        ("hyperliquid", "isolated", PositionMode.ONE_WAY, [{"leverage": 5, "isCross": False}]),
        ("hyperliquid", "cross", PositionMode.ONE_WAY, [{"leverage": 5, "isCross": True}]),
    ],
)  # fmt: skip
async def test_leverage_is_set_for_the_margin_mode_that_was_asked_for(
    venue: str,
    mode: str | None,
    position_mode: PositionMode,
    sent: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    """Set last, it would put the market back to the other mode; the orders name it where needed."""
    symbol = SYMBOLS.get(venue, BTC)
    stranger = answers(venue)
    arrived: list[Sent] = []
    stranger_answer = stranger.answer

    def answer(asked: Sent) -> Any:
        arrived.append(asked)
        return stranger_answer(asked)

    given = {"leverage": 5, "margin_mode": mode, "position_mode": position_mode}
    async with trading(venue, tmp_path, answer, symbols=(symbol,), **given) as desk:
        found = [each.fields.get("action", each.fields) for each in arrived if sets(each)]
        assert sent == [
            {field: one.get(field) for field in expected}
            for one, expected in zip(found, sent, strict=True)
        ]
        assert stranger.books.hedge is (position_mode is PositionMode.HEDGE)
        if venue == "okx" and position_mode is PositionMode.ONE_WAY:
            assert (mode or "cross") == (await sent_for(desk, NAME, ASKED["limit"]))["tdMode"]


def sets(sent: Sent) -> bool:
    """Return whether a request sets a leverage."""
    is_action = sent.fields.get("action", {}).get("type") == "updateLeverage"
    return sent.path.endswith("/set-leverage") or is_action


async def test_a_margin_mode_that_needs_the_leverage_is_refused_without(tmp_path: Path) -> None:
    """Before anything is set, and by name."""
    opened = trading("okx", tmp_path, answers("okx").answer, symbols=(BTC,), margin_mode="isolated")
    with pytest.raises(VenueUnreachable, match=r"\[venue\] margin_mode: okx sets it together"):
        await opened.__aenter__()


@pytest.mark.parametrize(
    ("venue", "path", "field", "arms", "stops"),
    [
        ("okx", "/cancel-all-after", "timeOut", 60, 0),
        ("kraken", "/CancelAllOrdersAfter", "timeout", "60", "0"),
        ("hyperliquid", "/exchange", "time", int, None),
    ],
)
async def test_the_venues_own_timer_is_set_and_stopped(
    venue: str, path: str, field: str, arms: object, stops: object, tmp_path: Path
) -> None:
    """In the venue's unit: seconds from now, or a moment; stopped, it does not fire at once."""
    symbol = SYMBOLS.get(venue, BTC)
    async with trading(venue, tmp_path, answers(venue).answer, symbols=(symbol,)) as desk:
        desk.capture.sent.clear()
        await desk.calls.count_down([symbol], 60_000)
        await desk.calls.count_down([symbol], 0)
        armed, stopped = (
            sent.fields.get("action", sent.fields).get(field)
            for sent in desk.capture.of("POST", path)
        )

        assert isinstance(armed, int) if arms is int else arms == armed
        assert stops == stopped


@pytest.mark.parametrize("venue", ["bybit", "gate"])
async def test_a_timer_that_a_venue_does_not_have_is_refused(venue: str, tmp_path: Path) -> None:
    """By name and before anything is asked: who has set it relies on it."""
    stranger = answers(venue)
    symbols = (stranger.books.market.symbol,)
    opened = trading(venue, tmp_path, stranger.answer, symbols=symbols, dead_man_s=60)
    with pytest.raises(VenueUnreachable, match=rf"\[venue\] dead_man_s: cannot be set at {venue}"):
        await opened.__aenter__()


@pytest.mark.parametrize(
    ("venue", "path", "fields"),
    [
        ("okx", "/cancel-order", {"ordId": "1000", "instId": "BTC-USDT-SWAP"}),
        ("bybit", "/order/cancel-all", {"symbol": "BTCUSDT", "category": "linear"}),
        ("kraken", "/CancelAll", {}),
        ("hyperliquid", "/exchange", {"cancels": [{"a": 0, "o": 1000}]}),
        ("gate", "/orders/1000", {}),
    ],
)
async def test_an_emergency_cancels_and_closes_in_the_venues_words(
    venue: str, path: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    """All at once where the row says so; a position is left by what can only reduce it."""
    stranger = answers(venue)
    stranger.books.place("", "buy", 5, "46000")
    if not stranger.books.market.spot:
        stranger.books.place("", "buy", 7)
    capture = Capture(stranger.answer)
    async with serving(capture, tmp_path) as (port, ca):
        secrets = WALLET if venue == "hyperliquid" else SECRETS
        address = CcxtAddress(venue, secrets=secrets, loopback_port=port, loopback_ca=ca)
        emergency = CcxtEmergency(address, CLOCK)
        try:
            assert await emergency.connect() is None
            resting = await emergency.resting()
            assert isinstance(resting, list)
            assert ["1000"] == [each.order_id for each in resting]
            assert [] == list(await emergency.cancel(resting, one_by_one=False))
            held = await emergency.held()
            assert isinstance(held, list)
            closed = [await emergency.close(each, NAME) for each in held]
        finally:
            await emergency.shut()
    (sent,) = [
        each for each in capture.sent
        if each.path.endswith(path) and each.method != "GET" and "orders" not in str(each.fields)
    ]  # fmt: skip
    found = sent.fields.get("action", sent.fields)

    assert fields == {field: found.get(field) for field in fields}
    assert "cancelled" == stranger.books.orders["1000"].status
    assert {} == stranger.books.held()
    assert all("placed" == each[0].value for each in closed)
    last = list(stranger.books.orders.values())[-1]
    assert stranger.books.market.spot or (last.reduce_only, last.amount) == (True, 7)


async def test_an_emergency_leaves_a_position_in_the_margin_mode_that_it_has(
    tmp_path: Path,
) -> None:
    """An order of the other mode would not be of that position."""
    capture = Capture(answers("okx").answer)
    async with serving(capture, tmp_path) as (port, ca):
        address = CcxtAddress("okx", secrets=SECRETS, loopback_port=port, loopback_ca=ca)
        emergency = CcxtEmergency(address, CLOCK)
        position = HeldPosition(BTC, PositionSide.BOTH, Decimal(7), None, "isolated")
        try:
            await emergency.connect()
            await emergency.close(position, NAME)
            await emergency.close(replace(position, margin_mode="cross"), NAME)
        finally:
            await emergency.shut()
    modes = [fields_of(sent)["tdMode"] for sent in capture.of("POST", "/batch-orders")]

    assert ["isolated", "cross"] == modes
