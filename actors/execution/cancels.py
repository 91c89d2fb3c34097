"""
Cancels: which orders one is for, and how each is carried out.

One that is in no hurry asks the venue for the order's fills first; see ``inquiry``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from actors.execution.answers import knows_its_fills
from actors.execution.books import Books
from actors.execution.bracket import book_of
from actors.execution.hands import Hands
from actors.execution.inquiry import TIMER, Inquiry
from actors.execution.pursuit import Pursuit
from actors.execution.resolver import Resolver
from actors.runtime import Clock, Effect, SetTimer
from brokers.contract import Broker
from messages import (
    ApprovedCancel,
    Cause,
    OrderRequest,
    OrderStatus,
    ReasonCode,
    VenueOrder,
    VenueReport,
)
from state.orders import Order

NOT_SENT: Final = frozenset({OrderStatus.INTENDED, OrderStatus.APPROVED, OrderStatus.JOURNALED})
"""States of an order that the venue cannot know."""

UNHURRIED: Final = frozenset(
    {ReasonCode.CANCEL_REQUESTED, ReasonCode.TIMED_OUT, ReasonCode.REPRICED}
)
"""Cancels before which the venue is asked for the order's fills; all others go out at once."""

_CANCEL_REQUESTED: Final = ReasonCode.CANCEL_REQUESTED


