"""Limit orders: how far the price must go, what they get, and which fee they pay."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from messages import Liquidity, OrderType, Side

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

LIMIT = OrderType.LIMIT


def test_a_buy_limit_fills_when_the_low_is_below_it(venue: Venue) -> None:
    """The price went through the limit: filled at the limit, as maker."""
    venue.buy("1", LIMIT, price="100")

    assert ["1 filled 1 @ 100"] == venue.bar(101.0, 102.0, 99.99, 101.0)
    assert Liquidity.MAKER is venue.fill.liquidity


def test_a_buy_limit_that_is_only_touched_does_not_fill(venue: Venue) -> None:
    """A low equal to the limit is not below it."""
    venue.buy("1", LIMIT, price="100")

    assert [] == venue.bar(101.0, 102.0, 100.0, 101.0)


def test_a_sell_limit_fills_when_the_high_is_above_it(perpetual: Venue) -> None:
    """The mirror image of a buy."""
    perpetual.sell("1", LIMIT, price="100")

    assert [] == perpetual.bar(99.0, 100.0, 98.0, 99.0)
    assert ["1 filled 1 @ 100"] == perpetual.bar(99.0, 100.01, 98.0, 99.0)
    assert Liquidity.MAKER is perpetual.fill.liquidity


@pytest.mark.parametrize(("side", "open_"), [(Side.BUY, 95.5), (Side.SELL, 104.5)])
def test_a_resting_limit_that_the_open_jumps_over_fills_at_the_open(
    perpetual: Venue, side: Side, open_: float
) -> None:
    """The open past the limit is the first price there is; the order made, it did not take."""
    price = "100"
    perpetual.place(side, "1", LIMIT, price=price)
    away = 101.0 if side is Side.BUY else 99.0
    perpetual.flat_bar(away)

    assert [f"1 filled 1 @ {open_}"] == perpetual.flat_bar(open_)
    assert Liquidity.MAKER is perpetual.fill.liquidity


def test_a_limit_at_the_open_and_never_below_does_not_fill(venue: Venue) -> None:
    """An open equal to the limit is not past it."""
    venue.buy("1", LIMIT, price="100")
    venue.flat_bar(101.0)

    assert [] == venue.bar(100.0, 103.0, 100.0, 102.0)


def test_a_limit_past_the_first_open_takes(venue: Venue) -> None:
    """What is marketable when it arrives fills at that open and pays the taker's fee."""
    venue.buy("1", LIMIT, price="105")

    assert ["1 filled 1 @ 101"] == venue.bar(101.0, 102.0, 99.0, 101.0)
    assert Liquidity.TAKER is venue.fill.liquidity


def test_a_limit_at_the_first_open_that_is_then_passed_takes(venue: Venue) -> None:
    """At arrival a limit equal to the market would take: it pays as a taker."""
    venue.buy("1", LIMIT, price="100")

    assert ["1 filled 1 @ 100"] == venue.bar(100.0, 102.0, 99.0, 101.0)
    assert Liquidity.TAKER is venue.fill.liquidity


def test_a_limit_that_has_met_one_open_makes_ever_after(venue: Venue) -> None:
    """Only the first price that a limit meets can be taken by it."""
    venue.buy("1", LIMIT, price="100")
    venue.bar(100.0, 102.0, 100.0, 101.0)

    assert ["1 filled 1 @ 100"] == venue.bar(100.0, 102.0, 99.0, 101.0)
    assert Liquidity.MAKER is venue.fill.liquidity


def test_slippage_never_touches_a_limit(make_venue: VenueMaker) -> None:
    """A limit fills at its price, or at an open that is better, taken or made."""
    venue = make_venue(slippage_bps=Decimal(500))
    venue.buy("1", LIMIT, price="105")
    venue.buy("1", LIMIT, price="99")

    assert ["1 filled 1 @ 101", "2 filled 1 @ 99"] == venue.bar(101.0, 102.0, 98.0, 101.0)


def test_a_limit_is_compared_as_a_decimal(venue: Venue) -> None:
    """0.3 is not below 0.1 + 0.2, and the float nearest to both prices decides nothing."""
    venue.buy("1", LIMIT, price="0.30000000000000001")

    # 0.3 and the limit have the same nearest float, and 0.3 is below the limit.
    assert ["1 filled 1 @ 0.30000000000000001"] == venue.bar(0.5, 0.6, 0.3, 0.5)


def test_a_limit_just_under_the_low_waits(venue: Venue) -> None:
    """The same tie of floats, on the other side of the low."""
    venue.buy("1", LIMIT, price="0.29999999999999999")

    assert [] == venue.bar(0.5, 0.6, 0.3, 0.5)


def test_limits_fill_in_price_priority_at_their_own_prices(venue: Venue) -> None:
    """A price that reaches the lower buy has gone through the higher one; equals go by arrival."""
    venue.buy("1", LIMIT, price="99")
    venue.buy("1", LIMIT, price="100")
    venue.buy("1", LIMIT, price="100")

    assert [
        "2 filled 1 @ 100",
        "3 filled 1 @ 100",
        "1 filled 1 @ 99",
    ] == venue.bar(101.0, 102.0, 98.0, 101.0)


def test_the_better_price_gets_what_a_bar_has_to_offer(make_venue: VenueMaker) -> None:
    """Where volume is short the nearer limit has it, however late it came."""
    venue = make_venue(participation=Decimal("0.1"))
    venue.hold("4")
    venue.sell("2", LIMIT, price="103", reduce_only=True)
    venue.sell("2", LIMIT, price="102", reduce_only=True)

    assert ["3 filled 2 @ 102", "2 partly filled 1 @ 103"] == venue.bar(
        101.0, 104.0, 101.0, 103.5, volume=30.0
    )


def test_what_only_closes_comes_before_what_opens(venue: Venue) -> None:
    """Whether a bar was at its high or at its low first nobody knows: what needs nothing goes."""
    venue.hold("1")
    venue.buy("1", LIMIT, price="99")
    venue.sell("1", LIMIT, price="103", reduce_only=True)

    assert ["3 filled 1 @ 103", "2 filled 1 @ 99"] == venue.bar(101.0, 104.0, 98.0, 101.0)
