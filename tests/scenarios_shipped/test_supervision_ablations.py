"""Every scenario of crashes fails where the supervisor does less than it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ablations import (
    Ablation,
    assert_needed,
    each_incarnation,
    not_ablated,
    part,
)

from actors.health import Circuits, HealthState
from actors.runtime import ChildSpec, Supervisor, WhenExhausted
from actors.runtime.supervision import Intensity
from actors.turns import Session
from messages import Message
from scenarios.director import Alter

FOR_EVER = Intensity(burst=10**6, burst_s=1.0, sustained=10**6, sustained_s=1.0)
NOT_ONCE = Intensity(burst=0, burst_s=1.0, sustained=0, sustained_s=1.0)


def supervisor_of(session: Session) -> Supervisor:
    """Return a session's supervisor."""
    return session.assembly.supervisor


def supervised(name: str, **changes: Any) -> Alter:
    """Return an ablation in which the child ``name`` is kept alive in another way."""

    def changed(spec: ChildSpec) -> ChildSpec:
        return replace(spec, **changes) if spec.name == name else spec

    def alter(session: Session) -> None:
        supervisor = supervisor_of(session)
        supervisor.specs = [changed(spec) for spec in supervisor.specs]

    return alter


def unanswered(name: str) -> Alter:
    """Return an ablation in which nobody answers for what the actor ``name`` failed on."""

    def silent(actor: Any) -> None:
        actor.lost = lambda _message: None

    return each_incarnation(name, silent)


def comparing_once() -> Alter:
    """Return an ablation in which only the first Reconciler compares at its start."""

    def alter(session: Session) -> None:
        cell = session.assembly.reconciler_cell

        def changed(reconciler: Any) -> None:
            if cell.incarnation:
                reconciler.on_start = lambda: None

        each_incarnation("reconciler", changed)(session)

    return alter


def forgetting_circuits() -> Alter:
    """Return an ablation in which what Health has counted dies with its incarnation."""

    def changed(health: Any) -> None:
        state: HealthState = health.state
        circuits = Circuits(state.circuits.rules, state.circuits.askable)
        health.state = HealthState(circuits, state.freshness)

    return each_incarnation("health", changed)


def feeding_from_the_start() -> Alter:
    """Return an ablation in which a feed that was restarted begins at its first bar again."""

    def changed(feed: Any) -> None:
        groups = feed.groups
        feed.groups = lambda *_after: groups(-1)

    return each_incarnation("feed", changed)


def losing_a_bar() -> Alter:
    """Return an ablation in which a feed that was restarted goes on one bar too late."""

    def alter(session: Session) -> None:
        timeframe_ms = session.spec.feed.timeframe_ms

        def changed(feed: Any) -> None:
            groups = feed.groups
            feed.groups = lambda after=-1: groups(after if after < 0 else after + timeframe_ms)

        each_incarnation("feed", changed)(session)

    return alter


def without_quarantine_cancels() -> Alter:
    """Return an ablation in which a quarantined strategy's orders stay where they are."""
    return part(supervisor_of, "on_quarantine", lambda _: lambda _strategy: ())


def cancelling_everybodys() -> Alter:
    """Return an ablation in which a quarantine cancels the orders of all strategies."""

    def alter(session: Session) -> None:
        names = [spec.name for spec in session.spec.strategies]

        def make(cancels: Callable[[str], list[Message]]) -> Callable[[str], list[Message]]:
            return lambda _strategy: [message for name in names for message in cancels(name)]

        part(supervisor_of, "on_quarantine", make)(session)

    return alter


def never_quarantined(strategy: str) -> Alter:
    """Return an ablation in which a strategy may fail as often as it likes."""
    return supervised(f"strategy:{strategy}", intensity=FOR_EVER)


def trusted(*strategies: str) -> Alter:
    """Return an ablation in which what these strategies return is not looked at."""

    def alter(session: Session) -> None:
        for name in strategies:
            session.assembly.strategy_cells[name].check = tuple

    return alter


def as_deep_as_it_goes() -> Alter:
    """Return an ablation in which a strategy may answer answers without end."""

    def alter(session: Session) -> None:
        dispatcher = session.assembly.dispatcher

        def unlimited(cell: Any, effects: Any) -> Any:
            return cell.check(effects)

        setattr(dispatcher, "_checked", unlimited)  # noqa: B010 - a method of one instance

    return alter


