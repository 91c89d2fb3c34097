"""Terms of an order: IOC, FOK, post-only, day, expiry, and the share of volume."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from brokers.matching.fills import Volume
from messages import OrderEvent, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

MINUTE = 60_000
DAY = 86_400_000
LIMIT = OrderType.LIMIT
STOP = OrderType.STOP
IOC = TimeInForce.IOC
FOK = TimeInForce.FOK
HALF = Decimal("0.5")


# -- participation


def test_a_large_order_fills_over_several_bars(make_venue: VenueMaker) -> None:
    """No bar gives more than its share; the rest waits for the next."""
    venue = make_venue(participation=Decimal("0.1"))
    venue.buy("25")

    assert ["1 partly filled 10 @ 100"] == venue.flat_bar(100.0, volume=100.0)
    assert ["1 partly filled 0.5 @ 101"] == venue.flat_bar(101.0, volume=5.0)
    assert [] == venue.flat_bar(102.0, volume=0.0)
    assert ["1 filled 14.5 @ 103"] == venue.flat_bar(103.0, volume=1_000.0)


def test_the_orders_of_a_symbol_share_one_volume(make_venue: VenueMaker) -> None:
    """First come, first served; what is left goes to the next in time."""
    venue = make_venue(participation=HALF)
    venue.buy("3")
    venue.buy("3")
    venue.buy("3")

    assert ["1 filled 3 @ 100", "2 partly filled 2 @ 100"] == venue.flat_bar(100.0, volume=10.0)
    assert ["2 filled 1 @ 101", "3 filled 3 @ 101"] == venue.flat_bar(101.0, volume=10.0)


def test_an_order_of_exactly_the_share_fills_whole(make_venue: VenueMaker) -> None:
    """The share is inclusive, and exact: 0.1 of 0.3 is 0.03."""
    venue = make_venue(participation=Decimal("0.1"))
    venue.buy("0.03")

    assert ["1 filled 0.03 @ 100"] == venue.flat_bar(100.0, volume=0.3)


def test_a_participation_of_one_is_no_limit(venue: Venue) -> None:
    """Not even of a bar that traded nothing."""
    venue.buy("5")

    assert ["1 filled 5 @ 100"] == venue.flat_bar(100.0, volume=0.0)


def test_a_part_is_whole_lots(make_venue: VenueMaker) -> None:
    """A partial fill is rounded down to the lot step; less than a lot is nothing."""
    venue = make_venue(participation=HALF, rules={"lot_step": Decimal("0.2")})
    venue.buy("2")

    assert [] == venue.flat_bar(100.0, volume=0.38)
    assert ["1 partly filled 0.6 @ 101"] == venue.flat_bar(101.0, volume=1.5)
    assert ["1 filled 1.4 @ 102"] == venue.flat_bar(102.0, volume=2.8)


def test_a_limit_fills_over_several_bars_too(make_venue: VenueMaker) -> None:
    """Each bar that goes through the limit gives its share."""
    venue = make_venue(participation=HALF)
    venue.buy("3", LIMIT, price="100")

    assert ["1 partly filled 2 @ 100"] == venue.bar(101.0, 101.0, 99.0, 101.0, volume=4.0)
    assert [] == venue.bar(101.0, 101.0, 100.0, 101.0, volume=4.0)
    assert ["1 filled 1 @ 98"] == venue.bar(98.0, 98.0, 98.0, 98.0, volume=4.0)


def test_the_whole_of_what_is_left_needs_no_whole_lots() -> None:
    """Only a part is rounded to lots: an order that takes all there is takes all of it."""
    volume = Volume(Decimal(2), HALF)

    assert Decimal(1) == volume.offer(Decimal(1), Decimal("0.3"))
    assert Decimal("0.9") == volume.offer(Decimal("1.1"), Decimal("0.3"))


# -- immediate or cancel


def test_an_ioc_market_order_fills_what_is_there(make_venue: VenueMaker) -> None:
    """The rest is cancelled in the same bar."""
    venue = make_venue(participation=HALF)
    venue.buy("3", time_in_force=IOC)

    assert ["1 partly filled 2 @ 100", "1 cancelled ioc_remainder"] == venue.flat_bar(
        100.0, volume=4.0
    )


def test_an_ioc_order_without_volume_is_cancelled_whole(make_venue: VenueMaker) -> None:
    """Nothing fills, nothing waits."""
    venue = make_venue(participation=HALF)
    venue.buy("3", time_in_force=IOC)

    assert ["1 cancelled ioc_remainder"] == venue.flat_bar(100.0, volume=0.0)


def test_an_ioc_limit_is_decided_at_the_first_open(venue: Venue) -> None:
    """What the bar does after its open comes too late."""
    venue.buy("1", LIMIT, price="100", time_in_force=IOC)
    assert ["1 cancelled ioc_remainder"] == venue.bar(101.0, 102.0, 90.0, 101.0)

    venue.buy("1", LIMIT, price="100", time_in_force=IOC)
    assert ["2 cancelled ioc_remainder"] == venue.bar(100.0, 102.0, 90.0, 101.0)

    venue.buy("1", LIMIT, price="100", time_in_force=IOC)
    assert ["3 filled 1 @ 99.5"] == venue.bar(99.5, 102.0, 90.0, 101.0)


def test_an_ioc_stop_waits_for_its_trigger(make_venue: VenueMaker) -> None:
    """Immediate means: once it is woken."""
    venue = make_venue("BTC/USDT:USDT", participation=HALF)
    venue.sell("3", STOP, stop="90", time_in_force=IOC)

    assert [] == venue.flat_bar(100.0)
    assert ["1 partly filled 1 @ 90", "1 cancelled ioc_remainder"] == venue.bar(
        100.0, 101.0, 89.0, 90.0, volume=2.0
    )


# -- fill or kill


def test_a_fok_order_fills_whole(make_venue: VenueMaker) -> None:
    """Exactly what is there is enough."""
    venue = make_venue(participation=HALF)
    venue.buy("2", time_in_force=FOK)

    assert ["1 filled 2 @ 100"] == venue.flat_bar(100.0, volume=4.0)


def test_a_fok_order_fills_not_at_all_if_not_whole(make_venue: VenueMaker) -> None:
    """A little less than whole is nothing, and leaves the volume to others."""
    venue = make_venue(participation=HALF)
    venue.buy("2", time_in_force=FOK)
    venue.buy("1")

    assert ["1 cancelled fok_unfillable", "2 filled 1 @ 100"] == venue.flat_bar(100.0, volume=3.99)


def test_a_fok_limit_is_decided_at_the_first_open(venue: Venue) -> None:
    """A bar that goes through it later comes too late."""
    venue.buy("1", LIMIT, price="100", time_in_force=FOK)

    assert ["1 cancelled fok_unfillable"] == venue.bar(101.0, 102.0, 90.0, 101.0)


def test_a_fok_order_that_reduces_less_than_it_asked_is_not_whole(venue: Venue) -> None:
    """Clipped to the position it would fill in part: nothing instead."""
    venue.hold("1")
    venue.sell("2", time_in_force=FOK, reduce_only=True)

    assert ["2 cancelled fok_unfillable"] == venue.flat_bar(100.0)
    assert Decimal(1) == venue.position()


# -- post only


@pytest.mark.parametrize(
    ("side", "open_", "ends"),
    [
        (Side.BUY, 99.0, True),
        (Side.BUY, 100.0, True),
        (Side.BUY, 100.01, False),
        (Side.SELL, 101.0, True),
        (Side.SELL, 100.0, True),
        (Side.SELL, 99.99, False),
    ],
)
def test_a_post_only_order_that_would_take_is_cancelled(
    perpetual: Venue, side: Side, open_: float, *, ends: bool
) -> None:
    """At or past the first open it would take; otherwise it rests and makes."""
    perpetual.place(side, "1", LIMIT, price="100", post_only=True)
    expected = ["1 cancelled post_only_would_take"] if ends else ["1 filled 1 @ 100"]

    assert expected == perpetual.bar(open_, 102.0, 98.0, 100.0)


def test_a_post_only_order_is_rejected_at_the_last_known_price(venue: Venue) -> None:
    """The close just seen is the market that the order arrives at."""
    venue.hold("1")

    assert "2 rejected post_only_would_take" == venue.place(
        Side.BUY, "1", LIMIT, price="100", post_only=True
    )
    assert "3 accepted" == venue.place(Side.BUY, "1", LIMIT, price="99.99", post_only=True)
    assert "4 rejected post_only_would_take" == venue.place(
        Side.SELL, "1", LIMIT, price="99", post_only=True
    )


def test_a_price_long_past_rejects_no_post_only_order(venue: Venue) -> None:
    """Symbols without orders are not shown to the engine: an old close is no market."""
    venue.hold("1")
    venue.now += MINUTE

    assert "2 accepted" == venue.place(Side.BUY, "1", LIMIT, price="100", post_only=True)


def test_a_post_only_stop_limit_is_not_judged_by_a_price_before_its_trigger(venue: Venue) -> None:
    """It meets the market of a later time."""
    venue.hold("1")

    assert "2 accepted" == venue.place(
        Side.BUY, "1", OrderType.STOP_LIMIT, stop="105", price="104", post_only=True
    )


def test_a_post_only_stop_limit_that_wakes_at_its_limit_is_cancelled(perpetual: Venue) -> None:
    """The price that it meets is the one at which it wakes."""
    perpetual.buy("1", OrderType.STOP_LIMIT, stop="105", price="105", post_only=True)

    assert ["1 cancelled post_only_would_take"] == perpetual.bar(100.0, 106.0, 99.0, 100.0)


# -- day and expiry


def to_midnight(venue: Venue) -> None:
    """Move to one minute before the next UTC midnight."""
    venue.now = (venue.now // DAY + 1) * DAY - MINUTE


def test_a_day_order_lives_in_the_last_bar_of_its_day(venue: Venue) -> None:
    """The bar that ends at midnight is of the day."""
    to_midnight(venue)
    venue.buy("1", LIMIT, price="100", time_in_force=TimeInForce.DAY)

    assert ["1 filled 1 @ 100"] == venue.bar(101.0, 101.0, 99.0, 100.0)


def test_a_day_order_ends_at_midnight(venue: Venue) -> None:
    """The bar that opens at midnight does not meet it; the end is dated midnight."""
    to_midnight(venue)
    midnight = venue.now + MINUTE
    venue.buy("1", LIMIT, price="100", time_in_force=TimeInForce.DAY)
    venue.flat_bar(101.0)

    assert ["1 expired day_ended"] == venue.bar(99.0, 99.0, 99.0, 99.0)
    assert midnight == venue.reports[-1].timestamp


def test_a_day_order_of_midnight_has_the_whole_day(venue: Venue) -> None:
    """What is placed at the last close of a day is an order of the next."""
    to_midnight(venue)
    venue.flat_bar(101.0)
    venue.buy("1", LIMIT, price="100", time_in_force=TimeInForce.DAY)

    assert venue.now + DAY == venue.engine.next_end()
    assert ["1 filled 1 @ 99"] == venue.flat_bar(99.0)


def test_time_alone_ends_a_day_order(venue: Venue) -> None:
    """No bar is needed, and a moment before midnight is not midnight."""
    venue.buy("1", LIMIT, price="100", time_in_force=TimeInForce.DAY)
    venue.buy("1", LIMIT, price="100")
    midnight = venue.engine.next_end()
    assert midnight is not None

    assert [] == venue.engine.on_time(midnight - 1)
    (report,) = venue.engine.on_time(midnight)
    assert ("1", OrderEvent.EXPIRED) == (report.client_order_id, report.event)
    assert venue.engine.next_end() is None
    assert ["2"] == [order.client_order_id for order in venue.engine.open_orders()]


def test_an_order_ends_at_its_own_expiry(venue: Venue) -> None:
    """It meets every bar that opens before, and none that opens then or later."""
    venue.buy("1", LIMIT, price="100", expire_at=venue.now + MINUTE)
    venue.buy("1", LIMIT, price="99", expire_at=venue.now + 1)

    assert ["2 filled 1 @ 99", "1 filled 1 @ 100"][::-1] == venue.bar(101.0, 101.0, 98.0, 100.0)
    venue.buy("1", LIMIT, price="100", expire_at=venue.now + MINUTE)
    venue.flat_bar(101.0)
    assert ["3 expired order_expired"] == venue.flat_bar(99.0)


def test_the_earlier_of_day_and_expiry_ends_an_order(venue: Venue) -> None:
    """A day order with its own expiry has two ends; the first one counts."""
    venue.buy("1", LIMIT, price="100", time_in_force=TimeInForce.DAY, expire_at=venue.now + 5 * DAY)
    midnight = (venue.now // DAY + 1) * DAY

    assert midnight == venue.engine.next_end()
    (report,) = venue.engine.on_time(midnight)
    assert report.cause is not None
    assert "day_ended" == report.cause.code.value


# -- cancels


def test_a_cancel_ends_an_order_at_once(venue: Venue) -> None:
    """The report is the answer; the next bar finds nothing."""
    venue.buy("1")
    (report,) = venue.engine.cancel("1", venue.now)

    assert report.event is OrderEvent.CANCELLED
    assert report.cause is not None
    assert "cancel_requested" == report.cause.code.value
    assert [] == venue.flat_bar(100.0)


def test_a_cancel_of_what_is_not_live_brings_nothing(venue: Venue) -> None:
    """Unknown, filled and cancelled orders alike."""
    venue.buy("1")
    venue.flat_bar(100.0)

    assert [] == venue.engine.cancel("1", venue.now)
    assert [] == venue.engine.cancel("nobody's", venue.now)


def test_all_orders_are_cancelled_oldest_first(venue: Venue) -> None:
    """Of one symbol, or of all."""
    venue.buy("1")
    venue.buy("1", symbol="ETH/USDT")
    venue.buy("1")

    assert ["1", "3"] == [
        report.client_order_id for report in venue.engine.cancel_all(venue.now, "BTC/USDT")
    ]
    assert ["2"] == [report.client_order_id for report in venue.engine.cancel_all(venue.now)]
    assert {} == venue.engine.working
