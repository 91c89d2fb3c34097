"""Every scenario of a session that goes on fails where something of it is not gone on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ablations import (
    Ablation,
    assert_needed,
    not_ablated,
    part,
    without_doubts,
    without_reapplied_holds,
)

from actors.assembly import no_facts
from actors.reconciler import UNPLANNED
from actors.turns import Session
from scenarios.director import Alter


def venue_of(session: Session) -> Any:
    """Return the way to a session's venue."""
    return session.assembly.broker


def in_those_that_go_on(change: Callable[[Session], None]) -> Alter:
    """Return an ablation of the processes that go on with a session, and of no other."""

    def alter(session: Session) -> None:
        if session.goes_on:
            change(session)

    return alter


def not_held_meanwhile() -> Alter:
    """Return an ablation in which a session goes on before it knows what has happened."""

    def alter(session: Session) -> None:
        hold_open = session.assembly.supervisor.hold_open

        def opened(hold_id: str, cause: str, **options: Any) -> Any:
            return None if hold_id == "recovering" else hold_open(hold_id, cause, **options)

        session.assembly.supervisor.hold_open = opened  # type: ignore[method-assign, assignment]

    return alter


def with_empty_books() -> Alter:
    """Return an ablation in which a session goes on with its orders and without its money."""

    def change(session: Session) -> None:
        spec = session.spec
        empty = no_facts(spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash)
        session.assembly.books.ledger = empty.ledger

    return in_those_that_go_on(change)


def deaf_to_what_was_missed() -> Alter:
    """Return an ablation in which the venue's news of the time between is never taken."""
    return part(venue_of, "catch_up", lambda _catch_up: lambda: None)


def forgetting_its_strategies() -> Alter:
    """Return an ablation in which strategies begin anew."""

    def change(session: Session) -> None:
        session.assembly.saved.clear()
        for house in session.assembly.core.houses.values():
            house.books.clear()

    return in_those_that_go_on(change)


def forgetting_its_plans() -> Alter:
    """Return an ablation in which nobody goes on with a plan."""

    def change(session: Session) -> None:
        for house in session.assembly.core.houses.values():
            house.plans.standing.clear()

    return in_those_that_go_on(change)


def forgetting_its_pursuits() -> Alter:
    """Return an ablation in which orders go on without the policy that they were sent by."""
    return in_those_that_go_on(lambda session: session.assembly.books.pursuits.clear())


def not_finishing_its_kill() -> Alter:
    """Return an ablation in which a kill that was begun is held and not carried out."""
    return part(lambda session: session.assembly.kill, "go_on", lambda _go_on: lambda: None)


def keeping_what_the_end_left() -> Alter:
    """Return an ablation in which a session that is stopped is left as one that has ended."""

    def make(finish: Callable[..., None]) -> Callable[..., None]:
        return lambda outcome, exit_code, _stopped_at: finish(outcome, exit_code)

    return part(lambda session: session, "finish", make)


def leaving_the_hold_of_its_end() -> Alter:
    """Return an ablation in which nobody says that what the end held is held no more."""
    return part(lambda session: session, "_lift_the_end", lambda _lift: lambda _recorded: None)


def asking_nobody() -> Alter:
    """Return an ablation in which the venue's account need not be explained."""

    def change(session: Session) -> None:
        session.goes_on = False

    return in_those_that_go_on(change)


def without_policies() -> Alter:
    """Return an ablation in which every difference is refused."""

    def alter(session: Session) -> None:
        session.spec = replace(session.spec, reconciliation=UNPLANNED)

    return alter


def cancelling_in_vain() -> Alter:
    """Return an ablation in which a stray order is not cancelled."""

    async def withdraw(_client_order_id: str) -> None:
        return None

    return part(venue_of, "withdraw", lambda _withdraw: withdraw)