ONCE = (
    Ablation(
        "answers",
        "supervision/execution_crashes",
        unanswered("execution"),
        ("expect[1].refusal",),
    ),
    Ablation(
        "held meanwhile",
        "supervision/execution_crashes",
        supervised("execution", holds_open_while_down=False),
        ("expect[2].seen", "expect[6].seen"),
    ),
    Ablation(
        "the next one compares",
        "supervision/execution_crashes",
        comparing_once(),
        ("expect[5].seen",),
    ),
    Ablation(
        "the next one compares",
        "supervision/execution_crashes_on_a_fill",
        comparing_once(),
        ("expect[1].seen", "expect[2].holds", "expect[3].refusal"),
    ),
    Ablation(
        "held meanwhile",
        "supervision/risk_crashes",
        supervised("risk", holds_open_while_down=False),
        ("expect[1].seen", "expect[2].refusal"),
    ),
    Ablation(
        "the next one compares",
        "supervision/reconciler_crashes",
        comparing_once(),
        ("expect[3].seen",),
    ),
    Ablation(
        "its state outlives it",
        "supervision/health_crashes",
        forgetting_circuits(),
        ("expect[2].never", "expect[3].seen", "expect[4].seen"),
    ),
    Ablation(
        "no bar twice",
        "supervision/feed_crashes",
        feeding_from_the_start(),
        ("expect[1].seen", "expect[4].position"),
    ),
    Ablation(
        "no bar lost",
        "supervision/feed_crashes",
        losing_a_bar(),
        ("expect[1].seen", "expect[2].seen"),
    ),
    Ablation(
        "made anew",
        "supervision/strategy_crashes",
        supervised("strategy:shaky", intensity=NOT_ONCE),
        ("expect[1].seen", "expect[5].order"),
    ),
    Ablation(
        "made anew",
        "supervision/strategy_raises_on_a_fill",
        supervised("strategy:one", intensity=NOT_ONCE),
        ("expect[3].order", "expect[4].account"),
    ),
)

TOO_OFTEN = (
    *(
        Ablation(
            "its intensity",
            f"supervision/{name}_crashes_too_often",
            supervised(name, intensity=FOR_EVER),
            missed,
            crashes=-1,
        )
        for name, missed in (
            ("execution", ("expect[2].seen", "expect[7].exit_code")),
            ("risk", ("expect[3].seen", "expect[6].exit_code")),
            ("reconciler", ("expect[2].seen", "expect[5].exit_code")),
        )
    ),
    Ablation(
        "nothing opens unwatched",
        "supervision/health_crashes_too_often",
        supervised("health", when_exhausted=WhenExhausted.ABANDON),
        ("expect[0].holds", "expect[1].refusal"),
    ),
    Ablation(
        "done without",
        "supervision/telemetry_crashes",
        supervised("telemetry", when_exhausted=WhenExhausted.HALT),
        ("expect[4].order", "expect[7].outcome"),
        crashes=1,
    ),
    Ablation(
        "halt",
        "supervision/feed_crashes_too_often",
        supervised("feed", when_exhausted=WhenExhausted.ABANDON),
        ("expect[2].holds", "expect[5].exit_code"),
        crashes=-1,
    ),
    Ablation(
        "quarantine",
        "supervision/strategy_is_quarantined",
        never_quarantined("broken"),
        ("expect[1].seen", "expect[3].order", "expect[4].never"),
    ),
    Ablation(
        "its orders are cancelled",
        "supervision/strategy_is_quarantined",
        without_quarantine_cancels(),
        ("expect[3].order", "expect[7].position"),
    ),
    Ablation(
        "its own alone",
        "supervision/strategy_is_quarantined",
        cancelling_everybodys(),
        ("expect[5].order", "expect[8].position"),
    ),
)

AT_THEIR_WORST = (
    Ablation(
        "own intents only",
        "supervision/strategy_returns_nonsense",
        trusted("approved", "hold"),
        ("expect[0].seen", "expect[1].seen", "expect[2].seen", "expect[8].position"),
        crashes=-2,
    ),
    # Without a bound of our own the interpreter's is the next, and it takes the session with it.
    Ablation(
        "depth",
        "supervision/strategy_answers_every_refusal",
        as_deep_as_it_goes(),
        ("expect[1].seen", "expect[3].order"),
        crashes=1,
    ),
)

EVERY = (*ONCE, *TOO_OFTEN, *AT_THEIR_WORST)


@pytest.mark.parametrize("ablation", EVERY, ids=str)
def test_the_scenario_of_a_crash_fails_where_less_is_done_about_it(ablation: Ablation) -> None:
    """Restarts, holds, quarantine, halts, checks: each is missed where it does not happen."""
    assert_needed(ablation)


def test_every_scenario_of_supervision_has_an_ablation() -> None:
    """No scenario of crashes passes whatever the supervisor does."""
    assert [] == not_ablated("supervision", EVERY)
