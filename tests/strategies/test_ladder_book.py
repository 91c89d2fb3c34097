"""One book of a ladder: lots, orders, rungs, and what the desk knows better."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from messages import Intent, PositionSide, Side
from strategies import Desk
from strategies.ladder.book import Book, Phase
from strategies.ladder.exits import AllAtOnce, EachLot, Exit, NewestLot
from strategies.ladder.lots import ALL, STRAY, Lot, Order, Purpose, order_of, tag_of

HYPE = "HYPE/USDT:USDT"
D = Decimal
TP = D(100)


def new_book(*, newest_first: bool = False, reopens: bool = True, sign: int = 1) -> Book:
    return Book(HYPE, PositionSide.BOTH, sign, newest_first, reopens)


def entered(quantity: str = "1", price: str = "25", **more: Any) -> Book:
    """Return a book whose base order was filled."""
    book = new_book(**more)
    book.base = D(price)
    book.asked("e", Order(Purpose.ENTRY, 0, D(quantity), D(price)))
    book.opened("e", D(quantity), D(price))
    book.ended("e")
    return book


def with_rung(book: Book, rung: int, quantity: str, price: str, name: str = "") -> Book:
    """Take a rung whole."""
    name = name or f"r{rung}"
    book.asked(name, Order(Purpose.RUNG, rung, D(quantity), D(price)))
    book.opened(name, D(quantity), D(price))
    book.ended(name)
    return book


def held(book: Book) -> list[tuple[tuple[int, ...], Decimal, Decimal]]:
    return [(lot.rungs, lot.quantity, lot.price) for lot in book.lots]


def nobody(_intent_id: str) -> Intent | None:
    return None


def nothing(_intent_id: str) -> Decimal:
    return D(0)


# -- phases, lots


def test_a_book_goes_from_flat_over_entering_to_holding_and_leaves() -> None:
    """Its phase follows from its lots and orders."""
    book = new_book()
    phases = [book.phase]
    book.base = D(25)
    book.asked("e", Order(Purpose.ENTRY, 0, D(1), D(25)))
    phases.append(book.phase)
    book.opened("e", D(1), D(25))
    phases.append(book.phase)
    book.ended("e")
    book.reduced("somebody", D(1))
    phases.append(book.phase)
    book.finish(0)
    phases.append(book.phase)

    assert [Phase.FLAT, Phase.ENTERING, Phase.HOLDING, Phase.LEAVING, Phase.FLAT] == phases


def test_the_base_price_is_what_the_base_order_has_paid() -> None:
    """Pieces of it make one lot at their mean, whatever was expected."""
    book = new_book()
    book.base = D(25)
    book.asked("e", Order(Purpose.ENTRY, 0, D(4), D(25)))
    book.opened("e", D(1), D("25.2"))
    book.opened("e", D(3), D("25.6"))

    assert D("25.5") == book.base
    assert [((0,), D(4), D("25.5"))] == held(book)


def test_taking_off_a_part_does_not_change_what_the_rest_has_paid() -> None:
    """An exit's price stays where it is while the exit is being filled."""
    book = entered("3", "25.123456789")
    book.reduced("x", D("0.7"))

    assert [((0,), D("2.3"), D("25.123456789"))] == held(book)


def test_fills_of_a_rung_that_are_not_the_newest_any_more_are_a_lot_of_their_own() -> None:
    """Lots stand in the order of their fills, as the ledger's do."""
    book = entered()
    book.asked("r1", Order(Purpose.RUNG, 1, D(2), D(24)))
    book.opened("r1", D(1), D(24))
    with_rung(book, 2, "1", "23")
    book.opened("r1", D(1), D(24))

    assert [(0,), (1,), (2,), (1,)] == [lot.rungs for lot in book.lots]
    assert [1, 2, 3, 4] == [lot.number for lot in book.lots]