class Canceller:
    """Carries out cancels over ``books`` at ``broker``, by the actor's ``hands``."""

    def __init__(
        self, books: Books, broker: Broker, clock: Clock, hands: Hands, resolver: Resolver
    ) -> None:
        """Go on with whatever ``books`` say is under way; ``resolver`` sees to lost answers."""
        self._resolver = resolver
        self._books = books
        self._broker = broker
        self._clock = clock
        self._hands = hands

    def orders_of(self, cancel: ApprovedCancel) -> list[Order]:
        """Return the live orders that a cancel is for: by an intent's id the one it has now."""
        if not cancel.order_id:
            return self._books.orders.live_of(
                strategy=cancel.strategy or None, symbol=cancel.symbol or None
            )
        pursuit = self._books.pursuits.get(cancel.order_id)
        name = cancel.order_id if pursuit is None else pursuit.order_id
        found = self._books.orders.by_order_id(name)
        if found is not None and not found.live:
            found = self._put_back_of(cancel.order_id)
        own = found is not None and found.request.strategy == cancel.strategy
        return [found] if found is not None and own and found.live else []

    def pursuits_of(self, cancel: ApprovedCancel) -> list[Pursuit]:
        """Return the pursuits that a cancel ends."""
        pursuits = self._books.pursuits
        if not pursuits:
            return []
        if cancel.order_id:
            found = [
                pursuit
                for pursuit in pursuits.values()
                if cancel.order_id in (pursuit.intent.intent_id, pursuit.order_id)
            ]
        else:
            found = [
                pursuit
                for pursuit in pursuits.values()
                if cancel.symbol in ("", pursuit.intent.symbol)
            ]
        return [p for p in found if cancel.strategy in ("", p.intent.strategy)]

    def replaced_by(self, request: OrderRequest) -> tuple[list[Order], list[Pursuit]]:
        """Return the live orders, and the pursuits, of the intent whose place an order takes."""
        # What was to take another one's place and never came leaves that one to the next.
        orders: list[Order] = []
        pursuits: list[Pursuit] = []
        older, seen = request.replaces, set[str]()
        while older and older not in seen:  # an empty name would be everybody's
            seen.add(older)
            cancel = ApprovedCancel(request.order_id, request.strategy, request.symbol, older)
            orders += [o for o in self.orders_of(cancel) if book_of(o.request) == book_of(request)]
            side = request.position_side
            pursuits += [p for p in self.pursuits_of(cancel) if p.intent.position_side is side]
            known = self._books.orders.by_order_id(older)
            older = "" if known is None else known.request.replaces
        return orders, pursuits

    def _put_back_of(self, root_id: str) -> Order | None:
        """Return the live order that was made of an intent by being put back, if there is one."""
        number = self._books.brackets.numbers.get(root_id)
        return None if number is None else self._books.orders.by_order_id(f"{root_id}-b{number}")

    def cancel(self, order: Order, cause: Cause) -> Iterable[Effect]:
        """Have a live order cancelled, in a hurry or not; one that was not sent is given up."""
        request = order.request
        if order.status in NOT_SENT:
            return self._hands.give_up(order, cause)
        now = self._clock.now
        name = request.client_order_id
        if cause.code is not _CANCEL_REQUESTED:
            self._books.cancel_causes[request.order_id] = cause
        inquiries = self._books.inquiries
        if inquiries.is_over(name):
            # Done, but for its final fills; what was to follow may be given up by this.
            kept = inquiries.kept.get(name)
            return () if kept is None else self.conclude(order, kept, None)
        if cause.code not in UNHURRIED:
            inquiries.forget(name)
            inquiries.cancelled.add(name)
            return self._resolver.cancel(name, now)
        if not inquiries.before_cancel(name, now):
            return ()  # on its way already
        self._broker.query(name, now)
        return self.until_answered(now)

    def until_answered(self, now: int) -> tuple[Effect, ...]:
        """Return the timer that ends the patience with the next answer, if one is waited for."""
        due = self._books.inquiries.next_at
        return () if due is None else (SetTimer(TIMER, max(due, now)),)

    def go_on(self, asked: Inquiry, order: Order, answer: VenueOrder | None) -> Iterable[Effect]:
        """Go on with a cancel that waited for an answer, which may not have come."""
        inquiries = self._books.inquiries
        name = asked.client_order_id
        if not order.live:
            inquiries.forget(name)
            return ()
        if asked.ended is not None:
            return self.conclude(order, asked.ended, answer)
        inquiries.cancelled.add(name)
        if answer is not None and answer.known and not answer.open:
            return self._resolver.take_end(order, answer)  # it has ended there by itself
        return self._resolver.cancel(name, self._clock.now)

    def unanswered(self, now: int) -> tuple[Effect, ...]:
        """Go on without the answers that did not come."""
        effects: list[Effect] = []
        for asked in self._books.inquiries.overdue(now):
            order = self._books.orders.by_client_id(asked.client_order_id)
            if order is not None:
                effects.extend(self.go_on(asked, order, None))
        return (*effects, *self.until_answered(now))

    def conclude(
        self, order: Order, ended: VenueReport, answer: VenueOrder | None
    ) -> Iterable[Effect]:
        """
        Take an end once all fills that belong to it are booked.

        Until then it is kept where something may follow for what is left; where nothing can, it is
        taken as it is, and the fills are asked for all the same.
        """
        if knows_its_fills(order, ended, answer):
            return self._hands.heard(order, ended)
        if self._may_follow(order):
            return self._resolver.keep_end(order, ended)
        return [*self._hands.heard(order, ended), *self._resolver.unconfirmed(order, ended)]

    def booked(self, order: Order) -> Iterable[Effect]:
        """Take the end that was kept until the fill that has just been booked, if it was."""
        name = order.request.client_order_id
        ended = self._books.inquiries.kept.get(name)
        if ended is None or (order.live and ended.filled != order.filled):
            return ()
        if order.live:
            return self._hands.heard(order, ended)
        return self._resolver.completed(order, ended)

    def _may_follow(self, order: Order) -> bool:
        """Return whether an intent may have another order for what this one leaves."""
        request = order.request
        pursuit = self._books.pursuits.get(request.root_id or request.order_id)
        if pursuit is None or pursuit.order_id != request.order_id or not pursuit.may_go_on:
            return False
        # What makes way for another order must not keep that one waiting.
        cause = self._books.cancel_causes.get(request.order_id)
        return cause is None or cause.code in UNHURRIED

    def is_to_confirm(self, order: Order, report: VenueReport) -> bool:
        """Return whether the final fills of a live order, which a report ends, are asked for."""
        if report.client_order_id in self._books.inquiries.cancelled:
            return True
        if report.filled is None:
            return self._may_follow(order)
        return report.filled != order.filled

    def confirm(self, report: VenueReport) -> tuple[Effect, ...]:
        """Ask for the final fills of an order that the venue has ended."""
        now = self._clock.now
        self._books.inquiries.after_end(report, now)
        self._broker.query(report.client_order_id, now)
        return self.until_answered(now)
