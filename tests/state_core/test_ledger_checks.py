"""
The safeguard itself: bugs planted in the ledger are found at the entry that they spoil.

Each bug is also run with the checks switched off: then the session goes on with wrong books. So
it is the checks that find them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from state_makers import PERPETUAL, SPOT, make_fill, make_ledger

from messages import Fill, PositionSide, Side
from state.ledger import Ledger, LedgerImbalance, LotMethod
from state.ledger.accounts import Account, check_entry
from state.ledger.book import LOTS_SUMMED_EACH_TIME, Book
from state.ledger.lots import Closing, Lot, close_lots, merge

CENT = Decimal("0.01")


class Unchecked(Ledger):
    """A ledger whose checks are switched off."""

    def _check(self, book: Book) -> None:
        del book


def lots_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.ledger.book.take_lots", lambda *_: None)


def a_close_costs_a_cent_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any) -> Closing:
        closing = close_lots(*arguments)
        return msgspec.structs.replace(closing, cost=closing.cost + CENT)

    monkeypatch.setattr("state.ledger.book.close_lots", wrong)


def a_close_takes_one_lot_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any) -> Closing:
        closing = close_lots(*arguments)
        return msgspec.structs.replace(closing, whole=max(closing.whole - 1, 0))

    monkeypatch.setattr("state.ledger.book.close_lots", wrong)


def an_average_lot_forgets_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any) -> Lot:
        lot = merge(*arguments)
        return msgspec.structs.replace(lot, cost=lot.cost - CENT)

    monkeypatch.setattr("state.ledger.book.merge", wrong)


def the_tally_misses_a_sale(monkeypatch: pytest.MonkeyPatch) -> None:
    true = Book.take

    def wrong(self: Book, fill: Fill, closing: Closing | None, opened: Decimal) -> Any:
        sold = self.sold
        lot_ids = true(self, fill, closing, opened)
        self.sold = sold
        return lot_ids

    monkeypatch.setattr(Book, "take", wrong)


SILENT_BUGS = [
    lots_are_not_taken,
    a_close_costs_a_cent_too_much,
    a_close_takes_one_lot_too_few,
    an_average_lot_forgets_its_cost,
    the_tally_misses_a_sale,
]


def trade(ledger: Ledger, symbol: str) -> None:
    """Buy twice, sell in three steps, the last one through zero."""
    for side, quantity, price in [
        (Side.BUY, "1", "100"),
        (Side.BUY, "2", "103"),
        (Side.SELL, "0.5", "101"),
        (Side.SELL, "1", "104"),
        (Side.SELL, "3", "102"),
    ]:
        ledger.book_fill(make_fill(side, quantity, price, symbol=symbol, fee="0.1"))


@pytest.mark.parametrize("symbol", [SPOT, PERPETUAL])
@pytest.mark.parametrize("plant", SILENT_BUGS)
def test_a_planted_bug_is_found_by_the_check_and_only_by_it(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], symbol: str
) -> None:
    """
    With the check the entry halts the ledger. Without it the same bug passes every entry, and
    only an audit, which nobody has asked for, would tell.
    """
    plant(monkeypatch)
    method = LotMethod.AVERAGE if plant is an_average_lot_forgets_its_cost else LotMethod.FIFO

    with pytest.raises(LedgerImbalance):
        trade(make_ledger(method), symbol)

    blind = make_ledger(method, Unchecked)
    trade(blind, symbol)
    with pytest.raises(LedgerImbalance, match="audit"):
        blind.audit()


def test_an_entry_that_does_not_balance_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug that makes one side of an entry wrong is found before any account has moved."""
    true = Book.work_out

    def wrong(self: Book, fill: Fill) -> tuple[Closing | None, Decimal]:
        closing, opened = true(self, fill)
        return closing, opened + CENT

    monkeypatch.setattr(Book, "work_out", wrong)
    ledger = make_ledger()
    before = {name: balance for name, balance in ledger.accounts.items() if balance}

    with pytest.raises(LedgerImbalance, match=r"entry does not balance: .* USDT over: units:sma"):
        ledger.book_fill(make_fill(Side.BUY, "1", "100"))

    assert before == {name: balance for name, balance in ledger.accounts.items() if balance}


