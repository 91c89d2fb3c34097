"""
What is certain after a journal: orders, money and holds, folded from its entries alone.

The fold takes the very steps that the session took, through the same order table and the same
ledger, in the order in which they were journaled; whatever a report says of the result (status,
quantity filled, booking) must come out again, or the journal and this code do not belong together
and ``FactsDiffer`` names the entry. Memory is that of what is alive: the live orders, the newest
finished ones, the open lots.

It knows nothing that the journal does not say: neither what a strategy remembers nor which bars
led to nothing. That is what the states of ``state.journal`` are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from messages import (
    AccountAdopted,
    BackoffChanged,
    Booking,
    CancelIntent,
    ExecutionReport,
    FundingBooked,
    Hold,
    HoldLifted,
    HoldPlaced,
    KillStep,
    MinimumOrder,
    OpenIntent,
    OperatorCommand,
    OrderEvent,
    OrderFamily,
    OrderStatus,
    PauseIntent,
    PlanIntent,
    PortfolioMarked,
    PositionSide,
    ReduceIntent,
    SessionEnded,
    SessionStarted,
    SnapshotTaken,
    StrategyQuarantined,
)
from state.instruments import Instrument
from state.journal import Entry, JournalError
from state.ledger import Ledger, LedgerError, LotMethod
from state.orders import DuplicateOrder, IllegalTransition, Order, OrderStore
from state.outside import Outside, adopt

UNANSWERED: Final = frozenset({OrderStatus.JOURNALED, OrderStatus.SENT, OrderStatus.IN_DOUBT})
"""
Where an order stands of which the venue has said nothing: after a crash nobody knows whether it is
there. JOURNALED too: what comes between the commit and the record of the send is the send.
"""

_BAR: Final = "bar:"
_SUPPRESSED: Final = OrderStatus.SUPPRESSED
_JOURNALED: Final = OrderEvent.JOURNALED

Fold = Callable[[Any], None]


class FactsDiffer(JournalError):
    """An entry says otherwise than what follows from those before it; the message names it."""


class Facts:
    """
    What the entries folded so far make certain.

    ``counters`` has, for every family of ids that ends in a number, the highest one given: new ids
    go on after it. ``last_bars`` has the open (int ms UTC) of the newest bar of each symbol that
    anything followed from; ``marks`` the newest mark of each symbol that was ever held.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        currency: str,
        deposit: Decimal,
        lot_methods: Mapping[str, LotMethod] | None = None,
    ) -> None:
        """Begin before the first entry, with the session's own instruments, cash and lots."""
        self.orders = OrderStore()
        self.ledger = Ledger(
            instruments, currency=currency, deposit=deposit, lot_methods=lot_methods
        )
        self.outside = Outside()
        self.seq = 0
        self.clock = 0  # the session's time at the last entry, int ms UTC
        self.session_id = ""
        self.starts = 0
        self.ended: SessionEnded | None = None  # of the last start
        self.account: PortfolioMarked | None = None
        self.marks: dict[str, Decimal] = {}
        self.holds: dict[str, Hold] = {}
        self.last_bars: dict[str, int] = {}
        self.counters: dict[str, int] = {}
        self.backoffs: dict[tuple[str, str, OrderFamily], BackoffChanged] = {}
        self.minimums: dict[str, MinimumOrder] = {}
        self.quarantined: dict[str, str] = {}
        self.snapshots: dict[str, SnapshotTaken] = {}
        self.causation = ""  # the newest that names a bar
        self.last: Entry | None = None
        self._folds: Mapping[type, Fold] = {
            ExecutionReport: self._on_report,
            PortfolioMarked: self._on_mark,
            FundingBooked: self._on_funding,
            AccountAdopted: self._on_adopted,
            HoldPlaced: self._on_placed,
            HoldLifted: self._on_lifted,
            OpenIntent: self._on_intent,
            ReduceIntent: self._on_intent,
            CancelIntent: self._on_intent,
            PlanIntent: self._on_intent,
            PauseIntent: self._on_intent,
            OperatorCommand: self._on_command,
            KillStep: self._on_kill,
            BackoffChanged: self._on_backoff,
            MinimumOrder: self._on_minimum,
            StrategyQuarantined: self._on_quarantine,
            SnapshotTaken: self._on_snapshot,
            SessionStarted: self._on_start,
            SessionEnded: self._on_end,
        }

    def __repr__(self) -> str:
        """Show how far it has come."""
        return f"<Facts after entry {self.seq}: {self.orders!r} {self.ledger!r}>"

    # -- what it says

    def unanswered(self) -> list[Order]:
        """Return the orders that the venue must be asked about first of all, oldest first."""
        return [order for order in self.orders.live() if order.status in UNANSWERED]

    def holds_at(self, now: int) -> tuple[Hold, ...]:
        """Return the holds that are still in force at ``now``, in order of placement."""
        return tuple(hold for hold in self.holds.values() if hold.until is None or hold.until > now)

    # -- the fold

    def fold_all(self, entries: Iterable[Entry]) -> Facts:
        """Take every one of ``entries``, in order, and return the facts after them."""
        for entry in entries:
            self.fold(entry)
        return self

    def fold(self, entry: Entry) -> None:
        """
        Take the next entry.

        Raises ``FactsDiffer`` for one that is not the next, or contradicts those before it.
        """
        seq = entry.seq
        if seq != self.seq + 1:
            raise FactsDiffer(f"expected entry {self.seq + 1}, found {seq}")
        message = entry.message
        fold = self._folds.get(message.__class__)
        if fold is not None:
            try:
                fold(message)
            except (IllegalTransition, DuplicateOrder, LedgerError, _Otherwise) as error:
                raise FactsDiffer(f"entry {seq} ({type(message).__name__}): {error}") from error
        self.seq = seq
        self.last = entry
        self.clock = entry.ts
        causation = entry.causation
        if causation.startswith(_BAR) and causation != self.causation:
            self.causation = causation
            symbol, _, opened = causation[len(_BAR) :].rpartition(":")
            self.last_bars[symbol] = int(opened)

    # -- orders and money

    def _on_report(self, report: ExecutionReport) -> None:
        order = self.orders.by_order_id(report.order_id)
        fill = report.fill
        if fill is not None:
            order = self._known(order, report)
            if not self.orders.book_once(fill.trade_id):
                raise _Otherwise(f"trade {fill.trade_id} is booked already")
            try:
                order.apply(report.event, report.timestamp, fill, report.cause)
            except IllegalTransition:
                # Booked with an alarm: the venue had moved the money, whatever the table said.
                order.record_late_fill(fill, report.timestamp)
            booking = self.ledger.book_fill(fill)
            _check_booking(booking, report.booking)
        elif report.event is _JOURNALED:
            if report.order is None:
                raise _Otherwise("the record of an order without the order")
            order = self.orders.add(report.order)
            order.journal(report.timestamp)
        elif order is None and report.status is _SUPPRESSED:
            return  # given up before it had a record: nothing could leave
        else:
            order = self._known(order, report)
            order.apply(report.event, report.timestamp, None, report.cause)
        if order.status is not report.status or order.filled != report.filled:
            raise _Otherwise(
                f"order {report.order_id}: expected {order.status.value} with {order.filled} "
                f"filled, found {report.status.value} with {report.filled}"
            )

    def _known(self, order: Order | None, report: ExecutionReport) -> Order:
        if order is None:
            raise _Otherwise(f"{report.event.value} of {report.order_id}, which has no record")
        return order

    def _on_funding(self, booked: FundingBooked) -> None:
        side = PositionSide(booked.position_side)
        self.ledger.book_funding(booked.strategy, booked.symbol, side, booked.amount, booked.at)
        if booked.payment_id:  # one payment may be borne by several
            self.orders.payments.add(booked.payment_id, booked.at)

    def _on_adopted(self, adopted: AccountAdopted) -> None:
        booking = adopt(adopted.adoption, self.ledger, self.orders, self.outside)
        if booking is not None:
            _check_booking(booking, adopted.booking)

    def _on_mark(self, marked: PortfolioMarked) -> None:
        self.account = marked
        if marked.marks:
            self.marks.update(marked.marks)

    # -- ids

    def _on_intent(self, intent: Any) -> None:
        self._count(intent.intent_id)

    def _on_command(self, command: OperatorCommand) -> None:
        self._count(command.command_id)

    def _on_kill(self, step: KillStep) -> None:
        self._count(step.kill_id)

    def _count(self, name: str) -> None:
        """Note the number at the end of an id: of ``abc-1-17`` that is 17, of ``abc-K2`` 2."""
        family = name.rstrip(_DIGITS)
        number = name[len(family) :]
        # No id of ours has more digits than this; one of somebody else's is no counter.
        if number and len(number) <= _DIGITS_MAX:
            self.counters[family] = max(int(number), self.counters.get(family, 0))

    # -- what is held, and what belongs to strategies

    def _on_placed(self, placed: HoldPlaced) -> None:
        self.holds[placed.hold.hold_id] = placed.hold

    def _on_lifted(self, lifted: HoldLifted) -> None:
        self.holds.pop(lifted.hold.hold_id, None)

    def _on_backoff(self, changed: BackoffChanged) -> None:
        self.backoffs[changed.strategy, changed.symbol, changed.family] = changed

    def _on_minimum(self, minimum: MinimumOrder) -> None:
        self.minimums[minimum.symbol] = minimum

    def _on_quarantine(self, quarantined: StrategyQuarantined) -> None:
        self.quarantined[quarantined.strategy] = quarantined.reason

    def _on_snapshot(self, taken: SnapshotTaken) -> None:
        self.snapshots[taken.actor] = taken

    def _on_start(self, started: SessionStarted) -> None:
        self.session_id = started.session_id
        self.starts += 1
        self.ended = None

    def _on_end(self, ended: SessionEnded) -> None:
        self.ended = ended


_DIGITS: Final = "0123456789"
_DIGITS_MAX: Final = 18


class _Otherwise(Exception):
    """What an entry says is not what follows."""


def _check_booking(booking: Booking, told: Booking | None) -> None:
    # Not the cash: funding may be on its way into the journal.
    if told is None or (
        booking.quantity != told.quantity
        or booking.realized_total != told.realized_total
        or booking.average_price != told.average_price
        or booking.lot_ids != told.lot_ids
    ):
        raise _Otherwise(f"expected {booking}, found {told}")
