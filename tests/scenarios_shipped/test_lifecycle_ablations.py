"""Every scenario of starts, stops and restarts fails where one of their steps is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from ablations import (
    Ablation,
    assert_needed,
    each_incarnation,
    not_ablated,
    part,
    without_reapplied_holds,
)

from actors.places import Place
from actors.runtime import AfterCommit, Supervisor
from actors.turns import Session
from messages import ApprovedCancel, ApprovedOpen, Hold, HoldMode, Reconciled
from scenarios.director import Alter


def supervisor_of(session: Session) -> Supervisor:
    """Return a session's supervisor."""
    return session.assembly.supervisor


def itself(session: Session) -> Session:
    """Return the session."""
    return session


# -- the start


def starting_last(name: str) -> Alter:
    """Return an ablation in which the actor ``name`` starts after all others."""

    def alter(session: Session) -> None:
        supervisor = supervisor_of(session)
        supervisor.specs = sorted(supervisor.specs, key=lambda spec: spec.name == name)

    return alter


def unvalued(occasion: str) -> Alter:
    """Return an ablation in which the account is not valued on ``occasion``."""

    def make(mark: Callable[[str], None]) -> Callable[[str], None]:
        return lambda now: None if now == occasion else mark(now)

    return part(itself, "_mark", make)


# -- the end


def stopping_in_the_order_of_the_start() -> Alter:
    """Return an ablation in which who started first stops first."""

    def make(stop: Callable[..., None]) -> Callable[..., None]:
        def forwards(reason: str, **options: Any) -> None:
            supervisor: Any = getattr(stop, "__self__")  # noqa: B009 - a bound method has one
            supervisor.specs.reverse()
            stop(reason, **options)

        return forwards

    return part(supervisor_of, "stop", make)


def cancelling_at_the_end() -> Alter:
    """Return an ablation in which a session that ends cancels what it has at the venue."""

    def alter(session: Session) -> None:
        finish = session.finish
        assembly = session.assembly

        def tidy(outcome: str, exit_code: int, stopped_at: Place | None = None) -> None:
            for order in assembly.books.orders.live():
                request = order.request
                cancel = ApprovedCancel("tidy", request.strategy, request.symbol, request.order_id)
                assembly.dispatcher.publish("session", cancel)
            finish(outcome, exit_code, stopped_at)

        session.finish = tidy  # type: ignore[method-assign]

    return alter


def not_holding_at_the_end() -> Alter:
    """Return an ablation in which a session that is stopped shuts nothing before."""

    def make(hold_open: Callable[..., Hold]) -> Callable[..., Hold | None]:
        def opened(hold_id: str, cause: str, **options: Any) -> Hold | None:
            return None if hold_id.startswith("stopping:") else hold_open(hold_id, cause, **options)

        return opened

    return part(supervisor_of, "hold_open", make)


def refusing_at_the_end() -> Alter:
    """Return an ablation in which a session that is stopped refuses what waits."""

    def make(hold_open: Callable[..., Hold]) -> Callable[..., Hold]:
        def opened(hold_id: str, cause: str, **options: Any) -> Hold:
            if hold_id.startswith("stopping:"):
                options["mode"] = HoldMode.REFUSE
            return hold_open(hold_id, cause, **options)

        return opened

    return part(supervisor_of, "hold_open", make)


def the_end_outlives_the_session() -> Alter:
    """Return an ablation in which the hold of a session's end is one like any other."""

    def make(hold_open: Callable[..., Hold]) -> Callable[..., Hold]:
        def opened(hold_id: str, cause: str, **options: Any) -> Hold:
            return hold_open(hold_id.replace("stopping:", "ended:"), cause, **options)

        return opened

    return part(supervisor_of, "hold_open", make)


# -- restarts


def reapplied(change: Callable[[Hold], Hold]) -> Alter:
    """Return an ablation in which a hold comes back as another."""

    def make(reapply: Callable[[Hold], None]) -> Callable[[Hold], None]:
        return lambda hold: reapply(change(hold))

    return part(supervisor_of, "reapply", make)


