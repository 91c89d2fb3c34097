"""A limit far from the market is refused here, where the venue tells how far it may be."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ccxt_house import BTC, order, rules
from dialect_house import Desk, desk

from brokers.ccxt.band import PriceBand, Reach, band_of
from brokers.ccxt.capabilities import BINANCE, BINANCEUSDM, BYBIT
from brokers.ccxt.columns import BandBy
from brokers.ccxt.rounding import Fitted, fitted
from messages import Cause, OrderType, ReasonCode, Side, VenueReport

MARK = Decimal(50_000)
FUTURES = {"filterType": "PERCENT_PRICE", "multiplierUp": "1.1500", "multiplierDown": "0.8500"}
OLD_SPOT = {"filterType": "PERCENT_PRICE", "multiplierUp": "5", "multiplierDown": "0.2"}
SPOT = {
    "filterType": "PERCENT_PRICE_BY_SIDE",
    "bidMultiplierUp": "1.2", "bidMultiplierDown": "0.2",
    "askMultiplierUp": "5", "askMultiplierDown": "0.8",
}  # fmt: skip


def listed(*filters: object) -> dict[str, Any]:
    """Return a ccxt market with these filters."""
    return {"info": {"filters": list(filters)}}


def reach(least: str | None, most: str | None) -> Reach:
    """Return how far a price may be from the market."""
    return Reach(*(None if each is None else Decimal(each) for each in (least, most)))


@pytest.mark.parametrize(
    ("row", "market", "expected"),
    [
        (BINANCEUSDM, listed(FUTURES), PriceBand(reach(None, "1.15"), reach("0.85", None))),
        (BINANCE, listed(SPOT), PriceBand(reach("0.2", "1.2"), reach("0.8", "5"))),
        (BINANCE, listed(OLD_SPOT), PriceBand(reach("0.2", "5"), reach("0.2", "5"))),
        (BINANCEUSDM, listed(), None),
        (BINANCEUSDM, {"info": None}, None),
        (BYBIT, listed(FUTURES), None),
    ],
)
def test_the_band_is_what_the_venues_filters_tell(row: Any, market: Any, expected: Any) -> None:
    """By side where they tell it so; unknown where they do not, and where no row says so."""
    assert expected == band_of(market, row.price_band)


@pytest.mark.parametrize("told", ["0", "-1", "NaN", "1e", 1.15, None])
def test_a_bound_that_is_no_number_is_none(told: object) -> None:
    """An order is not refused by what cannot be read."""
    market = listed({**FUTURES, "multiplierUp": told})

    assert PriceBand(Reach(), reach("0.85", None)) == band_of(market, BandBy.MARK)


BAND = PriceBand(reach(None, "1.15"), reach("0.85", None))


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (order(price="57500"), False),
        (order(price="57500.1"), True),
        (order(price="10"), False),  # far below the market nobody buys by mistake
        (order(price="42499.9", side=Side.SELL), True),
        (order(price="42500", side=Side.SELL), False),
        (order(price="90000", side=Side.SELL), False),
        # A way out is the venue's to judge, and what waits for a price will be judged then.
        (order(price="42000", side=Side.SELL, reduce_only=True), False),
        (order(price="60000", stop="59000", kind=OrderType.STOP_LIMIT), False),
        (order(), False),
    ],
)
def test_what_is_beyond_the_band_is_refused_and_nothing_else(asked: Any, refused: bool) -> None:
    """A price at the very bound passes; the refusal names price, market and bound."""
    found = fitted(asked, replace(rules(), band=BAND), MARK)

    assert refused is isinstance(found, Cause)
    if isinstance(found, Cause):
        assert ReasonCode.PRICE_COLLAR is found.code
        assert "mark=50000" in found.detail
        assert "57500" in found.detail or "42500" in found.detail


def test_where_the_market_is_not_known_nothing_is_refused_for_it() -> None:
    """Nor where the venue tells no band."""
    far = order(price="60000")

    assert isinstance(fitted(far, replace(rules(), band=BAND), None), Fitted)
    assert isinstance(fitted(far, rules(), MARK), Fitted)


FAR, NEAR = "tg-0123456789-1", "tg-0123456789-2"


def cause_of(at: Desk, name: str) -> Cause:
    """Return for what an order was rejected."""
    (report,) = [
        each for each in at.news if isinstance(each, VenueReport) and each.client_order_id == name
    ]
    assert report.cause is not None
    return report.cause


async def test_an_order_beyond_the_exchanges_band_is_never_sent(tmp_path: Path) -> None:
    """The exchange's own filter is read; an order within it goes as before."""
    async with desk(tmp_path) as at:
        at.broker.mark = lambda symbol: MARK if symbol == BTC else None
        at.broker.submit(order(FAR, "0.01", price="57501"), 1)
        at.broker.submit(order(NEAR, "0.01", price="49000"), 1)
        await at.until(lambda: at.ended(FAR) and "accepted" in at.life(NEAR))

        assert ReasonCode.PRICE_COLLAR is cause_of(at, FAR).code
        assert "max=57500" in cause_of(at, FAR).detail
        assert 0 == at.received(FAR)


async def test_without_the_band_the_exchange_refuses_it(tmp_path: Path) -> None:
    """Ablation: it is sent, and the venue's own code means the same."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(FAR, "0.01", price="57501"), 1)
        await at.until(lambda: at.ended(FAR))

        assert ReasonCode.PRICE_COLLAR is cause_of(at, FAR).code
        assert "-4016" in cause_of(at, FAR).detail
        assert [] == at.truth.sent_again
