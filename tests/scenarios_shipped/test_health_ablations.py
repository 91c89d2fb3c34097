"""Every scenario of circuits, rate limits and the machine fails where nobody watches them so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from ablations import (
    Ablation,
    all_of,
    assert_needed,
    closes_held,
    each_incarnation,
    not_ablated,
    without_check,
    without_hold,
    without_last_look,
    without_reapplied_holds,
)

from actors.health import Circuits
from actors.health.wiring import Watch
from actors.turns import Session
from messages import ExecutionReport, ToolReport
from scenarios.director import Alter

NEVER = 10**6
"""A streak that no scenario reaches."""


def watch_of(session: Session) -> Watch:
    """Return a session's Health."""
    health = session.assembly.health
    assert health is not None, "the scenario has Health"
    return health


# -- circuits


def ruled(**changes: float) -> Alter:
    """Return an ablation in which circuits open, rest and close by other figures."""

    def alter(session: Session) -> None:
        circuits = watch_of(session).state.circuits
        circuits.rules = replace(circuits.rules, **changes)

    return alter


def circuits_as(kind: type[Circuits]) -> Alter:
    """Return an ablation in which circuits are of another class."""

    def alter(session: Session) -> None:
        watch_of(session).state.circuits.__class__ = kind

    return alter


class WithoutStreaks(Circuits):
    """Circuits for which a good answer does not end a streak."""

    __slots__ = ()

    def record_tool_success(self, tool: str, now: int, *, probe: bool = False) -> Any:
        failures = self.circuit(tool).failures
        change = super().record_tool_success(tool, now, probe=probe)
        self.circuit(tool).failures = failures
        return change


class Deaf(Circuits):
    """Circuits that rest as they are configured, whatever a rate limit says."""

    __slots__ = ()

    def record_rate_limit(self, tool: str, now: int, retry_after_ms: int | None = None) -> int:
        return super().record_rate_limit(tool, now, None)


class Hasty(Circuits):
    """Circuits for which the newest rate limit is the one that counts."""

    __slots__ = ()

    def record_rate_limit(self, tool: str, now: int, retry_after_ms: int | None = None) -> int:
        self.circuit(tool).limited_until = 0
        return super().record_rate_limit(tool, now, retry_after_ms)


def holding_the_newest_limit() -> Alter:
    """Return an ablation in which a later rate limit takes an earlier one's place."""

    def changed(health: Any) -> None:
        limit = health._limit

        def forgetful(report: ToolReport) -> Any:
            health.state.limits.pop(report.tool, None)
            return limit(report)

        health._limit = forgetful

    def alter(session: Session) -> None:
        circuits_as(Hasty)(session)
        each_incarnation("health", changed)(session)

    return alter


def limits_are_failures() -> Alter:
    """Return an ablation in which a rate limit counts as a failure."""

    def changed(health: Any) -> None:
        limit = health._limit

        def counted(report: ToolReport) -> Any:
            failed = health._bad(report.tool, health.clock.now, report.detail) or ()
            return (*failed, *limit(report))

        health._limit = counted

    return each_incarnation("health", changed)


def every_rejection_is_the_venues() -> Alter:
    """Return an ablation in which Health does not ask why an order was rejected."""

    def changed(health: Any) -> None:
        take = health.on_execution_report

        def taken(report: ExecutionReport) -> Any:
            return take(msgspec.structs.replace(report, cause=None))

        health.on_execution_report = taken

    return each_incarnation("health", changed)


def waiting_for_ever() -> Alter:
    """Return an ablation in which a probe may take as long as it likes."""

    def alter(session: Session) -> None:
        circuits = watch_of(session).state.circuits
        circuits.askable = dict.fromkeys(circuits.askable, 1000 * NEVER)

    return alter


