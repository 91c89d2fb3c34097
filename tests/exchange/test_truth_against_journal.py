"""What the venue knows against what a session believes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
from exchange_house import bar, order, terms

from brokers.virtual.wire import Shown
from messages import Fill, OrderStatus
from scenarios.exchange.truth import Folded, FoldedOrder, compare, fold_truth
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
