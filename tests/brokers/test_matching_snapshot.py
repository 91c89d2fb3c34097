"""A restart loses no resting order, no position, no count."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from messages import OrderType, PositionMode, PositionSide, TimeInForce

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

PERPETUAL = "BTC/USDT:USDT"
T = OrderType


def busy_venue(make_venue: VenueMaker) -> Venue:
    """Return a venue with every kind of order in some state of its life."""
    venue = make_venue(PERPETUAL, participation=Decimal("0.5"), fee_bps="2.5")
    venue.hold("3", 100.0)
    venue.buy("5")
    venue.sell("1", T.LIMIT, price="120", post_only=True)
    venue.sell("1", T.STOP, stop="80", reduce_only=True)
    venue.sell("1", T.STOP_LIMIT, stop="99", price="99.5")
    venue.sell("1", T.TAKE_PROFIT, stop="130")
    venue.sell("1", T.TRAILING_STOP, trail_bps="1500")
    venue.sell("1", T.LIMIT, price="140", time_in_force=TimeInForce.DAY)
    venue.bar(100.0, 105.0, 98.0, 99.0, volume=4.0)
    return venue


def test_a_restored_engine_goes_on_as_if_nothing_had_happened(make_venue: VenueMaker) -> None:
    """Through JSON and back, all that follows is the same, ids included."""
    venue = busy_venue(make_venue)
    again = make_venue(PERPETUAL, participation=Decimal("0.5"), fee_bps="2.5")
    again.engine.restore(json.loads(json.dumps(venue.engine.snapshot())))
    again.now, again.placed = venue.now, venue.placed
    venue.reports.clear()
    for one in (venue, again):
        one.bar(99.0, 125.0, 97.0, 100.0, volume=6.0)
        one.bar(100.0, 131.0, 79.0, 90.0, volume=8.0)
        one.buy("1")
        one.bar(90.0, 91.0, 70.0, 75.0)

    assert venue.reports == again.reports
    assert venue.engine.snapshot() == again.engine.snapshot()
    assert any(report.fill is not None for report in again.reports)


def test_a_book_that_became_flat_is_restored_to_the_letter(make_venue: VenueMaker) -> None:
    """A zero that remembered its decimals would print otherwise after a restart."""
    venue = make_venue(PERPETUAL)
    venue.hold("1.50")
    venue.hold("-1.5")
    again = make_venue(PERPETUAL)
    again.engine.restore(venue.engine.snapshot())
    again.now, again.placed = venue.now, venue.placed
    for one in (venue, again):
        one.hold("2")
        one.sell("2", reduce_only=True)
        one.sell("2", reduce_only=True)
        one.flat_bar(100.0)

    assert venue.reports[-1].cause == again.reports[-1].cause
    assert json.dumps(venue.engine.snapshot()) == json.dumps(again.engine.snapshot())


def test_a_snapshot_of_an_engine_says_the_same_twice(make_venue: VenueMaker) -> None:
    """Taking it changes nothing, and it is plain JSON."""
    venue = busy_venue(make_venue)
    first = json.dumps(venue.engine.snapshot())

    assert first == json.dumps(venue.engine.snapshot())


def test_a_restored_engine_keeps_the_mapping_that_callers_hold(make_venue: VenueMaker) -> None:
    """Resting orders appear in the very object that was there before."""
    venue = busy_venue(make_venue)
    again = make_venue(PERPETUAL)
    working = again.engine.working
    again.engine.restore(venue.engine.snapshot())

    assert list(venue.engine.working[PERPETUAL]) == list(working[PERPETUAL])


def test_a_finished_id_is_known_after_a_restart(make_venue: VenueMaker) -> None:
    """Nothing is submitted twice across a restart either."""
    venue = busy_venue(make_venue)
    again = make_venue(PERPETUAL)
    again.engine.restore(venue.engine.snapshot())
    again.placed = 0

    assert "1 rejected duplicate_client_order_id" == again.place(
        venue.fill.side, "1", client_order_id="1"
    )


def test_a_snapshot_in_another_currency_is_refused(make_venue: VenueMaker) -> None:
    """Money of one currency is not taken for another's."""
    state = make_venue().engine.snapshot()
    state["account"]["currency"] = "EUR"

    with pytest.raises(ValueError, match="in EUR, the account in USDT"):
        make_venue().engine.restore(state)


def test_a_snapshot_of_another_position_mode_is_refused(make_venue: VenueMaker) -> None:
    """A net position has no place among long and short books."""
    venue = make_venue(PERPETUAL)
    venue.hold("1")
    hedged = make_venue(PERPETUAL, mode=PositionMode.HEDGE)

    with pytest.raises(ValueError, match=r"BTC/USDT:USDT \(both\), which is no book here"):
        hedged.engine.restore(venue.engine.snapshot())


def test_a_resting_order_of_an_unlisted_symbol_is_refused(make_venue: VenueMaker) -> None:
    """An order that could never be matched again is not silently kept."""
    venue = make_venue(PERPETUAL, mode=PositionMode.HEDGE)
    venue.buy("1", position_side=PositionSide.LONG)

    with pytest.raises(ValueError, match=r"live order in BTC/USDT:USDT \(long\)"):
        make_venue().engine.restore(venue.engine.snapshot())


def test_a_resting_order_of_no_book_is_refused(make_venue: VenueMaker) -> None:
    """The symbol is listed, but an account with one net book has no long one."""
    venue = make_venue(PERPETUAL, mode=PositionMode.HEDGE)
    venue.buy("1", position_side=PositionSide.LONG)

    with pytest.raises(ValueError, match=r"live order in BTC/USDT:USDT \(long\)"):
        make_venue(PERPETUAL).engine.restore(venue.engine.snapshot())
