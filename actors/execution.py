"""
Execution: orders and ledger, write-ahead, and the last look.

An approved order is journaled first; only when its record is durable, and in the same
synchronous step as a second look at the holds and its deadline, is it handed to the broker.
Whatever comes back moves the order along the checked table and is booked once, by trade id.
The orders and the ledger are cores without I/O: they outlive an incarnation of this actor,
which audits them before it goes on with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from actors.board import Board
from actors.runtime import Actor, AfterCommit, Clock, Effect, Effects, HoldSet, SetTimer
from actors.runtime.cell import Handler
from actors.runtime.clock import next_midnight
from brokers.contract import Broker
from messages import (
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    Booking,
    Cause,
    DeadLetter,
    ExecutionReport,
    Fill,
    FundingBooked,
    FundingSettled,
    Message,
    OrderCommitted,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    PortfolioMarked,
    ReasonCode,
    VenueReport,
    Wake,
)
from state.ledger import Ledger
from state.orders import IllegalTransition, Order, OrderStore

MIDNIGHT = "midnight"

NOT_SENT = frozenset({OrderStatus.INTENDED, OrderStatus.APPROVED, OrderStatus.JOURNALED})
"""States of an order that the venue cannot know."""


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_E_JOURNALED: Final = OrderEvent.JOURNALED
_E_SENT: Final = OrderEvent.SENT
_E_FILLED_PARTLY: Final = OrderEvent.FILLED_PARTLY
_E_FILLED: Final = OrderEvent.FILLED
_JOURNALED: Final = OrderStatus.JOURNALED
_FILLED: Final = OrderStatus.FILLED
_CANCEL_REQUESTED: Final = ReasonCode.CANCEL_REQUESTED


@dataclass(slots=True)
class Books:
    """What Execution owns and an incarnation does not take with it: orders and ledger."""

    orders: OrderStore
    ledger: Ledger
    lost_cancels: list[ApprovedCancel] = field(default_factory=list)
    """Cancels that an incarnation failed on: the next one's first duty."""
    cancel_causes: dict[str, Cause] = field(default_factory=dict)
    """Why orders at the venue are being cancelled, by order id, where no strategy asked for it."""


