"""Funding that a venue has settled: who bears it, exactly, and once."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

sys.path += [str(Path(__file__).parents[1] / each) for each in ("runtime", "facts")]

from fact_makers import differences, facts_of
from session_world import PERP, flat, make_world, on_bars

from actors.execution.account import book_payment
from messages import (
    EXTERNAL,
    Fill,
    FundingBooked,
    Liquidity,
    PositionSide,
    Side,
    VenuePayment,
)
from state.instruments import Instrument
from state.ledger import Ledger

BOTH, LONG, SHORT = PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT
CASH = Decimal(100_000)
DAY = 86_400_000


def ledger(*held: tuple[str, PositionSide, str]) -> Ledger:
    """Return books in which each strategy has traded its quantity on a side."""
    books = Ledger({PERP: Instrument.permissive(PERP, Decimal(0))}, currency="USDT", deposit=CASH)
    for number, (strategy, side, signed) in enumerate(held):
        books.book_fill(_fill(f"t{number}", strategy, side, Decimal(signed)))
    return books


def _fill(name: str, strategy: str, side: PositionSide, signed: Decimal) -> Fill:
    return Fill(
        name,
        name,
        name,
        strategy,
        PERP,
        Side.BUY if signed > 0 else Side.SELL,
        side,
        abs(signed),
        Decimal(100),
        Decimal(0),
        "USDT",
        Liquidity.TAKER,
        DAY,
    )


def payment(amount: str, side: PositionSide | None = BOTH) -> VenuePayment:
    """Return a payment of the symbol."""
    return VenuePayment("p", PERP, DAY, Decimal(amount), side)


def borne(books: Ledger, paid: VenuePayment) -> dict[tuple[str, str], Decimal]:
    """Return what each book bears of a payment."""
    return {(each.strategy, each.position_side): each.amount for each in book_payment(books, paid)}


def test_the_only_position_bears_all_of_it() -> None:
    """To the last digit, and the ledger's funding is what was paid."""
    books = ledger(("a", BOTH, "0.3"))

    assert {("a", "both"): Decimal("-0.00000007")} == borne(books, payment("-0.00000007"))
    assert Decimal("0.00000007") == books.funding


def test_strategies_that_share_a_net_position_bear_their_parts_of_it() -> None:
    """The venue settles the net: who is on the other side of it receives."""
    books = ledger(("a", BOTH, "3"), ("b", BOTH, "-1"))

    found = book_payment(books, payment("-2"))
    assert [("a", Decimal(-3)), ("b", Decimal(1))] == [(e.strategy, e.amount) for e in found]


def test_a_hedged_payment_is_its_sides() -> None:
    """What the long pays is not the short's, although both are of one symbol."""
    books = ledger(("a", LONG, "1"), ("a", SHORT, "-2"))

    assert {("a", "short"): Decimal(4)} == borne(books, payment("4", SHORT))


def test_a_payment_of_nobody_knows_which_side_is_borne_by_size() -> None:
    """The total is right in any case."""
    books = ledger(("a", LONG, "1"), ("a", SHORT, "-3"))

    found = book_payment(books, payment("-8", None))
    assert {"long": Decimal(-2), "short": Decimal(-6)} == {
        each.position_side: each.amount for each in found
    }


def test_a_position_that_is_closed_by_now_bears_what_it_owed() -> None:
    """News of a settlement may come after the trade that closed the position."""
    books = ledger(("a", BOTH, "1"), ("a", BOTH, "-1"))

    assert {("a", "both"): Decimal(-2)} == borne(books, payment("-2"))


def test_funding_of_a_position_that_was_never_ours_is_nobodys() -> None:
    """It is booked all the same: the money is gone."""
    books = ledger()

    assert {(EXTERNAL, "both"): Decimal(-2)} == borne(books, payment("-2"))
    assert CASH - 2 == books.cash


@given(
    st.lists(st.integers(-1000, 1000).filter(bool), min_size=1, max_size=5),
    st.integers(-(10**9), 10**9),
)
def test_the_parts_add_up_to_the_payment(sizes: list[int], cents: int) -> None:
    """Whatever rounding takes from one stays with another."""
    books = ledger(*((f"s{n}", BOTH, str(size)) for n, size in enumerate(sizes)))
    amount = Decimal(cents).scaleb(-8)

    found = book_payment(books, payment(str(amount)))

    assert amount == sum((each.amount for each in found), Decimal(0))
    assert -amount == books.funding
    books.audit()


def test_a_payment_that_is_told_again_is_booked_once_and_folded_as_booked() -> None:
    """By its name; the facts know the name too, so it stays booked after a restart."""
    script = on_bars({0: lambda desk: [desk.open(PERP, Side.BUY, Decimal(2))]})
    world = make_world(flat(PERP, 6), script.spec("one", (PERP,)))
    paid = payment("-0.02")

    def twice(_world: object) -> None:
        dispatcher = world.session.assembly.dispatcher
        for _ in range(2):
            dispatcher.publish("venue", paid)
            dispatcher.tell(world.session.assembly.execution_cell, paid, "venue")
            dispatcher.settle()

    world.before_turn(3, twice).run()
    facts = facts_of(world.session, world.entries)

    assert [Decimal("-0.02")] == [each.amount for each in world.all(FundingBooked)]
    assert Decimal("0.02") == facts.ledger.funding
    assert not facts.orders.payments.add(paid.payment_id, paid.timestamp)
    assert [] == differences(world.session, facts)
