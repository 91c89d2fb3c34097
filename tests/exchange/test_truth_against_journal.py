"""What the venue knows against what a session believes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
from exchange_house import bar, order, terms

from brokers.virtual.wire import Shown
from messages import Booking, ExecutionReport, Fill, OrderEvent, OrderStatus, PortfolioMarked
from messages import FundingBooked as Funded
from messages import PositionSide as Side
from scenarios.exchange.truth import (
    Folded,
    FoldedOrder,
    compare,
    compare_books,
    fold_journal,
    fold_truth,
    last_books,
)
from scenarios.exchange.venue import Venue


def truth() -> Folded:
    """Return the truth of one filled and one open order."""
    venue = Venue(terms())
    facts = [*venue.opening, *venue.submit(order("a")), *venue.submit(order("b", price="50"))]
    facts += venue.show(Shown("m", 1, (bar(0),)))
    return fold_truth(facts)


def journal() -> Folded:
    """Return a session's books that agree with ``truth``."""
    venue = truth()
    ours = Folded(venue.net_flow, {name: replace(order) for name, order in venue.orders.items()})
    ours.fills = dict(venue.fills)
    return ours


def only_fill(folded: Folded) -> Fill:
    """Return the one fill."""
    (fill,) = folded.fills.values()
    return fill


def test_books_that_agree_have_no_difference() -> None:
    """The comparison finds nothing where there is nothing."""
    assert compare(truth(), journal()).agrees


def test_a_fill_that_the_journal_lacks_is_lost() -> None:
    """And so is its effect on the order."""
    ours = journal()
    trade_id = only_fill(ours).trade_id
    ours.fills.clear()

    assert (f"trade {trade_id} of order a",) == compare(truth(), ours).lost


def test_an_order_that_the_journal_lacks_is_lost() -> None:
    """The venue has an order of which nobody knows."""
    ours = journal()
    del ours.orders["b"]

    assert ("order b: the venue has it, accepted",) == compare(truth(), ours).lost


def test_a_fill_that_is_booked_twice_is_duplicated() -> None:
    """One trade id, one booking."""
    ours = journal()
    fill = only_fill(ours)
    ours.book(fill)

    assert f"trade {fill.trade_id}: booked twice" in compare(truth(), ours).duplicated


def test_a_fill_that_the_venue_never_made_is_duplicated() -> None:
    """A trade id of our own invention is one too many."""
    ours = journal()
    fill = msgspec.structs.replace(only_fill(ours), trade_id="T-0")
    ours.fills["T-0"] = fill

    assert ("trade T-0: booked, and not the venue's",) == compare(truth(), ours).duplicated


def test_an_order_that_reaches_the_venue_again_is_duplicated() -> None:
    """Even where the venue refuses it: the next venue might not."""
    venue = Venue(terms())
    facts = [*venue.opening, *venue.submit(order("a")), *venue.submit(order("a"))]
    ours = Folded(orders={"a": FoldedOrder(OrderStatus.ACCEPTED, Decimal(1))})

    found = compare(fold_truth(facts), ours)

    assert ("order a: reached the venue again",) == found.duplicated


def test_an_order_in_doubt_is_unresolved() -> None:
    """The venue knows, and the journal does not ask."""
    ours = journal()
    ours.orders["b"].status = OrderStatus.IN_DOUBT

    assert ("order b: journal in_doubt, venue accepted",) == compare(truth(), ours).unresolved


def test_a_rejection_of_an_order_that_the_venue_has_is_unresolved() -> None:
    """The worst of all: an order that lives on and that nobody looks after."""
    ours = journal()
    ours.orders["b"].status = OrderStatus.REJECTED

    (found,) = compare(truth(), ours).unresolved
    assert found.startswith("order b: journal rejected")


def test_an_order_that_came_otherwise_than_it_was_sent_is_unresolved() -> None:
    """Another price is another order, whatever became of it."""
    ours = journal()
    mine = ours.orders["b"].request
    assert mine is not None
    ours.orders["b"].request = msgspec.structs.replace(mine, price=Decimal(51))

    assert ("order b: price: journal 51, venue 50",) == compare(truth(), ours).unresolved


def test_funding_that_is_not_booked_as_it_was_paid_is_unresolved() -> None:
    """By position: what one side pays must not be booked on the other."""
    venue = truth()
    venue.fund(("BTC/USDT", Side.LONG), Decimal("-0.5"))

    found = compare(venue, journal())

    assert ("funding of BTC/USDT long: venue -0.5, journal 0",) == found.unresolved


def test_trades_are_named_by_their_market_where_a_number_is_only_its() -> None:
    """As the broker of such a venue names them."""
    venue = Venue(terms())
    facts = [*venue.opening, *venue.submit(order("a"))]
    facts += venue.show(Shown("m", 1, (bar(0),)))

    (name,) = fold_truth(facts, lambda symbol: symbol.replace("/", "")).fills
    (number,) = fold_truth(facts).fills
    assert f"BTCUSDT:{number}" == name


def ledger_says(cash: str, fees: str = "0.1", funding: str = "0.5") -> list[object]:
    """Return what a session says that has bought one at 100, has paid funding, and is valued."""
    fill = msgspec.structs.replace(only_fill(truth()), strategy="s")
    booking = Booking(Decimal(0), Decimal(0), fill.quantity, fill.price, Decimal(cash))
    step = ExecutionReport(
        "o", "a", "s", fill.symbol, OrderEvent.FILLED, OrderStatus.FILLED, 1, fill.quantity,
        fill=fill, booking=booking,
    )  # fmt: skip
    equity = Decimal(cash) + fill.quantity * (110 - fill.price)
    marked = PortfolioMarked(
        2, "close", "USDT", Decimal(cash), equity, Decimal(0), Decimal(0), Decimal(fees),
        Decimal(funding), ((fill.symbol, Decimal(110)),),
    )  # fmt: skip
    return [step, Funded("e", 1, "s", fill.symbol, "both", Decimal("-0.5")), marked]


def test_a_ledger_is_compared_by_money_fees_funding_and_positions() -> None:
    """What a position is worth at the marks is no difference; a digit of money is."""
    venue = truth()
    fill = only_fill(venue)
    venue.fund((fill.symbol, fill.position_side), Decimal("-0.5"))
    cash = str(venue.net_flow + fill.quantity * fill.price)
    short = str(Decimal(cash) - Decimal("1e-9"))

    assert [] == compare_books(venue, last_books(ledger_says(cash)))
    assert ["net flow", "fees", "funding"] == [
        each.partition(":")[0]
        for each in compare_books(venue, last_books(ledger_says(short, "0.2", "0")))
    ]
    assert ["positions"] == [
        each.partition(":")[0]
        for each in compare_books(venue, last_books(ledger_says(cash)[1:]))
        if each.startswith("pos")
    ]
    assert venue.funding == fold_journal(ledger_says(cash)).funding
