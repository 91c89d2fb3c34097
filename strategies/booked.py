"""
What strategies share whose orders belong to books: one per symbol and position side.

A book takes in whatever happens, and is then looked at: what should be there is compared with what
is. Here is everything of that which does not depend on what a book wants: which book something
concerns, how the end of an order or of an intent reaches it, and how it is kept.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import Field

from messages import Bar, IntentEnded, MinimumOrder, PositionSide, ReasonCode
from strategies.backoff import NOT_COUNTED, StrategyRejectionBackoff
from strategies.contract import Intents, Rejection, Strategy, StrategyParams
from strategies.desk import Asked, Desk

Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


class Ordered(Protocol):
    """An order as its book remembers it."""

    @property
    def purpose(self) -> Any:
        """Return what it is for."""


class Book(Protocol):
    """One symbol's one position side, as a strategy keeps it."""

    symbol: str
    side: PositionSide
    low: float
    high: float
    wake_at: int
    changed: bool

    @property
    def orders(self) -> Mapping[str, Ordered]:
        """Return the orders that are under way, by intent id."""

    def ended(self, intent_id: str) -> object:
        """Take in that nothing more comes of an intent."""

    def state(self) -> Any:
        """Return the durable state, JSON-ready."""

    def encoded(self) -> Any:
        """Return the durable state as it is kept between snapshots."""

    def restore(self, state: Any, unfinished: Any, filled: Any) -> object:
        """Take back what was kept, and what the desk knows to be under way besides."""


class Looks(Protocol):
    """What looks at books."""

    minimums: dict[str, MinimumOrder]

    def pursues(self, purpose: Any) -> bool:
        """Return whether an order for ``purpose`` is one of several of its intent."""


class PatientParams(StrategyParams):
    """Parameters of a strategy whose refused orders rest."""

    backoff_base_s: Seconds = Field(
        30.0, description="rest of a family of orders after a refusal, by symbol"
    )
    backoff_factor: float = Field(
        2.0, ge=1, le=100, allow_inf_nan=False, description="each further rest is so much longer"
    )
    backoff_max_s: Seconds = Field(3_600.0, description="longest rest")
    backoff_tolerated: int = Field(
        0, ge=0, le=100, description="refusals in a row that cost no rest"
    )

    def _of_patience(self) -> Iterator[str]:
        if self.backoff_max_s < self.backoff_base_s:
            yield (
                f"backoff_max_s is {self.backoff_max_s:g}, "
                f"expected at least backoff_base_s ({self.backoff_base_s:g})"
            )


B = TypeVar("B", bound=Book)


class BookedStrategy(Strategy, Generic[B]):
    """
    Base of strategies of books.

    A subclass sets ``_looker`` and ``_books`` (by symbol) when it is made, and says in ``_look``
    how a book is looked at when something may be due at a close.
    """

    _looker: Looks
    _books: Mapping[str, Sequence[B]]

    def __init__(self, desk: Desk, params: PatientParams) -> None:
        """Start patient."""
        super().__init__(desk, params)
        self._backoff = StrategyRejectionBackoff(
            base_s=params.backoff_base_s,
            factor=params.backoff_factor,
            max_s=params.backoff_max_s,
            tolerated=params.backoff_tolerated,
            # That an order would have taken is no refusal of it: its price has been too good.
            not_counted=NOT_COUNTED | {ReasonCode.POST_ONLY_WOULD_TAKE},
        )

    @abstractmethod
    def _look(self, book: B, bar: Bar) -> list[Asked]:
        """Return what to ask for so that what should be there at a close will be."""

    def _all_books(self) -> Iterator[B]:
        for books in self._books.values():
            yield from books

    def _book(self, symbol: str, side: PositionSide) -> B | None:
        return next((book for book in self._books.get(symbol, ()) if book.side is side), None)

    # -- what happens

    def on_bar(self, bar: Bar) -> Intents:
        """Look at the symbol's books in which something is due at this close."""
        asked: list[Asked] | None = None
        close = bar.close
        at = bar.timestamp + bar.timeframe_ms
        for book in self._books[bar.symbol]:
            if book.changed or not book.low < close < book.high or at >= book.wake_at:
                asked = (asked or []) + self._look(book, bar)
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
        """Return all that a book must know again after a restart."""
        book = self._book(symbol, position_side)
        return None if book is None else book.encoded()

    def restore_book(self, symbol: str, position_side: PositionSide, state: Any) -> None:
        """Take a book back, with whatever the desk knows to be under way besides."""
        book = self._book(symbol, position_side)
        if book is not None and state is not None:
            unfinished = self.desk.unfinished(symbol, position_side)
            book.restore(state, unfinished, self.desk.filled)