@pytest.mark.parametrize(
    ("newest_first", "left"),
    [(False, [("0.5", 1), ("1", 2)]), (True, [("1", 0), ("0.5", 1)])],
)
def test_what_is_for_no_lot_takes_the_oldest_or_the_newest(
    newest_first: bool, left: list[tuple[str, int]]
) -> None:
    """A stop, or somebody else's close, takes lots in the order that the ladder goes by."""
    book = entered(newest_first=newest_first)
    with_rung(with_rung(book, 1, "1", "24"), 2, "1", "23")

    book.reduced("somebody", D("1.5"))

    assert [(D(quantity), rung) for quantity, rung in left] == [
        (lot.quantity, lot.rungs[0]) for lot in book.lots
    ]


def test_an_exit_takes_its_own_lot_and_of_the_others_what_is_left() -> None:
    """Its lot may be smaller by then than when it was asked for."""
    book = with_rung(with_rung(entered(), 1, "1", "24"), 2, "1", "23")
    book.asked("x", Order(Purpose.EXIT, 2, D("1.5"), D("24.24")))

    book.reduced("x", D("1.5"))

    assert [((0,), D("0.5"), D(25)), ((2,), D(1), D(23))] == held(book)


def test_in_a_lifo_book_even_an_older_lots_exit_takes_the_newest() -> None:
    """A lot that came while the exit was being filled is sold first."""
    book = with_rung(with_rung(entered(newest_first=True), 1, "1", "24"), 2, "1", "23")
    book.asked("x", Order(Purpose.EXIT, 2, D(1), D("24.24")))

    book.reduced("x", D(1))

    assert [(0,), (1,)] == [lot.rungs for lot in book.lots]


def test_a_lot_that_is_too_small_to_leave_joins_the_one_before_it() -> None:
    """At the weighted mean; it keeps its rungs taken."""
    book = with_rung(entered(), 1, "0.004", "20")
    book.merge_dust(D("0.01"))

    assert [((0, 1), D("1.004"), D("24.980079681275"))] == held(book)
    assert {1} == book.taken


def test_the_oldest_lot_joins_the_next_one_and_the_only_one_stays() -> None:
    """There is nothing else for it to join."""
    book = with_rung(entered("0.004"), 1, "1", "20")
    book.merge_dust(D("0.01"))
    alone = entered("0.004")
    alone.merge_dust(D("0.01"))

    assert [(0, 1)] == [lot.rungs for lot in book.lots]
    assert [(0,)] == [lot.rungs for lot in alone.lots]


def test_a_lot_that_may_still_grow_is_left_alone() -> None:
    """Its order is under way: it may be large enough in a moment."""
    book = entered()
    book.asked("r1", Order(Purpose.RUNG, 1, D(1), D(24)))
    book.opened("r1", D("0.001"), D(24))
    book.merge_dust(D("0.01"))

    assert [(0,), (1,)] == [lot.rungs for lot in book.lots]


# -- rungs


def test_a_rung_is_taken_from_the_moment_that_it_is_asked_for() -> None:
    """Nobody asks for it twice."""
    book = entered()
    book.asked("r1", Order(Purpose.RUNG, 1, D(1), D(24)))

    assert {1} == book.taken


def test_a_rung_of_which_nothing_came_is_free_again() -> None:
    """And one of which a part came is not."""
    book = entered()
    for rung in (1, 2):
        book.asked(f"r{rung}", Order(Purpose.RUNG, rung, D(1), D(24)))
    book.opened("r2", D("0.1"), D(24))
    book.ended("r1")
    book.ended("r2")

    assert {2} == book.taken


