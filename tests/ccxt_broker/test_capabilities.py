"""The capability table: total, consistent, and obeyed by how an order is worded."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from ccxt_house import BTC, SPOT, known, order, rules

from brokers.ccxt import columns
from brokers.ccxt.capabilities import GENERIC, TABLE, capabilities_of
from brokers.ccxt.columns import Capabilities, FillSource
from brokers.ccxt.rounding import AT_MARKET
from brokers.ccxt.stream import READERS, says
from brokers.ccxt.translate import trade_of
from brokers.ccxt.wording import WAITING, Worded, worded
from messages import (
    Cause,
    OrderType,
    PositionMode,
    PositionSide,
    ReasonCode,
    Side,
    TimeInForce,
)

ROWS = [*TABLE.values(), GENERIC]
ONE_WAY = PositionMode.ONE_WAY


def _order(kind: OrderType, **more: object) -> object:
    given: dict[str, object] = {"kind": kind, "bound": "60000", **more}
    if kind not in AT_MARKET:
        given["price"] = "50000"
    if kind in WAITING:
        given["stop"] = "49000"
        given["trail"] = "100"
    return order(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.venue)
def test_every_order_is_either_said_or_refused_with_a_code(row: Capabilities) -> None:
    """
    For each venue, each type and each time in force there is an answer before anything is sent.

    What is said has the parameter that makes it what it is; a stop never goes out as a market
    order.
    """
    for kind, tif, post_only in product(OrderType, TimeInForce, (False, True)):
        asked = _order(kind, tif=tif, post_only=post_only)
        found = worded(asked, rules(), row, ONE_WAY)  # type: ignore[arg-type]
        if isinstance(found, Cause):
            assert found.code is ReasonCode.VENUE_UNSUPPORTED
            continue
        assert kind in row.order_types
        assert tif in row.time_in_force
        assert row.post_only or not post_only
        carried = {row.triggers.stop, row.triggers.target, row.triggers.trail} & set(found.params)
        assert (kind in WAITING) is bool(carried - {""})


def test_an_exchange_without_a_row_gets_the_cautious_one() -> None:
    """Any other ccxt id has market and limit orders, and nothing that must be known about it."""
    row = capabilities_of("krakenfutures")

    assert "krakenfutures" == row.venue
    assert frozenset({OrderType.MARKET, OrderType.LIMIT}) == row.order_types
    assert [False] * 3 == [row.hedge, row.post_only, row.private_stream]
    assert row.reduce_only  # what can be opened there can be left again
    assert 0 == row.remembers_ms


def test_every_row_says_everything() -> None:
    """No row leaves a column out."""
    for row in ROWS:
        for field in fields(Capabilities):
            assert getattr(row, field.name) is not None or field.name in {
                "dead_man",
                "price_digits",
            }


def test_fills_are_read_from_a_stream_only_where_somebody_can_read_it() -> None:
    """A venue whose stream is believed has a reader of its messages."""
    believed = {row.venue for row in ROWS if row.fill_source is FillSource.STREAM}

    assert believed == set(READERS)


def test_no_code_or_event_of_a_venue_stands_outside_the_rows() -> None:
    """Whoever adds a venue adds a row: nothing in the middle of the code is one venue's alone."""
    folder = Path(columns.__file__).parent
    words = re.compile(r'"-?\d{4,6}"|"(?:listenKeyExpired|FUNDING_FEE|posSide)"')
    found = {
        path.name: words.findall(path.read_text("utf-8"))
        for path in folder.glob("*.py")
        if path.name != "capabilities.py"
    }

    assert {} == {name: each for name, each in found.items() if each}
    assert words.findall((folder / "capabilities.py").read_text("utf-8"))


