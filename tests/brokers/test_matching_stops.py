"""Stops, targets and trailing stops: what wakes them, and where they fill."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from messages import Liquidity, OrderType, Side

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
STOP = OrderType.STOP
STOP_LIMIT = OrderType.STOP_LIMIT
TARGET = OrderType.TAKE_PROFIT
TARGET_LIMIT = OrderType.TAKE_PROFIT_LIMIT
TRAILING = OrderType.TRAILING_STOP


# -- stop


@pytest.mark.parametrize(
    ("side", "reached", "missed"),
    [
        (Side.BUY, (100.0, 105.0, 99.0, 100.0), (100.0, 104.99, 99.0, 100.0)),
        (Side.SELL, (110.0, 111.0, 105.0, 110.0), (110.0, 111.0, 105.01, 110.0)),
    ],
)
def test_a_stop_is_touched_by_equality(
    perpetual: Venue,
    side: Side,
    reached: tuple[float, float, float, float],
    missed: tuple[float, float, float, float],
) -> None:
    """A buy stop wakes at high >= stop, a sell stop at low <= stop, and fills there, taking."""
    perpetual.place(side, "1", STOP, stop="105")

    assert [] == perpetual.bar(*missed)
    assert ["1 filled 1 @ 105"] == perpetual.bar(*reached)
    assert Liquidity.TAKER is perpetual.fill.liquidity


@pytest.mark.parametrize(("side", "open_"), [(Side.BUY, 107.5), (Side.SELL, 102.5)])
def test_a_stop_that_the_open_jumps_over_fills_at_the_open(
    perpetual: Venue, side: Side, open_: float
) -> None:
    """There was no trade at the stop: the open past it is the first price there is."""
    perpetual.place(side, "1", STOP, stop="105")

    assert [f"1 filled 1 @ {open_}"] == perpetual.bar(open_, open_ + 3, open_ - 3, open_)


def test_a_stop_slips(make_venue: VenueMaker) -> None:
    """What a stop becomes is a market order: slippage moves its price against it."""
    venue = make_venue("BTC/USDT:USDT", slippage_bps=Decimal(100))
    venue.sell("1", STOP, stop="100")

    assert ["1 filled 1 @ 99"] == venue.bar(101.0, 102.0, 99.5, 101.0)


def test_where_a_bar_could_fill_a_stop_and_a_limit_the_stop_is_taken(venue: Venue) -> None:
    """The less fortunate reading of a bar; the limit then has nothing left to reduce."""
    venue.hold("1")
    venue.sell("1", LIMIT, price="110", reduce_only=True)
    venue.sell("1", STOP, stop="90", reduce_only=True)

    assert ["3 filled 1 @ 90", "2 cancelled venue_reduce_only"] == venue.bar(
        100.0, 111.0, 89.0, 100.0
    )


def test_the_stop_is_taken_even_if_the_open_is_past_the_limit(venue: Venue) -> None:
    """A bar that could fill both fills the stop, whatever its open."""
    venue.hold("1")
    venue.sell("1", LIMIT, price="110", reduce_only=True)
    venue.sell("1", STOP, stop="90", reduce_only=True)

    assert ["3 filled 1 @ 90", "2 cancelled venue_reduce_only"] == venue.bar(
        115.0, 116.0, 89.0, 100.0
    )


def test_the_stop_is_taken_before_a_target(venue: Venue) -> None:
    """A take-profit is on the fortunate side, like a limit."""
    venue.hold("1")
    venue.sell("1", TARGET, stop="110", reduce_only=True)
    venue.sell("1", STOP, stop="90", reduce_only=True)

    assert ["3 filled 1 @ 90", "2 cancelled venue_reduce_only"] == venue.bar(
        100.0, 111.0, 89.0, 100.0
    )


def test_a_market_order_comes_before_a_stop_within_the_bar(venue: Venue) -> None:
    """The open is the first price of a bar: a market order fills there whatever follows."""
    venue.hold("1")
    venue.sell("1", STOP, stop="90", reduce_only=True)
    venue.sell("1", MARKET, reduce_only=True)

    assert ["3 filled 1 @ 100", "2 cancelled venue_reduce_only"] == venue.bar(
        100.0, 111.0, 89.0, 100.0
    )


@pytest.mark.parametrize("open_", [88.0, 90.0])
def test_a_stop_that_the_open_reaches_keeps_its_place_in_time(venue: Venue, open_: float) -> None:
    """Both happen at the open: the older order goes first."""
    venue.hold("1")
    venue.sell("1", STOP, stop="90", reduce_only=True)
    venue.sell("1", MARKET, reduce_only=True)

    assert ["2 filled 1 @ 88", "3 cancelled venue_reduce_only"] == venue.bar(88.0, 89.0, 87.0, 88.0)


def test_a_stop_that_was_reached_and_not_filled_whole_goes_on_at_the_open(
    make_venue: VenueMaker,
) -> None:
    """Once woken a stop is a market order: the rest needs no second touch."""
    venue = make_venue("BTC/USDT:USDT", participation=Decimal("0.5"))
    venue.sell("5", STOP, stop="90")

    assert ["1 partly filled 2 @ 90"] == venue.bar(100.0, 101.0, 89.0, 95.0, volume=4.0)
    assert ["1 filled 3 @ 97"] == venue.bar(97.0, 98.0, 96.0, 97.0, volume=6.0)


# -- take profit


@pytest.mark.parametrize(
    ("side", "bar", "expected"),
    [
        (Side.SELL, (100.0, 110.0, 99.0, 105.0), ["1 filled 1 @ 110"]),
        (Side.SELL, (100.0, 109.99, 99.0, 105.0), []),
        (Side.SELL, (112.0, 113.0, 99.0, 105.0), ["1 filled 1 @ 112"]),
        (Side.BUY, (115.0, 116.0, 110.0, 115.0), ["1 filled 1 @ 110"]),
        (Side.BUY, (115.0, 116.0, 110.01, 115.0), []),
        (Side.BUY, (108.0, 116.0, 107.0, 115.0), ["1 filled 1 @ 108"]),
    ],
)
def test_a_take_profit_is_touched_from_the_other_side(
    perpetual: Venue, side: Side, bar: tuple[float, float, float, float], expected: list[str]
) -> None:
    """A sale wakes at high >= target, a buy at low <= target; at the open where that is past it."""
    perpetual.place(side, "1", TARGET, stop="110")

    assert expected == perpetual.bar(*bar)


def test_a_take_profit_slips_and_takes(make_venue: VenueMaker) -> None:
    """It becomes a market order."""
    venue = make_venue("BTC/USDT:USDT", slippage_bps=Decimal(100))
    venue.sell("1", TARGET, stop="100")

    assert ["1 filled 1 @ 99"] == venue.bar(95.0, 101.0, 94.0, 95.0)
    assert Liquidity.TAKER is venue.fill.liquidity


# -- stop limit and take-profit limit


def test_a_stop_limit_better_than_where_it_wakes_fills_there(perpetual: Venue) -> None:
    """Woken within the bar at its stop, which is better than its limit: it takes the stop."""
    perpetual.buy("1", STOP_LIMIT, stop="105", price="106")

    assert ["1 filled 1 @ 105"] == perpetual.bar(100.0, 110.0, 99.0, 110.0)
    assert Liquidity.TAKER is perpetual.fill.liquidity


def test_a_stop_limit_never_slips(make_venue: VenueMaker) -> None:
    """Its limit holds; so does the price at which it woke."""
    venue = make_venue("BTC/USDT:USDT", slippage_bps=Decimal(200))
    venue.buy("1", STOP_LIMIT, stop="105", price="106")

    assert ["1 filled 1 @ 105"] == venue.bar(100.0, 110.0, 99.0, 110.0)


def test_a_stop_limit_woken_within_a_bar_may_not_use_its_low(perpetual: Venue) -> None:
    """The low may have come before the stop: only the close is known to have come after."""
    perpetual.buy("1", STOP_LIMIT, stop="105", price="104")

    assert [] == perpetual.bar(100.0, 106.0, 99.0, 104.0)
    assert ["1 filled 1 @ 104"] == perpetual.bar(104.5, 106.0, 103.0, 105.0)
    assert Liquidity.MAKER is perpetual.fill.liquidity


def test_a_stop_limit_woken_within_a_bar_fills_if_the_close_went_through(perpetual: Venue) -> None:
    """Between stop and close the price must have passed the limit."""
    perpetual.buy("1", STOP_LIMIT, stop="105", price="104")

    assert ["1 filled 1 @ 104"] == perpetual.bar(100.0, 106.0, 99.0, 103.5)


def test_a_stop_limit_woken_by_the_open_uses_the_whole_bar(perpetual: Venue) -> None:
    """All of a bar comes after its open: the order is a plain limit from there."""
    perpetual.buy("1", STOP_LIMIT, stop="105", price="106")

    assert ["1 filled 1 @ 106"] == perpetual.bar(108.0, 109.0, 105.5, 108.0)
    assert Liquidity.MAKER is perpetual.fill.liquidity


def test_a_stop_limit_whose_stop_is_the_open_is_woken_by_it(perpetual: Venue) -> None:
    """Equality at the open is at the open: the whole bar follows."""
    perpetual.buy("1", STOP_LIMIT, stop="105", price="104")

    assert ["1 filled 1 @ 104"] == perpetual.bar(105.0, 106.0, 103.5, 105.0)


def test_a_target_limit_whose_target_is_the_open_is_woken_by_it(perpetual: Venue) -> None:
    """The same from the other side."""
    perpetual.sell("1", TARGET_LIMIT, stop="105", price="106")

    assert ["1 filled 1 @ 106"] == perpetual.bar(105.0, 106.5, 104.0, 105.0)


def test_a_stop_limit_whose_limit_the_open_jumped_over_rests(perpetual: Venue) -> None:
    """The protection of a limit is also its risk: it may be left behind."""
    perpetual.sell("1", STOP_LIMIT, stop="95", price="94")

    assert [] == perpetual.bar(90.0, 93.0, 89.0, 91.0)
    assert ["1 filled 1 @ 94"] == perpetual.bar(91.0, 94.5, 90.0, 92.0)


def test_a_woken_stop_limit_needs_no_second_touch(perpetual: Venue) -> None:
    """From the bar that woke it on it is a limit order, away from its stop too."""
    perpetual.buy("1", STOP_LIMIT, stop="105", price="104")
    perpetual.bar(100.0, 105.0, 99.0, 105.0)

    assert ["1 filled 1 @ 101"] == perpetual.bar(101.0, 102.0, 100.0, 101.0)


@pytest.mark.parametrize(
    ("price", "close", "expected"),
    [
        ("109", 100.0, ["1 filled 1 @ 110"]),
        ("110", 110.0, []),
        ("110", 110.5, ["1 filled 1 @ 110"]),
        ("111", 111.0, []),
        ("111", 111.5, ["1 filled 1 @ 111"]),
    ],
)
def test_a_take_profit_limit_takes_its_trigger_or_needs_the_close_beyond(
    perpetual: Venue, price: str, close: float, expected: list[str]
) -> None:
    """The same rule from the other side: where it woke if better, else what surely followed."""
    perpetual.sell("1", TARGET_LIMIT, stop="110", price=price)

    assert expected == perpetual.bar(100.0, 115.0, 99.0, close)


# -- trailing stop


def test_a_trailing_stop_starts_behind_its_first_open(perpetual: Venue) -> None:
    """The best price since activation begins with the open that it meets first."""
    perpetual.sell("1", TRAILING, trail_bps="1000")

    assert [] == perpetual.bar(100.0, 100.0, 90.01, 95.0)
    assert ["1 filled 1 @ 90"] == perpetual.bar(95.0, 95.0, 90.0, 95.0)


def test_a_trailing_stop_does_not_use_the_high_of_its_own_bar(perpetual: Venue) -> None:
    """The high may have come after the low: within the bar the stop stays where it was."""
    perpetual.sell("1", TRAILING, trail_bps="1000")

    # Behind the high of 120 it would stand at 108, and the low of 95 would wake it.
    assert [] == perpetual.bar(100.0, 120.0, 95.0, 118.0)
    assert ["1 filled 1 @ 108"] == perpetual.bar(118.0, 118.0, 107.0, 110.0)


def test_a_trailing_stop_follows_an_open_at_once(perpetual: Venue) -> None:
    """An open is the first thing known of a bar, so the stop may stand behind it."""
    perpetual.sell("1", TRAILING, trail_bps="1000")
    perpetual.flat_bar(100.0)

    assert ["1 filled 1 @ 180"] == perpetual.bar(200.0, 210.0, 180.0, 190.0)


def test_a_trailing_stop_never_moves_back(perpetual: Venue) -> None:
    """It follows the best price only."""
    perpetual.buy("1", TRAILING, trail_bps="1000")
    perpetual.bar(100.0, 101.0, 80.0, 81.0)
    (resting,) = perpetual.engine.open_orders()

    assert Decimal(88) == resting.stop_price
    assert [] == perpetual.bar(81.0, 87.99, 81.0, 85.0)
    assert ["1 filled 1 @ 88"] == perpetual.bar(85.0, 90.0, 85.0, 85.0)


def test_a_trailing_stop_that_the_open_jumps_over_fills_at_the_open(perpetual: Venue) -> None:
    """Like any other stop."""
    perpetual.sell("1", TRAILING, trail_bps="1000")
    perpetual.flat_bar(100.0)

    assert ["1 filled 1 @ 85"] == perpetual.bar(85.0, 86.0, 84.0, 85.0)