@pytest.mark.parametrize(("reopens", "taken"), [(True, set()), (False, {1})])
def test_a_rung_whose_lot_has_left_may_be_free_again(reopens: bool, taken: set[int]) -> None:
    """If the ladder says so; otherwise it is spent until the cycle ends."""
    book = with_rung(entered(reopens=reopens), 1, "1", "24")
    book.asked("x", Order(Purpose.EXIT, 2, D("0.5"), D(24)))
    book.reduced("x", D("0.5"))

    assert {1} == book.taken
    book.asked("y", Order(Purpose.EXIT, 2, D("0.5"), D(24)))
    book.reduced("y", D("0.5"))
    assert taken == book.taken


def test_the_end_of_a_cycle_frees_every_rung() -> None:
    """The next one begins with a whole ladder."""
    book = with_rung(entered(reopens=False), 1, "1", "24")
    book.reduced("x", D(2))
    book.finish(1234)

    assert (set(), None, 1234) == (book.taken, book.base, book.rest_until)


# -- the desk knows better


def test_an_order_that_the_desk_does_not_know_any_more_is_over() -> None:
    """Its end was missed; nothing came of it."""
    book = entered()
    book.asked("r1", Order(Purpose.RUNG, 1, D(2), D(24)))
    book.reconcile(D(1), D(25), nobody, nothing)

    assert {} == book.orders
    assert set() == book.taken


def test_what_is_held_beyond_the_lots_was_brought_by_an_order_whose_news_was_missed() -> None:
    """At the order's price; its rung stays taken."""
    book = entered()
    book.asked("r1", Order(Purpose.RUNG, 1, D(2), D(24)))
    book.reconcile(D(3), D("24.3"), nobody, nothing)

    assert [((0,), D(1), D(25)), ((1,), D(2), D(24))] == held(book)
    assert ({}, {1}) == (book.orders, book.taken)


def test_news_missed_of_an_order_that_is_still_under_way_is_made_up_for() -> None:
    """The desk has counted its fills."""
    book = entered()
    book.asked("r1", Order(Purpose.RUNG, 1, D(2), D(24)))
    intent = _intent("long rung 1")
    book.reconcile(D("1.5"), D("24.6"), lambda _name: intent, lambda _name: D("0.5"))

    assert [((0,), D(1), D(25)), ((1,), D("0.5"), D(24))] == held(book)
    assert D("0.5") == book.orders["r1"].filled


def test_what_no_order_has_brought_is_a_stray_lot_at_the_average() -> None:
    """It gets its exit like any other, and nothing is added on top of it."""
    book = entered()
    book.reconcile(D(3), D("24.5"), nobody, nothing)

    assert [((0,), D(1), D(25)), ((STRAY,), D(2), D("24.5"))] == held(book)
    assert book.has_strays


def test_what_is_missing_was_taken_by_an_exit_whose_news_was_missed_or_by_somebody_else() -> None:
    """The exit's own lot first."""
    book = with_rung(entered(), 1, "1", "24")
    book.asked("x", Order(Purpose.EXIT, 2, D(1), D("24.24")))
    book.reconcile(D("0.7"), D(25), nobody, nothing)

    assert [((0,), D("0.7"), D(25))] == held(book)
    assert {} == book.orders


def test_a_book_that_agrees_with_the_desk_is_left_as_it_is() -> None:
    """Nothing to do is nothing done."""
    book = with_rung(entered(), 1, "1", "24")
    before = book.state()
    book.reconcile(D(2), D("24.5"), nobody, nothing)

    assert before == book.state()


# -- across restarts


@dataclass
class Time:
    now: int = 1000


def _intent(tag: str, **terms: Any) -> Intent:
    desk = Desk("one", (HYPE,), prefix="abc-1", clock=Time())
    return desk.open(HYPE, Side.BUY, D(2), tag=tag, **terms)


def test_a_book_comes_back_as_it_was() -> None:
    """Through JSON, with its orders in the order in which they were asked for."""
    book = with_rung(entered(), 1, "1", "24")
    for number in (10, 9):
        book.asked(f"abc-1-{number}", Order(Purpose.EXIT, 1, D(1), D("25.25")))
    again = new_book()
    again.restore(json.loads(json.dumps(book.state())))

    assert book.state() == again.state()
    assert ["abc-1-10", "abc-1-9"] == list(again.orders)


