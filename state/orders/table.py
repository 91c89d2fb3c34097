"""
The life of an order: one table, one step function, one store.

Theory of operation
-------------------
An order begins INTENDED and moves only along ``TRANSITIONS``. The table is total: for every
status and every event it either names the next status or, by leaving the event out, calls it
illegal. An illegal event raises ``IllegalTransition`` and changes nothing; whoever sees it
records it and lets the Reconciler ask the venue.

Three rules shape the table, and assertions at import hold it to them:

- *Silence never ends an order.* A lost answer to a submit puts the order IN_DOUBT, and only the
  venue's evidence (an acceptance, a refusal, a fill, an end, or proof of absence) leaves it.
  Where the venue has already shown that it has the order, silence means nothing: a lost answer
  to a cancel leaves a live order live.
- *Final states absorb.* Nothing leaves them. The events that ordinary reordering can bring late
  (the acknowledgement of an order that is already filled, the second copy of a cancel) are
  listed and change nothing; everything else is an alarm.
- *Arithmetic decides what is full.* Fills may come before the acknowledgement, while in doubt,
  and out of order. Which of the two fill events a fill is follows from the quantities, not from
  the venue's word, so an order ends FILLED exactly when every unit of it is booked.

A fill that arrives after the end (a cancel that crossed it on the wire) is an alarm, and its
money is real all the same: ``Order.apply`` raises, the caller records the alarm, and
``Order.record_late_fill`` books the quantity without touching the status. The same road takes a
fill beyond the order's quantity (``OverFill``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from messages import OrderEvent, OrderStatus

S = OrderStatus
E = OrderEvent

TRANSITIONS: Mapping[OrderStatus, Mapping[OrderEvent, OrderStatus]] = MappingProxyType(
    {
        S.INTENDED: {E.APPROVED: S.APPROVED, E.DENIED: S.DENIED},
        # A kill may empty the mailbox before the journal has seen the order.
        S.APPROVED: {E.JOURNALED: S.JOURNALED, E.SUPPRESSED: S.SUPPRESSED},
        # SILENCE here is a crash between the commit and the record of the send: at the next
        # start nobody knows whether the bytes left.
        S.JOURNALED: {E.SENT: S.SENT, E.SUPPRESSED: S.SUPPRESSED, E.SILENCE: S.IN_DOUBT},
        S.SENT: {
            E.ACCEPTED: S.ACCEPTED,
            E.REJECTED: S.REJECTED,
            E.SILENCE: S.IN_DOUBT,
            E.FILLED_PARTLY: S.PARTIALLY_FILLED,  # a fill can overtake the acknowledgement
            E.FILLED: S.FILLED,
            E.CANCELLED: S.CANCELLED,
            E.EXPIRED: S.EXPIRED,
        },
        # NB: no way out but the venue's evidence.
        S.IN_DOUBT: {
            E.ACCEPTED: S.ACCEPTED,
            E.REJECTED: S.REJECTED,
            E.PROVEN_ABSENT: S.REJECTED,
            E.SILENCE: S.IN_DOUBT,
            E.FILLED_PARTLY: S.PARTIALLY_FILLED,
            E.FILLED: S.FILLED,
            E.CANCELLED: S.CANCELLED,
            E.EXPIRED: S.EXPIRED,
        },
        S.ACCEPTED: {
            E.ACCEPTED: S.ACCEPTED,  # the answer and the stream both acknowledge
            E.REJECTED: S.REJECTED,  # some venues acknowledge receipt first, then refuse
            E.SILENCE: S.ACCEPTED,  # a cancel's answer is lost: the order still exists
            E.FILLED_PARTLY: S.PARTIALLY_FILLED,
            E.FILLED: S.FILLED,
            E.CANCELLED: S.CANCELLED,
            E.EXPIRED: S.EXPIRED,
        },
        S.PARTIALLY_FILLED: {
            E.ACCEPTED: S.PARTIALLY_FILLED,  # overtaken by the fill
            E.SILENCE: S.PARTIALLY_FILLED,
            E.FILLED_PARTLY: S.PARTIALLY_FILLED,
            E.FILLED: S.FILLED,
            E.CANCELLED: S.CANCELLED,
            E.EXPIRED: S.EXPIRED,
        },
        # Final states: what reordering can bring late is absorbed, the rest is an alarm.
        S.DENIED: {},
        S.SUPPRESSED: {},
        S.REJECTED: {E.REJECTED: S.REJECTED, E.SILENCE: S.REJECTED},
        S.FILLED: {E.ACCEPTED: S.FILLED, E.SILENCE: S.FILLED},
        S.CANCELLED: {
            E.ACCEPTED: S.CANCELLED,
            E.CANCELLED: S.CANCELLED,
            E.SILENCE: S.CANCELLED,
        },
        S.EXPIRED: {E.ACCEPTED: S.EXPIRED, E.EXPIRED: S.EXPIRED, E.SILENCE: S.EXPIRED},
    }
)

START = S.INTENDED
TERMINAL = frozenset({S.DENIED, S.SUPPRESSED, S.REJECTED, S.FILLED, S.CANCELLED, S.EXPIRED})
FILL_EVENTS = frozenset({E.FILLED_PARTLY, E.FILLED})
VENUE_EVIDENCE = FILL_EVENTS | {
    E.ACCEPTED,
    E.REJECTED,
    E.CANCELLED,
    E.EXPIRED,
    E.PROVEN_ABSENT,
}
"""Events that only the venue can cause; silence is not among them."""


class IllegalTransition(Exception):
    """An event that the table does not allow in this status; nothing was changed."""

    def __init__(self, status: OrderStatus, event: OrderEvent, detail: str = "") -> None:
        """Keep what was tried."""
        self.status = status
        self.event = event
        self.detail = detail
        where = f" ({detail})" if detail else ""
        super().__init__(f"no {event.value} in status {status.value}{where}")


class OverFill(IllegalTransition):
    """A fill that is not positive, or goes beyond the order's quantity; nothing was changed."""


