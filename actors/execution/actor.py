"""
Execution: orders and ledger, write-ahead, and the last look.

An approved order is journaled first; only when its record is durable, and in the same
synchronous step as a second look at the holds and its deadline, is it handed to the broker.
Whatever comes back moves the order along the checked table and is booked once, by trade id.
What an intent's policy permits beyond its first order is decided by its ``Pursuit``, what a cancel
has to know by ``Inquiries``, what becomes of a lost answer by ``Doubt``, which of a position's
stops and take-profits may be there by ``Brackets``. All of them are cores without I/O, as the
orders and the ledger are; they outlive an incarnation of this actor, which audits the books before
it goes on with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from actors.board import Board
from actors.execution import bracket, doubts, inquiry, pursuing
from actors.execution.account import book_funding, valuation
from actors.execution.books import Books
from actors.execution.bracket import outlived
from actors.execution.cancels import NOT_SENT, Canceller
from actors.execution.doubt import PLAN, DoubtPlan
from actors.execution.last_look import LastLook
from actors.execution.outside import OutsideHands
from actors.execution.pursuing import Pursuing
from actors.execution.pursuit import Move
from actors.execution.reports import executed, joined, report_of
from actors.execution.resolver import NO_PORTS, DoubtPorts, Resolver
from actors.execution.room import Room
from actors.runtime import Actor, AfterCommit, Clock, Effect, Effects, HoldSet, SetTimer
from actors.runtime.cell import Handler
from actors.runtime.clock import next_midnight
from brokers.contract import Broker
from messages import (
    PROTECTIVE,
    AdoptAccount,
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    Bar,
    Booking,
    Cause,
    DeadLetter,
    ExecutionReport,
    Fill,
    FollowUpReason,
    FundingSettled,
    Message,
    OrderCommitted,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    PortfolioMarked,
    Quote,
    ReasonCode,
    RiskDecision,
    Side,
    SyncTrades,
    Tick,
    VenueOrder,
    VenuePayment,
    VenueReport,
    VenueTrades,
    Wake,
)
from state.crashpoints import passing
from state.orders import TERMINAL, IllegalTransition, Order

MIDNIGHT: Final = "midnight"

# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_E_JOURNALED: Final = OrderEvent.JOURNALED
_E_SENT: Final = OrderEvent.SENT
_E_CANCELLED: Final = OrderEvent.CANCELLED
_E_FILLED_PARTLY: Final = OrderEvent.FILLED_PARTLY
_E_FILLED: Final = OrderEvent.FILLED
_E_SILENCE: Final = OrderEvent.SILENCE
_JOURNALED: Final = OrderStatus.JOURNALED
_FILLED: Final = OrderStatus.FILLED
_CANCEL_REQUESTED: Final = ReasonCode.CANCEL_REQUESTED
_BUY: Final = Side.BUY

ENDS: Final = frozenset({OrderEvent.CANCELLED, OrderEvent.EXPIRED})
"""How an order ends that is not filled whole."""

OURS: Final = frozenset({_CANCEL_REQUESTED, ReasonCode.ENDED_UNSEEN})
"""What a venue says of an order that it was asked to cancel: not why."""


class ExecutionActor(Actor):
    """One incarnation of Execution."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        board: Board,
        clock: Clock,
        holds: HoldSet,
        plan: DoubtPlan = PLAN,
        ports: DoubtPorts = NO_PORTS,
    ) -> None:
        """
        Audit ``books`` and go on with them; raises ``LedgerImbalance`` if they are broken.

        ``plan`` and ``ports`` say how doubts are settled, and how one is held.
        """
        books.ledger.audit()
        self.books = books
        self.orders = books.orders
        self.ledger = books.ledger
        self.broker = broker
        self.board = board
        self.clock = clock
        self.holds = holds
        self._last_look = LastLook(board, holds)
        self._doubts = books.doubts
        self._resolver = Resolver(books, broker, clock, self, plan, ports)
        self._canceller = Canceller(books, broker, clock, self, self._resolver)
        self._pursuing = Pursuing(books, board, clock, self)
        self._room = Room(books, clock, self)
        self._outside = OutsideHands(books, broker, board, clock, self, ports)

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers."""
        return {
            ApprovedOpen: self.on_approved,
            ApprovedReduce: self.on_approved,
            ApprovedCancel: self.on_cancel,
            OrderCommitted: self.on_committed,
            VenueReport: self.on_venue_report,
            VenueOrder: self.on_venue_order,
            VenueTrades: self._outside.take_trades,
            SyncTrades: self._outside.sync,
            AdoptAccount: self._outside.take_over,
            RiskDecision: self.on_refusal,
            FundingSettled: self.on_funding,
            VenuePayment: self._outside.take_payment,
            Bar: self._room.see,
            Quote: self._room.see,
            Tick: self._room.see,
            Wake: self.on_wake,
        }

    def on_start(self) -> Effects:
        """End what an earlier one never sent, cancel what it should have, arm the timers."""
        books = self.books
        now = self.clock.now
        lost, books.lost_cancels = books.lost_cancels, []
        cancels = [effect for cancel in lost for effect in self.on_cancel(cancel) or ()]
        doubted = self._resolver.restarted(now)
        cause = Cause(ReasonCode.EXECUTION_RESTARTED)
        unsent = [
            order
            for order in self.orders.live()
            if order.status in NOT_SENT and not books.brackets.stays(order.request.order_id)
        ]
        return (
            *(effect for order in unsent if order.live for effect in self.give_up(order, cause)),
            *doubted,
            *cancels,
            *self._pursuing.restarted(now),
            *self._canceller.until_answered(now),
            *self._room.restarted(now),
            SetTimer(MIDNIGHT, books.next_midnight(now)),
        )

    def lost(self, message: Message) -> Effects:
        """Suppress an order that the failed handler did not send; a sent one is the venue's."""
        if isinstance(message, ApprovedOpen | ApprovedReduce):
            known = self.orders.by_order_id(message.request.order_id)
            if known is None:
                self.books.take_up(message)
            order = known or self.orders.add(message.request)
        elif isinstance(message, ApprovedCancel):
            self.books.lost_cancels.append(message)
            return None
        elif isinstance(message, OrderCommitted):
            found = self.orders.by_order_id(message.order_id)
            if found is None:
                return None
            order = found
        else:
            return None
        if order.status not in NOT_SENT:
            return None
        return self.give_up(order, Cause(ReasonCode.HANDLER_FAILED, "actor=execution"))

    # -- the way out

    def on_approved(self, approved: ApprovedOpen | ApprovedReduce) -> Effects:
        """Journal the order; it goes on when the record is durable."""
        request = approved.request
        if not self.books.take_up(approved):
            cause = Cause(_CANCEL_REQUESTED, f"the intent {request.root_id} is over")
            return self.give_up(self.orders.add(request), cause)
        if request.action in PROTECTIVE and not self.broker.brackets:
            request = self._room.form_of(request)
        order = self.orders.add(request)
        now = self.clock.now
        status = order.journal(now)
        passing("order.recording")
        return (
            ExecutionReport(
                request.order_id,
                request.client_order_id,
                request.strategy,
                request.symbol,
                _E_JOURNALED,
                status,
                now,
                order.filled,
                None,
                None,
                None,
                request,
                request.root_id,
            ),
            AfterCommit(OrderCommitted(request.order_id)),
        )

    def on_committed(self, committed: OrderCommitted) -> Effects:
        """Take the last look and, in the same step, hand the order to the broker."""
        order = self.orders.by_order_id(committed.order_id)
        if order is None or order.status is not _JOURNALED:
            return None  # cancelled before it was sent
        if order.request.reduce_only and not self.broker.brackets:
            return self._room.send(order)
        return self.send(order)

    def send(self, order: Order) -> tuple[Effect, ...]:
        """Take the last look at a journaled order and, in the same step, hand it to the broker."""
        now = self.clock.now
        request = order.request
        passing("order.recorded")
        causes = self.last_look(request, now)
        if causes:
            return self.give_up(order, joined(causes))
        told: tuple[Effect, ...] = (self._step(order, _E_SENT, now),)
        passing("order.leaving")
        try:
            self.broker.submit(request, now)
        except Exception as error:  # noqa: BLE001 - whatever it was, the venue may have the order
            cause = Cause(ReasonCode.ANSWER_LOST, f"error={error!r}")
            told += tuple(self._resolver.silence(order, cause, sent_at=now))
        else:
            if not self.broker.answers_at_once:
                told += self._resolver.await_answer(order, now)
        passing("order.left")
        return (*told, *self._pursuing.sent(request, now)) if self.books.pursuits else told

    def last_look(self, request: OrderRequest, now: int) -> tuple[Cause, ...]:
        """Return why an order may not leave any more, if there is a reason."""
        return self._last_look(request, now)

    def cancel(self, order: Order, cause: Cause) -> Iterable[Effect]:
        """Cancel a live order, or suppress it where it has not been sent."""
        return self._canceller.cancel(order, cause)

    def on_cancel(self, cancel: ApprovedCancel) -> Effects:
        """Ask the venue to cancel; an order that has not been sent is suppressed instead."""
        now, cause = self.clock.now, Cause(ReasonCode(cancel.code))
        live = self._canceller.orders_of(cancel)
        pursuits = self._canceller.pursuits_of(cancel)
        effects = self._room.let_go(cancel, cause)
        for pursuit in pursuits:
            effects.extend(self._pursuing.moves(pursuit, pursuit.stop(cause, now)))
        for order in live:
            effects.extend(self._canceller.cancel(order, cause))
        if not live and not effects:
            detail = f"cancel {cancel.intent_id}: no live order"
            effects.append(DeadLetter("execution", now, "ApprovedCancel", "unknown_order", detail))
        return effects

    # -- the way back

    def on_venue_report(self, report: VenueReport) -> Effects:
        """Move the order, book the fill once, and value the account after it."""
        passing("venue.received")
        order = self.orders.by_client_id(report.client_order_id)
        if order is None:
            if self._outside.watches(report.client_order_id):
                return self._outside.hear_watched(report)
            strange = self._unexplained(report, "unknown_order", report.client_order_id)
            return (strange, *self._outside.hear_strange(report))
        fill = report.fill
        if fill is not None:
            if fill.trade_id not in self.orders.booked and self._outside.is_too_soon(fill):
                early = self._unexplained(report, "overtaking_trade", fill.trade_id)
                return (early, *self._outside.hear_too_soon(fill))
            if not self.orders.book_once(fill.trade_id):
                return (self._unexplained(report, "duplicate_trade", fill.trade_id),)
            return self.book(order, report, fill)
        if report.event in ENDS and order.live:
            if self.books.inquiries.is_over(report.client_order_id):
                return None  # said twice: its final fills are still being asked for
            if self._canceller.is_to_confirm(order, report):
                return self._canceller.confirm(report)
        told = self.heard(order, report)
        if self._doubts.open or report.event is _E_SILENCE:
            return (*told, *self._resolver.after(order, report.event))
        return told

    def heard(self, order: Order, report: VenueReport) -> Iterable[Effect]:
        """Take a step that is no fill."""
        cause = report.cause
        if self.books.cancel_causes:
            cause = self._why_cancelled(order, report)
        try:
            stepped = order.status
            status = order.apply(report.event, report.timestamp, None, cause)
        except IllegalTransition as error:
            return self._illegal(order, report, error)
        if status in TERMINAL and stepped not in TERMINAL:
            return self._ended(order, report.event, report.timestamp, cause)
        told = report_of(order, report.event, report.timestamp, cause)
        replaces = order.request.replaces
        if replaces and report.event is OrderEvent.ACCEPTED and status is not stepped:
            return (told, *self.replace(order.request))
        return (told,)

    def replace(self, request: OrderRequest) -> Iterable[Effect]:
        """End the intent in whose place another one is now, by whichever order it has."""
        cause = Cause(ReasonCode.REPLACED, f"order_id={request.order_id}")
        effects: list[Effect] = []
        older, pursuits = self._canceller.replaced_by(request)
        for pursuit in pursuits:
            effects.extend(self._pursuing.moves(pursuit, pursuit.stop(cause, self.clock.now)))
        for order in older:
            effects.extend(self._canceller.cancel(order, cause))
        return effects

    def _why_cancelled(self, order: Order, report: VenueReport) -> Cause | None:
        """Return the cause of a report: the venue knows that we asked it to cancel, not why."""
        cause = report.cause
        if report.event is not _E_CANCELLED:
            return cause
        ours = self.books.cancel_causes.pop(order.request.order_id, None)
        asked = cause is None or cause.code in OURS
        return ours if ours is not None and asked else cause

    def _ended(
        self, order: Order, event: OrderEvent, at: int, cause: Cause | None
    ) -> tuple[Effect, ...]:
        """Report an order's end, what its intent's policy has follow, what it makes room for."""
        books = self.books
        then: FollowUpReason | None = None
        moves: list[Move] = []
        pursuit = self._pursuing.of(order.request) if books.pursuits else None
        own = pursuit if pursuit and pursuit.order_id == order.request.order_id else None
        if books.brackets.displaced and books.brackets.has_made_room(order, event, cause):
            then = FollowUpReason.RESTORE
            if own is not None:
                own.makes_room()
        elif own is not None:
            then, moves = own.ended(event, cause, self.clock.now, self._pursuing.mark(own))
        effects: list[Effect] = [report_of(order, event, at, cause, then)]
        if pursuit is not None:
            effects.extend(self._pursuing.moves(pursuit, moves))
        books.inquiries.forget(order.request.client_order_id)
        if self._doubts.open:
            effects.extend(self._resolver.after(order, event))
        if order.request.reduce_only and not self.broker.brackets:
            effects.extend(self._room.made(order))
        return tuple(effects)

    def book(self, order: Order, report: VenueReport, fill: Fill) -> tuple[Effect, ...]:
        """Book a fill that was not booked before; the venue moved the money, whatever we think."""
        alarms: tuple[Effect, ...] = ()
        try:
            status = order.apply(report.event, report.timestamp, fill, report.cause)
        except IllegalTransition as error:
            # Whatever our table says: it is booked, with an alarm.
            order.record_late_fill(fill, report.timestamp)
            status = order.status
            alarms = self._illegal(order, report, error)
        passing("venue.booking")
        booking = self.ledger.book_fill(fill)
        passing("venue.booked")
        marked = self.valuation(fill.timestamp, "fill")
        whole = status is _FILLED
        told = executed(order, _E_FILLED if whole else _E_FILLED_PARTLY, report, fill, booking)
        effects: tuple[Effect, ...] = (*alarms, told, marked) if alarms else (told, marked)
        if self.books.pursuits:
            effects += tuple(self._pursuing.filled(order.request, fill, whole=whole))
        if self._doubts.open:
            effects += tuple(self._resolver.after(order, report.event))
        if self.books.inquiries.kept:
            effects += tuple(self._canceller.booked(order))
        if order.request.replaces:  # what trades is there, whether it was said to be or not
            effects += tuple(self.replace(order.request))
        # Flat, or turned round: a closing fill that opens as well names more than one lot.
        if self.orders.any_live and (not booking.quantity or len(booking.lot_ids) > 1):
            effects += tuple(self._end_with_the_position(fill, booking))
        if whole and not self.broker.brackets and order.request.reduce_only:
            effects += tuple(self._room.made(order))
        return effects

    def _end_with_the_position(self, fill: Fill, booking: Booking) -> Iterable[Effect]:
        """Cancel the protective orders of a book that is flat or has turned round."""
        effects: list[Effect] = []
        for order in self.orders.live_of(fill.strategy, fill.symbol):
            request = order.request
            if request.position_side is fill.position_side and outlived(order, booking.quantity):
                effects.extend(self._canceller.cancel(order, Cause(ReasonCode.POSITION_CLOSED)))
        return effects

    def on_venue_order(self, answer: VenueOrder) -> Effects:
        """Take an answer about one order: book what was missed, then go on with its cancel."""
        name = answer.client_order_id
        order = self.orders.by_client_id(name)
        if order is None:
            return (self._unexplained(answer, "unknown_order", name),)
        asked = self.books.inquiries.answered(name, answer.asked_at)
        doubt = self._doubts.open.get(name)
        effects = list(self._outside.missed(order, answer))
        if asked is not None:
            effects.extend(self._canceller.go_on(asked, order, answer))
        if doubt is not None:
            effects.extend(self._resolver.answered(doubt, order, answer))
        if answer.known and not answer.open and order.live:
            effects.extend(self._resolver.take_end(order, answer))
        elif answer.known and self._resolver.is_stray(name, None):
            effects.extend(self._resolver.stray_told(order, answer))
        return effects

    def on_refusal(self, decision: RiskDecision) -> Effects:
        """End the pursuit of an intent whose next order Risk has refused."""
        return self._pursuing.refused(decision)

    def _illegal(
        self, order: Order, report: VenueReport, error: IllegalTransition
    ) -> tuple[Effect, ...]:
        """Raise the alarm over a step that the table refuses; of a stray it is the first sign."""
        if not self._resolver.is_stray(report.client_order_id, report.event):
            return (self._unexplained(report, "illegal_transition", str(error)),)
        alarm = self._unexplained(report, "late_arrival", str(error))
        return (alarm, *self._resolver.stray(order))

    def _unexplained(self, news: VenueReport | VenueOrder, reason: str, detail: str) -> DeadLetter:
        kind = type(news).__name__
        if isinstance(news, VenueReport):
            kind += f":{news.event.value}"
        return DeadLetter("execution", self.clock.now, kind, reason, detail)

    def _step(
        self, order: Order, event: OrderEvent, at: int, cause: Cause | None = None
    ) -> ExecutionReport:
        order.apply(event, at, None, cause)
        return report_of(order, event, at, cause)

    # -- the account, and time

    def valuation(self, at: int, occasion: str) -> PortfolioMarked:
        """Return the account valued at the board's marks."""
        return valuation(self.ledger, self.board, at, occasion)

    def on_funding(self, settled: FundingSettled) -> Effects:
        """Book what each strategy's position pays (negative) or receives."""
        return book_funding(self.ledger, settled)

    def on_wake(self, wake: Wake) -> Effects:
        """Do what a timer was for."""
        if wake.key == MIDNIGHT:
            self.books.valued_upto = wake.at
            return (
                self.valuation(wake.at, MIDNIGHT),
                SetTimer(MIDNIGHT, next_midnight(wake.at)),
            )
        if wake.key == inquiry.TIMER:
            return self._canceller.unanswered(wake.at)
        if wake.key.startswith(bracket.TIMER):
            return self._room.wake(wake.key, wake.at)
        if wake.key == doubts.TIMER:
            return self._resolver.wake(wake.at)
        assert wake.key.startswith(pursuing.TIMER), f"execution arms no timer called {wake.key}"
        return self._pursuing.wake(wake.key, wake.at)

    def refuse(self, message: Message, causes: tuple[Cause, ...]) -> Effects:
        """Suppress an approved order that a hold turned away before it was journaled."""
        assert isinstance(message, ApprovedOpen), f"only openings are refused, not {message!r}"
        self.books.take_up(message)
        return self.give_up(self.orders.add(message.request), joined(causes))

    def give_up(self, order: Order, cause: Cause) -> tuple[Effect, ...]:
        """Suppress an order that was never sent."""
        now = self.clock.now
        if order.status is OrderStatus.INTENDED:
            order.apply(OrderEvent.APPROVED, now)
        order.apply(OrderEvent.SUPPRESSED, now, None, cause)
        return self._ended(order, OrderEvent.SUPPRESSED, now, cause)
