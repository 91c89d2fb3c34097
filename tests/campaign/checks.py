"""
What must hold after a run of the campaign, each as a function that returns what does not.

The venue's truth log, the session's journal, what left the socket and what the operator was told
are four records by four hands; nothing here asks the code that is under test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec
from campaign_records import Records, opens
from campaign_run import DOUBTS, Played, Said
from checks_of_market import market, silence
from workload import BAND, BTC, MAX_POSITION, PRICE

from messages import (
    IN_DOUBT_HOLDS,
    AccountAdopted,
    CommandVerb,
    DeadLetter,
    Escalated,
    ExecutionReport,
    Fill,
    HoldLifted,
    HoldPlaced,
    KillReport,
    OperatorCommand,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    OrderType,
    PositionSide,
    ReasonCode,
    SessionStarted,
    Side,
)
from scenarios.exchange.facts import Fact, FactKind
from scenarios.exchange.faults import WireFaultKind
from scenarios.exchange.truth import (
    Folded,
    compare,
    compare_books,
    fold_journal,
    fold_truth,
    last_books,
)
from scenarios.exchange.venue import AGAIN, OWN_PREFIX
from state.orders import TERMINAL

LEAST_PRICE: Final = Decimal(PRICE - BAND)
KILL_S: Final = 5.0
"""From a kill to its answer: the house's promise."""

DOUBT_SLACK_MS: Final = 1_500
"""Between a deadline and the hold: the session looks at it with its next step."""

OVER: Final = {
    FactKind.REJECTED,
    FactKind.CANCELLED,
    FactKind.EXPIRED,
}


def sent_twice(records: Records) -> Iterator[str]:
    """Nothing is ever sent twice: one request to create an order of an id, at the socket."""
    for name, count in records.played.record.creates.items():
        if count > 1:
            yield f"order {name}: {count} requests to create it left"


def books(records: Records) -> Iterator[str]:
    """The truth log and the journal agree: every fill once, every order with its true end."""
    truth = _truth(records)
    journal = fold_journal(each.message for each in records.entries)
    for report in records.messages(ExecutionReport):
        # What was rounded to a coarser lot on its way is filled whole by the venue's count.
        if report.cause is not None and report.cause.code is ReasonCode.FILLED_AS_SENT:
            journal.orders[report.client_order_id].status = OrderStatus.FILLED
    if WireFaultKind.CHANGE_RULES in records.played.struck:
        for name in truth.orders.keys() & journal.orders.keys():
            asked, came = journal.orders[name].request, truth.orders[name].request
            if asked is not None and came is not None:
                journal.orders[name].request = as_rounded(asked, came)
    for name in truth.fills.keys() & journal.fills.keys():
        one, other = truth.fills[name], journal.fills[name]
        differ = [
            f"{each} {getattr(one, each)} and {getattr(other, each)}"
            for each in EXECUTED
            if getattr(one, each) != getattr(other, each)
        ]
        if differ:
            yield f"trade {name}: {'; '.join(differ)}"
        journal.fills[name] = one
    yield from _ledger(records, truth)
    found = compare(truth, journal)
    yield from (*found.lost, *found.duplicated, *found.unresolved)
    held = Counter(journal.positions)
    for adopted in records.messages(AccountAdopted):
        fill = adopted.adoption.fill
        if fill is not None:
            held[fill.symbol, fill.position_side] += fill.quantity * fill.side.sign
    ours = {key: quantity for key, quantity in held.items() if quantity}
    theirs = {key: quantity for key, quantity in _held(records).items() if quantity}
    if ours != theirs:
        yield f"positions: venue {theirs}, journal {ours}"


def _ledger(records: Records, truth: Folded) -> Iterator[str]:
    """
    Yield where the session's own ledger is not what the exchange's log adds up to.

    What was adopted of a position is booked at what the account says of it: there only funding is
    compared.
    """
    differ = compare_books(truth, last_books(each.message for each in records.entries))
    if any(records.messages(AccountAdopted)):
        differ = [each for each in differ if each.startswith("funding:")]
    yield from differ


COARSE_TICK: Final = Decimal(1)
COARSE_LOT: Final = Decimal("0.01")
"""What ticks and lots are once the rules have changed: the instrument's, ten times as large."""