@pytest.mark.parametrize(
    ("venue", "message", "expired", "paid"),
    [
        ("binanceusdm", {"e": "listenKeyExpired"}, True, False),
        ("binance", {"e": "listenKeyExpired"}, True, False),
        ("binanceusdm", {"e": "ACCOUNT_UPDATE", "a": {"m": "FUNDING_FEE"}}, False, True),
        ("binanceusdm", {"e": "ACCOUNT_UPDATE", "a": {"m": "ORDER"}}, False, False),
        ("binanceusdm", {"e": "ACCOUNT_UPDATE", "a": "FUNDING_FEE"}, False, False),
        ("binanceusdm", ["listenKeyExpired"], False, False),
        ("okx", {"e": "listenKeyExpired"}, False, False),
        ("okx", {}, False, False),
    ],
)
def test_what_a_stream_says_is_told_by_the_words_of_the_row(
    venue: str, message: object, expired: bool, paid: bool
) -> None:
    """Each word at its place; a venue without such words says nothing by them."""
    row = TABLE[venue]

    assert (expired, paid) == (
        says(message, row.key_expired_words),
        says(message, row.payment_words),
    )


@pytest.mark.parametrize(
    ("venue", "symbol", "side", "named", "quantity", "fee"),
    [
        ("binance", SPOT, Side.BUY, None, "0.999", "50"),
        ("binance", SPOT, Side.BUY, "USDT", "1", "0.001"),
        ("binance", SPOT, Side.SELL, None, "1", "0.001"),
        ("kraken", SPOT, Side.BUY, None, "1", "0.001"),
        ("bybit", BTC, Side.BUY, None, "1", "0.001"),
    ],
)
def test_a_fee_in_no_currency_is_in_that_of_the_row(
    venue: str, symbol: str, side: Side, named: str | None, quantity: str, fee: str
) -> None:
    """On spot some venues take it from what was bought: then less is held than was traded."""
    told = {"id": "7", "amount": "1", "price": "50000", "fee": {"cost": "0.001", "currency": named}}
    fill = trade_of(told, known(symbol=symbol, side=side), rules(symbol), TABLE[venue]).fill

    assert (Decimal(quantity), Decimal(fee)) == (fill.quantity, fill.fee)
    assert "USDT" == fill.fee_currency


@pytest.mark.parametrize(
    ("asked", "lacks"),
    [
        (order(kind=OrderType.STOP, stop="1"), "order_type=stop has=limit,market"),
        (order(price="1", tif=TimeInForce.FOK), "time_in_force=fok has=gtc"),
        (order(price="1", post_only=True), "post_only"),
        (order(position_side=PositionSide.LONG), "position_side=long"),
    ],
)
def test_what_the_row_does_not_allow_is_refused_by_name(asked: object, lacks: str) -> None:
    """The cause says which venue lacks what, and what it takes instead."""
    found = worded(asked, rules(), GENERIC, ONE_WAY)  # type: ignore[arg-type]

    assert isinstance(found, Cause)
    assert ReasonCode.VENUE_UNSUPPORTED is found.code
    assert lacks in found.detail


def test_a_row_without_reduce_only_takes_no_order_that_must_only_reduce() -> None:
    """As another order it could turn a position round."""
    row = replace(GENERIC, reduce_only=False)
    found = worded(order(reduce_only=True), rules(), row, ONE_WAY)

    assert isinstance(found, Cause)
    assert "venue=(any other) reduce_only" == found.detail


def test_a_venue_without_a_margin_mode_of_the_market_is_told_it_with_every_order() -> None:
    """Where the venue keeps none, an order without it would be margined by the other one."""
    told = worded(order(price="50000"), rules(), TABLE["okx"], ONE_WAY, "isolated")
    spot = worded(order(symbol=SPOT, price="50000"), rules(SPOT), TABLE["okx"], ONE_WAY, "isolated")
    kept = worded(order(price="50000"), rules(), TABLE["bybit"], ONE_WAY, "isolated")

    assert isinstance(told, Worded)
    assert isinstance(spot, Worded)
    assert isinstance(kept, Worded)
    assert "isolated" == told.params["marginMode"]
    assert "marginMode" not in spot.params
    assert "marginMode" not in kept.params


@pytest.mark.parametrize(
    ("side", "given", "bound"),
    [
        (Side.BUY, {"decision": "50123.37"}, "50625"),  # a hundredth beyond, up to five digits
        (Side.SELL, {"decision": "50123.37"}, "49622"),
        (Side.BUY, {"bound": "50123.37"}, "50123"),  # one of its own is never passed
        (Side.SELL, {"bound": "50123.37"}, "50124"),
    ],
)
def test_what_bounds_a_market_order_is_on_the_grid_and_beyond_the_mark(
    side: Side, given: dict[str, str], bound: str
) -> None:
    """At the mark it would wait for the market; off the grid it would be refused."""
    found = worded(
        order(side=side, **given),
        rules(digits=5),
        TABLE["hyperliquid"],
        ONE_WAY,  # type: ignore[arg-type]
    )

    assert isinstance(found, Worded)
    assert bound == found.price


