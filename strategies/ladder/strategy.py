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

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from messages import (
    Bar,
    ExecutionReport,
    Fill,
    IntentEnded,
    MinimumOrder,
    OpenIntent,
    OrderEvent,
    PositionSide,
    ReasonCode,
    Side,
)
from state.money import ZERO
from strategies.backoff import NOT_COUNTED, StrategyRejectionBackoff
from strategies.contract import Intents, Rejection, Strategy
from strategies.desk import FINAL, Asked, Desk
from strategies.ladder.book import Book
from strategies.ladder.exits import ExitRule
from strategies.ladder.looking import Looker
from strategies.ladder.lots import Purpose, order_of
from strategies.ladder.params import Direction, LadderParams

_BUY: Final = Side.BUY
_ACCEPTED: Final = OrderEvent.ACCEPTED


class LadderStrategy(Strategy):
    """
    Base of the ladders: a base order when flat, adds that grow away from it, exits by a rule.

    In hedge mode the long and the short book of a symbol are two ladders that know nothing of each
    other; in one-way mode there is one, in the direction of ``one_way_side``.
    """

    newest_first: ClassVar[bool] = False
    """Whether whatever leaves takes the newest lots, whichever its order was for."""

    def __init__(self, desk: Desk, params: LadderParams, rule: ExitRule) -> None:
        """Start flat; ``rule`` says which lots leave where."""
        super().__init__(desk, params)
        self._set = params
        self._rule = rule
        self._backoff = StrategyRejectionBackoff(
            base_s=params.backoff_base_s,
            factor=params.backoff_factor,
            max_s=params.backoff_max_s,
            tolerated=params.backoff_tolerated,
            # That an order would have taken is no refusal of it: its price has been too good.
            not_counted=NOT_COUNTED | {ReasonCode.POST_ONLY_WOULD_TAKE},
        )
        self._looker = Looker(desk, params, rule, self._backoff)
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
            if book.lots or book.orders:
                asked.extend(self._looker.look(book, None))
        return asked or None

    def on_bar(self, bar: Bar) -> Intents:
        """Look at the symbol's books in which something is due at this close."""
        asked: list[Asked] | None = None
        close = bar.close
        at = bar.timestamp + bar.timeframe_ms
        for book in self._books[bar.symbol]:
            if book.changed or not book.low < close < book.high or at >= book.wake_at:
                asked = (asked or []) + self._looker.look(book, bar)
        return asked or None

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
        if report.status in FINAL and report.then is None:
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
        """Return a book's phase, base price, rungs taken, lots and orders."""
        book = self._book(symbol, position_side)
        return None if book is None else book.encoded()

    def restore_book(self, symbol: str, position_side: PositionSide, state: Any) -> None:
        """Take a book back, with whatever the desk knows to be under way besides."""
        book = self._book(symbol, position_side)
        if book is not None and state is not None:
            unfinished = self.desk.unfinished(symbol, position_side)
            book.restore(state, unfinished, self.desk.filled)