CIRCUITS = (
    Ablation(
        "the streak",
        "health/circuit_opens_at_the_streak",
        ruled(failure_streak=NEVER),
        ("expect[3].seen", "expect[4].holds", "expect[5].never"),
    ),
    Ablation(
        "a good answer ends the streak",
        "health/circuit_opens_at_the_streak",
        circuits_as(WithoutStreaks),
        ("expect[1].never",),
    ),
    Ablation(
        "growth",
        "health/pauses_grow",
        ruled(pause_growth=1.0),
        ("expect[1].seen", "expect[2].seen", "expect[4].seen"),
    ),
    Ablation(
        "the largest pause",
        "health/pauses_grow",
        ruled(pause_max_ms=NEVER),
        ("expect[2].seen", "expect[3].seen"),
    ),
    Ablation(
        "good probes in a row",
        "health/probes_close_a_circuit",
        ruled(success_streak=1),
        ("expect[4].seen", "expect[5].holds", "expect[6].seen"),
    ),
    Ablation(
        "time between probes",
        "health/probes_close_a_circuit",
        ruled(probe_every_ms=1),
        ("expect[3].seen", "expect[5].holds"),
    ),
    Ablation(
        "a probe's time",
        "health/probe_is_not_answered",
        waiting_for_ever(),
        ("expect[1].seen", "expect[3].seen", "expect[4].seen"),
    ),
    Ablation(
        "expiry",
        "health/waiting_intents_keep_their_deadlines",
        without_check("expiry"),
        ("expect[5].refusal", "expect[8].artifact"),
    ),
    Ablation(
        "deadlines",
        "health/waiting_intents_keep_their_deadlines",
        all_of(without_check("expiry"), without_last_look()),
        ("expect[4].refusal", "expect[5].refusal"),
    ),
    Ablation(
        "the pause",
        "health/waiting_intents_keep_their_deadlines",
        without_hold("circuit:"),
        ("expect[1].never",),
    ),
    Ablation(
        "circuits",
        "health/rejection_storm",
        ruled(failure_streak=NEVER),
        ("expect[0].seen", "expect[1].seen"),
    ),
    Ablation(
        "Retry-After",
        "health/rate_limit_to_the_millisecond",
        circuits_as(Deaf),
        ("expect[1].seen", "expect[3].never", "expect[4].seen"),
    ),
    Ablation(
        "closes",
        "health/rate_limit_to_the_millisecond",
        closes_held(),
        ("expect[2].seen",),
    ),
    Ablation(
        "no failure",
        "health/rate_limits_open_no_circuit",
        limits_are_failures(),
        ("expect[1].never",),
    ),
    Ablation(
        "the longer one stays",
        "health/rate_limits_open_no_circuit",
        holding_the_newest_limit(),
        ("expect[3].seen", "expect[4].seen"),
    ),
    Ablation(
        "the streak",
        "health/one_bad_answer",
        ruled(failure_streak=1),
        ("expect[4].never", "expect[5].never"),
    ),
    Ablation(
        "whose fault it is",
        "health/own_faults_open_no_circuit",
        every_rejection_is_the_venues(),
        ("expect[1].never", "expect[2].order"),
    ),
    Ablation(
        "circuits",
        "health/closing_passes_an_open_circuit",
        ruled(failure_streak=NEVER),
        ("expect[0].holds", "expect[3].never"),
    ),
    Ablation(
        "closes",
        "health/closing_passes_an_open_circuit",
        closes_held(),
        ("expect[1].order", "expect[5].position"),
    ),
    Ablation(
        "the register",
        "health/open_circuit_survives_a_restart",
        without_reapplied_holds(),
        ("expect[1].seen", "expect[3].never"),
    ),
)


# -- the machine


def unmeasured() -> Alter:
    """Return an ablation in which nobody looks at the machine."""

    def changed(health: Any) -> None:
        health.plan = replace(health.plan, vitals=None)

    return each_incarnation("health", changed)


def well_at_once() -> Alter:
    """Return an ablation in which what is wrong is well again as soon as it is not beyond."""

    def changed(health: Any) -> None:
        look = health._look_at_vitals

        def forgetful(now: int) -> Any:
            standing = dict(health.state.wrong)
            health.state.wrong = {}
            effects = look(now)
            for hold_id in standing:
                if hold_id not in health.state.wrong:
                    health.ports.lift(hold_id, "measured again and well")
            return effects

        health._look_at_vitals = forgetful

    return each_incarnation("health", changed)


MACHINE = (
    Ablation("the disk", "health/disk_nearly_full", unmeasured(), ("expect[0].seen", "expect[1]")),
    Ablation("room to spare", "health/disk_nearly_full", well_at_once(), ("expect[3].refusal",)),
    Ablation("closes", "health/disk_nearly_full", closes_held(), ("expect[2].order",)),
    Ablation("the clock", "health/clock_is_off", unmeasured(), ("expect[0]", "expect[3]")),
    Ablation("well within", "health/clock_is_off", well_at_once(), ("expect[1].refusal",)),
    Ablation("the loop", "health/event_loop_stalls", unmeasured(), ("expect[1].refusal",)),
    Ablation("closes", "health/event_loop_stalls", closes_held(), ("expect[2].order",)),
)


EVERY = (*CIRCUITS, *MACHINE)


@pytest.mark.parametrize("ablation", EVERY, ids=str)
def test_the_scenario_of_what_is_watched_fails_unwatched(ablation: Ablation) -> None:
    """Circuits, probes, pauses, rate limits, the machine: each is missed where it does nothing."""
    assert_needed(ablation)


def test_every_scenario_of_health_has_an_ablation() -> None:
    """No scenario of tools and the machine passes whatever Health does."""
    assert [] == not_ablated("health", EVERY)
