"""
The causation chain of an order: from the order up to the wish that it derives from, and beyond.

A follow-up names its root, a step names its plan, an operator's close belongs to a kill; everything
else is followed by the causation ids of the journal, up to the market data, the timer or the
command at which it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from messages import (
    ExecutionReport,
    FollowUp,
    Intent,
    KillStage,
    KillStep,
    OpenFollowUp,
    OperatorCommand,
    OperatorReduce,
    OrderStatus,
    PlanIntent,
    ReduceFollowUp,
)
from state.derivation.words import BECAUSE, words
from state.journal import Entry
from state.money import plain
from state.projections.timestamps import iso_ms

LINKS_MAX: Final = 64
"""Links of one chain: a strategy that answers each fill with an order makes endless ones."""


class LinkKind(StrEnum):
    """What a link of a chain is."""

    ORDER = "order"
    FOLLOW_UP = "follow_up"  # a further order that its intent's policy permits
    INTENT = "intent"
    PLAN_STEP = "plan_step"
    PLAN = "plan"  # an UPDATE_PLAN
    EVENT = "event"  # what led to it: a fill, a refusal, the end of another order
    KILL = "kill"
    COMMAND = "command"  # an operator's
    MARKET = "market"  # a bar, a quote, a public trade
    BEGINNING = "beginning"  # a timer, the start: nothing in the journal led to it
    MORE = "more"  # it goes on, and is not told
    UNKNOWN = "unknown"  # the journal does not say


@dataclass(frozen=True, slots=True)
class Link:
    """One link; ``seq`` and ``at`` (int ms UTC) are those of the entry that says so, if any."""

    kind: LinkKind
    text: str
    name: str = ""
    seq: int | None = None
    at: int | None = None


class Lookup(Protocol):
    """A journal in which entries are found by number and by what they are about."""

    def by_seq(self, seq: int) -> Entry | None:
        """Return the entry of this number."""

    def about(self, name: str) -> Iterable[Entry]:
        """Return, in order, at least the entries whose message names this id."""


def chain_of(order_id: str, journal: Lookup) -> list[Link]:
    """
    Return the chain of an order, the order first; none if the journal does not know it.

    It ends in market data, a command or a beginning; one that ends in UNKNOWN is underived.
    """
    links: list[Link] = []
    for link in _chain(order_id, journal):
        if len(links) >= LINKS_MAX:
            links.append(Link(LinkKind.MORE, "and so on: see events.ndjson"))
            break
        links.append(link)
    return links


def _chain(order_id: str, journal: Lookup) -> Iterator[Link]:
    entries = list(journal.about(order_id))
    asks = _intent(entries, order_id)
    reports = [e for e in entries if _is_report(e, order_id)]
    if asks is None and not reports:
        return
    yield _order(order_id, asks, reports)
    if asks is None:
        yield Link(LinkKind.UNKNOWN, "no intent of it is in this journal")
        return
    yield from _wish(asks, journal)


def _order(order_id: str, asks: Entry | None, reports: list[Entry]) -> Link:
    """Return the link of the order itself: what went out, and how it stands."""
    requests = [e for e in reports if _report_of(e).order is not None]
    first = requests[0] if requests else (reports[0] if reports else asks)
    assert first is not None, "whoever asks has found something"
    text = "never put on record"
    if requests:
        request = _report_of(requests[0]).order
        assert request is not None, "chosen by it"
        price = request.price if request.price is not None else request.stop_price
        at = "" if price is None else f" at {plain(price)}"
        text = (
            f"{request.side.value} {plain(request.quantity)} {request.symbol} "
            f"{request.order_type.value}{at}"
        )
    if reports:
        last = _report_of(reports[-1])
        text += f": {last.status.value}"
        if last.filled and last.status is not OrderStatus.FILLED:
            text += f", {plain(last.filled)} filled"
    return Link(LinkKind.ORDER, text, order_id, first.seq, first.ts)


def _wish(entry: Entry, journal: Lookup) -> Iterator[Link]:
    """Yield the links from an intent up."""
    intent = entry.message
    assert isinstance(intent, Intent), "found as one"
    if isinstance(intent, OpenFollowUp | ReduceFollowUp):
        yield _follow_up(entry, intent, journal)
        root = _intent(journal.about(intent.root_id), intent.root_id)
        if root is None:
            yield Link(LinkKind.UNKNOWN, f"no intent {intent.root_id} is in this journal")
            return
        yield from _wish(root, journal)
        return
    yield Link(LinkKind.INTENT, words(intent), intent.intent_id, entry.seq, entry.ts)
    if isinstance(intent, OperatorReduce):
        yield from _kill(intent, journal)
    elif intent.plan_id:
        yield _step(entry, intent, journal)
        plan = _plan(journal.about(intent.plan_id), intent.plan_id)
        if plan is None:
            yield Link(LinkKind.UNKNOWN, f"no plan {intent.plan_id} is in this journal")
            return
        yield Link(LinkKind.PLAN, words(plan.message), intent.plan_id, plan.seq, plan.ts)
        yield from _causes(plan.causation, journal)
    else:
        yield from _causes(entry.causation, journal)


def _follow_up(entry: Entry, intent: FollowUp, journal: Lookup) -> Link:
    """Return the link of a further order: why, and after what."""
    text = f"one more order of {intent.root_id}: {BECAUSE[intent.because]}"
    before = [
        _report_of(e)
        for e in journal.about(intent.root_id)
        if e.seq < entry.seq and isinstance(e.message, ExecutionReport)
    ]
    led = next((report for report in reversed(before) if report.then is intent.because), None)
    if led is not None:
        text += f" (after {led.order_id}: {words(led)})"
    return Link(LinkKind.FOLLOW_UP, text, intent.intent_id, entry.seq, entry.ts)


def _step(entry: Entry, intent: Intent, journal: Lookup) -> Link:
    """Return the link of a plan's step: which, and what let it be asked for."""
    text = f"step {intent.tag!r} of plan {intent.plan_id}"
    led = next(iter(_causes(entry.causation, journal)), None)
    if led is not None:
        text += f", after {led.text}"
    return Link(LinkKind.PLAN_STEP, text, intent.tag, entry.seq, entry.ts)


