"""What a venue refuses at the door, and with which code."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from brokers.matching import OpenOrder
from brokers.matching.book import GENERATION_IDS_MAX
from messages import OrderType, PositionSide, Side, TimeInForce

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

T = OrderType


@pytest.mark.parametrize(
    ("kind", "terms", "code"),
    [
        (T.LIMIT, {}, "price_missing"),
        (T.STOP, {}, "price_missing"),
        (T.STOP_LIMIT, {"stop": "90"}, "price_missing"),
        (T.STOP_LIMIT, {"price": "90"}, "price_missing"),
        (T.TAKE_PROFIT, {"price": "90"}, "price_missing"),
        (T.TAKE_PROFIT_LIMIT, {"stop": "90"}, "price_missing"),
        (T.TRAILING_STOP, {"stop": "90"}, "price_missing"),
        (T.LIMIT, {"price": "0"}, "price_not_positive"),
        (T.STOP, {"stop": "-1"}, "price_not_positive"),
        (T.TRAILING_STOP, {"trail_bps": "0"}, "price_not_positive"),
        (T.TRAILING_STOP, {"trail_bps": "10000"}, "venue_rejected"),
        (T.MARKET, {"post_only": True}, "venue_rejected"),
        (
            T.LIMIT,
            {"price": "90", "post_only": True, "time_in_force": TimeInForce.IOC},
            "venue_rejected",
        ),
        (T.MARKET, {"symbol": "DOGE/USDT"}, "instrument_unknown"),
        (T.MARKET, {"expire_at": 1}, "order_expired"),
    ],
)
def test_an_order_that_makes_no_sense_is_rejected(
    venue: Venue, kind: OrderType, terms: dict[str, Any], code: str
) -> None:
    """A missing or impossible price, terms at odds, a symbol not listed, an end in the past."""
    assert f"1 rejected {code}" == venue.place(Side.BUY, "1", kind, **terms)
    assert {} == venue.engine.working


@pytest.mark.parametrize("quantity", ["0", "-1"])
def test_a_quantity_is_more_than_nothing(venue: Venue, quantity: str) -> None:
    """Zero and negative quantities are refused."""
    assert "1 rejected quantity_not_positive" == venue.place(Side.BUY, quantity)


@pytest.mark.parametrize(
    ("quantity", "terms", "outcome"),
    [
        ("0.1", {}, "accepted"),
        ("0.15", {}, "rejected venue_rejected"),
        ("0.05", {}, "rejected venue_rejected"),
        ("100", {}, "accepted"),
        ("100.1", {}, "rejected quantity_above_max"),
        ("1", {"kind": T.LIMIT, "price": "10.5"}, "accepted"),
        ("1", {"kind": T.LIMIT, "price": "10.25"}, "rejected venue_rejected"),
        ("1", {"kind": T.STOP, "stop": "10.25"}, "rejected venue_rejected"),
        ("1", {"kind": T.LIMIT, "price": "9.5"}, "rejected notional_below_min"),
        ("1", {"kind": T.LIMIT, "price": "10"}, "accepted"),
        ("1", {"kind": T.STOP, "stop": "9.5"}, "rejected notional_below_min"),
    ],
)
def test_the_instruments_filters_hold_at_the_venue(
    make_venue: VenueMaker, quantity: str, terms: dict[str, Any], outcome: str
) -> None:
    """Step, tick, bounds and notional, each inclusive."""
    venue = make_venue(
        rules={
            "lot_step": Decimal("0.1"),
            "price_tick": Decimal("0.5"),
            "min_quantity": Decimal("0.1"),
            "max_quantity": Decimal(100),
            "min_notional": Decimal(10),
        }
    )

    assert f"1 {outcome}" == venue.place(Side.BUY, quantity, **terms)


def test_less_than_the_minimum_is_refused(make_venue: VenueMaker) -> None:
    """On the lot grid and still too small."""
    venue = make_venue(rules={"min_quantity": Decimal(2)})

    assert "1 rejected quantity_below_min" == venue.place(Side.BUY, "1")


def test_a_small_rest_may_always_be_closed(make_venue: VenueMaker) -> None:
    """The least notional does not bind what reduces."""
    venue = make_venue(rules={"min_notional": Decimal(1_000)})
    venue.hold("1")

    assert "2 accepted" == venue.place(Side.SELL, "1", T.LIMIT, price="110", reduce_only=True)


@pytest.mark.parametrize("fate", ["live", "filled", "cancelled", "rejected"])
def test_a_client_order_id_is_used_once(venue: Venue, fate: str) -> None:
    """Live or not, what the venue knows it does not take again."""
    quantity = "0" if fate == "rejected" else "1"
    venue.place(Side.BUY, quantity, client_order_id="twice")
    if fate == "filled":
        venue.flat_bar(100.0)
    if fate == "cancelled":
        venue.engine.cancel("twice", venue.now)

    assert "twice rejected duplicate_client_order_id" == venue.place(
        Side.BUY, "1", client_order_id="twice"
    )


def test_finished_ids_are_remembered_within_bounds(venue: Venue) -> None:
    """At least a generation of them, and never more than two."""
    for _ in range(GENERATION_IDS_MAX):
        venue.place(Side.BUY, "0")

    assert venue.place(Side.BUY, "1", client_order_id="1").startswith("1 rejected duplicate")
    for _ in range(GENERATION_IDS_MAX):
        venue.place(Side.BUY, "0")
    assert "1 accepted" == venue.place(Side.BUY, "1", client_order_id="1")
    assert 2 * GENERATION_IDS_MAX > len(venue.engine.snapshot()["finished"])


@pytest.mark.parametrize(
    ("fate", "ended", "filled"),
    [("filled", "filled", 1), ("cancelled", "cancelled", 0), ("rejected", "rejected", 0)],
)
def test_how_an_order_ended_is_told_when_asked(
    make_venue: VenueMaker, fate: str, ended: str, filled: int
) -> None:
    """After a restart too: by its event, its fills and its cause."""
    venue = make_venue()
    venue.place(Side.BUY, "0" if fate == "rejected" else "1", client_order_id="asked")
    if fate == "filled":
        venue.flat_bar(100.0)
    if fate == "cancelled":
        venue.engine.cancel("asked", venue.now)
    told = venue.engine.order("asked", venue.now)
    again = make_venue()
    again.engine.restore(json.loads(json.dumps(venue.engine.snapshot())))
    restored = again.engine.order("asked", venue.now)

    assert (True, False, ended, filled) == (told.known, told.open, told.ended, told.filled)
    assert (fate == "filled") is (told.cause is None)
    assert (told.ended, told.filled, told.cause) == (
        restored.ended,
        restored.filled,
        restored.cause,
    )


def test_a_venue_says_how_far_back_it_remembers(venue: Venue) -> None:
    """From then on "not known" is its word; before, it may have forgotten."""
    assert 0 == venue.engine.order("never", venue.now).remembers_from
    for _ in range(3 * GENERATION_IDS_MAX):
        venue.place(Side.BUY, "0")
    asked = venue.engine.order("never", venue.now)

    assert (False, venue.now, venue.now + 1) == (
        asked.known,
        asked.asked_at,
        asked.remembers_from,
    )


@pytest.mark.parametrize("later_ms", [-1, 0])
def test_an_order_that_has_ended_already_is_rejected(venue: Venue, later_ms: int) -> None:
    """An end at the very moment of arrival is an end."""
    assert "1 rejected order_expired" == venue.place(Side.BUY, "1", expire_at=venue.now + later_ms)
    assert "2 accepted" == venue.place(Side.BUY, "1", expire_at=venue.now + 1)


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        (T.MARKET, {"price": "1", "stop": "1", "trail_bps": "1"}),
        (T.STOP, {"price": "1", "stop": "100"}),
        (T.TAKE_PROFIT, {"price": "1", "stop": "100"}),
        (T.LIMIT, {"price": "101", "stop": "500"}),
    ],
)
def test_prices_that_a_type_does_not_use_are_ignored(
    venue: Venue, kind: OrderType, terms: dict[str, Any]
) -> None:
    """A market order with a limit is a market order; a stop with one is no stop limit."""
    venue.buy("1", kind, **terms)

    assert ["1 filled 1 @ 100"] == venue.flat_bar(100.0)


def test_an_open_order_shows_its_terms_and_what_it_has_filled(make_venue: VenueMaker) -> None:
    """What reconciliation compares: ids, side, type, quantities, prices in force."""
    venue = make_venue(participation=Decimal("0.5"))
    venue.buy("3", T.LIMIT, price="101", stop="7")
    venue.flat_bar(100.0, volume=2.0)
    (shown,) = venue.engine.open_orders()

    assert (
        OpenOrder(
            client_order_id="1",
            venue_order_id="V-test-1",
            symbol="BTC/USDT",
            side=Side.BUY,
            position_side=PositionSide.BOTH,
            order_type=T.LIMIT,
            quantity=Decimal(3),
            filled=Decimal(1),
            price=Decimal(101),
            stop_price=None,
        )
        == shown
    )
