"""What the real ccxt puts on the wire for each venue: what the capability table promises."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Underflow, getcontext
from pathlib import Path
from typing import Any

import pytest
import venue_answers as answers
from capture_venue import Answer, Desk, Sent, trading
from ccxt_house import BTC, NAME, known, order

from brokers.ccxt.capabilities import TABLE
from brokers.ccxt.identity import encoded
from brokers.ccxt.lanes import Lane
from messages import (
    Cause,
    OrderRequest,
    OrderType,
    PositionMode,
    PositionSide,
    Side,
    TimeInForce,
    VenueReport,
)
from state.money import use_exact_context

HEDGE = PositionMode.HEDGE
ANSWERS: dict[str, Answer] = {
    "binanceusdm": answers.binanceusdm,
    "okx": answers.okx,
    "bybit": answers.bybit,
    "kraken": answers.kraken,
    "hyperliquid": answers.hyperliquid,
}
SYMBOLS = {"kraken": "BTC/USD", "hyperliquid": "BTC/USDC:USDC"}
CREATES = {
    "binanceusdm": "/fapi/v1/order",
    "okx": "/batch-orders",
    "bybit": "/v5/order/create",
    "kraken": "/AddOrder",
    "hyperliquid": "/exchange",
}
ID_FIELDS = {"binanceusdm": "newClientOrderId", "okx": "clOrdId", "bybit": "orderLinkId",
             "kraken": "cl_ord_id", "hyperliquid": "c"}  # fmt: skip


async def created(desk: Desk, request: OrderRequest) -> dict[str, Any]:
    """Return the fields of the one order that went out for ``request``."""
    await desk.ordering.submit(request, Lane.CREATE)
    venue = desk.client.address.exchange
    sent = desk.capture.of("POST", CREATES[venue])
    assert 1 == len(sent), (desk.news, desk.capture.sent)
    fields = sent[0].fields
    if venue == "okx":
        return dict(fields["list"][0] if "list" in fields else fields)
    if venue == "hyperliquid":
        return {**fields["action"]["orders"][0], "builder": fields["action"].get("builder")}
    return fields


@pytest.mark.parametrize("venue", ANSWERS)
async def test_our_own_id_goes_out_in_the_venues_form_and_nothing_else_is_asked(
    venue: str, tmp_path: Path
) -> None:
    """One request for one order, under our id; the reply that names an order accepts it."""
    symbol = SYMBOLS.get(venue, BTC)
    async with trading(venue, tmp_path, ANSWERS[venue], symbols=(symbol,)) as desk:
        desk.capture.sent.clear()
        fields = await created(desk, order(quantity="0.5", price="50000", symbol=symbol))

        assert encoded(NAME, TABLE[venue]) == fields[ID_FIELDS[venue]]
        assert ["accepted"] == desk.life()
        assert 1 == len(desk.capture.sent)


async def test_what_bybit_must_be_asked_once_is_asked_before_the_first_order(
    tmp_path: Path,
) -> None:
    """
    Of which kind the account is: by the opening itself, and not by whatever else happens to ask.

    Without it two questions go out in the middle of the first order.
    """
    arrived: list[str] = []

    def answer(sent: Sent) -> Any:
        arrived.append(sent.path)
        return answers.bybit(sent)

    async with trading("bybit", tmp_path, answer, symbols=(BTC,)) as desk:
        once = ["/v5/user/query-api", "/v5/account/info"]
        assert once == [path for path in arrived if path in once]
        assert "/v5/account/wallet-balance" not in arrived
        arrived.clear()
        await created(desk, order(quantity="0.5", price="50000"))

        assert ["/v5/order/create"] == arrived


async def test_okx_is_sent_contracts(tmp_path: Path) -> None:
    """Half a coin is fifty contracts of a hundredth."""
    async with trading("okx", tmp_path, answers.okx, symbols=(BTC,)) as desk:
        fields = await created(desk, order(quantity="0.5", price="50000"))

        assert ("50", "50000", "buy") == (fields["sz"], fields["px"], fields["side"])
        assert "posSide" not in fields


@pytest.mark.parametrize(
    ("venue", "field", "long", "short"),
    [
        ("binanceusdm", "positionSide", "LONG", "SHORT"),
        ("okx", "posSide", "long", "short"),
        ("bybit", "positionIdx", 1, 2),
    ],
)
async def test_a_hedged_order_names_its_book_at_the_venue(
    venue: str, field: str, long: object, short: object, tmp_path: Path
) -> None:
    """Opening and closing, long and short: the side and the book are what was asked."""
    extra = {"okx": answers.okx_hedged, "binanceusdm": answers.hedged}.get(venue)
    given = (extra, ANSWERS[venue]) if extra else (ANSWERS[venue],)
    async with trading(venue, tmp_path, *given, symbols=(BTC,), position_mode=HEDGE) as desk:
        for side, book in (
            (Side.BUY, PositionSide.LONG),
            (Side.SELL, PositionSide.LONG),
            (Side.SELL, PositionSide.SHORT),
            (Side.BUY, PositionSide.SHORT),
        ):
            desk.capture.sent.clear()
            name = f"{NAME}-{side}-{book}"[:30]
            reduces = (side is Side.BUY) is (book is PositionSide.SHORT)
            asked = order(
                name, "0.5", price="50000", side=side, position_side=book, reduce_only=reduces
            )
            fields = await created(desk, asked)

            assert (long if book is PositionSide.LONG else short) == fields[field]
            assert side.value == fields["side"].lower()
            if venue == "binanceusdm":
                assert "reduceOnly" not in fields  # both together are refused by the venue


@pytest.mark.parametrize(
    ("venue", "field", "value"),
    [("binanceusdm", "reduceOnly", "true"), ("bybit", "reduceOnly", True),
     ("okx", "reduceOnly", True), ("hyperliquid", "r", True)],
)  # fmt: skip
async def test_what_only_reduces_says_so(
    venue: str, field: str, value: object, tmp_path: Path
) -> None:
    """One-way: the venue itself refuses what would turn the position round."""
    symbol = SYMBOLS.get(venue, BTC)
    async with trading(venue, tmp_path, ANSWERS[venue], symbols=(symbol,)) as desk:
        asked = order(
            quantity="0.5", price="50000", side=Side.SELL, reduce_only=True, symbol=symbol
        )

        assert value == (await created(desk, asked))[field]


async def test_a_stop_of_binance_futures_goes_to_its_own_endpoint(tmp_path: Path) -> None:
    """Under our id, with its trigger: rounded so that it does not trigger earlier."""
    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        asked = order(kind=OrderType.STOP, stop="49000.06", side=Side.SELL, reduce_only=True)
        await desk.ordering.submit(asked, Lane.REDUCE)
        fields = desk.capture.of("POST", "/algoOrder")[0].fields

        assert (NAME, "STOP_MARKET", "true") == (
            fields["clientAlgoId"],
            fields["type"],
            fields["reduceOnly"],
        )
        assert 49000 == float(fields["triggerPrice"])
        assert [] == desk.capture.of("POST", "/order")


@pytest.mark.parametrize(
    ("request_", "field", "value"),
    [
        (order(price="50000", post_only=True), "timeInForce", "GTX"),
        (order(price="50000", tif=TimeInForce.IOC), "timeInForce", "IOC"),
        (order(price="50000", tif=TimeInForce.FOK), "timeInForce", "FOK"),
        (order(price="50000"), "timeInForce", "GTC"),
        (order(kind=OrderType.MARKET), "type", "MARKET"),
    ],
)
async def test_how_long_an_order_lasts_is_said(
    request_: OrderRequest, field: str, value: str, tmp_path: Path
) -> None:
    """Post-only, at once, whole or not at all, or until cancelled."""
    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        assert value == (await created(desk, request_))[field]


async def test_hyperliquid_is_not_paid_and_not_asked_for_a_builder(tmp_path: Path) -> None:
    """
    Neither an approval nor a referrer is signed, and no order carries a builder's fee.

    A market order is bounded by our own price and not by ccxt's five percent.
    """
    symbol = SYMBOLS["hyperliquid"]
    async with trading("hyperliquid", tmp_path, answers.hyperliquid, symbols=(symbol,)) as desk:
        fields = await created(desk, order(quantity="0.5", symbol=symbol, bound="50123"))
        kinds = {each.fields["action"]["type"] for each in desk.capture.of("POST", "/exchange")}

        assert {"order"} == kinds
        assert fields["builder"] is None
        assert "50123" == fields["p"]
        assert {"limit": {"tif": "Ioc"}} == fields["t"]


@pytest.mark.parametrize(
    ("venue", "method", "path", "field"),
    [
        ("binanceusdm", "DELETE", "/fapi/v1/order", "origClientOrderId"),
        ("okx", "POST", "/cancel-order", "clOrdId"),
        ("bybit", "POST", "/v5/order/cancel", "orderLinkId"),
        ("kraken", "POST", "/CancelOrder", "cl_ord_id"),
        ("hyperliquid", "POST", "/exchange", "cloid"),
    ],
)
async def test_an_order_without_an_answer_can_be_cancelled_by_our_id(
    venue: str, method: str, path: str, field: str, tmp_path: Path
) -> None:
    """The venue's id is not known then, and is not needed; nothing else is named."""
    symbol = SYMBOLS.get(venue, BTC)
    async with trading(venue, tmp_path, ANSWERS[venue], symbols=(symbol,)) as desk:
        await desk.ordering.cancel(known(symbol=symbol, price="50000"))
        fields = desk.capture.of(method, path)[-1].fields
        if venue == "hyperliquid":
            fields = fields["action"]["cancels"][0]

        assert encoded(NAME, TABLE[venue]) == fields[field]
        assert not {"orderId", "ordId", "txid"} & set(fields)


