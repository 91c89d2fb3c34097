"""One doubt: when it asks, what proves what, when it is held."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from execution_bench import Bench
from hypothesis import given
from hypothesis import strategies as st

from actors.execution.answers import end_of, judge
from actors.execution.doubt import PLAN, Doubt, DoubtKind, DoubtPlan, Finding, Step
from messages import Cause, OrderEvent, ReasonCode, VenueOrder
from state.orders import Order

T = 1_000_000
D = Decimal


def doubt(kind: DoubtKind = DoubtKind.SUBMIT, plan: DoubtPlan = PLAN) -> Doubt:
    """Return a doubt that begins at T, about a request that left then."""
    return Doubt(kind, "o-1", "tg-o-1", "BTC/USDT", now=T, sent_at=T, plan=plan)


def questions(of: Doubt, until: int) -> list[int]:
    """Let a doubt go on without any answer; return when it asks, in ms after its beginning."""
    asked = []
    while of.next_at <= until:
        now = of.next_at
        if Step.ASK in of.due(now):
            asked.append(now - T)
    return asked


def order(quantity: int = 3) -> Order:
    """Return an order that was accepted and filled with nothing."""
    on = Bench()
    found = on.books.orders.by_order_id(on.place(quantity=quantity).order_id)
    assert found is not None
    return found


def answer(known: bool = True, live: bool = True, **more: object) -> VenueOrder:
    """Return an answer of the venue, by default that the order is there."""
    return VenueOrder("tg-o-1", T, known, live, **more)  # type: ignore[arg-type]


# -- asking


def test_the_venue_is_asked_at_once_and_then_with_growing_pauses_for_ever() -> None:
    """Pauses double up to half a minute; the first moment of proof is one to ask at."""
    assert [0, 1_000, 3_000, 7_000, 8_000, 24_000, 54_000, 84_000, 114_000] == questions(
        doubt(), T + 120_000
    )


def test_it_does_not_stop_asking() -> None:
    """A day later it still asks, twice a minute."""
    asked = questions(doubt(), T + 86_400_000)

    assert 30_000 == asked[-1] - asked[-2]
    assert asked[-1] > 86_400_000 - 30_000


@given(
    st.integers(1, 60_000),
    st.integers(1, 8),
    st.integers(1, 600_000),
    st.integers(0, 100_000),
)
def test_some_question_is_asked_within_one_pause_of_the_first_moment_of_proof(
    pause_ms: int, growth: int, most: int, window_ms: int
) -> None:
    """Whatever the plan: no doubt about a lost request lasts longer than it must."""
    plan = DoubtPlan(
        receive_window_ms=window_ms,
        pause_ms=min(pause_ms, most),
        pause_growth=growth,
        pause_ms_max=most,
    )
    found = doubt(plan=plan)
    asked = questions(found, found.absent_after)

    assert found.absent_after - T in asked


def test_a_doubt_is_held_once_when_its_budget_is_used_up() -> None:
    """Not before, and not again with each question after it."""
    found = doubt()
    steps = [(now - T, found.due(now)) for now in range(T, T + 200_000, 500)]

    assert [60_000] == [at for at, due in steps if Step.HOLD in due]


def test_a_stray_is_held_at_once() -> None:
    """A proof has failed: nothing may be built on it."""
    assert (Step.HOLD, Step.ASK) == doubt(DoubtKind.STRAY).due(T)


# -- judging


@pytest.mark.parametrize(
    ("asked_at", "remembers_from", "found"),
    [
        (T + 8_000, 0, Finding.ABSENT),
        (T + 7_999, 0, Finding.UNPROVEN),  # asked too early, whenever it was answered
        (None, 0, Finding.UNPROVEN),  # nobody knows which question it answers
        (T + 8_000, None, Finding.UNPROVEN),  # the venue may have forgotten it
        (T + 8_000, 2**62, Finding.UNPROVEN),  # it surely has forgotten what ended so early
    ],
)
def test_unknown_is_proof_only_when_asked_late_and_of_a_venue_that_remembers(
    asked_at: int | None, remembers_from: int | None, found: Finding
) -> None:
    """Before the request's expiry, clocks and margin allowed for, it may still arrive."""
    unknown = answer(known=False, live=False, asked_at=asked_at, remembers_from=remembers_from)

    assert found is judge(unknown, order(), doubt().absent_after)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"ended": OrderEvent.CANCELLED}, Finding.ENDED),
        ({"ended": OrderEvent.CANCELLED, "filled": D(0)}, Finding.ENDED),
        ({"ended": OrderEvent.CANCELLED, "filled": D(1)}, Finding.PARTIAL),  # a fill is missing
        ({"ended": OrderEvent.FILLED}, Finding.PARTIAL),
        ({"ended": OrderEvent.REJECTED}, Finding.ENDED),
        ({"filled": D(0)}, Finding.ENDED),
        ({}, Finding.PARTIAL),  # over, and not a word of how
    ],
)
def test_an_end_is_taken_only_with_all_its_fills(told: dict[str, object], found: Finding) -> None:
    """What the venue counts and our books have not got must come first."""
    assert found is judge(answer(live=False, **told), order(), T)


