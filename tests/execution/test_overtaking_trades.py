"""Hedged books and a line that brings what closes before what opened: nothing is turned over."""

from __future__ import annotations

from decimal import Decimal

import pytest
from execution_bench import PERP
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from test_reconciling_machine import INSTRUMENTS, QUICK, LineMachine, ListingBench

from actors.execution.outside import OutsideHands
from actors.reconciler import local_view
from messages import PositionMode, PositionSide, Side
from state.ledger import ImpossibleFill
from state.reconciliation_policy import Policy

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def hedged_bench(policy: Policy = Policy.REFUSE) -> ListingBench:
    """Return a bench at a venue that keeps long and short apart."""
    return ListingBench(policy, PositionMode.HEDGE)


def bought_and_sold(bench: ListingBench) -> tuple[str, str]:
    """Open a long and close it at the venue; return the trades, whose news is all held back."""
    bench.hedged(Side.BUY, 2, 101, LONG)
    bench.trade(100, PERP)
    bench.hedged(Side.SELL, 2, 99, LONG)
    bench.trade(100, PERP)
    opening, closing = bench.venue.fills
    return opening.trade_id, closing.trade_id


@pytest.mark.parametrize("is_late", [True, False])
def test_a_closing_trade_that_overtakes_the_opening_one_is_booked_after_it(
    *, is_late: bool
) -> None:
    """
    Whether the other's news is late or lost: it is asked for, and both are booked, once, in order.

    Until then nothing opens in that symbol.
    """
    bench = hedged_bench()
    opening, closing = bought_and_sold(bench)
    late = [each for each in bench.venue.held_back if getattr(each, "fill", None) is not None]
    (sold,) = [each for each in late if each.fill.trade_id == closing]

    bench.take(sold)
    assert ["overtaking_trade"] == bench.alarms()
    assert [opening, closing] == list(bench.booked)
    if is_late:
        for each in late:
            bench.take(each)

    assert [] == bench.reconcile()
    assert {opening: 1, closing: 1} == bench.booked
    assert bench.venue.engine.balance().cash == bench.books.ledger.cash


def test_a_trade_that_no_list_explains_stays_out_of_the_books_and_is_asked_for_again() -> None:
    """Half a list explains nothing: the watermark stays, and the next pass begins there again."""
    bench = hedged_bench()
    opening, closing = bought_and_sold(bench)
    whole = bench.venue.fills
    bench.venue.fills = whole[1:]  # the venue's list lags
    sold = [each for each in bench.venue.held_back if getattr(each, "fill", None) == whole[1]]

    bench.take(sold[0])
    assert {} == bench.booked
    assert 0 == bench.books.trades_upto

    bench.venue.fills = whole
    assert [] == bench.reconcile()
    assert {opening: 1, closing: 1} == bench.booked


class HedgedMachine(LineMachine):
    """Both sides of one contract, opened and closed."""

    agreed = overtaken = 0

    def __init__(self) -> None:
        super().__init__()
        self.bench = hedged_bench(Policy.ADOPT)

    @rule(book=st.sampled_from([LONG, SHORT]), quantity=st.integers(1, 5))
    def opens(self, book: PositionSide, quantity: int) -> None:
        side, price = (Side.BUY, 108) if book is LONG else (Side.SELL, 92)
        self.bench.hedged(side, quantity, price, book)

    @rule(book=st.sampled_from([LONG, SHORT]))
    def closes(self, book: PositionSide) -> None:
        side, price = (Side.SELL, 92) if book is LONG else (Side.BUY, 108)
        held = self.bench.venue.account().positions.get((PERP, book), Decimal(0))
        leaving = [
            order.remaining
            for order in self.bench.books.orders.live()
            if order.request.side is side and order.request.position_side is book
        ]
        left = int(abs(held) - sum(leaving))
        if left > 0:
            self.bench.hedged(side, left, price, book)

    @rule(book=st.sampled_from([LONG, SHORT]), quantity=st.integers(1, 5))
    def opens_and_closes_before_any_news(self, book: PositionSide, quantity: int) -> None:
        self.opens(book, quantity)
        for _ in range(3):
            self.bench.trade(100, PERP)
        self.closes(book)
        for _ in range(3):
            self.bench.trade(100, PERP)

    @rule(price=st.integers(93, 107))
    def trade(self, price: int) -> None:
        self.bench.trade(price, PERP)

    @rule()
    def newest_news_overtakes_the_rest(self) -> None:
        if self.bench.venue.held_back:
            self.bench.take(self.bench.venue.held_back.pop())

    @rule()
    def reconciled(self) -> None:
        assert [] == self.bench.reconcile()
        local = local_view(self.bench.books, INSTRUMENTS)
        assert self.bench.venue.engine.balance().net_flow == local.net_flow
        HedgedMachine.agreed += 1

    def teardown(self) -> None:
        HedgedMachine.overtaken += "overtaking_trade" in self.bench.alarms()
        assert [] == self.bench.reconcile()


def test_hedged_books_equal_the_venue_after_reconciliation_whatever_the_line_did() -> None:
    """In any order, with any of it lost; money conserved to the digit."""
    HedgedMachine.agreed = HedgedMachine.overtaken = 0
    many = settings(QUICK, max_examples=100)
    run_state_machine_as_test(HedgedMachine, settings=many)  # type: ignore[no-untyped-call]

    assert HedgedMachine.agreed > 20
    assert HedgedMachine.overtaken > 3


def test_without_waiting_for_what_came_before_the_machine_finds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ablation: a book would be turned over, which halts Execution."""
    monkeypatch.setattr(OutsideHands, "is_too_soon", lambda _hands, _fill: False)

    found = settings(QUICK, phases=[Phase.generate])
    with pytest.raises(ImpossibleFill):
        run_state_machine_as_test(HedgedMachine, settings=found)  # type: ignore[no-untyped-call]