def as_rounded(asked: OrderRequest, came: OrderRequest) -> OrderRequest:
    """
    Return what was asked for as it goes out to a venue whose rules are coarser than the session's.

    The quantity goes down, a limit away from the market, and a stop so that it is no sooner; what
    came otherwise is not what is returned here.
    """
    buys = asked.side is Side.BUY
    is_target = asked.order_type in {OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
    ways = {
        "quantity": (COARSE_LOT, False),
        "price": (COARSE_TICK, not buys),
        "stop_price": (COARSE_TICK, buys is not is_target),
    }
    changed: dict[str, Any] = {}
    for what, (step, upwards) in ways.items():
        exact, arrived = getattr(asked, what), getattr(came, what)
        if exact is not None and arrived != exact:
            whole = exact // step + (1 if upwards and exact % step else 0)
            changed[what] = whole * step
    return msgspec.structs.replace(asked, **changed)


EXECUTED: Final = (
    "client_order_id",
    "symbol",
    "side",
    "position_side",
    "quantity",
    "price",
    "fee",
    "fee_currency",
    "liquidity",
)
"""
What both sides say of a fill. Not when: what a bar has filled is dated by its beginning at the
venue's core, and by its end on the wire.
"""


def _truth(records: Records) -> Folded:
    """
    Return what the exchange's log adds up to, as the wire told of it.

    What the venue did by itself is nobody's order; a request that the line has doubled is one order
    of ours, of which the venue has made two.
    """
    facts = [fact for fact in records.facts if not _is_own(fact)]
    truth = fold_truth(facts)
    if WireFaultKind.REPEAT_REQUESTS in records.played.struck:
        _undouble(truth)
    market = BTC.partition("/")[0] + "USDT"
    truth.fills = {f"{market}:{name}": fill for name, fill in truth.fills.items()}
    for fact in facts:
        # What has nothing left to reduce is taken back by the venue: on the wire it has expired.
        cause = None if fact.report is None else fact.report.cause
        is_taken_back = cause is not None and cause.code in TAKEN_BACK
        if fact.fact is FactKind.CANCELLED and is_taken_back and AGAIN not in fact.client_order_id:
            truth.orders[fact.client_order_id].status = OrderStatus.EXPIRED
    return truth


def _undouble(truth: Folded) -> None:
    """Count what the line has doubled as what it is of: we have sent it once (``sent_twice``)."""
    truth.sent_again.clear()
    for name in [name for name in truth.orders if AGAIN in name]:
        again, first = truth.orders.pop(name), truth.orders[name.partition(AGAIN)[0]]
        first.filled += again.filled
    for trade, fill in truth.fills.items():
        name = fill.client_order_id.partition(AGAIN)[0]
        truth.fills[trade] = msgspec.structs.replace(fill, client_order_id=name)


def _is_own(fact: Fact) -> bool:
    return fact.client_order_id.startswith(tuple(OWN_PREFIX.values()))


def _held(records: Records) -> Mapping[Any, Decimal]:
    return fold_truth(records.facts).held


@dataclass(slots=True)
class _Exposure:
    """Position and live orders of one side's record; what each order may still add."""

    positions: dict[PositionSide, Decimal] = field(default_factory=dict)
    live: dict[str, tuple[OrderRequest, Decimal]] = field(default_factory=dict)

    def fill(self, name: str, fill: Fill) -> None:
        signed = fill.quantity * fill.side.sign
        book = fill.position_side
        self.positions[book] = self.positions.get(book, Decimal(0)) + signed
        if name in self.live:
            request, filled = self.live[name]
            self.live[name] = request, filled + fill.quantity

    def worst(self) -> Decimal:
        """
        Return the least that all of it may be worth, every order counted as filled.

        At the lowest price that there was; what would be bought for less still, at its own.
        """
        adds: dict[tuple[PositionSide, Side], Decimal] = {}
        for request, filled in self.live.values():
            if opens(request):
                key = request.position_side, request.side
                price = min(LEAST_PRICE, request.price or LEAST_PRICE)
                adds[key] = adds.get(key, Decimal(0)) + (request.quantity - filled) * price
        worst = Decimal(0)
        for book in {*self.positions, *(book for book, _ in adds)}:
            held = self.positions.get(book, Decimal(0)) * LEAST_PRICE
            long, short = (adds.get((book, side), Decimal(0)) for side in (Side.BUY, Side.SELL))
            worst += max(abs(held + long), abs(held - short))
        return worst


def exposure(records: Records) -> Iterator[str]:
    """What is held, rests, or is in doubt, all of it counted as filled, is within the limits."""
    most = MAX_POSITION
    sides = {"journal": _by_us(records)}
    if WireFaultKind.REPEAT_REQUESTS not in records.played.struck:  # what the line adds is not ours
        sides["venue"] = _at_venue(records.facts)
    for whose, steps in sides.items():
        for name, worst in steps:
            if worst > most:
                yield f"exposure by the {whose} when order {name} came: {worst:.2f}, at most {most}"
                break


def _at_venue(facts: Iterable[Fact]) -> Iterator[tuple[str, Decimal]]:
    now = _Exposure()
    for fact in facts:
        name = fact.client_order_id
        if fact.fact is FactKind.FORCED:
            # What the venue closes by itself is not in our books before a look has found it: from
            # here on the two sides count from different positions, and only ours is bounded.
            return
        if fact.fact is FactKind.RECEIVED and fact.request is not None:
            now.live[name] = fact.request, Decimal(0)
            if opens(fact.request):
                yield name, now.worst()
        elif fact.report is not None and fact.report.fill is not None:
            now.fill(name, fact.report.fill)
            if fact.report.event is OrderEvent.FILLED:
                now.live.pop(name, None)
        elif fact.fact in OVER:
            now.live.pop(name, None)


def _by_us(records: Records) -> Iterator[tuple[str, Decimal]]:
    now, requests = _Exposure(), dict[str, OrderRequest]()
    for report in records.messages(ExecutionReport):
        name = report.client_order_id
        if report.order is not None:
            requests[name] = report.order
        if report.event is OrderEvent.SENT:
            now.live[name] = requests[name], Decimal(0)
            if opens(requests[name]):
                yield name, now.worst()
        if report.fill is not None:
            now.fill(name, report.fill)
        if report.status in TERMINAL:
            now.live.pop(name, None)


def doubts(records: Records) -> Iterator[str]:
    """
    Every doubt about a submit is settled, or held, by its deadline; at the end none is left.

    While no process lives nobody can hold it, and nothing opens: the next one does as it starts.
    """
    since: dict[str, int] = {}
    started = 0
    held: set[str] = set()
    for entry in records.entries:
        message = entry.message
        now = entry.ts
        if isinstance(message, SessionStarted):
            started = now
        elif isinstance(message, HoldPlaced) and message.hold.hold_id.startswith(IN_DOUBT_HOLDS):
            held.add(message.hold.hold_id.removeprefix(IN_DOUBT_HOLDS))
        elif isinstance(message, HoldLifted):
            held.discard(message.hold.hold_id.removeprefix(IN_DOUBT_HOLDS))
        elif isinstance(message, ExecutionReport):
            if message.status is OrderStatus.IN_DOUBT:
                since.setdefault(message.order_id, now)
            else:
                since.pop(message.order_id, None)
        for order_id, at in list(since.items()):
            by = max(at + DOUBTS.budget_ms, started) + DOUBT_SLACK_MS
            if now > by and order_id not in held:
                yield f"order {order_id}: in doubt for {now - at} ms and not held"
                del since[order_id]
    for order_id, at in since.items():
        yield f"order {order_id}: in doubt since {at}, to the end"


def cancels(records: Records) -> Iterator[str]:
    """No cancel waits behind a question."""
    yield from records.played.record.late_cancels


def kills(records: Records) -> Iterator[str]:
    """A kill is answered in time, holds, and is confirmed or said not to be."""
    for said in records.played.said:
        if said.command.verb is not CommandVerb.KILL:
            continue
        if said.answered_s is not None and said.answered_s - said.at_s > KILL_S:
            yield f"kill: answered after {said.answered_s - said.at_s:.1f} s"
        if said.answer is not None and not said.answer.ok:
            yield f"kill: {said.answer.text}"
        yield from _leaks(records, said)
    killed = [each for each in records.messages(OperatorCommand) if each.verb is CommandVerb.KILL]
    if killed and not list(records.messages(KillReport)):
        resumed = any(each.command.verb is CommandVerb.RESUME for each in records.played.said)
        if not resumed:
            yield "kill: nobody has said whether it was confirmed"


def _lifts(resume: Said, kill: Said, acknowledged_s: float) -> bool:
    """Return whether a resume came after a kill, if only while both waited for a new process."""
    if resume.at_s >= acknowledged_s:
        return True
    return resume.at_s > kill.at_s and resume.answer is not None and resume.answer.ok


def _leaks(records: Records, said: Said) -> Iterator[str]:
    """Yield what opened after a kill was acknowledged, and before it was lifted."""
    from_s = said.answered_s
    if from_s is None:
        return
    until_s = min(
        (
            max(other.at_s, from_s)
            for other in records.played.said
            if other.command.verb is CommandVerb.RESUME and _lifts(other, said, from_s)
        ),
        default=float("inf"),
    )
    record = records.played.record
    for left in record.left:
        if left.what != "create" or not from_s < left.at_s < until_s:
            continue
        request = record.handed[left.name]
        if opens(request):
            yield (
                f"kill: order {left.name} opens, and left {left.at_s - from_s:.2f} s after the "
                "kill was acknowledged"
            )


def strikes(records: Records) -> Iterator[str]:
    """A fault that has a run of its own has struck in it: else the run has shown nothing."""
    plan, struck = records.played.plan, records.played.struck
    if plan.alone and not any(struck.values()):
        yield f"{plan.kinds[0]} never struck"


def sound(records: Records) -> Iterator[str]:
    """No actor has failed, nothing was escalated, the venue's own invariants held."""
    yield from records.played.problems
    for each in records.messages(Escalated):
        yield f"escalated: {each}"
    for each in records.messages(DeadLetter):
        if each.reason not in HARMLESS:
            yield f"dead letter: {each}"


TAKEN_BACK: Final = frozenset({ReasonCode.VENUE_REDUCE_ONLY})
HARMLESS: Final = frozenset(
    {"unknown_order", "duplicate_trade", "illegal_transition", "overtaking_trade"}
)

CHECKS: Final[tuple[Callable[[Records], Iterable[str]], ...]] = (
    sent_twice,
    books,
    exposure,
    doubts,
    cancels,
    kills,
    market,
    silence,
    strikes,
    sound,
)


def found_in(played: Played) -> tuple[Records, list[str]]:
    """Return the records of a run, and everything that does not hold."""
    records = Records.of(played)
    found = [f"{check.__name__}: {what}" for check in CHECKS for what in check(records)]
    return records, found