def _kill(intent: OperatorReduce, journal: Lookup) -> Iterator[Link]:
    """Yield the kill that an operator's close belongs to, and the command that pulled it."""
    kill_id = intent.intent_id.rpartition("-")[0]
    steps = [entry for entry in journal.about(kill_id) if isinstance(entry.message, KillStep)]
    latched = [entry for entry in steps if _stage(entry) is KillStage.LATCHED]
    if not latched:
        yield Link(LinkKind.UNKNOWN, f"no kill {kill_id} is in this journal")
        return
    yield Link(LinkKind.KILL, words(latched[0].message), kill_id, latched[0].seq, latched[0].ts)
    flattening = [entry for entry in steps if _stage(entry) is KillStage.FLATTENING]
    yield from _causes((flattening or latched)[-1].causation, journal)


def _causes(origin: str, journal: Lookup) -> Iterator[Link]:
    """Yield what led to something, from its causation id up."""
    seen = 0
    while origin.isdecimal() and seen < LINKS_MAX:
        seen += 1
        entry = journal.by_seq(int(origin))
        if entry is None:
            yield Link(LinkKind.UNKNOWN, f"no entry {origin} is in this journal")
            return
        message = entry.message
        if isinstance(message, Intent):
            yield from _wish(entry, journal)
            return
        if isinstance(message, OperatorCommand):
            text = words(message)
            yield Link(LinkKind.COMMAND, text, message.command_id, entry.seq, entry.ts)
            return
        name = _subject(entry)
        text = f"{name} {words(message) or type(message).__name__}".strip()
        yield Link(LinkKind.EVENT, text, name, entry.seq, entry.ts)
        asks = _intent(journal.about(name), name) if name else None
        if asks is not None and asks.seq < entry.seq:
            yield from _wish(asks, journal)
            return
        origin = entry.causation
    yield _beginning(origin)


def _beginning(origin: str) -> Link:
    """Return the link of an origin that is no entry of the journal."""
    kind, _, rest = origin.partition(":")
    symbol, _, at = rest.rpartition(":")
    if symbol and at.isdecimal():
        moment = iso_ms(int(at))
        text = f"the {kind} of {symbol} at {moment}"
        if kind == "bar":
            text = f"the bar of {symbol} that opened at {moment}"
        return Link(LinkKind.MARKET, text, origin, None, int(at))
    return Link(LinkKind.BEGINNING, BEGINNINGS.get(origin, origin), origin)


BEGINNINGS: Final = {
    "": "the session itself",
    "timer": "a timer",
    "clock": "time alone",
    "start": "the start of an actor",
    "failure": "a handler that failed",
    "venue": "the venue, late",
    "connecting": "the venue, before the start",
}
"""What origins mean that are words."""


def _intent(entries: Iterable[Entry], name: str) -> Entry | None:
    """Return the first entry that asks for an order of this id."""
    for entry in entries:
        if isinstance(entry.message, Intent) and entry.message.intent_id == name:
            return entry
    return None


def _plan(entries: Iterable[Entry], name: str) -> Entry | None:
    for entry in entries:
        if isinstance(entry.message, PlanIntent) and entry.message.intent_id == name:
            return entry
    return None


def _is_report(entry: Entry, order_id: str) -> bool:
    return isinstance(entry.message, ExecutionReport) and entry.message.order_id == order_id


def _report_of(entry: Entry) -> ExecutionReport:
    assert isinstance(entry.message, ExecutionReport), "chosen by its class"
    return entry.message


def _stage(entry: Entry) -> KillStage:
    assert isinstance(entry.message, KillStep), "chosen by its class"
    return entry.message.stage


def _subject(entry: Entry) -> str:
    """Return the id of the order that an event is about, empty if it is about none."""
    message = entry.message
    for name in ("order_id", "intent_id"):
        found = getattr(message, name, "")
        if found:
            return str(found)
    return ""
