"""
What went wrong between a recorded session and a venue elsewhere, as the steps of a scenario.

A scenario's venue is in its process and says at once what becomes of an order. Where the recorded
one did not, a fault says so: an answer that was lost, although the order had arrived; a request
that never arrived; an order that was turned away without being looked at. Until the recorded venue
had told what there was to an order in doubt, the scenario's venue does not answer either.

News that came late, twice or in disorder leaves no trace here: a session is to decide the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from messages import (
    ExecutionReport,
    Hold,
    Message,
    OrderEvent,
    OrderStatus,
    ReasonCode,
    VenueConnected,
    VenueOrder,
    VenueReport,
)
from scenarios.model.steps import FaultKind
from state.journal import Entry

THERE: Final = frozenset(
    {
        OrderEvent.ACCEPTED,
        OrderEvent.FILLED_PARTLY,
        OrderEvent.FILLED,
        OrderEvent.CANCELLED,
        OrderEvent.EXPIRED,
    }
)
"""What a venue says of an order only if it has arrived."""

TURNED_AWAY: Final = frozenset({ReasonCode.VENUE_RATE_LIMITED, ReasonCode.VENUE_REJECTED})
"""Rejections that do not follow from the order and the market."""

SLACK_BARS: Final = 2
"""How much later than its venue's answer a doubt may end here: it asks again after a pause."""


def is_elsewhere(entries: Iterable[Entry]) -> bool:
    """Return whether a session's venue was not in its process."""
    return any(isinstance(entry.message, VenueConnected) for entry in entries)


def settlements(near: Iterable[Entry], entries: list[Entry]) -> list[Entry]:
    """Return by which entries the orders were settled that went into doubt near an event."""
    found = {
        entry.message.client_order_id: entry.seq
        for entry in near
        if isinstance(entry.message, ExecutionReport)
        and entry.message.status is OrderStatus.IN_DOUBT
    }
    ends = (_settled(name, seq, entries) for name, seq in found.items())
    return [entry for entry in ends if entry is not None]


def is_of_the_line(hold: Hold) -> bool:
    """Return whether a hold is due to the line to the venue, which a scenario does not have."""
    return hold.set_by in {"health", "reconciler"} or hold.hold_id in {
        "reconciliation",
        "recovering",
    }


def is_idle(message: Message) -> bool:
    """Return whether an answer was lost that nobody needed: the news had been heard by then."""
    return (
        isinstance(message, ExecutionReport)
        and message.event is OrderEvent.SILENCE
        and message.status is not OrderStatus.IN_DOUBT
    )


def faults_of(entries: list[Entry], start: int) -> Iterator[dict[str, Any]]:
    """Yield the steps that make a scenario's venue fail where the recorded one did, in order."""
    there = _there(entries)
    sent: dict[str, Entry] = {}
    struck: set[str] = set()
    for entry in entries:
        message = entry.message
        if isinstance(message, ExecutionReport) and message.event is OrderEvent.SENT:
            sent[message.client_order_id] = entry
        elif isinstance(message, VenueReport):
            left = sent.get(message.client_order_id)
            if left is None or message.client_order_id in struck:
                continue
            # What is said second is about a cancel, or about what is known by then.
            struck.add(message.client_order_id)
            yield from _fault(message, left, there, entries, start)


def _fault(
    said: VenueReport,
    left: Entry,
    there: Mapping[str, Entry],
    entries: list[Entry],
    start: int,
) -> Iterator[dict[str, Any]]:
    assert isinstance(left.message, ExecutionReport), "chosen by its class"
    at, symbol = f"{max(left.ts - 1 - start, 0)}ms", left.message.symbol
    once = {"count": 1, "symbol": symbol}
    cause = said.cause
    if said.event is OrderEvent.REJECTED and cause is not None and cause.code in TURNED_AWAY:
        fault = {"fault": FaultKind.REJECT.value, "code": cause.code.value, "detail": cause.detail}
        yield {"at": at, "venue": {**fault, **once}}
    if said.event is not OrderEvent.SILENCE:
        return
    name = said.client_order_id
    kind = FaultKind.LOSE_ANSWERS if name in there else FaultKind.LOSE_REQUESTS
    yield {"at": at, "venue": {"fault": kind.value, **once}}
    settled = _settled(name, left.seq, entries)
    mute = {"fault": FaultKind.MUTE_ORDERS.value, "symbol": symbol}
    if settled is None:
        yield {"at": at, "venue": mute}
    elif settled.ts > left.ts:
        yield {"at": at, "venue": {**mute, "for": f"{settled.ts - left.ts}ms"}}


def _there(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the orders that the venue certainly had, each with the first word of that."""
    found: dict[str, Entry] = {}
    for entry in entries:
        said = entry.message
        if (isinstance(said, VenueReport) and said.event in THERE) or (
            isinstance(said, VenueOrder) and said.known
        ):
            found.setdefault(said.client_order_id, entry)
    return found


def _settled(name: str, after: int, entries: list[Entry]) -> Entry | None:
    """Return the entry by which an order was no longer in doubt, if there is one."""
    for entry in entries[after:]:
        report = entry.message
        if (
            isinstance(report, ExecutionReport)
            and report.client_order_id == name
            and report.event is not OrderEvent.SILENCE
        ):
            return entry
    return None
