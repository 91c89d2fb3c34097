"""
The mechanics of doubts: when one begins, what is asked, what an answer brings about.

``doubt`` decides, ``answers`` judges; this carries it out over the books, by the actor's hands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from actors.execution.answers import end_of, judge
from actors.execution.books import Books
from actors.execution.doubt import AFTER_THE_END, Doubt, DoubtKind, DoubtPlan, Finding, Step
from actors.execution.doubts import TIMER, words
from actors.execution.hands import Hands
from actors.runtime import Clock, Effect, SetTimer
from brokers.contract import Broker
from messages import (
    IN_DOUBT_HOLDS,
    Cause,
    DeadLetter,
    OrderEvent,
    OrderStatus,
    ReasonCode,
    Scope,
    VenueOrder,
    VenueReport,
)
from state.orders import Order


@dataclass(frozen=True, slots=True)
class DoubtPorts:
    """What a doubt brings about beside orders, once the handler that it happened in is done."""

    hold: Callable[[str, str, Scope], object] = lambda _hold_id, _cause, _scope: None
    lift: Callable[[str, str], object] = lambda _hold_id, _reason: None


NO_PORTS: Final = DoubtPorts()
"""For an Execution that stands alone: nothing is held."""


class Resolver:
    """Settles doubts over ``books`` by asking ``broker``; every method returns its effects."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        clock: Clock,
        hands: Hands,
        plan: DoubtPlan,
        ports: DoubtPorts,
    ) -> None:
        """Go on with whatever ``books`` say is in doubt."""
        self._books = books
        self._doubts = books.doubts
        self._broker = broker
        self._clock = clock
        self._hands = hands
        self._plan = plan
        self._ports = ports

    # -- how a doubt begins

    def restarted(self, now: int) -> list[Effect]:
        """Go on after a restart: of the actor, or of the process (``Doubts.inherited``)."""
        doubts = self._doubts
        doubts.armed_at = None
        inherited, doubts.inherited = doubts.inherited, []
        effects: list[Effect] = []
        for order_id in inherited:
            order = self._books.orders.by_order_id(order_id)
            if order is not None and order.status in (OrderStatus.JOURNALED, OrderStatus.SENT):
                cause = Cause(ReasonCode.SEND_UNKNOWN, "the process ended")
                effects.extend(self.silence(order, cause, sent_at=now))
        for order in self._books.orders.live():
            name = order.request.client_order_id
            if order.status is OrderStatus.SENT:
                doubts.sent.setdefault(name, now)
            elif order.status is OrderStatus.IN_DOUBT and name not in doubts.open:
                effects.extend(self._begin(DoubtKind.SUBMIT, order, now))
            elif name in self._books.inquiries.cancelled and name not in doubts.open:
                doubts.cancels.setdefault(name, now)
        return [*effects, *self.until_due(now)]

    def await_answer(self, order: Order, now: int) -> tuple[Effect, ...]:
        """Expect the answer to a submit that has just left."""
        doubts = self._doubts
        doubts.sent[order.request.client_order_id] = now
        return self.until_due(now) if doubts.armed_at is None else ()

    def cancel(self, name: str, now: int) -> tuple[Effect, ...]:
        """Send a cancel, and expect its answer; that it cannot be sent is as good as no answer."""
        doubts = self._doubts
        doubts.cancels.setdefault(name, now)
        try:
            self._broker.cancel(name, now)
        except Exception as error:  # noqa: BLE001 - whatever it was, the venue may have the cancel
            alarm = DeadLetter("execution", now, "cancel", "answer_lost", f"{name}: {error!r}")
            return (alarm, *(self.until_due(now) if doubts.armed_at is None else ()))
        return self.until_due(now) if doubts.armed_at is None else ()

    def silence(self, order: Order, cause: Cause, *, sent_at: int) -> list[Effect]:
        """Put an order in doubt whose answer to the submit is missing, and ask for it at once."""
        now = self._clock.now
        name = order.request.client_order_id
        self._doubts.sent.pop(name, None)
        news = VenueReport(name, OrderEvent.SILENCE, now, None, cause)
        told = list(self._hands.heard(order, news))
        if name in self._doubts.open:
            return told  # its end is in doubt, and asked about
        return [*told, *self._begin(DoubtKind.SUBMIT, order, sent_at)]

    def _begin(
        self, kind: DoubtKind, order: Order, sent_at: int, *, held: bool = False
    ) -> list[Effect]:
        now = self._clock.now
        request = order.request
        doubt = Doubt(
            kind,
            request.order_id,
            request.client_order_id,
            request.symbol,
            now=now,
            sent_at=sent_at,
            plan=self._plan,
        )
        if held:
            doubt.hold_at = now
        self._doubts.open[request.client_order_id] = doubt
        return [*self._do(doubt, doubt.due(now), order, None), *self.until_due(now)]

    # -- what is heard

    def after(self, order: Order, event: OrderEvent | None) -> list[Effect]:
        """Begin or end the doubts about an order by what was just heard of it."""
        name = order.request.client_order_id
        doubt = self._doubts.open.get(name)
        if doubt is None:
            if event is not OrderEvent.SILENCE or not order.live:
                return []
            sent_at = self._doubts.sent.pop(name, self._clock.now)
            if order.status is OrderStatus.IN_DOUBT:
                return self._begin(DoubtKind.SUBMIT, order, sent_at)
            # Of an order that is there silence can only be about its cancel.
            self._doubts.cancels.pop(name, None)
            return self._doubt_cancel(order)
        over = not order.live
        known = doubt.kind is DoubtKind.SUBMIT and order.status is not OrderStatus.IN_DOUBT
        if doubt.kind not in AFTER_THE_END and (over or known):
            return self._settle(doubt, order)
        return []

    def answered(self, doubt: Doubt, order: Order, answer: VenueOrder) -> list[Effect]:
        """
        Judge an answer in a doubt about an order, whose fills have been booked; do what it decides.

        These may have settled the doubt already.
        """
        if self._doubts.open.get(doubt.client_order_id) is not doubt:
            return []
        if doubt.kind not in AFTER_THE_END and not order.live:
            return self._settle(doubt, order)
        finding = judge(answer, order, doubt.absent_after)
        if self._is_older(doubt, answer, finding):
            return []
        steps = doubt.judged(finding, self._clock.now)
        effects = self._do(doubt, steps, order, answer)
        return [*effects, *self.after(order, None)]

    def take_end(self, order: Order, answer: VenueOrder) -> list[Effect]:
        """Take an end whose news has not come from an answer; doubt it if that does not suffice."""
        name, now = answer.client_order_id, self._clock.now
        if judge(answer, order, now) is Finding.ENDED:
            return list(self._hands.heard(order, end_of(answer)))
        if name in self._doubts.open:
            return []
        is_cancelled = name in self._books.inquiries.cancelled
        return self._begin(DoubtKind.CANCEL if is_cancelled else DoubtKind.END, order, now)

    def _is_older(self, doubt: Doubt, answer: VenueOrder, finding: Finding) -> bool:
        """Return whether an answer says what was true before the end that the venue told of."""
        if finding not in (Finding.OPEN, Finding.ABSENT):
            return False
        if doubt.client_order_id in self._books.inquiries.kept:
            return True
        asked_at = answer.asked_at
        return doubt.kind is DoubtKind.END and asked_at is not None and asked_at < doubt.since

    def keep_end(self, order: Order, ended: VenueReport) -> list[Effect]:
        """Keep an end until the fills that belong to it have been booked, and ask for them."""
        name = order.request.client_order_id
        self._books.inquiries.kept[name] = ended
        if name in self._doubts.open:
            return []
        return self._begin(DoubtKind.END, order, self._clock.now)

    def unconfirmed(self, order: Order, ended: VenueReport) -> list[Effect]:
        """
        Go on asking for the final fills of an order whose end stands without them.

        Where the venue has counted more of them than were booked, what is held is held at once:
        nothing is reserved for an order that is over.
        """
        name = order.request.client_order_id
        if order.live or name in self._doubts.open:
            return []
        short = ended.filled is not None and ended.filled != order.filled
        if short:
            self._books.inquiries.kept[name] = ended
        return self._begin(DoubtKind.FILLS, order, self._clock.now, held=short)

    def completed(self, order: Order, ended: VenueReport) -> list[Effect]:
        """End the doubt about the fills of an order that is over, once they are all booked."""
        name = order.request.client_order_id
        doubt = self._doubts.open.get(name)
        if doubt is None or doubt.kind is not DoubtKind.FILLS:
            self._books.inquiries.forget(name)
            return []
        return self._settle(doubt, order) if ended.filled == order.filled else []

    def is_stray(self, name: str, event: OrderEvent | None) -> bool:
        """Return whether news is of an order that was proven absent, and says otherwise."""
        return (
            event is not OrderEvent.SILENCE
            and event is not OrderEvent.REJECTED
            and name in self._doubts.absent
        )

    def stray_told(self, order: Order, answer: VenueOrder) -> list[Effect]:
        """Take an answer that tells of an order which was proven absent, unless that is over."""
        name, now = answer.client_order_id, self._clock.now
        over = judge(answer, order, now) is Finding.ENDED
        if over or name in self._doubts.open:
            return []
        alarm = DeadLetter("execution", now, "VenueOrder", "late_arrival", name)
        return [alarm, *self.stray(order)]

    def stray(self, order: Order) -> list[Effect]:
        """Hold and cancel an order that has turned up after it was proven absent."""
        name = order.request.client_order_id
        if name in self._doubts.open:
            return []
        now = self._clock.now
        self._books.inquiries.cancelled.add(name)
        return [*self.cancel(name, now), *self._begin(DoubtKind.STRAY, order, now)]

    # -- time

    def wake(self, now: int) -> list[Effect]:
        """Do what is due."""
        doubts = self._doubts
        doubts.armed_at = None
        effects: list[Effect] = []
        by_client_id = self._books.orders.by_client_id
        timeout_ms = self._plan.answer_timeout_ms
        doubts.forget_answered(self._is_unanswered, self._is_cancelling)
        submits, cancels = doubts.overdue(now, timeout_ms)
        for name in submits:
            order = by_client_id(name)
            if order is not None:
                cause = Cause(ReasonCode.ANSWER_LOST, f"timeout_ms={timeout_ms}")
                effects.extend(self.silence(order, cause, sent_at=now - timeout_ms))
        for name in cancels:
            order = by_client_id(name)
            if order is not None and name not in doubts.open:
                effects.extend(self._doubt_cancel(order))
        for doubt in doubts.due(now):
            order = by_client_id(doubt.client_order_id)
            if order is None:  # forgotten among thousands of ended ones: nothing is left to do
                self._end(doubt, "the order is forgotten")
            else:
                effects.extend(self._do(doubt, doubt.due(now), order, None))
        return [*effects, *self.until_due(now)]

    def _is_unanswered(self, name: str) -> bool:
        order = self._books.orders.by_client_id(name)
        return order is not None and order.status is OrderStatus.SENT

    def _is_cancelling(self, name: str) -> bool:
        order = self._books.orders.by_client_id(name)
        return order is not None and order.live and name in self._books.inquiries.cancelled

    def until_due(self, now: int) -> tuple[Effect, ...]:
        """Return the timer of what is due next, unless it is armed for no later already."""
        doubts = self._doubts
        at = doubts.next_at(self._plan.answer_timeout_ms)
        if at is None or (doubts.armed_at is not None and doubts.armed_at <= at):
            return ()
        doubts.armed_at = max(at, now)
        return (SetTimer(TIMER, doubts.armed_at),)

    # -- what is done

    def _do(
        self, doubt: Doubt, steps: Iterable[Step], order: Order, answer: VenueOrder | None
    ) -> list[Effect]:
        effects: list[Effect] = []
        now = self._clock.now
        name = doubt.client_order_id
        for step in steps:
            match step:
                case Step.ASK:
                    effects.extend(self._ask(name, now))
                case Step.HOLD:
                    self._hold(now)
                case Step.LIFT:
                    self._lift(doubt, "the venue has the order")
                case Step.CANCEL:
                    self._doubts.cancels.pop(name, None)
                    self._books.inquiries.cancelled.add(name)
                    effects.extend(self.cancel(name, now))
                case Step.TAKE_END:
                    assert answer is not None, "an end is taken from an answer"
                    told = self._books.inquiries.kept.get(name) or end_of(answer)
                    effects.extend(self._hands.heard(order, told))
                case Step.PROVE_ABSENT:
                    assert answer is not None, "absence is proven by an answer"
                    effects.extend(self._prove_absent(doubt, order, answer))
                case Step.SETTLE:
                    effects.extend(self._settle(doubt, order))
                case _:
                    assert_never(step)
        return effects

    def _ask(self, name: str, now: int) -> tuple[Effect, ...]:
        try:
            self._broker.query(name, now)
        except Exception as error:  # noqa: BLE001 - a question that cannot be asked is unanswered
            detail = f"{name}: {error!r}"
            return (DeadLetter("execution", now, "query", "question_failed", detail),)
        return ()

    def _prove_absent(self, doubt: Doubt, order: Order, answer: VenueOrder) -> Iterable[Effect]:
        name = doubt.client_order_id
        detail = f"asked_at={answer.asked_at} absent_after={doubt.absent_after}"
        cause = Cause(ReasonCode.NEVER_ARRIVED, detail)
        self._doubts.absent.add(name)
        at = answer.timestamp
        return self._hands.heard(
            order, VenueReport(name, OrderEvent.PROVEN_ABSENT, at, None, cause)
        )

    def _settle(self, doubt: Doubt, order: Order) -> list[Effect]:
        """End a doubt; of an order that is there after all its cancel may have come too early."""
        # It may have been settled by what followed from a step before this one.
        if self._doubts.open.get(doubt.client_order_id) is not doubt:
            return []
        self._end(doubt, f"the order is {order.status.value}")
        if order.live and doubt.client_order_id in self._books.inquiries.kept:
            return self._begin(DoubtKind.END, order, self._clock.now)
        return self._doubt_cancel(order) if doubt.kind is DoubtKind.SUBMIT else []

    def _doubt_cancel(self, order: Order) -> list[Effect]:
        """Doubt the cancel of a live order, if one was sent."""
        sent = order.request.client_order_id in self._books.inquiries.cancelled
        return self._begin(DoubtKind.CANCEL, order, self._clock.now) if sent and order.live else []

    def _end(self, doubt: Doubt, reason: str) -> None:
        name = doubt.client_order_id
        del self._doubts.open[name]
        if doubt.kind in AFTER_THE_END:
            self._books.inquiries.forget(name)
            self._doubts.cancels.pop(name, None)
        if doubt.is_held:
            doubt.is_held = False
            self._lift(doubt, reason)

    def _lift(self, doubt: Doubt, reason: str) -> None:
        doubt.scope = None
        self._ports.lift(f"{IN_DOUBT_HOLDS}{doubt.order_id}", reason)
        self._hold(self._clock.now)

    def _hold(self, now: int) -> None:
        """Hold what all held doubts hold: with each that comes or goes the others' scope may."""
        for doubt in self._doubts.held:
            scope = self._doubts.scope_of(doubt)
            if scope != doubt.scope:
                doubt.scope = scope
                hold_id = f"{IN_DOUBT_HOLDS}{doubt.order_id}"
                self._ports.hold(hold_id, words(doubt, now), scope)
