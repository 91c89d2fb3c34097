"""
What must hold in every session, whatever happens to it: checked after every scenario.

Computed from the journal, from the requests as they left, and from the books and the venue's own
account at the end. The numbers are those of the design's list of invariants.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from actors.agreement import RECONCILIATION_HOLD
from actors.runtime.holds import covers
from actors.turns import Session
from messages import (
    AccountAdopted,
    Booking,
    CancelIntent,
    ExecutionReport,
    Fill,
    Hold,
    HoldLifted,
    HoldPlaced,
    Intent,
    KillStage,
    KillStep,
    Message,
    OrderEvent,
    OrderStatus,
    PortfolioMarked,
    PositionSide,
    Reconciled,
    RiskDecision,
    Side,
    Verdict,
)
from scenarios.expectations import Miss
from scenarios.faults import Sent
from scenarios.record import Record
from scenarios.stage import CUT, FAULT, JOURNAL_FAILED, START_REFUSED, Stage
from state.derivation import underived
from state.instruments import Instrument
from state.journal import Entry
from state.ledger import LedgerError
from state.orders import FILL_EVENTS, START, TERMINAL, TRANSITIONS

ZERO = Decimal(0)

HALTING = frozenset({KillStage.LATCHED, KillStage.DRAINED})
HALT_MS_MAX = 5_000

SETTLED = frozenset({"completed", "killed", "risk_halted", "interrupted"})
"""Outcomes of sessions that had the chance to answer everything."""


def check_invariants(record: Record, stages: Sequence[Stage]) -> list[Miss]:
    """Return every invariant that any session broke."""
    misses: list[Miss] = []
    gone_on_with = set(record.goes_on.values())
    for number, stage in enumerate(stages, start=1):
        if stage.outcome == FAULT or number in gone_on_with:
            continue  # cut off in the middle of something: that is the miss; or looked at whole
        entries = record.journal(number)
        finds = [
            *held_orders_that_left(stage.broker.sent),
            *submissions(entries, stage.broker.sent),
            *answers(entries, stage),
            *transitions(entries),
            *trades(entries),
            *journal_order(entries),
            *halts(entries),
            *account_equation(entries, stage.session.spec.instruments),
            *derivations(entries, stage, told_in(record, stages, number)),
            *books(entries, stage),
            *reservations(stage),
        ]
        misses += [
            Miss(f"invariant: {name}", expected, found, _near(record, number, order_id))
            for name, expected, found, order_id in finds
        ]
    return misses


Finding = tuple[str, str, str, str]
"""Name of the invariant, what must hold, what was found, the order that it is about."""


def _near(record: Record, session: int, order_id: str) -> int | None:
    last: int | None = None
    for index, event in enumerate(record.events):
        if event.session != session or event.entry is None:
            continue
        message = event.entry.message
        if order_id and order_id in (
            getattr(message, "order_id", ""),
            getattr(message, "intent_id", ""),
        ):
            last = index
    return last


def held_orders_that_left(sent: Sequence[Sent]) -> Iterator[Finding]:
    """1: in the step of a send no hold covers an order that adds exposure."""
    for one in sent:
        if one.request.reduce_only:
            continue
        for hold in one.holds:
            if covers(hold.scope, one.request, "paper"):
                yield (
                    "no risk-increasing order leaves under a hold",
                    f"{one.request.order_id} stays while {hold.hold_id} is in force",
                    f"it was sent under {_holds(one.holds)}",
                    one.request.order_id,
                )


def _holds(holds: Sequence[Hold]) -> str:
    return ", ".join(hold.hold_id for hold in holds)


def submissions(entries: Sequence[Entry], sent: Sequence[Sent]) -> Iterator[Finding]:
    """2: one intent, one order, one submission, written before it is sent."""
    name = "nothing is submitted twice, and nothing before it is written"
    counts = Counter(one.request.client_order_id for one in sent)
    for client_order_id, count in counts.items():
        if count > 1:
            yield name, f"{client_order_id} is submitted once", f"{count} times", ""
    journaled: set[str] = set()
    left: set[str] = set()
    for entry in entries:
        report = entry.message
        if not isinstance(report, ExecutionReport):
            continue
        if report.event is OrderEvent.JOURNALED:
            journaled.add(report.order_id)
        elif report.event is OrderEvent.SENT:
            if report.order_id not in journaled or report.order_id in left:
                found = "not written" if report.order_id not in journaled else "sent before"
                yield name, f"{report.order_id} is written, then sent once", found, report.order_id
            left.add(report.order_id)


def answers(entries: Sequence[Entry], stage: Stage) -> Iterator[Finding]:
    """
    6: every intent has exactly one decision, every refusal its causes.

    Of a session that was stopped what has none yet is what waits for whoever goes on with it.
    """
    name = "every intent is answered once, every refusal with its causes"
    asked: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    for entry in entries:
        message = entry.message
        if isinstance(message, Intent) and not isinstance(message, CancelIntent):
            asked[message.intent_id] += 1
        elif isinstance(message, RiskDecision):
            decided[message.intent_id] += 1
            if (message.verdict is Verdict.DENIED) is not bool(message.causes):
                yield (
                    name,
                    f"{message.intent_id} is denied with causes, or approved without",
                    f"{message.verdict.value} with {len(message.causes)} causes",
                    message.intent_id,
                )
    complete = stage.outcome in SETTLED and stage.risk_ran
    waiting = Counter(waiting_in(stage.session))
    for intent_id, count in asked.items():
        answered = decided[intent_id]
        if answered > count or (complete and answered + waiting[intent_id] < count):
            expected = f"{intent_id}, asked {count} times, is answered as often"
            yield name, expected, f"{answered} times", intent_id


def waiting_in(session: Session) -> Iterator[str]:
    """Yield the intents that a stopped session has left on their way."""
    if session.left is None:
        return
    backlog = json.loads(session.left["session"])["backlog"]
    for _, fields, _ in (*backlog["told"], *backlog["queued"]):
        if "intent_id" in fields:
            yield fields["intent_id"]


def transitions(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Orders move along the table only: checked again from what the journal says."""
    name = "orders move along the table only"
    status: dict[str, OrderStatus] = {}
    for entry in entries:
        report = entry.message
        if not isinstance(report, ExecutionReport):
            continue
        before = status.get(report.order_id)
        status[report.order_id] = report.status
        legal = _targets(before, report.event)
        late = before in TERMINAL and report.event in FILL_EVENTS and report.status is before
        if report.status not in legal and not late:
            start = START.value if before is None else before.value
            targets = " or ".join(sorted(target.value for target in legal)) or "nowhere"
            yield (
                name,
                f"{report.order_id} goes from {start} by {report.event.value} to {targets}",
                report.status.value,
                report.order_id,
            )


