"""
A strategy that trades ladders: one for each of its books.

Theory of operation. Nothing here reacts to a single event. Whatever happens, a fill, a refusal, the
end of an order, a crash, somebody else's close, is taken into the book (see ``book``), and then the
book is *looked at*: what should be there at this moment is compared with what is, and the
difference is asked for. So a lost order, a partial fill or a restart needs no case of its own.

Books are looked at (see ``looking``) at closes and at fills. A refusal is never answered at once:
the next close is soon enough, and nothing can answer itself for ever.
"""

from __future__ import annotations

from typing import ClassVar, Final

from messages import (
    Bar,
    ExecutionReport,
    Fill,
    OpenIntent,
    OrderEvent,
    PositionSide,
    Side,
)
from state.money import ZERO
from strategies.booked import BookedStrategy
from strategies.contract import Intents
from strategies.desk import Asked, Desk, is_over
from strategies.ladder.book import Book
from strategies.ladder.exits import ExitRule
from strategies.ladder.looking import Looker
from strategies.ladder.lots import Purpose, order_of
from strategies.ladder.params import Direction, LadderParams

_BUY: Final = Side.BUY
_ACCEPTED: Final = OrderEvent.ACCEPTED


class LadderStrategy(BookedStrategy[Book]):
    """
    Base of the ladders: a base order when flat, adds that grow away from it, exits by a rule.

    In hedge mode the long and the short book of a symbol are two ladders that know nothing of each
    other; in one-way mode there is one, in the direction of ``one_way_side``.
    """

    no_warm_up: ClassVar[str] = (
        "its levels follow from what it paid, and its base order from the close it decides at"
    )
    newest_first: ClassVar[bool] = False
    """Whether whatever leaves takes the newest lots, whichever its order was for."""

    def __init__(self, desk: Desk, params: LadderParams, rule: ExitRule) -> None:
        """Start flat; ``rule`` says which lots leave where."""
        super().__init__(desk, params)
        self._set = params
        self._rule = rule
        self._looker: Looker = Looker(desk, params, rule, self._backoff)
        self._books = {
            symbol: tuple(self._new_book(symbol, side) for side in desk.books(symbol))
            for symbol in desk.symbols
        }

    def _new_book(self, symbol: str, side: PositionSide) -> Book:
        is_long = side is PositionSide.LONG or (
            side is PositionSide.BOTH and self._set.one_way_side is Direction.LONG
        )
        reopens = self._rule.reopens and self._set.reopen_rungs
        return Book(symbol, side, 1 if is_long else -1, self.newest_first, reopens)

    # -- the market

    def on_start(self) -> Intents:
        """Put back what a crash has cost: whatever should rest and does not."""
        asked: list[Asked] = []
        for book in self._all_books():
            if book.lots or book.orders:
                asked.extend(self._looker.look(book, None))
        return asked or None

    def _look(self, book: Book, bar: Bar) -> list[Asked]:
        return self._looker.look(book, bar)

    # -- what became of its orders

    def on_fill(self, fill: Fill) -> Intents:
        """Take a fill into its book, whoever's order it was."""
        book = self._book(fill.symbol, fill.position_side)
        if book is None:
            return None
        intent_id = self.desk.intent_id_of(fill.order_id)
        if (fill.side is _BUY) is (book.sign > 0):
            book.opened(intent_id, fill.quantity, fill.price)
        else:
            book.reduced(intent_id, fill.quantity)
        return None

    def on_order_update(self, report: ExecutionReport) -> Intents:
        """Take an order's end into its book; after a fill, ask for what should rest now."""
        if is_over(report):
            self._order_over(report.symbol, report.root_id or report.order_id)
        fill = report.fill
        if fill is None and report.event is not _ACCEPTED:
            return None
        for book in self._books.get(report.symbol, ()):
            order = book.orders.get(report.root_id or report.order_id)
            if order is not None:
                order.there = True
            if book.changed and (order is not None or (fill and fill.position_side is book.side)):
                return self._looker.look(book, None) or None
        return None

    # -- its own brakes

    def can_submit_order(self, intent: OpenIntent) -> str | None:
        """Let no rung have two orders, nothing go on top of strays, nothing restricted open."""
        if intent.symbol in self.desk.restricted:
            return f"{intent.symbol} is restricted"
        book = self._book(intent.symbol, intent.position_side)
        own = order_of(intent, ZERO)
        if book is None or own is None:
            return None
        for intent_id, other in book.opening().items():
            same = (other.purpose, other.number) == (own.purpose, own.number)
            if same and intent_id != intent.intent_id:
                return f"{intent.tag} is under way as {intent_id}"
        if own.purpose is Purpose.ENTRY and book.lots:
            return f"the {intent.position_side.value} book is not flat"
        if own.purpose is Purpose.RUNG and book.has_strays:
            return "the book holds more than its ladder has asked for"
        return None