class ExecutionActor(Actor):
    """One incarnation of Execution."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        board: Board,
        clock: Clock,
        holds: HoldSet,
    ) -> None:
        """Audit ``books`` and go on with them; raises ``LedgerImbalance`` if they are broken."""
        books.ledger.audit()
        self.books = books
        self.orders = books.orders
        self.ledger = books.ledger
        self.broker = broker
        self.board = board
        self.clock = clock
        self.holds = holds

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers."""
        return {
            ApprovedOpen: self.on_approved,
            ApprovedReduce: self.on_approved,
            ApprovedCancel: self.on_cancel,
            OrderCommitted: self.on_committed,
            VenueReport: self.on_venue_report,
            FundingSettled: self.on_funding,
            Wake: self.on_wake,
        }

    def on_start(self) -> Effects:
        """End what an earlier one never sent, cancel what it should have, arm the valuation."""
        lost, self.books.lost_cancels = self.books.lost_cancels, []
        cancels = [effect for cancel in lost for effect in self.on_cancel(cancel) or ()]
        cause = Cause(ReasonCode.EXECUTION_RESTARTED)
        unsent = [order for order in self.orders.live() if order.status in NOT_SENT]
        return (
            *(self._give_up(order, cause) for order in unsent if order.live),
            *cancels,
            SetTimer(MIDNIGHT, next_midnight(self.clock.now)),
        )

    def lost(self, message: Message) -> Effects:
        """Suppress an order that the failed handler did not send; a sent one is the venue's."""
        if isinstance(message, ApprovedOpen | ApprovedReduce):
            order_id = message.request.order_id
            order = self.orders.by_order_id(order_id) or self.orders.add(message.request)
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
        return (self._give_up(order, Cause(ReasonCode.HANDLER_FAILED, "actor=execution")),)

    # -- the way out

    def on_approved(self, approved: ApprovedOpen | ApprovedReduce) -> Effects:
        """Journal the order; it goes on when the record is durable."""
        request = approved.request
        order = self.orders.add(request)
        now = self.clock.now
        status = order.journal(now)
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
                order=request,
            ),
            AfterCommit(OrderCommitted(request.order_id)),
        )

    def on_committed(self, committed: OrderCommitted) -> Effects:
        """Take the last look and, in the same step, hand the order to the broker."""
        order = self.orders.by_order_id(committed.order_id)
        if order is None or order.status is not _JOURNALED:
            return None  # cancelled before it was sent
        now = self.clock.now
        causes = self.last_look(order.request, now)
        if causes:
            return (self._step(order, OrderEvent.SUPPRESSED, now, joined(causes)),)
        report = self._step(order, _E_SENT, now)
        try:
            self.broker.submit(order.request, now)
        except Exception as error:  # noqa: BLE001 - whatever it was, the venue may have the order
            cause = Cause(ReasonCode.ANSWER_LOST, f"error={error!r}")
            return (report, self._step(order, OrderEvent.SILENCE, now, cause))
        return (report,)

    def last_look(self, request: OrderRequest, now: int) -> tuple[Cause, ...]:
        """Return why an order may not leave any more, if there is a reason."""
        if request.valid_until is not None and now > request.valid_until:
            return (
                Cause(ReasonCode.INTENT_EXPIRED, f"valid_until={request.valid_until} now={now}"),
            )
        if self.holds.active and not request.reduce_only:
            return self.holds.causes(ApprovedOpen(request))
        return ()

    def on_cancel(self, cancel: ApprovedCancel) -> Effects:
        """Ask the venue to cancel; an order that has not been sent is suppressed instead."""
        if cancel.order_id:
            order = self.orders.by_order_id(cancel.order_id)
            own = order is not None and order.request.strategy == cancel.strategy
            live = [order] if order is not None and own and order.live else []
        else:
            live = self.orders.live_of(
                strategy=cancel.strategy or None, symbol=cancel.symbol or None
            )
        now = self.clock.now
        effects: list[Effect] = []
        cause = Cause(ReasonCode(cancel.code))
        for order in live:
            if order.status is _JOURNALED:
                effects.append(self._step(order, OrderEvent.SUPPRESSED, now, cause))
            else:
                if cause.code is not _CANCEL_REQUESTED:
                    self.books.cancel_causes[order.request.order_id] = cause
                self.broker.cancel(order.request.client_order_id, now)
        if not live:
            detail = f"cancel {cancel.intent_id}: no live order"
            effects.append(DeadLetter("execution", now, "ApprovedCancel", "unknown_order", detail))
        return effects

    # -- the way back

    def on_venue_report(self, report: VenueReport) -> Effects:
        """Move the order, book the fill once, and value the account after it."""
        order = self.orders.by_client_id(report.client_order_id)
        if order is None:
            return (self._unexplained(report, "unknown_order", report.client_order_id),)
        fill = report.fill
        if fill is None:
            cause = report.cause
            if self.books.cancel_causes:
                cause = self._why_cancelled(order, report)
            try:
                return (self._step(order, report.event, report.timestamp, cause),)
            except IllegalTransition as error:
                return (self._unexplained(report, "illegal_transition", str(error)),)
        if not self.orders.book_once(fill.trade_id):
            return (self._unexplained(report, "duplicate_trade", fill.trade_id),)
        return self._book(order, report, fill)

    def _why_cancelled(self, order: Order, report: VenueReport) -> Cause | None:
        """Return the cause of a report: the venue knows that we asked it to cancel, not why."""
        cause = report.cause
        if report.event is not OrderEvent.CANCELLED:
            return cause
        ours = self.books.cancel_causes.pop(order.request.order_id, None)
        asked = cause is None or cause.code is _CANCEL_REQUESTED
        return ours if ours is not None and asked else cause

    def _book(self, order: Order, report: VenueReport, fill: Fill) -> Effects:
        alarm: DeadLetter | None = None
        try:
            status = order.apply(report.event, report.timestamp, fill, report.cause)
        except IllegalTransition as error:
            # The venue moved the money, whatever our table says: book it and raise the alarm.
            order.record_late_fill(fill, report.timestamp)
            status = order.status
            alarm = self._unexplained(report, "illegal_transition", str(error))
        booking = self.ledger.book_fill(fill)
        marked = self.valuation(fill.timestamp, "fill")
        event = _E_FILLED if status is _FILLED else _E_FILLED_PARTLY
        executed = self._executed(order, event, report, fill, booking)
        return (executed, marked) if alarm is None else (alarm, executed, marked)

    def _executed(
        self,
        order: Order,
        event: OrderEvent,
        report: VenueReport,
        fill: Fill,
        booking: Booking,
    ) -> ExecutionReport:
        request = order.request
        return ExecutionReport(
            request.order_id,
            request.client_order_id,
            request.strategy,
            request.symbol,
            event,
            order.status,
            report.timestamp,
            order.filled,
            report.cause,
            fill,
            booking,
        )

    def _step(
        self, order: Order, event: OrderEvent, at: int, cause: Cause | None = None
    ) -> ExecutionReport:
        status = order.apply(event, at, None, cause)
        request = order.request
        return ExecutionReport(
            request.order_id,
            request.client_order_id,
            request.strategy,
            request.symbol,
            event,
            status,
            at,
            order.filled,
            cause,
        )

    def _unexplained(self, report: VenueReport, reason: str, detail: str) -> DeadLetter:
        now = self.clock.now
        return DeadLetter("execution", now, f"VenueReport:{report.event.value}", reason, detail)

    def on_funding(self, settled: FundingSettled) -> Effects:
        """
        Book what each strategy's position pays (negative) or receives.

        The venue settles the net position; strategies that share it each bear their own part.
        """
        found: list[FundingBooked] = []
        for position in self.ledger.positions():
            if position.symbol != settled.symbol or not position.quantity:
                continue
            amount = -position.quantity * settled.mark * settled.rate
            book = (position.strategy, position.symbol, position.position_side)
            self.ledger.book_funding(*book, amount, settled.at)
            found.append(
                FundingBooked(
                    "execution",
                    settled.at,
                    position.strategy,
                    position.symbol,
                    position.position_side.value,
                    amount,
                    settled.rate,
                )
            )
        return found

    # -- the account

    def valuation(self, at: int, occasion: str) -> PortfolioMarked:
        """Return the account valued at the board's marks."""
        value = self.ledger.valuation(self.board.known)
        return PortfolioMarked(
            at,
            occasion,
            self.ledger.currency,
            value.cash,
            value.equity,
            value.realized_pnl,
            value.unrealized_pnl,
            value.fees,
            value.funding,
            value.marks,
        )

    def on_wake(self, wake: Wake) -> Effects:
        """Value the account at midnight and arm the next one."""
        assert wake.key == MIDNIGHT, f"execution arms no timer called {wake.key}"
        return (
            self.valuation(wake.at, MIDNIGHT),
            SetTimer(MIDNIGHT, next_midnight(wake.at)),
        )

    def refuse(self, message: Message, causes: tuple[Cause, ...]) -> Effects:
        """Suppress an approved order that a hold turned away before it was journaled."""
        assert isinstance(message, ApprovedOpen), f"only openings are refused, not {message!r}"
        return (self._give_up(self.orders.add(message.request), joined(causes)),)

    def _give_up(self, order: Order, cause: Cause) -> ExecutionReport:
        """Suppress an order that was never sent."""
        now = self.clock.now
        if order.status is OrderStatus.INTENDED:
            order.apply(OrderEvent.APPROVED, now)
        return self._step(order, OrderEvent.SUPPRESSED, now, cause)


def joined(causes: tuple[Cause, ...]) -> Cause:
    """Return one cause that names all: the first one's code, every one's figures."""
    if len(causes) == 1:
        return causes[0]
    return Cause(causes[0].code, "; ".join(cause.detail for cause in causes))