def without_its_end(hold: Hold) -> Hold:
    """Return a hold that ends only when somebody lifts it."""
    return msgspec.structs.replace(hold, until=None)


def without_its_scope(hold: Hold) -> Hold:
    """Return a hold of everything."""
    return msgspec.structs.replace(hold, scope=type(hold.scope)())


def without_its_latch(hold: Hold) -> Hold:
    """Return a hold that a plain resume lifts."""
    return msgspec.structs.replace(hold, latched=False)


def reapplied_after_the_start() -> Alter:
    """Return an ablation in which holds come back when the actors are already running."""

    def alter(session: Session) -> None:
        supervisor = supervisor_of(session)
        start, reapply = supervisor.start, supervisor.reapply
        late: list[Hold] = []

        def started(*, again: bool = False) -> None:
            start(again=again)
            for hold in late:
                reapply(hold)

        supervisor.reapply = late.append  # type: ignore[method-assign]
        supervisor.start = started  # type: ignore[method-assign]

    return alter


Hear = Callable[[Reconciled, tuple[str, ...]], None]


def comparing(change: Callable[[Reconciled], Reconciled | None]) -> Alter:
    """Return an ablation in which the session hears of another result of a comparison, or none."""

    def make(hear: Hear) -> Hear:
        def heard(result: Reconciled, _lasting: tuple[str, ...]) -> None:
            changed = change(result)
            if changed is not None:
                hear(changed, changed.differences)

        return heard

    return part(lambda session: session.assembly.core, "reconciled", make)


def comparing_in_vain() -> Alter:
    """Return an ablation in which nothing follows from a comparison."""
    return comparing(lambda _result: None)


def agreeing_always() -> Alter:
    """Return an ablation in which every comparison finds that all is well."""
    return comparing(lambda result: msgspec.structs.replace(result, differences=()))


def only_the_first_comparison_counts() -> Alter:
    """Return an ablation in which nothing follows from the comparison at midnight."""
    return comparing(lambda result: None if result.occasion == "midnight" else result)


def sent_before_it_is_written() -> Alter:
    """Return an ablation in which Execution does not wait for the record of an order."""

    def changed(execution: Any) -> None:
        approve = execution.on_approved

        def hasty(approved: ApprovedOpen) -> Any:
            effects = []
            for effect in approve(approved):
                if isinstance(effect, AfterCommit):
                    effects += execution.on_committed(effect.message) or ()
                else:
                    effects.append(effect)
            return effects

        execution.on_approved = hasty

    return each_incarnation("execution", changed)


STARTS = (
    Ablation(
        "compared first",
        "lifecycle/start",
        starting_last("reconciler"),
        ("expect[3].seen",),
    ),
    Ablation("who receives first", "lifecycle/start", starting_last("execution"), ("expect[1]",)),
    Ablation("valued", "lifecycle/start", unvalued("start"), ("expect[9].seen", "expect[11]")),
)

ENDS = (
    Ablation("valued", "lifecycle/end_of_the_data", unvalued("close"), ("expect[3].seen",)),
    Ablation(
        "nothing is tidied up",
        "lifecycle/end_of_the_data",
        cancelling_at_the_end(),
        ("expect[0].order", "expect[1].order", "expect[5].artifact"),
    ),
    Ablation(
        "in reverse",
        "lifecycle/orderly_stop",
        stopping_in_the_order_of_the_start(),
        ("expect[8].seen", "expect[9].seen", "expect[10].seen"),
    ),
    Ablation(
        "states are kept",
        "lifecycle/orderly_stop",
        part(itself, "take_snapshots", lambda _: lambda: None),
        ("expect[5].seen",),
    ),
    Ablation("held first", "lifecycle/orderly_stop", not_holding_at_the_end(), ("expect[0].seen",)),
    Ablation(
        "nothing is tidied up",
        "lifecycle/orderly_stop",
        cancelling_at_the_end(),
        ("expect[2].order", "expect[3].order"),
    ),
    Ablation(
        "valued",
        "lifecycle/stop_before_the_first_bar",
        unvalued("close"),
        ("expect[3].artifact",),
    ),
    Ablation(
        "what waits waits on",
        "lifecycle/stop_while_held",
        refusing_at_the_end(),
        ("expect[0].never", "expect[1].seen"),
    ),
)