def _targets(before: OrderStatus | None, event: OrderEvent) -> set[OrderStatus]:
    # Before its first report an order was intended and then approved.
    starts = {START, OrderStatus.APPROVED} if before is None else {before}
    events = FILL_EVENTS if event in FILL_EVENTS else {event}
    return {
        TRANSITIONS[start][one] for start in starts for one in events if one in TRANSITIONS[start]
    }


def trades(entries: Sequence[Entry]) -> Iterator[Finding]:
    """4: each trade of the venue is booked exactly once."""
    booked: Counter[str] = Counter()
    for entry in entries:
        report = entry.message
        if isinstance(report, ExecutionReport) and report.fill is not None:
            booked[report.fill.trade_id] += 1
            if booked[report.fill.trade_id] == 2:
                yield (
                    "each trade is booked once",
                    f"trade {report.fill.trade_id} is booked once",
                    "more often",
                    report.order_id,
                )


def journal_order(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Numbers have no gap, time never steps back, holds that are lifted were placed."""
    name = "the journal is in order"
    placed: Counter[str] = Counter()
    before = 0
    for number, entry in enumerate(entries, start=1):
        if entry.seq != number:
            yield name, f"entry {number} follows {number - 1}", f"it is numbered {entry.seq}", ""
            return
        if entry.ts < before:
            yield name, f"entry {number} is not earlier than {before}", str(entry.ts), ""
        before = max(before, entry.ts)
        if isinstance(entry.message, HoldPlaced):
            placed[entry.message.hold.hold_id] += 1
        elif isinstance(entry.message, HoldLifted):
            hold_id = entry.message.hold.hold_id
            if not placed[hold_id]:
                yield name, f"{hold_id} is placed before it is lifted", "it was not", ""


def halts(entries: Sequence[Entry]) -> Iterator[Finding]:
    """7: from the trigger of a kill to its hold, and to the last answer, under five seconds."""
    for entry in entries:
        step = entry.message
        if isinstance(step, KillStep) and step.stage in HALTING and step.elapsed_ms > HALT_MS_MAX:
            found = f"{step.stage.value} after {step.elapsed_ms} ms"
            yield "a kill halts within 5 s", f"{step.kill_id} is {step.stage.value}", found, ""


def booked_by(message: Message) -> tuple[Fill | None, Booking | None]:
    """Return what a message booked: a trade of our own, or one that was adopted."""
    if isinstance(message, ExecutionReport):
        return message.fill, message.booking
    if isinstance(message, AccountAdopted):
        return message.adoption.fill, message.booking
    return None, None


def account_equation(
    entries: Sequence[Entry], instruments: Mapping[str, Instrument]
) -> Iterator[Finding]:
    """5: equity is cash + quantity * mark (spot), cash + unrealised (perpetuals), in every row."""
    held: dict[tuple[str, str, PositionSide], tuple[Decimal, Decimal]] = {}
    for entry in entries:
        message = entry.message
        fill, booking = booked_by(message)
        if fill is not None and booking is not None:
            key = (fill.strategy, fill.symbol, fill.position_side)
            quantity, cost = held.get(key, (ZERO, ZERO))
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            # What was paid for the book so far, less the cost of what was closed.
            cost += signed * fill.price + booking.realized_pnl
            held[key] = (quantity + signed, cost)
        elif isinstance(message, PortfolioMarked):
            marks = dict(message.marks)
            equity = message.cash
            for (_, symbol, _), (quantity, cost) in held.items():
                if quantity:
                    spot = instruments[symbol].is_spot
                    equity += quantity * marks[symbol] - (ZERO if spot else cost)
            if equity != message.equity:
                yield "equity is cash and what is held", str(equity), str(message.equity), ""
                return


def told_in(record: Record, stages: Sequence[Stage], number: int) -> list[Intent]:
    """Return the intents that steps told actors in any process of the session of the nth one."""
    before = record.goes_on.get(number)
    earlier = [] if before is None else told_in(record, stages, before)
    return earlier + stages[number - 1].told


def derivations(
    entries: Sequence[Entry], stage: Stage, told: Sequence[Intent]
) -> Iterator[Finding]:
    """8: every order is what an intent asked for, or what its policy permits, to the digit."""
    for fault in underived(entries, stage.session.spec.instruments, told=told):
        name = "every order derives from an intent and its policy"
        yield name, f"{fault.order_id} {fault.what}: {fault.expected}", fault.found, fault.order_id


def reservations(stage: Stage) -> Iterator[Finding]:
    """Yield where Risk knew something else than the books while nothing was on its way."""
    if stage.reserved is not None:
        yield "Risk knows what the books say", *stage.reserved, ""


def books(entries: Sequence[Entry], stage: Stage) -> Iterator[Finding]:
    """3 and 5: the books balance; what the journal booked is what they hold; ledger = venue."""
    ledger = stage.session.assembly.books.ledger
    try:
        ledger.audit()
    except LedgerError as error:
        yield "the books balance, exactly", "an audit that finds nothing", str(error), ""
        return
    held: dict[tuple[str, str, PositionSide], Decimal] = {}
    for entry in entries:
        fill, _ = booked_by(entry.message)
        if fill is not None:
            key = (fill.strategy, fill.symbol, fill.position_side)
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            held[key] = held.get(key, ZERO) + signed
    ours = {
        (position.strategy, position.symbol, position.position_side): position.quantity
        for position in ledger.positions()
    }
    journaled = {key: quantity for key, quantity in held.items() if quantity}
    # What a process had done and not written is lost with it, and so are its books.
    lost = stage.outcome in {CUT, JOURNAL_FAILED} and stage.journal.seq > stage.disk.seq
    if not lost and journaled != ours:
        yield "what was journaled is what was booked", _shown(journaled), _shown(ours), ""
    yield from venue(entries, stage)


def venue(entries: Sequence[Entry], stage: Stage) -> Iterator[Finding]:
    """3: at the end the venue holds what our books do, unless its news is still on its way."""
    if stage.outcome in {CUT, JOURNAL_FAILED, START_REFUSED} or stage.broker.owes:
        return
    assembly = stage.session.assembly
    net: dict[tuple[str, PositionSide], Decimal] = {}
    for position in assembly.books.ledger.positions():
        key = (position.symbol, position.position_side)
        net[key] = net.get(key, ZERO) + position.quantity
    ours = {key: quantity for key, quantity in net.items() if quantity}
    theirs = {
        (position.symbol, position.position_side): position.quantity
        for position in stage.broker.engine.positions()
        if position.quantity
    }
    if ours != theirs and not _known(entries, stage):
        name = "ledger = venue, or the difference is known and held"
        yield name, _shown(theirs), _shown(ours), ""


def _known(entries: Sequence[Entry], stage: Stage) -> bool:
    """Return whether the last comparison found a difference, and a hold says so."""
    compared = [entry.message for entry in entries if isinstance(entry.message, Reconciled)]
    held = RECONCILIATION_HOLD in stage.session.assembly.holds.view()
    return bool(compared and compared[-1].differences) and held


def _shown(held: Mapping[Any, Decimal]) -> str:
    items = [f"{' '.join(str(part) for part in key)} {held[key]}" for key in sorted(held)]
    return "; ".join(items) or "nothing"