def test_after_an_imbalance_nothing_is_booked_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first imbalance halts the ledger for good, and every later entry says why."""
    ledger = make_ledger()
    with monkeypatch.context() as patch:
        lots_are_not_taken(patch)
        with pytest.raises(LedgerImbalance):
            trade(ledger, SPOT)
    entries = ledger.chart.entries
    later: list[Callable[[], object]] = [
        lambda: ledger.book_fill(make_fill(Side.BUY, "1", "100")),
        lambda: ledger.book_funding("sma", SPOT, PositionSide.BOTH, CENT, 0),
        lambda: ledger.deposit(CENT),
    ]

    for entry in later:
        with pytest.raises(LedgerImbalance, match=r"halted since: .*lots"):
            entry()

    assert entries == ledger.chart.entries


@pytest.mark.parametrize(
    "amounts",
    [
        [("USDT", "1"), ("USDT", "-0.99")],
        [("USDT", "1"), ("BTC", "-1")],
        [("USDT", "1"), ("USDT", "-1"), ("BTC", "1")],
        [("BTC", "1"), ("BTC", "-2"), ("USDT", "5"), ("USDT", "-5")],
        [("USDT", "NaN"), ("USDT", "1")],
    ],
)
def test_an_entry_must_sum_to_zero_in_every_commodity(amounts: list[tuple[str, str]]) -> None:
    """Neither a cent nor an exchange of one commodity for another passes."""
    postings = [(Account("x", commodity), Decimal(text)) for commodity, text in amounts]

    with pytest.raises(LedgerImbalance, match="does not balance"):
        check_entry(postings)


@pytest.mark.parametrize(
    "damage",
    [
        lambda ledger: setattr(ledger._cash, "balance", ledger._cash.balance + CENT),
        lambda ledger: setattr(ledger._realized, "balance", ledger._realized.balance + CENT),
        lambda ledger: ledger._open.clear(),
        lambda ledger: ledger._open.reverse(),
        lambda ledger: next(iter(ledger._books.values())).lots.clear(),
        lambda ledger: setattr(next(iter(ledger._books.values())), "realized", CENT),
        lambda ledger: setattr(next(iter(ledger._books.values())), "funding", CENT),
        lambda ledger: setattr(next(iter(ledger._books.values())), "paid", CENT),
    ],
)
def test_an_audit_finds_every_kind_of_damage(damage: Callable[[Ledger], object]) -> None:
    """Whatever is changed behind the ledger's back, two sources no longer agree."""
    ledger = make_ledger()
    for symbol in (SPOT, PERPETUAL):
        trade(ledger, symbol)
    ledger.audit()

    damage(ledger)

    with pytest.raises(LedgerImbalance, match="audit"):
        ledger.audit()
    assert ledger.imbalance


def test_damage_in_a_long_list_of_lots_is_found_within_its_round() -> None:
    """
    Long lists are summed once in as many entries as they hold eights: a lot damaged behind the
    running totals is found by then at the latest.
    """
    ledger = make_ledger()
    for _ in range(80):
        ledger.book_fill(make_fill(Side.BUY, "1", "100"))
    lots: deque[Lot] = next(iter(ledger._books.values())).lots
    lots[40] = msgspec.structs.replace(lots[40], cost=lots[40].cost + CENT)

    entries = ledger.chart.entries

    with pytest.raises(LedgerImbalance, match="running totals"):
        buy_for_ever(ledger)

    assert ledger.chart.entries - entries <= 100 // LOTS_SUMMED_EACH_TIME


def buy_for_ever(ledger: Ledger) -> None:
    while True:
        ledger.book_fill(make_fill(Side.BUY, "1", "100"))