@pytest.mark.parametrize(
    ("venue", "method", "path", "field"),
    [
        ("binanceusdm", "GET", "/fapi/v1/order", "origClientOrderId"),
        ("bybit", "GET", "/v5/order/realtime", "orderLinkId"),
        ("kraken", "POST", "/OpenOrders", "cl_ord_id"),
        ("hyperliquid", "POST", "/info", "oid"),
    ],
)
async def test_an_order_is_asked_for_by_our_id(
    venue: str, method: str, path: str, field: str, tmp_path: Path
) -> None:
    """By the call that works at the venue, and never by the text "None"."""
    symbol = SYMBOLS.get(venue, BTC)
    async with trading(venue, tmp_path, ANSWERS[venue], symbols=(symbol,)) as desk:
        desk.orders.add(known(symbol=symbol, price="50000"))
        desk.capture.sent.clear()
        await desk.ordering.query(NAME, 5)
        fields = desk.capture.of(method, path)[0].fields

        assert encoded(NAME, TABLE[venue]) == fields[field]
        assert "None" not in map(str, fields.values())


async def test_a_price_that_ccxt_would_change_does_not_leave(tmp_path: Path) -> None:
    """What we have rounded is what goes out, or nothing does."""
    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        desk.client.exchange.price_to_precision = lambda _symbol, price: f"{price}1"
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)
        report = desk.news[0]

        assert isinstance(report, VenueReport)
        assert report.cause is not None
        assert "venue_unsupported(price=50000 ccxt=500001)" == str(report.cause)
        assert [] == desk.capture.of("POST", "/order")


async def test_what_the_table_does_not_allow_never_reaches_the_venue(tmp_path: Path) -> None:
    """The order is rejected by name, and the server has heard nothing."""
    async with trading("okx", tmp_path, answers.okx, symbols=(BTC,)) as desk:
        await desk.ordering.submit(
            order(kind=OrderType.STOP, stop="49000", side=Side.SELL), Lane.CREATE
        )
        report = desk.news[0]

        assert isinstance(report, VenueReport)
        assert isinstance(report.cause, Cause)
        found = "venue=okx order_type=stop has=limit,market"
        assert f"venue_unsupported({found})" == str(report.cause)
        assert [] == desk.capture.sent


async def test_ccxts_rounding_leaves_our_decimal_context_as_it_is(tmp_path: Path) -> None:
    """It rounds half up and traps underflow in whatever context it finds: never in ours."""
    use_exact_context()
    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        rounded = desk.client.exchange.price_to_precision(BTC, "50000.05")

        assert "50000.1" == rounded
        assert (ROUND_HALF_EVEN, False) == (getcontext().rounding, getcontext().traps[Underflow])