def test_a_stop_at_market_is_bounded_from_where_it_will_trigger() -> None:
    """By the mark of now it could never trade once the market has come to it."""
    asked = order(kind=OrderType.STOP, stop="45000", side=Side.SELL, decision="50000")
    found = worded(asked, rules(digits=5), TABLE["hyperliquid"], ONE_WAY)

    assert isinstance(found, Worded)
    assert found.price is not None
    assert Decimal(44_550) == Decimal(found.price)


def test_spot_sells_what_is_held_without_saying_so() -> None:
    """A reducing sale of spot is an ordinary sale: no venue has the parameter there."""
    asked = order(symbol=SPOT, side=Side.SELL, reduce_only=True, price="50000")
    found = worded(asked, rules(SPOT), TABLE["binance"], ONE_WAY)

    assert isinstance(found, Worded)
    assert "reduceOnly" not in found.params


@pytest.mark.parametrize(
    ("side", "book", "reduces"),
    [
        (Side.BUY, PositionSide.LONG, False),
        (Side.SELL, PositionSide.LONG, True),
        (Side.SELL, PositionSide.SHORT, False),
        (Side.BUY, PositionSide.SHORT, True),
    ],
)
def test_a_hedged_order_names_its_book(side: Side, book: PositionSide, reduces: bool) -> None:
    """What takes something off a book says so, whoever asked: without it the other book opens."""
    asked = order(side=side, position_side=book)
    found = worded(asked, rules(), TABLE["binanceusdm"], PositionMode.HEDGE)

    assert isinstance(found, Worded)
    assert found.params["hedged"] is True
    assert reduces is ("reduceOnly" in found.params)


@pytest.mark.parametrize(
    ("mode", "book", "reduce_only"),
    [
        (PositionMode.ONE_WAY, PositionSide.LONG, False),
        (PositionMode.HEDGE, PositionSide.BOTH, False),
        (PositionMode.HEDGE, PositionSide.LONG, True),  # a buy does not reduce a long book
    ],
)
def test_an_order_that_contradicts_the_mode_is_refused(
    mode: PositionMode, book: PositionSide, reduce_only: bool
) -> None:
    """Nothing is sent whose book the venue would have to guess."""
    asked = order(position_side=book, reduce_only=reduce_only)
    found = worded(asked, rules(), TABLE["binanceusdm"], mode)

    assert isinstance(found, Cause)
    assert ReasonCode.POSITION_SIDE_MISMATCH is found.code


def test_a_market_order_that_needs_a_price_goes_no_further_than_our_own_bound() -> None:
    """ccxt would add five percent; the bound is the order's own, and without one it is refused."""
    row = TABLE["hyperliquid"]
    bounded = worded(order(bound="60000"), rules(), row, ONE_WAY)
    unbounded = worded(order(), rules(), row, ONE_WAY)

    assert isinstance(bounded, Worded)
    assert ("60000", "0") == (bounded.price, bounded.params["slippage"])
    assert isinstance(unbounded, Cause)
    assert ReasonCode.PRICE_MISSING is unbounded.code


def test_a_market_order_elsewhere_has_no_price() -> None:
    """With one, Binance's spot venue would take it for an amount of money."""
    found = worded(order(bound="60000"), rules(SPOT), TABLE["binance"], ONE_WAY)

    assert isinstance(found, Worded)
    assert found.price is None


def test_contracts_are_counted_only_in_what_goes_out() -> None:
    """Twelve contracts of a hundred coins are twelve on the wire and 1,200 in our books."""
    asked = order(quantity="1200", symbol=BTC, price="0.1")
    found = worded(asked, rules(size="100", step="1", tick="0.01"), TABLE["okx"], ONE_WAY)

    assert isinstance(found, Worded)
    assert "12" == found.amount
    assert found.fitted is not None
    assert 1200 == found.fitted.quantity
