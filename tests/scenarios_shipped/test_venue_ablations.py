"""Every scenario of a venue's news fails where the news is taken at its face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from ablations import (
    Ablation,
    assert_needed,
    each_incarnation,
    not_ablated,
    part,
    without_doubts,
    without_hold,
)

from actors.execution import ExecutionActor
from actors.turns import Session
from messages import Cause, ExecutionReport, OrderEvent, OrderStatus, ReasonCode, VenueReport
from scenarios.director import Alter
from state.orders import Order, OrderStore

News = Callable[[VenueReport], Any]


def hearing(change: Callable[[ExecutionActor, VenueReport], VenueReport | None]) -> Alter:
    """Return an ablation in which Execution hears other news, or none, of the venue."""

    def changed(execution: Any) -> None:
        take: News = execution.on_venue_report

        def taken(report: VenueReport) -> Any:
            heard = change(execution, report)
            return None if heard is None else take(heard)

        execution.on_venue_report = taken

    return each_incarnation("execution", changed)


def order_of(execution: ExecutionActor, report: VenueReport) -> Order:
    """Return the order that a report is about."""
    order = execution.orders.by_client_id(report.client_order_id)
    assert order is not None, "the scenario's venue knows our orders only"
    return order


def silence_is_a_rejection() -> Alter:
    """Return an ablation in which an order without an answer is taken for rejected."""

    def heard(_execution: ExecutionActor, report: VenueReport) -> VenueReport:
        if report.event is not OrderEvent.SILENCE:
            return report
        return msgspec.structs.replace(report, event=OrderEvent.REJECTED)

    return hearing(heard)


def sent_again() -> Alter:
    """Return an ablation in which an order without an answer is sent once more."""

    def heard(execution: ExecutionActor, report: VenueReport) -> VenueReport:
        if report.event is OrderEvent.SILENCE:
            execution.broker.submit(order_of(execution, report).request, execution.clock.now)
        return report

    return hearing(heard)


def booked_each_time() -> Alter:
    """Return an ablation in which a trade id is new every time."""

    class Forgetful(OrderStore):
        __slots__ = ()

        def book_once(self, trade_id: str) -> bool:
            return super().book_once(trade_id) or True

    def alter(session: Session) -> None:
        session.assembly.books.orders.__class__ = Forgetful

    return alter


def no_fill_before_its_acceptance() -> Alter:
    """Return an ablation in which a fill of an order that was not accepted yet is dropped."""

    def heard(execution: ExecutionActor, report: VenueReport) -> VenueReport | None:
        early = order_of(execution, report).status is OrderStatus.SENT
        return None if early and report.fill is not None else report

    return hearing(heard)


def no_fill_after_the_end() -> Alter:
    """Return an ablation in which a fill of an order that has ended is dropped."""

    def heard(execution: ExecutionActor, report: VenueReport) -> VenueReport | None:
        late = not order_of(execution, report).live
        return None if late and report.fill is not None else report

    return hearing(heard)


def the_venues_word_is_the_last() -> Alter:
    """Return an ablation in which nothing is heard of an order that the venue called filled."""
    filled: set[str] = set()

    def heard(_execution: ExecutionActor, report: VenueReport) -> VenueReport | None:
        if report.client_order_id in filled:
            return None
        if report.event is OrderEvent.FILLED:
            filled.add(report.client_order_id)
        return report

    def alter(session: Session) -> None:
        filled.clear()
        hearing(heard)(session)

    return alter


def expired_when_accepted_late() -> Alter:
    """Return an ablation in which an acceptance after the intent's deadline ends the order."""

    def heard(execution: ExecutionActor, report: VenueReport) -> VenueReport:
        until = order_of(execution, report).request.valid_until
        late = until is not None and execution.clock.now > until
        if report.event is not OrderEvent.ACCEPTED or not late:
            return report
        cause = Cause(ReasonCode.INTENT_EXPIRED)
        return msgspec.structs.replace(report, event=OrderEvent.EXPIRED, cause=cause)

    return hearing(heard)


def rejections_free_nothing() -> Alter:
    """Return an ablation in which Risk never hears of a rejection."""

    def changed(risk: Any) -> None:
        take = risk.on_report

        def taken(report: ExecutionReport) -> Any:
            return None if report.event is OrderEvent.REJECTED else take(report)

        risk.on_report = taken

    return each_incarnation("risk", changed)


def unreconciled() -> Alter:
    """Return an ablation in which a difference between venue and books brings about nothing."""
    return part(lambda session: session.assembly.core, "reconciled", lambda _: lambda *_: None)