def test_the_state_that_is_kept_is_the_state_that_there_is() -> None:
    """Whatever has changed the book, going back to an earlier state included."""
    book = new_book()
    flat_state = book.state()
    seen = [json.loads(bytes(book.encoded()))]
    book.base = D(25)
    book.asked("e", Order(Purpose.ENTRY, 0, D(1), D(25)))
    seen.append(json.loads(bytes(book.encoded())))
    book.restore(flat_state)
    seen.append(json.loads(bytes(book.encoded())))

    assert [Phase.FLAT, Phase.ENTERING, Phase.FLAT] == [state["phase"] for state in seen]
    assert flat_state == seen[2]


def test_what_the_desk_knows_to_be_under_way_is_taken_up_with_a_restored_book() -> None:
    """By its tag: a rung that is under way is taken, whatever the state says."""
    book = new_book()
    intent = _intent("long rung 3")
    book.restore(entered().state(), [intent, _intent("somebody's")], lambda _name: D("0.5"))

    assert {3} == book.taken
    assert [D("0.5")] == [order.filled for order in book.orders.values()]


def test_after_a_restart_a_replacement_is_not_taken_for_granted() -> None:
    """The one that it replaces would be gone: two of a place mean that the newer is on its way."""
    book = entered()
    for name in ("old", "new"):
        book.asked(name, Order(Purpose.EXIT, 1, D(1), D("25.25")))
    again = new_book()
    again.restore(book.state())

    assert [True, False] == [order.there for order in again.orders.values()]


@pytest.mark.parametrize(
    ("purpose", "number", "tag"),
    [
        (Purpose.ENTRY, 0, "long entry"),
        (Purpose.RUNG, 12, "long rung 12"),
        (Purpose.EXIT, 3, "long exit 3"),
        (Purpose.EXIT, ALL, "long exit all"),
        (Purpose.STOP, 0, "long stop"),
    ],
)
def test_a_tag_says_what_an_order_is_for(purpose: Purpose, number: int, tag: str) -> None:
    """For whoever reads the journal, and for a strategy that has forgotten it."""
    assert tag == tag_of(1, purpose, number)
    assert Order(purpose, number, D(2), None) == order_of(_intent(tag), D(0))


@pytest.mark.parametrize("tag", ["", "plan", "long", "target 1", "add 2", "long cheese 3 4"])
def test_an_intent_of_another_kind_is_no_order_of_a_ladder(tag: str) -> None:
    """A plan's steps, for one, have tags of their own."""
    assert order_of(_intent(tag), D(0)) is None


# -- which lots leave


LOTS = [Lot(1, (0,), D(1), D(25)), Lot(2, (1,), D(2), D(24))]


def test_each_lot_has_its_exit() -> None:
    """At its own profit, in a place of its own."""
    rule = EachLot(TP)

    assert [Exit(1, D(1), D("25.25")), Exit(2, D(2), D("24.24"))] == rule.exits(LOTS, D(24), 1)
    assert [1, 2] == [rule.place(1), rule.place(2)]


def test_only_the_newest_lot_has_an_exit() -> None:
    """All exits share one place: the next takes the one's before it."""
    rule = NewestLot(TP)

    assert [Exit(2, D(2), D("24.24"))] == rule.exits(LOTS, D(24), 1)
    assert [ALL, ALL] == [rule.place(1), rule.place(2)]
    assert [] == rule.exits([], D(0), 1)


def test_all_lots_have_one_exit_at_their_mean() -> None:
    """A short's lies below."""
    rule = AllAtOnce(TP)

    assert [Exit(ALL, D(3), D("23.76"))] == rule.exits(LOTS, D(24), -1)
    assert [] == rule.exits([], D(0), 1)
    assert not rule.reopens