def test_an_open_order_is_open_whatever_is_missing_of_its_fills() -> None:
    """That it is there is known; its fills may be on their way."""
    assert Finding.OPEN is judge(answer(filled=D(1)), order(), T)


def test_the_end_that_is_taken_says_why() -> None:
    """In the venue's words, or, without any, that nobody saw it."""
    cause = Cause(ReasonCode.DAY_ENDED)
    told = end_of(answer(live=False, ended=OrderEvent.EXPIRED, cause=cause))
    silent = end_of(answer(live=False, filled=D(0)))

    assert (OrderEvent.EXPIRED, cause) == (told.event, told.cause)
    assert OrderEvent.CANCELLED is silent.event
    assert Cause(ReasonCode.ENDED_UNSEEN, "filled=0") == silent.cause


# -- deciding

DECISIONS = {
    (DoubtKind.SUBMIT, Finding.OPEN): (Step.SETTLE,),
    (DoubtKind.SUBMIT, Finding.ENDED): (Step.TAKE_END,),
    (DoubtKind.SUBMIT, Finding.ABSENT): (Step.PROVE_ABSENT,),
    (DoubtKind.CANCEL, Finding.OPEN): (Step.CANCEL,),
    (DoubtKind.CANCEL, Finding.ENDED): (Step.TAKE_END,),
    (DoubtKind.END, Finding.OPEN): (Step.SETTLE,),
    (DoubtKind.END, Finding.ENDED): (Step.TAKE_END,),
    (DoubtKind.FILLS, Finding.ENDED): (Step.SETTLE,),
    (DoubtKind.STRAY, Finding.OPEN): (Step.CANCEL,),
    (DoubtKind.STRAY, Finding.ENDED): (Step.SETTLE,),
}


@pytest.mark.parametrize("kind", DoubtKind)
@pytest.mark.parametrize("finding", Finding)
def test_what_an_answer_decides(kind: DoubtKind, finding: Finding) -> None:
    """The whole table: whatever is not in it decides nothing, and the asking goes on."""
    assert DECISIONS.get((kind, finding), ()) == doubt(kind).judged(finding, T)


def test_nothing_ends_a_doubt_about_a_submit_but_what_the_venue_says() -> None:
    """Neither time nor an answer that proves nothing."""
    found = doubt()
    for now in range(T, T + 600_000, 1_000):
        found.due(now)
        assert () == found.judged(Finding.UNPROVEN, now)
        assert () == found.judged(Finding.PARTIAL, now)


def test_a_cancel_that_is_sent_again_has_a_budget_of_its_own() -> None:
    """What is there is known again: the hold goes, and comes back if silence does."""
    found = doubt(DoubtKind.CANCEL, replace(PLAN, budget_ms=10_000))
    found.due(T)
    assert Step.HOLD in found.due(T + 10_000)
    assert (Step.LIFT, Step.CANCEL) == found.judged(Finding.OPEN, T + 11_000)
    assert Step.HOLD not in found.due(T + 20_999)
    assert Step.HOLD in found.due(T + 21_000)


def test_a_doubt_shows_where_it_stands() -> None:
    """Its text is a dashboard."""
    found = doubt()
    found.due(T)
    found.judged(Finding.UNPROVEN, T)

    assert "<Doubt submit o-1 asked=1 unproven>" == repr(found)
