"""Market orders: which open they meet, and what slippage makes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from brokers.matching import EngineConfig
from messages import Bar, Liquidity, Side

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

MINUTE = 60_000


def test_a_market_order_fills_at_the_next_open(venue: Venue) -> None:
    """Without latency and slippage the price is the next bar's open, the time its timestamp."""
    decided_at = venue.now
    venue.buy("2")

    assert ["1 filled 2 @ 101.5"] == venue.bar(101.5, 110.0, 90.0, 105.0)
    assert decided_at == venue.fill.timestamp
    assert Liquidity.TAKER is venue.fill.liquidity


def test_a_fill_carries_what_its_order_said(venue: Venue) -> None:
    """Who, what and which order go from the request into the fill; ids count up."""
    venue.buy("1")
    venue.sell("1")
    venue.flat_bar(100.0)

    first, second = (report.fill for report in venue.reports if report.fill is not None)

    assert ("T-test-1", "order-1", "1", "strategy", "BTC/USDT", Side.BUY, "USDT") == (
        first.trade_id,
        first.order_id,
        first.client_order_id,
        first.strategy,
        first.symbol,
        first.side,
        first.fee_currency,
    )
    assert "T-test-2" == second.trade_id
    assert ["V-test-1", "V-test-2"] == [report.venue_order_id for report in venue.reports[:2]]


@pytest.mark.parametrize("after_ms", [-30_000, -1, 0, 1, 7 * MINUTE, 3 * 86_400_000])
def test_the_next_bar_is_the_next_bar_whatever_the_spacing(venue: Venue, after_ms: int) -> None:
    """Without latency a bar that opens before the decision's close still is the next."""
    venue.flat_bar(100.0)
    venue.buy("1")

    assert ["1 filled 1 @ 103"] == venue.bar(103.0, 104.0, 102.0, 103.5, after_ms=after_ms)


def test_an_order_does_not_meet_the_bar_that_caused_it(venue: Venue) -> None:
    """A bar of another symbol that closes with the decision is the past, not the future."""
    venue.buy("1", symbol="ETH/USDT")
    twin = Bar("ETH/USDT", venue.now - MINUTE, 50.0, 51.0, 49.0, 50.5, 1.0, MINUTE)

    assert [] == venue.engine.on_bar(twin)
    assert ["1 filled 1 @ 52"] == venue.bar(52.0, 53.0, 51.0, 52.0, symbol="ETH/USDT")


def test_latency_that_ends_exactly_at_an_open_meets_that_open(make_venue: VenueMaker) -> None:
    """The first open not before close + latency: equality is not before."""
    venue = make_venue(latency_ms=MINUTE)
    venue.buy("1")

    assert [] == venue.flat_bar(100.0)
    assert ["1 filled 1 @ 101"] == venue.flat_bar(101.0)


def test_latency_of_a_millisecond_more_misses_that_open(make_venue: VenueMaker) -> None:
    """An order on its way when a bar opens has to wait for the next bar."""
    venue = make_venue(latency_ms=MINUTE + 1)
    venue.buy("1")

    assert [] == venue.flat_bar(100.0)
    assert [] == venue.flat_bar(101.0)
    assert ["1 filled 1 @ 102"] == venue.flat_bar(102.0)


def test_the_least_latency_misses_the_open_at_the_close(make_venue: VenueMaker) -> None:
    """With 1 ms of latency the bar that opens with the decision is missed."""
    venue = make_venue(latency_ms=1)
    venue.buy("1")

    assert [] == venue.flat_bar(100.0)
    assert ["1 filled 1 @ 101"] == venue.flat_bar(101.0)


def test_with_latency_a_bar_before_the_decision_is_no_later_open(make_venue: VenueMaker) -> None:
    """Irregular spacing does not bring an order to the venue sooner."""
    venue = make_venue(latency_ms=1_000)
    venue.buy("1")

    assert [] == venue.bar(100.0, 100.0, 100.0, 100.0, after_ms=999)
    assert ["1 filled 1 @ 101"] == venue.flat_bar(101.0)


