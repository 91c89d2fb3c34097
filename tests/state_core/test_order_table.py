"""The table of an order's life: total, silent on silence, absorbing at the end."""

from __future__ import annotations

import copy
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from state_makers import T0, make_fill, make_request

from messages import OrderEvent, OrderStatus, Side
from state.orders import (
    FILL_EVENTS,
    START,
    TERMINAL,
    TRANSITIONS,
    VENUE_EVIDENCE,
    IllegalTransition,
    Order,
    check_table,
    diagram,
    reachable,
    step,
)
from strategies.desk import FINAL

Table = dict[OrderStatus, dict[OrderEvent, OrderStatus]]
EVERY_PAIR = list(product(OrderStatus, OrderEvent))


def copied() -> Table:
    return {status: dict(row) for status, row in TRANSITIONS.items()}


@pytest.mark.parametrize(("status", "event"), EVERY_PAIR)
def test_every_event_in_every_status_has_an_answer(status: OrderStatus, event: OrderEvent) -> None:
    """A step gives the table's next status, or raises with the status and event: nothing else."""
    target = TRANSITIONS[status].get(event)
    if target is not None:
        assert target is step(status, event)
        return

    with pytest.raises(IllegalTransition) as refusal:
        step(status, event)

    assert (status, event) == (refusal.value.status, refusal.value.event)


def test_silence_never_ends_an_order() -> None:
    """No status has a way from silence to an end that it was not already at."""
    ended = [s for s in set(OrderStatus) - TERMINAL if TRANSITIONS[s].get(E.SILENCE) in TERMINAL]

    assert [] == ended


def test_only_the_venues_evidence_leaves_doubt() -> None:
    """Every event that leads out of doubt is one that only a venue can cause."""
    ways_out = {
        event
        for event, target in TRANSITIONS[OrderStatus.IN_DOUBT].items()
        if target is not OrderStatus.IN_DOUBT
    }

    assert ways_out == VENUE_EVIDENCE
    assert OrderEvent.SILENCE not in VENUE_EVIDENCE


def test_final_states_absorb() -> None:
    """From an end there is no way to anything else."""
    for status in TERMINAL:
        assert {status} == reachable(TRANSITIONS, status)


def test_strategies_and_the_table_agree_on_what_is_final() -> None:
    """A strategy's desk forgets an order exactly when the table has ended it."""
    assert FINAL == TERMINAL


E = OrderEvent
S = OrderStatus
BROKEN: list[tuple[str, OrderStatus, OrderEvent, OrderStatus]] = [
    ("silence ends", S.SENT, E.SILENCE, S.REJECTED),
    ("silence ends doubt", S.IN_DOUBT, E.SILENCE, S.CANCELLED),
    ("our own word ends doubt", S.IN_DOUBT, E.SUPPRESSED, S.SUPPRESSED),
    ("an end is left", S.CANCELLED, E.FILLED, S.FILLED),
    ("absence without doubt", S.SENT, E.PROVEN_ABSENT, S.REJECTED),
    ("full without a fill", S.ACCEPTED, E.ACCEPTED, S.FILLED),
]


