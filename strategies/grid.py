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

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from messages import (
    Bar,
    ExecutionReport,
    Fill,
    IntentEnded,
    MinimumOrder,
    OpenIntent,
    PositionSide,
    ReasonCode,
    Side,
)
from state.ledger import LotMethod
from state.money import ZERO, exact
from strategies.backoff import NOT_COUNTED, StrategyRejectionBackoff
from strategies.contract import Intents, Rejection, Strategy
from strategies.desk import FINAL, Asked, Desk
from strategies.grids import Book, Direction, GridParams, Looker
from strategies.grids.book import order_of
from strategies.grids.lines import ONE

_BUY: Final = Side.BUY
_CANCEL_REQUESTED: Final = ReasonCode.CANCEL_REQUESTED


class Grid(Strategy):
    """
    A grid of levels, long, short, or neutral: long below its centre and short above.

    Raises ``ValueError`` for a direction that a symbol cannot go, and for lines that its price
    tick cannot tell apart.
    """

    Params = GridParams
    lot_method = LotMethod.LIFO

    def __init__(self, desk: Desk, params: GridParams) -> None:
        """Start flat."""
        super().__init__(desk, params)
        self._set = params
        self._backoff = StrategyRejectionBackoff(
            base_s=params.backoff_base_s,
            factor=params.backoff_factor,
            max_s=params.backoff_max_s,
            tolerated=params.backoff_tolerated,
            # That an order would have taken is no refusal of it: its price has been too good.
            not_counted=NOT_COUNTED | {ReasonCode.POST_ONLY_WOULD_TAKE},
        )
        self._looker = Looker(desk, params, self._backoff)
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

    def _all_books(self) -> Iterator[Book]:
        for books in self._books.values():
            yield from books

    def _book(self, symbol: str, side: PositionSide) -> Book | None:
        return next((book for book in self._books.get(symbol, ()) if book.side is side), None)

    # -- the market

    def on_start(self) -> Intents:
        """Put back what a crash has cost: whatever should rest and does not."""
        asked: list[Asked] = []
        for book in self._all_books():
            asked.extend(self._looker.look(book, None, at_close=False))
        return asked or None

    def on_bar(self, bar: Bar) -> Intents:
        """Look at the symbol's books in which something is due at this close."""
        asked: list[Asked] | None = None
        close = bar.close
        at = bar.timestamp + bar.timeframe_ms
        for book in self._books[bar.symbol]:
            if book.changed or not book.low < close < book.high or at >= book.wake_at:
                asked = (asked or []) + self._looker.look(book, exact(close), at_close=True)
        return asked or None

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
        if report.status in FINAL and report.then is None:
            self._order_over(report.symbol, intent_id)
        price = None if fill is None else fill.price
        asked: list[Asked] = []
        for book in books:
            if book.changed:
                asked.extend(self._looker.look(book, price, at_close=False))
        return asked or None

    def on_order_rejected(self, rejection: Rejection) -> Intents:
        """Take the end of a refused intent into its book; the next close goes on from there."""
        repeated = any(cause.code is ReasonCode.DUPLICATE_INTENT for cause in rejection.causes)
        if rejection.final and not repeated:
            # What Risk has refused has no orders whose end could be told of.
            over = self._over if rejection.by == "risk" else self._order_over
            over(rejection.symbol, rejection.intent_id)
        return None

    def on_intent_ended(self, ended: IntentEnded) -> Intents:
        """Take the end of an intent that needed more than one order into its book."""
        self._over(ended.symbol, ended.intent_id)
        return None

    def _order_over(self, symbol: str, intent_id: str) -> None:
        """Take the end of an order, unless its intent's end will be told of: by then it counts."""
        for book in self._books.get(symbol, ()):
            order = book.orders.get(intent_id)
            if order is not None and not self._looker.pursues(order.purpose):
                book.ended(intent_id)

    def _over(self, symbol: str, intent_id: str) -> None:
        for book in self._books.get(symbol, ()):
            book.ended(intent_id)

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

    def execution_backoff(self) -> StrategyRejectionBackoff:
        """Return the backoff of this strategy's orders, by symbol and family."""
        return self._backoff

    def set_broker_min_order(self, minimum: MinimumOrder) -> None:
        """Size orders by another minimum from now on."""
        self._looker.minimums[minimum.symbol] = minimum
        for book in self._books.get(minimum.symbol, ()):
            book.changed = True

    # -- its state

    def snapshot(self) -> dict[str, Any]:
        """Return every book's state."""
        return {
            "books": [[book.symbol, book.side.value, book.state()] for book in self._all_books()]
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the books back."""
        for symbol, side, kept in state["books"]:
            self.restore_book(symbol, PositionSide(side), kept)

    def book_state(self, symbol: str, position_side: PositionSide) -> Any:
        """Return a book's phase, place, what its levels hold, and its orders."""
        book = self._book(symbol, position_side)
        return None if book is None else book.encoded()

    def restore_book(self, symbol: str, position_side: PositionSide, state: Any) -> None:
        """Take a book back, with whatever the desk knows to be under way besides."""
        book = self._book(symbol, position_side)
        if book is not None and state is not None:
            unfinished = self.desk.unfinished(symbol, position_side)
            book.restore(state, unfinished, self.desk.filled)
