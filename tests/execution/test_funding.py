"""Funding: what the venue settles is what the books have."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))

from session_world import PERP, START, flat, make_world, on_bars

from messages import FundingBooked, FundingRate, PositionMode, PositionSide, Side
from state.instruments import Instrument

ONE = Decimal(1)


def perpetual() -> dict[str, Instrument]:
    return {PERP: Instrument.permissive(PERP, Decimal(0), currency="USDT")}


@pytest.mark.parametrize(("rate", "sign"), [(0.001, -1), (-0.001, 1)])
def test_a_long_pays_a_positive_rate_and_receives_a_negative_one(rate: float, sign: int) -> None:
    """A part is quantity times mark times rate; the account pays the sum of the parts."""
    scripts = [
        on_bars({0: lambda desk, q=quantity: [desk.open(PERP, Side.BUY, Decimal(q))]})
        for quantity in (1, 2)
    ]
    world = make_world(
        flat(PERP, 6),
        *(script.spec(name, (PERP,)) for name, script in zip(("one", "two"), scripts, strict=True)),
        instruments=perpetual(),
    )
    world.before_turn(4, lambda w: w.session.observe(FundingRate(PERP, START + 1, rate)))
    world.run()

    booked = world.all(FundingBooked)

    assert [(b.strategy, b.amount) for b in booked] == [
        ("one", sign * Decimal("0.1")),
        ("two", sign * Decimal("0.2")),
    ]
    assert world.assembly.books.ledger.funding == -sign * Decimal("0.3")
    assert world.assembly.broker.engine.balance().cash == world.assembly.books.ledger.cash


def test_in_hedge_mode_each_book_settles_for_itself() -> None:
    """A long and a short of the same size pay and receive the same."""
    script = on_bars(
        {
            0: lambda desk: [
                desk.open(PERP, Side.BUY, ONE, position_side=PositionSide.LONG),
                desk.open(PERP, Side.SELL, ONE, position_side=PositionSide.SHORT),
            ]
        }
    )
    world = make_world(
        flat(PERP, 6),
        script.spec("one", (PERP,)),
        instruments=perpetual(),
        position_mode=PositionMode.HEDGE,
    )
    world.before_turn(4, lambda w: w.session.observe(FundingRate(PERP, START + 1, 0.001)))
    world.run()

    assert {b.position_side: b.amount for b in world.all(FundingBooked)} == {
        "long": Decimal("-0.1"),
        "short": Decimal("0.1"),
    }
    assert world.assembly.books.ledger.funding == 0


def test_funding_of_what_nobody_holds_books_nothing() -> None:
    """A settlement while flat leaves the account as it was."""
    world = make_world(flat(PERP, 3), on_bars({}).spec("one", (PERP,)), instruments=perpetual())
    world.before_turn(1, lambda w: w.session.observe(FundingRate(PERP, START + 1, 0.01)))
    world.run()

    assert world.all(FundingBooked) == []
    assert world.assembly.books.ledger.cash == 1_000_000


def test_the_equity_of_reports_knows_of_funding_at_once() -> None:
    """The curve does not wait for the next fill to show what funding cost."""
    script = on_bars({0: lambda desk: [desk.open(PERP, Side.BUY, ONE)]})
    world = make_world(flat(PERP, 6), script.spec("one", (PERP,)), instruments=perpetual())
    world.before_turn(4, lambda w: w.session.observe(FundingRate(PERP, START + 1, 0.001)))
    world.run()

    assert float(world.assembly.books.ledger.cash) == world.assembly.track.cash