@pytest.mark.parametrize(
    ("status", "event", "target"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_a_table_that_breaks_a_rule_does_not_import(
    status: OrderStatus, event: OrderEvent, target: OrderStatus
) -> None:
    """Each rule of the table is asserted at import: a row that breaks it is found."""
    broken = copied()
    broken[status][event] = target

    with pytest.raises(AssertionError):
        check_table(broken)


@pytest.mark.parametrize("status", OrderStatus)
def test_a_table_without_a_row_does_not_import(status: OrderStatus) -> None:
    """Totality is checked: no status may be missing."""
    broken = copied()
    del broken[status]

    with pytest.raises(AssertionError, match="every status has a row"):
        check_table(broken)


def test_a_table_with_a_dead_end_does_not_import() -> None:
    """A live status from which no order can end is found."""
    broken = copied()
    broken[S.PARTIALLY_FILLED] = {E.SILENCE: S.PARTIALLY_FILLED}

    with pytest.raises(AssertionError):
        check_table(broken)


def test_the_diagram_shows_every_transition_once() -> None:
    """The generated picture has one line per change of status, and is the same every time."""
    text = diagram()

    changes = [
        f"    {status.value} --> {target.value}: {event.value}"
        for status, row in TRANSITIONS.items()
        for event, target in row.items()
        if status is not target
    ]
    assert changes == [line for line in text.splitlines() if ": " in line]
    assert text == diagram()
    assert "    [*] --> intended" in text


LIVES: dict[str, tuple[list[OrderEvent], OrderStatus]] = {
    "plain": ([E.ACCEPTED, E.FILLED_PARTLY, E.FILLED], S.FILLED),
    "fill before ack": ([E.FILLED_PARTLY, E.ACCEPTED, E.FILLED], S.FILLED),
    "filled before ack": ([E.FILLED, E.ACCEPTED], S.FILLED),
    "fill while in doubt": ([E.SILENCE, E.FILLED_PARTLY, E.FILLED], S.FILLED),
    "in doubt, then found": ([E.SILENCE, E.SILENCE, E.ACCEPTED, E.CANCELLED], S.CANCELLED),
    "in doubt, then absent": ([E.SILENCE, E.PROVEN_ABSENT], S.REJECTED),
    "silence of a cancel": ([E.ACCEPTED, E.SILENCE, E.CANCELLED], S.CANCELLED),
    "silence of a cancel, partly filled": ([E.FILLED_PARTLY, E.SILENCE], S.PARTIALLY_FILLED),
    "cancel before ack": ([E.CANCELLED, E.ACCEPTED], S.CANCELLED),
    "cancel told twice": ([E.ACCEPTED, E.CANCELLED, E.CANCELLED], S.CANCELLED),
    "accepted, then refused": ([E.ACCEPTED, E.REJECTED], S.REJECTED),
    "expired": ([E.ACCEPTED, E.FILLED_PARTLY, E.EXPIRED], S.EXPIRED),
}


@pytest.mark.parametrize(("events", "end"), LIVES.values(), ids=LIVES.keys())
def test_an_order_lives_as_venues_really_report(events: list[OrderEvent], end: OrderStatus) -> None:
    """Reordered, doubled and lost answers lead where they should."""
    status = S.SENT
    for event in events:
        status = step(status, event)

    assert end is status


@given(
    st.lists(st.tuples(st.sampled_from(OrderEvent), st.integers(-1, 4)), max_size=30),
    st.integers(1, 6),
)
def test_no_sequence_of_events_leaves_the_table(
    events: list[tuple[OrderEvent, int]], wanted: int
) -> None:
    """An order is where the table and the sums say; a refused event has changed nothing."""
    order = Order(make_request(1, str(wanted)))
    booked = Decimal(0)
    for at, (event, units) in enumerate(events, start=T0):
        fill = make_fill(Side.BUY, str(units), "100.5") if event in FILL_EVENTS else None
        before = {name: getattr(order, name) for name in Order.__slots__}
        try:
            status = order.apply(event, at, fill)
        except IllegalTransition:
            assert before == {name: getattr(order, name) for name in Order.__slots__}
            continue
        if fill is not None:
            booked += fill.quantity

        assert status is order.status
        assert status in TRANSITIONS[before["status"]].values()
        assert at == order.updated_at
        assert booked == order.filled
        assert booked * Decimal("100.5") == order.notional
        assert Decimal(0) <= order.remaining == wanted - booked
        assert (status is S.FILLED) is (order.remaining == 0)
        assert order.live is (status not in TERMINAL)


def test_an_order_begins_intended() -> None:
    """A new order has nothing behind it."""
    order = Order(make_request(1))

    assert START is order.status is S.INTENDED
    assert (Decimal(0), Decimal(0), Decimal(0)) == (order.filled, order.fee, order.average_price)
    assert copy.copy(order.request) == order.request