RESTARTS = (
    Ablation(
        "the register",
        "lifecycle/stop_while_held",
        without_reapplied_holds(),
        ("expect[3].seen", "expect[5].never"),
    ),
    Ablation(
        "its end",
        "lifecycle/stop_while_held",
        reapplied(without_its_end),
        ("expect[6].seen", "expect[7].seen"),
    ),
    Ablation(
        "its own end's hold ends",
        "lifecycle/restart_after_an_orderly_stop",
        the_end_outlives_the_session(),
        ("expect[1].never", "expect[6].order"),
    ),
    Ablation(
        "the register",
        "lifecycle/restart_after_a_crash",
        without_reapplied_holds(),
        ("expect[1].holds", "expect[2].seen", "expect[5].refusal"),
    ),
    Ablation(
        "the register",
        "lifecycle/restart_after_a_halt",
        without_reapplied_holds(),
        ("expect[3].seen", "expect[5].seen"),
    ),
    Ablation(
        "lifted on evidence",
        "lifecycle/restart_after_a_halt",
        comparing_in_vain(),
        ("expect[5].seen", "expect[7].order"),
    ),
    Ablation(
        "lifted on evidence",
        "lifecycle/restart_after_a_halt_unreconciled",
        agreeing_always(),
        ("expect[2].holds", "expect[3].refusal"),
    ),
    Ablation(
        "a later comparison is evidence too",
        "lifecycle/restart_after_a_halt_unreconciled",
        only_the_first_comparison_counts(),
        ("expect[5].seen", "expect[6].order"),
    ),
    Ablation(
        "as they were",
        "lifecycle/restart_after_a_crash",
        reapplied(without_its_scope),
        ("expect[2].seen", "expect[6].order"),
    ),
    Ablation(
        "before anybody starts",
        "lifecycle/restart_after_a_crash",
        reapplied_after_the_start(),
        ("expect[4].never",),
    ),
    Ablation(
        "the register",
        "lifecycle/start_held",
        without_reapplied_holds(),
        ("expect[0].seen", "expect[1].seen", "expect[2].seen"),
    ),
    Ablation(
        "before anybody starts",
        "lifecycle/start_held",
        reapplied_after_the_start(),
        ("expect[2].seen", "expect[3].seen"),
    ),
    Ablation(
        "its end",
        "lifecycle/pause_ends_while_it_is_down",
        reapplied(without_its_end),
        ("expect[0].seen", "expect[1].seen", "expect[2].order"),
    ),
    Ablation(
        "written first",
        "lifecycle/crash_between_record_and_send",
        sent_before_it_is_written(),
        ("expect[0].order", "expect[1].never"),
    ),
    Ablation(
        "the register",
        "lifecycle/quarantine_outlives_the_session",
        without_reapplied_holds(),
        ("expect[1].seen", "expect[2].refusal"),
    ),
    Ablation(
        "latched",
        "lifecycle/quarantine_outlives_the_session",
        reapplied(without_its_latch),
        ("expect[1].seen", "steps[2].command"),
    ),
)

EVERY = (*STARTS, *ENDS, *RESTARTS)


@pytest.mark.parametrize("ablation", EVERY, ids=str)
def test_the_scenario_of_a_life_fails_where_a_step_is_left_out(ablation: Ablation) -> None:
    """Order of start and stop, valuations, what outlives a session: each is missed by name."""
    assert_needed(ablation)


def test_every_scenario_of_lives_has_an_ablation() -> None:
    """No scenario of starts and stops passes whatever is left out."""
    assert [] == not_ablated("lifecycle", EVERY)