def check_table(table: Mapping[OrderStatus, Mapping[OrderEvent, OrderStatus]]) -> None:
    """Assert every rule that the theory of operation states; run on ``TRANSITIONS`` at import."""
    assert set(table) == set(S), "every status has a row"
    for status, row in table.items():
        for event, target in row.items():
            assert isinstance(event, E), "rows are keyed by events"
            assert isinstance(target, S), "rows lead to statuses"
            if status in TERMINAL:
                assert target is status, "final states absorb"
            elif event is E.SILENCE:
                assert target not in TERMINAL, "silence never ends an order"
            if status is S.IN_DOUBT and target is not S.IN_DOUBT:
                assert event in VENUE_EVIDENCE, "only the venue's evidence leaves doubt"
            if event is E.PROVEN_ABSENT:
                assert status is S.IN_DOUBT, "absence is proven of orders in doubt only"
            if target is S.FILLED and status is not S.FILLED:
                assert event is E.FILLED, "only a fill fills"
    assert {event for row in table.values() for event in row} == set(E), "every event is used"
    assert reachable(table, START) == set(S), "every status can be reached"
    for status in set(S) - TERMINAL:
        assert reachable(table, status) & TERMINAL, "every live order can end"


def reachable(
    table: Mapping[OrderStatus, Mapping[OrderEvent, OrderStatus]], start: OrderStatus
) -> set[OrderStatus]:
    """Return every status that events can lead to from ``start``, itself included."""
    found = {start}
    frontier = [start]
    while frontier:
        for target in table[frontier.pop()].values():
            if target not in found:
                found.add(target)
                frontier.append(target)
    return found


check_table(TRANSITIONS)


def step(status: OrderStatus, event: OrderEvent) -> OrderStatus:
    """Return the status after ``event``, or raise ``IllegalTransition``."""
    target = TRANSITIONS[status].get(event)
    if target is None:
        raise IllegalTransition(status, event)
    return target


def diagram() -> str:
    """Return the table as a Mermaid state diagram, one line per transition, in table order."""
    lines = ["stateDiagram-v2", f"    [*] --> {START.value}"]
    for status, row in TRANSITIONS.items():
        lines += [
            f"    {status.value} --> {target.value}: {event.value}"
            for event, target in row.items()
            if target is not status
        ]
    lines += [f"    {status.value} --> [*]" for status in TRANSITIONS if status in TERMINAL]
    return "\n".join(lines) + "\n"