def test_slippage_is_against_the_order(make_venue: VenueMaker) -> None:
    """A buy pays open * (1 + bps / 10000), a sale gets open * (1 - bps / 10000), exactly."""
    venue = make_venue(slippage_bps=Decimal("2.5"))
    venue.buy("1")
    venue.flat_bar(100.0)
    venue.sell("1")
    venue.flat_bar(100.0)

    assert ["1 accepted", "1 filled 1 @ 100.025", "2 accepted", "2 filled 1 @ 99.975"] == [
        *venue.told
    ]


@pytest.mark.parametrize(("side", "expected"), [(Side.BUY, "100.5"), (Side.SELL, "99.5")])
def test_a_slipped_price_is_rounded_to_the_tick_beyond(
    make_venue: VenueMaker, side: Side, expected: str
) -> None:
    """A price off the tick grid is moved against the order, never for it."""
    venue = make_venue(
        "BTC/USDT:USDT", slippage_bps=Decimal(1), rules={"price_tick": Decimal("0.5")}
    )
    venue.place(side, "1")

    assert [f"1 filled 1 @ {expected}"] == venue.flat_bar(100.0)


def test_a_slipped_price_on_the_tick_stays(make_venue: VenueMaker) -> None:
    """Rounding moves only what is off the grid."""
    venue = make_venue(slippage_bps=Decimal(100), rules={"price_tick": Decimal("0.5")})
    venue.buy("1")

    assert ["1 filled 1 @ 101"] == venue.flat_bar(100.0)


def test_a_sale_never_slips_to_a_price_of_zero(make_venue: VenueMaker) -> None:
    """A price below one tick keeps its unrounded value."""
    venue = make_venue("BTC/USDT:USDT", slippage_bps=Decimal(1), rules={"price_tick": Decimal(1)})
    venue.sell("1")

    assert ["1 filled 1 @ 0.49995"] == venue.flat_bar(0.5)


def test_an_open_is_the_decimal_that_it_is_written_as(venue: Venue) -> None:
    """The float 0.1 is the price 0.1, not the binary number beneath it."""
    venue.buy("3")
    venue.flat_bar(0.1)

    assert Decimal("0.1") == venue.fill.price
    assert Decimal("999999.7") == venue.cash


def test_market_orders_fill_in_the_order_of_their_arrival(venue: Venue) -> None:
    """Time priority is the order of submission."""
    for _ in range(3):
        venue.buy("1")

    assert ["1 filled 1 @ 100", "2 filled 1 @ 100", "3 filled 1 @ 100"] == venue.flat_bar(100.0)


def test_a_symbol_without_orders_is_not_among_the_working(venue: Venue) -> None:
    """The same mapping says, at any time, which symbols have live orders."""
    working = venue.engine.working

    assert {} == working
    first = venue.buy("1")
    second = venue.buy("1", symbol="ETH/USDT")
    assert ["BTC/USDT", "ETH/USDT"] == list(working)
    assert [first] == list(working["BTC/USDT"])
    venue.engine.cancel(second, venue.now)
    venue.flat_bar(100.0)
    assert {} == working
    assert working is venue.engine.working


def test_bars_of_other_symbols_move_nothing(venue: Venue) -> None:
    """An order is matched on its own symbol's bars only."""
    venue.buy("1")

    assert [] == venue.bar(10.0, 11.0, 9.0, 10.0, symbol="ETH/USDT")
    assert ["1 filled 1 @ 100"] == venue.flat_bar(100.0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"slippage_bps": Decimal(-1)}, "slippage_bps is -1"),
        ({"slippage_bps": Decimal(10_000)}, "slippage_bps is 10000"),
        ({"latency_ms": -1}, "latency_ms is -1"),
        ({"participation": Decimal(0)}, "participation is 0"),
        ({"participation": Decimal("1.1")}, "participation is 1.1"),
    ],
)
def test_settings_that_no_venue_could_have_are_refused(
    wrong: dict[str, object], named: str
) -> None:
    """A wrong figure is named with what was expected."""
    with pytest.raises(ValueError, match=named):
        EngineConfig("test", **wrong)  # type: ignore[arg-type]


def test_an_account_in_another_currency_is_refused(make_venue: VenueMaker) -> None:
    """Every instrument settles in the account's one currency."""
    with pytest.raises(ValueError, match="SPY settles in USD, but the account is in USDT"):
        make_venue("SPY")
