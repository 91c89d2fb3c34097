"""Quotes and trades as they come: each is one price, and the past is not told twice."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from brokers.matching.prices import LastPrices
from messages import Liquidity, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

LIMIT = OrderType.LIMIT
STOP = OrderType.STOP


def test_a_market_order_pays_the_spread(perpetual: Venue) -> None:
    """A buy fills at the ask, a sale at the bid, of the next quote."""
    perpetual.buy("1")
    perpetual.sell("2")

    assert ["1 filled 1 @ 101", "2 filled 2 @ 99"] == perpetual.quote(99.0, 101.0)


def test_a_quote_before_the_order_arrives_does_not_fill_it(make_venue: VenueMaker) -> None:
    """Latency counts from the decision to the quote's own time."""
    venue = make_venue(latency_ms=1_500)
    venue.buy("1")

    assert [] == venue.quote(99.0, 101.0)
    assert ["1 filled 1 @ 102"] == venue.quote(100.0, 102.0)


def test_a_limit_at_the_ask_takes_it(venue: Venue) -> None:
    """A quote is a price that one can have: equality is enough on arrival."""
    venue.buy("1", LIMIT, price="101")

    assert ["1 filled 1 @ 101"] == venue.quote(99.0, 101.0)
    assert Liquidity.TAKER is venue.fill.liquidity


def test_a_resting_limit_fills_when_the_quote_goes_through_it(venue: Venue) -> None:
    """At its own price, as maker: the quote met it on the way down."""
    venue.buy("1", LIMIT, price="100")

    assert [] == venue.quote(99.0, 101.0)
    assert [] == venue.quote(99.0, 100.0)
    assert ["1 filled 1 @ 100"] == venue.quote(98.0, 99.5)
    assert Liquidity.MAKER is venue.fill.liquidity


def test_a_post_only_order_is_judged_by_the_quote(venue: Venue) -> None:
    """At the ask it would take; between bid and ask it rests."""
    venue.quote(99.0, 101.0)

    assert "1 rejected post_only_would_take" == venue.place(
        Side.BUY, "1", LIMIT, price="101", post_only=True
    )
    assert "2 accepted" == venue.place(Side.BUY, "1", LIMIT, price="100", post_only=True)
    assert "3 rejected post_only_would_take" == venue.place(
        Side.SELL, "1", LIMIT, price="99", post_only=True
    )


def test_a_stop_wakes_at_the_price_that_it_would_get(perpetual: Venue) -> None:
    """A sell stop watches the bid and fills there."""
    perpetual.sell("1", STOP, stop="99")

    assert [] == perpetual.quote(99.5, 100.5)
    assert ["1 filled 1 @ 98.5"] == perpetual.quote(98.5, 99.5)


def test_a_trailing_stop_follows_quotes(perpetual: Venue) -> None:
    """The best bid since activation counts."""
    perpetual.sell("1", OrderType.TRAILING_STOP, trail_bps="100")
    perpetual.quote(100.0, 101.0)
    perpetual.quote(200.0, 201.0)

    assert [] == perpetual.quote(198.5, 199.0)
    assert ["1 filled 1 @ 198"] == perpetual.quote(198.0, 199.0)


def test_the_visible_size_limits_a_fill(make_venue: VenueMaker) -> None:
    """With participation below one an order takes its share of what the quote offers."""
    venue = make_venue(participation=Decimal("0.5"))
    venue.buy("3", time_in_force=TimeInForce.IOC)

    assert ["1 partly filled 1 @ 101", "1 cancelled ioc_remainder"] == venue.quote(
        99.0, 101.0, size=2.0
    )


def test_trades_drive_orders_too(perpetual: Venue) -> None:
    """A market order fills at the trade's price; a resting limit when one goes through it."""
    perpetual.buy("1")
    perpetual.sell("1", LIMIT, price="105")

    assert ["1 filled 1 @ 100"] == perpetual.tick(100.0)
    assert [] == perpetual.tick(105.0)
    assert ["2 filled 1 @ 105"] == perpetual.tick(106.0)


def test_a_bar_of_what_quotes_have_told_matches_nothing(venue: Venue) -> None:
    """Its low may be older than the order: the quotes have already said what happened."""
    venue.quote(99.0, 101.0)
    venue.buy("1", LIMIT, price="100")

    assert [] == venue.bar(101.0, 102.0, 90.0, 101.0)
    assert ["1 filled 1 @ 99"] == venue.tick(99.0)


def test_quotes_of_another_symbol_leave_bars_alone(venue: Venue) -> None:
    """Each symbol is driven by its own kind of data."""
    venue.quote(99.0, 101.0)
    venue.buy("1", symbol="ETH/USDT")

    assert ["1 filled 1 @ 50"] == venue.bar(50.0, 50.0, 50.0, 50.0, symbol="ETH/USDT")


def test_a_quote_without_orders_only_sets_the_price(venue: Venue) -> None:
    """Nothing to match brings no report."""
    assert [] == venue.quote(99.0, 101.0)
    assert [] == venue.tick(100.0)


def test_the_mark_of_a_quote_is_its_middle() -> None:
    """Positions elsewhere are valued between bid and ask; unknown stays unknown."""
    prices = LastPrices()
    prices.note_print("BTC/USDT", 99.0, 102.0, 0)

    assert 100.5 == prices.mark("BTC/USDT")
    assert prices.mark("ETH/USDT") is None