def unknown_is_absent() -> Alter:
    """Return an ablation in which what the venue does not know is absent at once."""

    def hasty(execution: Any) -> None:
        resolver = execution._resolver
        resolver._plan = replace(
            resolver._plan,
            receive_window_ms=0,
            clock_skew_ms=0,
            margin_ms=0,
        )

    return each_incarnation("execution", hasty)


EVERY = (
    Ablation(
        "silence ends nothing",
        "venue/a_lost_request_is_proven_absent",
        silence_is_a_rejection(),
        ("expect[0].seen", "expect[2].seen", "expect[3].position"),
    ),
    Ablation(
        "the receive window",
        "venue/a_lost_request_is_proven_absent",
        unknown_is_absent(),
        ("expect[0].seen", "expect[1].never"),
    ),
    Ablation(
        "asking",
        "venue/a_lost_request_is_proven_absent",
        without_doubts(),
        ("expect[0].seen", "expect[2].seen", "expect[3].position"),
    ),
    Ablation(
        "the hold of a doubt",
        "venue/doubt_outlasts_its_budget",
        without_hold("in-doubt:"),
        ("expect[1].refusal",),
    ),
    Ablation(
        "asking for ever",
        "venue/doubt_outlasts_its_budget",
        without_doubts(),
        ("expect[0].seen", "expect[3].seen", "expect[4].order"),
    ),
    Ablation(
        "the holds of earlier sessions' doubts",
        "venue/a_doubts_hold_after_a_power_cut",
        unreconciled(),
        ("expect[2].seen", "expect[3].order", "expect[4].holds"),
    ),
    Ablation(
        "asking for cancels",
        "venue/a_cancels_answer_is_lost",
        without_doubts(),
        ("expect[0].order", "expect[1].seen"),
    ),
    Ablation(
        "asking for cancels",
        "venue/a_cancel_is_lost",
        without_doubts(),
        ("expect[0].order", "expect[1].seen"),
    ),
    Ablation(
        "asking for cancels",
        "venue/a_fill_is_lost_before_a_hurried_cancel",
        without_doubts(),
        ("expect[0].order", "expect[1].seen", "expect[3].position"),
    ),
    Ablation(
        "silence ends nothing",
        "venue/answer_is_lost",
        silence_is_a_rejection(),
        ("expect[0].order",),
    ),
    Ablation(
        "sent once",
        "venue/answer_is_lost",
        sent_again(),
        ("invariant: nothing is submitted twice",),
    ),
    Ablation(
        "silence ends nothing",
        "venue/doubt_keeps_its_exposure",
        silence_is_a_rejection(),
        ("expect[0].seen", "expect[1].refusal", "expect[6].position"),
    ),
    Ablation(
        "trade ids",
        "venue/fill_comes_twice",
        booked_each_time(),
        ("expect[1].order", "expect[3].artifact", "expect[4].account"),
    ),
    Ablation(
        "early fills",
        "venue/fill_overtakes_the_acceptance",
        no_fill_before_its_acceptance(),
        ("expect[0].order", "expect[1].seen", "expect[4].position"),
    ),
    Ablation(
        "arithmetic",
        "venue/fills_in_pieces_out_of_order",
        the_venues_word_is_the_last(),
        ("expect[0].order", "expect[5].position"),
    ),
    Ablation(
        "late fills",
        "venue/fill_after_the_cancel",
        no_fill_after_the_end(),
        ("expect[0].order", "expect[1].seen", "expect[3].position"),
    ),
    Ablation(
        "reservations end",
        "venue/rejected_order_frees_its_exposure",
        rejections_free_nothing(),
        ("expect[3].order", "expect[5].position"),
    ),
    Ablation(
        "only the venue ends it",
        "venue/acceptance_after_the_deadline",
        expired_when_accepted_late(),
        ("expect[1].order", "expect[3].never"),
    ),
    Ablation(
        "reconciliation",
        "venue/books_that_differ_are_held",
        unreconciled(),
        ("expect[1].holds", "expect[2].refusal"),
    ),
    Ablation(
        "the circuit",
        "venue/venue_goes_down_for_a_while",
        without_hold("circuit:"),
        ("expect[4].seen",),
    ),
)


@pytest.mark.parametrize("ablation", EVERY, ids=str)
def test_the_scenario_of_a_venue_fails_where_its_news_is_taken_at_its_face(
    ablation: Ablation,
) -> None:
    """Lost, doubled, early, late and split news: each is missed where it is not seen through."""
    assert_needed(ablation)


def test_every_scenario_of_venues_has_an_ablation() -> None:
    """No scenario of a venue passes whatever Execution does."""
    assert [] == not_ablated("venue", EVERY)
