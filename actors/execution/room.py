"""
Room for a close, at a venue where what rests to close a position binds it.

The mechanics around ``Brackets``: what has to be cancelled before a close can go out, what goes out
once it has ended, what is put back afterwards. At a venue that lets both sides of a bracket rest
nothing here is ever called.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from actors.execution.books import Books
from actors.execution.bracket import TIMER, BookKey, book_of, is_stop, kept_form, outlived
from actors.execution.cancels import NOT_SENT
from actors.execution.hands import Hands
from actors.runtime import Clock, Effect, Effects, SetTimer
from messages import (
    PROTECTIVE,
    ApprovedCancel,
    Bar,
    Cause,
    IntentEnded,
    OrderRequest,
    OrderStatus,
    PositionSide,
    Quote,
    ReasonCode,
    Tick,
)
from state.money import ZERO
from state.orders import Order


class Room:
    """Makes room for closes over ``books``, by the actor's ``hands``."""

    def __init__(self, books: Books, clock: Clock, hands: Hands) -> None:
        """Go on with whatever ``books`` say is under way."""
        self._books = books
        self._clock = clock
        self._hands = hands

    def form_of(self, request: OrderRequest) -> OrderRequest:
        """Return an order as it will go out; a take-profit is kept here until then."""
        form = kept_form(request)
        if form is None:
            return request
        self._books.brackets.keep(request, form[1])
        return form[0]

    def send(self, order: Order) -> Effects:
        """Send a close once nothing else binds what it is to close; keep what only waits."""
        brackets = self._books.brackets
        request = order.request
        kept = brackets.kept.get(request.order_id)
        if kept is not None and not kept.touched:
            kept.is_durable = True
            return self._hands.replace(request)  # nobody will accept what only waits here
        held = self._held(book_of(request))
        if not held or outlived(order, held):
            return self._hands.give_up(order, Cause(ReasonCode.POSITION_CLOSED))
        binding = self._binding(order)
        bound = sum((other.remaining for other in binding), ZERO)
        if bound + request.quantity <= abs(held):
            brackets.release(request.order_id)
            return self._hands.send(order)
        effects: list[Effect] = []
        for other in brackets.wait_for(request.order_id, binding):
            effects.extend(self._make_way(other, request))
        return effects or (None if binding else self._hands.send(order))

    def _binding(self, order: Order) -> list[Order]:
        """Return the orders at the venue that bind the position of ``order``."""
        request = order.request
        return [
            other
            for other in self._books.orders.live_of(request.strategy, request.symbol)
            if other is not order
            and book_of(other.request) == book_of(request)
            and other.request.reduce_only
            and other.status not in NOT_SENT
        ]

    def _make_way(self, other: Order, request: OrderRequest) -> Iterable[Effect]:
        """Cancel an order that is in the way of ``request``, or let it leave first."""
        if _replaces(request, other.request):
            cause = Cause(ReasonCode.REPLACED, f"order_id={request.order_id}")
            return self._hands.cancel(other, cause)
        leaves_now = other.request.action not in PROTECTIVE or not is_stop(other.request)
        if leaves_now or is_stop(request):
            return ()  # what leaves now is over at the next price, one way or the other
        self._books.brackets.displace(other)
        cause = Cause(ReasonCode.BRACKET, f"order_id={request.order_id}")
        return self._hands.cancel(other, cause)

    def see(self, seen: Bar | Quote | Tick) -> Effects:
        """Let take-profits whose price was touched go out; told only while any waits here."""
        effects: list[Effect] = []
        for order_id in self._books.brackets.touched(seen):
            order = self._books.orders.by_order_id(order_id)
            if order is not None and order.status is OrderStatus.JOURNALED:
                effects.extend(self.send(order) or ())
        return effects

    def restarted(self, now: int) -> list[Effect]:
        """Have the timers put back whatever can be, as far as nothing is under way."""
        return [_put_back_at(now, book) for book in self._books.brackets.displaced]

    def put_back(self, book: BookKey, now: int) -> list[Effect]:
        """Put back what made room in a book; tell the end of what is not put back."""
        strategy, symbol, _ = book
        live = [
            o for o in self._books.orders.live_of(strategy, symbol) if book_of(o.request) == book
        ]
        found, gone = self._books.brackets.put_back(book, self._held(book), live, now)
        cause = Cause(ReasonCode.BRACKET)
        return [*found, *(effect for request in gone for effect in self._over(request, cause))]

    def let_go(self, cancel: ApprovedCancel, cause: Cause) -> list[Effect]:
        """Have what has made room not put back where it is cancelled meanwhile; tell its end."""
        if not self._books.brackets.displaced:
            return []
        gone = self._books.brackets.let_go(lambda request: _is_meant(request, cancel))
        found = (self._books.orders.by_order_id(entry.request.order_id) for entry in gone)
        over = [order.request for order in found if order is not None and not order.live]
        return [effect for request in over for effect in self._over(request, cause)]

    def _over(self, request: OrderRequest, cause: Cause) -> Iterable[Effect]:
        """Tell the end of an intent whose order has made room and is not put back."""
        now = self._clock.now
        root_id = request.root_id or request.order_id
        pursuit = self._books.pursuits.pop(root_id, None)
        if pursuit is not None:
            return [move for move in pursuit.stop(cause, now) if isinstance(move, IntentEnded)]
        order = self._books.orders.by_order_id(request.order_id)
        filled = ZERO if order is None else order.filled
        book = book_of(request)
        ended = IntentEnded(root_id, *book[:2], now, request.quantity, filled, 1, cause=cause)
        return [ended]

    def _held(self, book: BookKey) -> Decimal:
        position = self._books.ledger.position(*book)
        return ZERO if position is None else position.quantity

    def made(self, order: Order) -> Iterable[Effect]:
        """Go on with what waited for the end of ``order``."""
        brackets = self._books.brackets
        effects: list[Effect] = []
        for order_id in brackets.ended(order):
            waiting = self._books.orders.by_order_id(order_id)
            if waiting is not None and waiting.status is OrderStatus.JOURNALED:
                effects.extend(self.send(waiting) or ())
        book = book_of(order.request)
        if book in brackets.displaced:
            # Once all that follows from this has happened: the strategy may set its own anew.
            effects.append(_put_back_at(self._clock.now, book))
        return effects

    def wake(self, key: str, now: int) -> Effects:
        """Put back what a timer is for."""
        strategy, symbol, side = key.removeprefix(TIMER).split("|")
        return self.put_back((strategy, symbol, PositionSide(side)), now)


def _put_back_at(at: int, book: BookKey) -> SetTimer:
    """Return the timer that puts back what made room in a book."""
    strategy, symbol, side = book
    return SetTimer(f"{TIMER}{strategy}|{symbol}|{side.value}", at)


def _replaces(request: OrderRequest, other: OrderRequest) -> bool:
    """Return whether an order takes another's place: that of its intent, whichever order it is."""
    return bool(request.replaces) and request.replaces in (other.order_id, other.root_id)


def _is_meant(request: OrderRequest, cancel: ApprovedCancel) -> bool:
    """Return whether a cancel is for an order, by its own id or its intent's."""
    if cancel.order_id:
        own = cancel.order_id in (request.order_id, request.root_id)
        return own and cancel.strategy == request.strategy
    return cancel.strategy in ("", request.strategy) and cancel.symbol in ("", request.symbol)
