"""Positions: one net book or long and short apart, and what reducing may do."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from messages import OrderType, PositionMode, PositionSide, Side

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

PERPETUAL = "BTC/USDT:USDT"
BOTH, LONG, SHORT = PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT
HEDGE = PositionMode.HEDGE
LIMIT = OrderType.LIMIT


def test_one_net_book_adds_up_buys_and_sells(perpetual: Venue) -> None:
    """In one-way mode a sale beyond the position turns it round, at the price of the sale."""
    perpetual.hold("2", 100.0)
    perpetual.hold("1", 130.0)
    (held,) = perpetual.engine.positions()

    assert (Decimal(3), Decimal(110)) == (held.quantity, held.average_price)
    perpetual.hold("-5", 120.0)
    (held,) = perpetual.engine.positions()
    assert (BOTH, Decimal(-2), Decimal(120)) == (
        held.position_side,
        held.quantity,
        held.average_price,
    )
    assert Decimal(30) == perpetual.engine.balance().realized_pnl


def test_hedge_books_stand_apart(make_venue: VenueMaker) -> None:
    """A long and a short of one symbol are two positions, each with its own price."""
    venue = make_venue(PERPETUAL, mode=HEDGE)
    venue.hold("2", 100.0, position_side=LONG)
    venue.hold("-1", 110.0, position_side=SHORT)

    assert [(LONG, Decimal(2), Decimal(100)), (SHORT, Decimal(-1), Decimal(110))] == [
        (held.position_side, held.quantity, held.average_price) for held in venue.engine.positions()
    ]


def test_a_hedge_book_is_reduced_by_the_other_side(make_venue: VenueMaker) -> None:
    """A sale on the long book closes it and leaves the short book alone."""
    venue = make_venue(PERPETUAL, mode=HEDGE)
    venue.hold("2", 100.0, position_side=LONG)
    venue.hold("-1", 110.0, position_side=SHORT)
    venue.hold("-2", 120.0, position_side=LONG)

    assert Decimal(0) == venue.position(LONG)
    assert Decimal(-1) == venue.position(SHORT)


def test_a_hedge_book_never_turns_round(make_venue: VenueMaker) -> None:
    """A sale of more than the long book holds fills what it holds, flag or no flag."""
    venue = make_venue(PERPETUAL, mode=HEDGE)
    venue.hold("2", 100.0, position_side=LONG)
    venue.sell("3", position_side=LONG)

    assert ["2 partly filled 2 @ 100", "2 cancelled venue_reduce_only"] == venue.flat_bar(100.0)
    assert Decimal(0) == venue.position(LONG)


@pytest.mark.parametrize(
    ("mode", "position_side", "side", "reduce_only"),
    [
        (PositionMode.ONE_WAY, LONG, Side.BUY, False),
        (PositionMode.ONE_WAY, SHORT, Side.SELL, False),
        (HEDGE, BOTH, Side.BUY, False),
        (HEDGE, LONG, Side.BUY, True),
        (HEDGE, SHORT, Side.SELL, True),
    ],
)
def test_a_book_that_the_mode_does_not_have_is_refused(
    make_venue: VenueMaker,
    mode: PositionMode,
    position_side: PositionSide,
    side: Side,
    *,
    reduce_only: bool,
) -> None:
    """One-way has one book, hedge has two, and adding is not reducing."""
    venue = make_venue(PERPETUAL, mode=mode)

    assert "1 rejected position_side_mismatch" == venue.place(
        side, "1", position_side=position_side, reduce_only=reduce_only
    )


def test_spot_has_one_book_in_hedge_mode_too(make_venue: VenueMaker) -> None:
    """What is held outright has no sides."""
    venue = make_venue(mode=HEDGE)

    assert "1 rejected position_side_mismatch" == venue.place(Side.BUY, "1", position_side=LONG)
    assert "2 accepted" == venue.place(Side.BUY, "1")


@pytest.mark.parametrize("held", ["0", "1", "-1"])
def test_reduce_only_with_nothing_to_reduce_is_rejected(perpetual: Venue, held: str) -> None:
    """Flat, or with a position that the order would add to."""
    if held != "0":
        perpetual.hold(held)
    side = Side.BUY if held == "1" else Side.SELL

    assert perpetual.place(side, "1", reduce_only=True).endswith("rejected venue_reduce_only")


def test_a_hedge_book_with_nothing_to_close_rejects_what_closes(make_venue: VenueMaker) -> None:
    """A buy on an empty short book would open nothing that exists."""
    venue = make_venue(PERPETUAL, mode=HEDGE)
    venue.hold("1", position_side=LONG)

    assert "2 rejected venue_reduce_only" == venue.place(Side.BUY, "1", position_side=SHORT)


@pytest.mark.parametrize(("held", "side"), [("2", Side.SELL), ("-2", Side.BUY)])
def test_reduce_only_is_clipped_to_what_is_left(perpetual: Venue, held: str, side: Side) -> None:
    """It fills what there is to reduce at execution, never more; the rest is cancelled."""
    perpetual.hold(held)
    perpetual.place(side, "5", reduce_only=True)

    assert ["2 partly filled 2 @ 100", "2 cancelled venue_reduce_only"] == perpetual.flat_bar(100.0)
    assert Decimal(0) == perpetual.position()


def test_two_closes_of_one_position_close_it_once(perpetual: Venue) -> None:
    """The second finds nothing: it neither opens nor flips."""
    perpetual.hold("1")
    perpetual.sell("1", reduce_only=True)
    perpetual.sell("1", reduce_only=True)

    assert ["2 filled 1 @ 100", "3 cancelled venue_reduce_only"] == perpetual.flat_bar(100.0)


def test_a_resting_close_that_is_not_reached_keeps_resting(perpetual: Venue) -> None:
    """What is left to reduce is judged at execution: a position may come back by then."""
    perpetual.hold("1")
    perpetual.sell("1", LIMIT, price="110", reduce_only=True)
    perpetual.hold("-1")
    perpetual.hold("1", 105.0)

    assert ["2 filled 1 @ 110"] == perpetual.bar(109.0, 111.0, 108.0, 109.0)


def test_reduce_only_over_several_bars_is_clipped_in_each(make_venue: VenueMaker) -> None:
    """Another order may take of the position between two partial fills."""
    venue = make_venue(PERPETUAL, participation=Decimal("0.5"))
    venue.hold("4")
    venue.sell("2", OrderType.STOP, stop="95")
    venue.sell("4", LIMIT, price="101", reduce_only=True)

    assert ["3 partly filled 1 @ 101"] == venue.bar(100.0, 102.0, 99.0, 100.0, volume=2.0)
    assert [
        "2 filled 2 @ 95",
        "3 partly filled 1 @ 101",
        "3 cancelled venue_reduce_only",
    ] == venue.bar(100.0, 102.0, 94.0, 100.0)
    assert Decimal(0) == venue.position()
