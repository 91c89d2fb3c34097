"""
A grid: a range of prices in levels, each bought at its lower line and sold at its upper one.

Theory of operation. Nothing here reacts to a single event. Whatever happens, a fill, a refusal, the
end of an order, a crash, somebody else's trade, is taken into the book (see ``grids.book``), and
then the book is *looked at* (see ``grids.looking``): what should be there is compared with what is,
and the difference is asked for. So a lost order, a partial fill or a restart needs no case of its
own. Books are looked at when a close leaves its level, and at fills. A refusal is never answered at
once: the next close is soon enough, and nothing can answer itself for ever.

The level that was bought last is the lowest one that is held, and the first to be sold: the ledger
closes lots last in, first out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from messages import (
    Bar,
    ExecutionReport,
    Fill,
    OpenIntent,
    PositionSide,
    ReasonCode,
    Side,
)
from state.ledger import LotMethod
from state.money import ZERO, exact
from strategies.booked import BookedStrategy
from strategies.contract import Intents
from strategies.desk import Asked, Desk, is_over
from strategies.grids import Book, Direction, GridParams, Looker
from strategies.grids.book import order_of
from strategies.grids.lines import ONE

_BUY: Final = Side.BUY
_CANCEL_REQUESTED: Final = ReasonCode.CANCEL_REQUESTED


class Grid(BookedStrategy[Book]):
    """
    A grid of levels, long, short, or neutral: long below its centre and short above.

    Raises ``ValueError`` for a direction that a symbol cannot go, and for lines that its price
    tick cannot tell apart.
    """

    Params = GridParams
    no_warm_up = "its lines are given, or are laid around the first price that it may act upon"
    lot_method = LotMethod.LIFO

    def __init__(self, desk: Desk, params: GridParams) -> None:
        """Start flat."""
        super().__init__(desk, params)
        self._set = params
        self._looker: Looker = Looker(desk, params, self._backoff)
        for symbol in desk.symbols:
            self._check(symbol)
        self._books = {symbol: tuple(self._books_of(symbol)) for symbol in desk.symbols}

    def _check(self, symbol: str) -> None:
        rules, direction = self.desk.instruments.get(symbol), self._set.direction
        hedged = PositionSide.LONG in self.desk.books(symbol)
        if direction is Direction.NEUTRAL and not hedged:
            raise ValueError(
                f"direction is neutral: {symbol} has one net book, expected hedge mode"
            )
        if rules is None:
            return
        if direction is Direction.SHORT and rules.is_spot:
            raise ValueError(f"direction is short: {symbol} is spot, which can only be held")
        if rules.price_tick is None or self._set.floats:
            return
        prices = self._set.lines(ONE).prices
        step = min(b - a for a, b in pairwise(prices))
        if step < rules.price_tick:
            raise ValueError(
                f"levels: two lines are {step:f} apart, less than the price tick of {symbol} "
                f"({rules.price_tick:f})"
            )

    def _books_of(self, symbol: str) -> Iterator[Book]:
        for side in self.desk.books(symbol):
            is_long = side is PositionSide.LONG or (
                side is PositionSide.BOTH and self._set.direction is not Direction.SHORT
            )
            sign = 1 if is_long else -1
            levels = self._set.levels_of(sign)
            if levels:
                yield Book(symbol, side, sign, levels)

    # -- the market

    def on_start(self) -> Intents:
        """Put back what a crash has cost: whatever should rest and does not."""
        asked: list[Asked] = []
        for book in self._all_books():
            asked.extend(self._looker.look(book, None, at_close=False))
        return asked or None

    def _look(self, book: Book, bar: Bar) -> list[Asked]:
        return self._looker.look(book, exact(bar.close), at_close=True)

    # -- what became of its orders

    def on_fill(self, fill: Fill) -> Intents:
        """Take a fill into its book, whoever's order it was."""
        book = self._book(fill.symbol, fill.position_side)
        if book is None:
            return None
        intent_id = self.desk.intent_id_of(fill.order_id)
        if (fill.side is _BUY) is (book.sign > 0):
            level = self._looker.level_at(book, fill.price)
            book.opened(intent_id, fill.quantity, level)
        else:
            book.reduced(intent_id, fill.quantity)
        return None

    def on_order_update(self, report: ExecutionReport) -> Intents:
        """
        Take an order's end into its book; ask for what should rest now.

        After a fill, or a cancel that was asked for: nothing that is asked for then is cancelled
        before a close, so nothing answers itself.
        """
        intent_id, fill = report.root_id or report.order_id, report.fill
        asked_for = report.cause is not None and report.cause.code is _CANCEL_REQUESTED
        books = [
            book
            for book in self._books.get(report.symbol, ())
            if (fill and fill.position_side is book.side)
            or (asked_for and intent_id in book.orders)
        ]
        if is_over(report):
            self._order_over(report.symbol, intent_id)
        price = None if fill is None else fill.price
        asked: list[Asked] = []
        for book in books:
            if book.changed:
                asked.extend(self._looker.look(book, price, at_close=False))
        return asked or None

    # -- its own brakes

    def can_submit_order(self, intent: OpenIntent) -> str | None:
        """Let no level have two orders, nothing open after a stop, nothing restricted open."""
        if intent.symbol in self.desk.restricted:
            return f"{intent.symbol} is restricted"
        book = self._book(intent.symbol, intent.position_side)
        own = order_of(intent, ZERO)
        if book is None or own is None:
            return None
        if book.stopped:
            return "the grid has stopped"
        for intent_id, other in book.orders.items():
            if other.level == own.level and intent_id != intent.intent_id:
                return f"level {own.level} has {other.purpose.value} order {intent_id}"
        return None