RESTARTS = (
    Ablation(
        "the books",
        "restart/positions_orders_and_money_resume",
        with_empty_books(),
        ("expect[1].account", "expect[2].position", "expect[15].exit_code"),
    ),
    Ablation(
        "held until it is known",
        "restart/positions_orders_and_money_resume",
        not_held_meanwhile(),
        ("expect[4].seen", "expect[5].seen"),
    ),
    Ablation(
        "the books",
        "restart/stopped_and_gone_on_with",
        with_empty_books(),
        ("expect[0].account", "expect[2].position", "expect[17].exit_code"),
    ),
    Ablation(
        "it has not ended",
        "restart/stopped_and_gone_on_with",
        keeping_what_the_end_left(),
        ("expect[3].seen", "expect[4].seen", "expect[10].position", "steps[0].stop"),
    ),
    Ablation(
        "its own end's hold ends",
        "restart/stopped_and_gone_on_with",
        leaving_the_hold_of_its_end(),
        ("expect[5].seen",),
    ),
    Ablation(
        "held until it is known",
        "restart/stopped_and_gone_on_with",
        not_held_meanwhile(),
        ("expect[6].seen", "expect[7].seen"),
    ),
    Ablation(
        "the venue's news",
        "restart/in_the_middle_of_a_fill",
        deaf_to_what_was_missed(),
        ("expect[2].seen", "expect[3].seen"),
    ),
    Ablation(
        "held until it is known",
        "restart/an_order_in_doubt",
        not_held_meanwhile(),
        ("expect[1].holds", "expect[2].never", "expect[3].never"),
    ),
    Ablation(
        "asking",
        "restart/an_order_in_doubt",
        without_doubts(),
        ("expect[4].seen", "expect[8].seen", "expect[11].holds"),
    ),
    Ablation(
        "the venue's news",
        "restart/a_fill_while_it_was_down",
        deaf_to_what_was_missed(),
        ("expect[1].seen", "expect[2].seen", "expect[4].seen"),
    ),
    Ablation(
        "the register",
        "restart/killed_and_still_killed",
        without_reapplied_holds(),
        ("expect[2].seen",),
    ),
    Ablation(
        "it goes on",
        "restart/killed_and_still_killed",
        not_finishing_its_kill(),
        ("expect[4].position", "expect[6].seen"),
    ),
    Ablation("its plans", "restart/a_plan_goes_on", forgetting_its_plans(), ("expect[1].seen",)),
    Ablation(
        "what it remembers",
        "restart/a_ladder_goes_on",
        forgetting_its_strategies(),
        ("expect[1].seen", "expect[2].seen"),
    ),
    Ablation(
        "its pursuits",
        "restart/a_pursuit_ends_after_the_cut",
        forgetting_its_pursuits(),
        ("expect[1].seen", "expect[4].seen", "expect[6].seen"),
    ),
    Ablation(
        "explained first",
        "restart/an_order_of_somebody_else_refuses_the_start",
        asking_nobody(),
        ("expect[0].never", "expect[1].never", "expect[2].outcome", "expect[3].exit_code"),
    ),
    Ablation(
        "policies",
        "restart/an_account_explained_by_policy",
        without_policies(),
        ("expect[0].seen", "expect[4].order", "expect[7].exit_code"),
    ),
    Ablation(
        "cancelled",
        "restart/an_account_explained_by_policy",
        cancelling_in_vain(),
        ("expect[0].seen", "expect[4].order", "expect[7].exit_code"),
    ),
)


@pytest.mark.parametrize("ablation", RESTARTS, ids=str)
def test_the_scenario_of_a_restart_fails_where_something_is_left_behind(
    ablation: Ablation,
) -> None:
    """Books, news, doubts, kills, plans, pursuits, strangers' orders: each is missed by name."""
    assert_needed(ablation)


def test_every_scenario_of_restarts_has_an_ablation() -> None:
    """No scenario of a session that goes on passes whatever is left behind."""
    assert [] == not_ablated("restart", RESTARTS)
