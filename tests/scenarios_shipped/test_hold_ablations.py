"""Every mode, scope and rule of holds has a scenario that fails without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from ablations import (
    Ablation,
    assert_needed,
    closes_held,
    each_incarnation,
    holding_as,
    holds_that,
    not_ablated,
    without_check,
    without_last_look,
    without_mode,
    without_reapplied_holds,
)

from actors.commands import Answer, Request
from actors.risk.view import RiskView
from actors.runtime import HoldSet
from actors.turns import Session
from messages import (
    ApprovedOpen,
    Cause,
    CommandVerb,
    Hold,
    HoldMode,
    Message,
    OrderRequest,
    Scope,
)
from scenarios.director import Alter

# -- modes


def treated_as(mode: HoldMode, other: HoldMode) -> Alter:
    """Return an ablation in which a lane held by ``mode`` does what it does under ``other``."""

    class Altered(HoldSet):
        __slots__ = ()

        def mode(self, message: Message) -> HoldMode | None:
            found = super().mode(message)
            return other if found is mode else found

    return holding_as(Altered)


REFUSE, BLOCK, DRAIN = HoldMode.REFUSE, HoldMode.BLOCK, HoldMode.DRAIN

MODES: Mapping[HoldMode, tuple[Ablation, ...]] = {
    REFUSE: (
        Ablation("refuse", "holds/stop_new_orders", without_mode(REFUSE), ("expect[1].refusal",)),
        Ablation(
            "refuse is no block",
            "holds/stop_new_orders",
            treated_as(REFUSE, BLOCK),
            ("expect[1].refusal",),
        ),
    ),
    BLOCK: (
        Ablation(
            "block", "holds/pause", without_mode(BLOCK), ("expect[2].never", "expect[3].seen")
        ),
        Ablation(
            "block is no refusal",
            "holds/pause",
            treated_as(BLOCK, REFUSE),
            ("expect[3].seen", "expect[5].order"),
        ),
    ),
    DRAIN: (
        Ablation(
            "drain",
            "holds/drain_answers_what_waits",
            without_mode(DRAIN),
            ("expect[0].seen", "expect[1].seen", "expect[2].refusal"),
        ),
        Ablation(
            "drain is no block",
            "holds/drain_answers_what_waits",
            treated_as(DRAIN, BLOCK),
            ("expect[0].seen", "expect[1].seen", "expect[2].refusal"),
        ),
    ),
}
"""Refuse and drain differ in rank alone: what either covers is answered, waiting or coming."""


# -- scopes


def without_scope(field: str) -> Alter:
    """Return an ablation in which holds that name a ``field`` hold nothing."""
    return holds_that(
        lambda holds, _message: [hold for hold in holds if getattr(hold.scope, field) is None]
    )


def ignoring_scope(field: str) -> Alter:
    """Return an ablation in which a hold covers whatever its scope without ``field`` does."""

    class Wide(HoldSet):
        __slots__ = ()

        def place(self, hold: Hold) -> bool:
            wide = msgspec.structs.replace(hold.scope, **{field: None})
            return super().place(msgspec.structs.replace(hold, scope=wide))

    return holding_as(Wide)


def no_hold_of_everything() -> Alter:
    """Return an ablation in which holds without a scope hold nothing."""
    return holds_that(lambda holds, _message: [hold for hold in holds if hold.scope != Scope()])


SCOPES: Mapping[str, tuple[Ablation, ...]] = {
    "everything": (
        Ablation(
            "everything", "holds/stop_new_orders", no_hold_of_everything(), ("expect[1].refusal",)
        ),
    ),
    # One session has one venue: a hold of its venue and one of everything cover the same.
    "venue": (
        Ablation("venue", "holds/scope_venue", without_scope("venue"), ("expect[3].refusal",)),
    ),
    "strategy": (
        Ablation("strategy", "holds/scope_strategy", without_scope("strategy"), ("expect[1]",)),
        Ablation("only it", "holds/scope_strategy", ignoring_scope("strategy"), ("expect[2]",)),
        Ablation("only it", "holds/scope_of_several", ignoring_scope("strategy"), ("expect[4]",)),
    ),
    "symbol": (
        Ablation("symbol", "holds/scope_symbol", without_scope("symbol"), ("expect[1]",)),
        Ablation("only it", "holds/scope_symbol", ignoring_scope("symbol"), ("expect[2]",)),
        Ablation("only it", "holds/scope_of_several", ignoring_scope("symbol"), ("expect[3]",)),
        Ablation("only it", "holds/last_look_scope", ignoring_scope("symbol"), ("expect[1]",)),
    ),
    "side": (
        Ablation("side", "holds/scope_side", without_scope("side"), ("expect[1]",)),
        Ablation("only it", "holds/scope_side", ignoring_scope("side"), ("expect[2]",)),
        Ablation("side", "holds/scope_side_in_hedge_mode", without_scope("side"), ("expect[0]",)),
        Ablation(
            "only it", "holds/scope_side_in_hedge_mode", ignoring_scope("side"), ("expect[1]",)
        ),
    ),
}


# -- what passes a hold, and what does not


def cancels_held() -> Alter:
    """Return an ablation in which cancels of strategies are dropped while anything is held."""

    def alter(session: Session) -> None:
        holds = session.assembly.holds

        def changed(risk: Any) -> None:
            pass_on = risk.on_cancel
            risk.on_cancel = lambda intent: None if holds.active else pass_on(intent)

        each_incarnation("risk", changed)(session)

    return alter


def last_look_at_closes() -> Alter:
    """Return an ablation in which the last look suppresses closes too."""

    def blind(execution: Any) -> None:
        def look(request: OrderRequest, _now: int) -> tuple[Cause, ...]:
            holds: HoldSet = execution.holds
            return holds.causes(ApprovedOpen(request))

        execution.last_look = look

    return each_incarnation("execution", blind)


def netted() -> Alter:
    """Return an ablation in which Risk counts a symbol's books as one position."""

    def changed(risk: Any) -> None:
        view: RiskView = risk.view

        def position(book: tuple[str, str, Any]) -> Any:
            return sum(held for own, held in view.positions.items() if own[:2] == book[:2])

        setattr(view, "position", position)  # noqa: B010 - a method of one instance

    return each_incarnation("risk", changed)


WAYS_OUT = (
    Ablation("closes", "holds/stop_new_orders", closes_held(), ("expect[5].order",)),
    Ablation("closes", "holds/pause", closes_held(), ("expect[9].seen",)),
    Ablation("closes", "holds/drain_answers_what_waits", closes_held(), ("expect[5].order",)),
    Ablation("closes", "holds/last_look_stop", last_look_at_closes(), ("expect[2].order",)),
    Ablation("cancels", "holds/stop_new_orders", cancels_held(), ("expect[4].order",)),
    Ablation("cancels", "holds/pause", cancels_held(), ("expect[8].order",)),
    *(
        Ablation("reduce-only", f"holds/{name}", without_check("reduce_only"), ("expect[0]",))
        for name in ("flat_cannot_open", "flat_cannot_open_short", "hedge_sides_apart")
    ),
    Ablation("sides apart", "holds/hedge_sides_apart", netted(), ("expect[2].order",)),
)

LAST_LOOKS = tuple(
    Ablation("last look", f"holds/{name}", without_last_look(), ("expect[0].order",))
    for name in ("last_look_stop", "last_look_pause", "last_look_scope", "last_look_deadline")
)


# -- several holds, ends of pauses, expiry


def no_end() -> Alter:
    """Return an ablation in which no hold ends by itself."""

    def alter(session: Session) -> None:
        setattr(session.assembly.supervisor, "_lift_at_end", lambda _hold: None)  # noqa: B010

    return alter


def end_by_name() -> Alter:
    """Return an ablation in which a timer lifts whatever has its hold's name by then."""

    def alter(session: Session) -> None:
        supervisor = session.assembly.supervisor
        setattr(  # noqa: B010 - a method of one instance
            supervisor,
            "_lift_at_end",
            lambda hold: supervisor.lift(hold.hold_id, "clock", "its time has come"),
        )

    return alter


SEVERAL = (
    Ablation(
        "none masks another",
        "holds/stop_on_top_of_a_pause",
        holds_that(lambda holds, _message: holds[:1]),
        ("expect[1].refusal", "expect[2].refusal"),
    ),
    Ablation(
        "none masks another",
        "holds/pause_on_top_of_a_stop",
        holds_that(lambda holds, _message: holds[-1:]),
        ("expect[0].refusal", "expect[1].refusal"),
    ),
    Ablation("its end", "holds/pause", no_end(), ("expect[1].holds", "expect[3].seen")),
    Ablation("its end", "holds/scope_of_several", no_end(), ("expect[2].order",)),
    Ablation("its own end", "holds/pause_lifted_early", end_by_name(), ("expect[3].holds",)),
    Ablation("its own end", "holds/pause_prolonged", end_by_name(), ("expect[0].holds",)),
    Ablation(
        "expiry",
        "holds/pause_expires_what_waits",
        without_check("expiry"),
        ("expect[1].refusal", "expect[3].never"),
    ),
)


# -- over restarts


def forgetting_to_change() -> Alter:
    """Return an ablation in which the register is not told of holds that are lifted."""

    class Silent(HoldSet):
        __slots__ = ()

        def lift(self, hold_id: str) -> Hold | None:
            hold = super().lift(hold_id)
            self.changes -= hold is not None
            return hold

    return holding_as(Silent)


RESTARTS = (
    Ablation(
        "the register",
        "holds/survive_a_power_cut",
        without_reapplied_holds(),
        ("expect[0].seen", "expect[1].seen", "expect[2].seen", "expect[4].refusal"),
    ),
    Ablation(
        "the register",
        "holds/survive_an_orderly_restart",
        without_reapplied_holds(),
        ("expect[1].seen", "expect[2].seen", "expect[3].refusal"),
    ),
    Ablation(
        "the register",
        "holds/torn_register",
        without_reapplied_holds(),
        ("expect[0].holds", "expect[2].refusal"),
    ),
    Ablation(
        "the register", "holds/lifted_stays_lifted", forgetting_to_change(), ("expect[0].never",)
    ),
    Ablation("its end", "holds/pause_ends_while_down", no_end(), ("expect[0].seen",)),
)


# -- commands


def asked(change: Callable[[Request], Request]) -> Alter:
    """Return an ablation in which the desk takes another request than the one that came."""

    def alter(session: Session) -> None:
        desk = session.assembly.desk
        take = desk.take

        def taken(request: Request) -> Answer:
            return take(change(request))

        setattr(desk, "take", taken)  # noqa: B010 - a method of one instance

    return alter


def unlatching(request: Request) -> Request:
    """Return a request to resume with all that lifting a latched hold asks for."""
    if request.verb is not CommandVerb.RESUME:
        return request
    reason = request.reason.strip() or "resumed"
    return msgspec.structs.replace(request, unlatch=True, reason=reason)


def resuming_everything() -> Alter:
    """Return an ablation in which resume lifts whatever is in force, whoever placed it."""

    def alter(session: Session) -> None:
        setattr(  # noqa: B010 - a method of one instance
            session.assembly.desk, "_chosen", lambda _command, in_force: in_force
        )

    return alter


def unchecked_scopes() -> Alter:
    """Return an ablation in which a scope may name what nobody has."""

    def alter(session: Session) -> None:
        setattr(session.assembly.desk, "_check", lambda _scope: None)  # noqa: B010

    return alter


COMMANDS = (
    Ablation(
        "unlatch and a reason",
        "holds/resume_latched",
        asked(unlatching),
        ("expect[1].holds", "expect[2].refusal"),
    ),
    Ablation(
        "the one that is named",
        "holds/resume_one_of_several",
        resuming_everything(),
        ("expect[1].seen", "expect[2].holds", "expect[4].refusal"),
    ),
    Ablation(
        "on evidence only",
        "holds/resume_on_evidence_only",
        resuming_everything(),
        ("expect[0].holds", "expect[1].seen"),
    ),
    Ablation(
        "known scopes", "holds/commands_refused", unchecked_scopes(), ("expect[4]", "expect[7]")
    ),
    Ablation("known scopes", "holds/scope_venue", unchecked_scopes(), ("expect[0]", "expect[2]")),
)

EVERY = (
    *(ablation for found in MODES.values() for ablation in found),
    *(ablation for found in SCOPES.values() for ablation in found),
    *WAYS_OUT,
    *LAST_LOOKS,
    *SEVERAL,
    *RESTARTS,
    *COMMANDS,
)


@pytest.mark.parametrize("mode", list(HoldMode))
def test_every_mode_of_a_hold_is_rehearsed(mode: HoldMode) -> None:
    """A mode cannot be added without a scenario that fails where it holds nothing."""
    assert MODES.get(mode)


@pytest.mark.parametrize("field", ["everything", *Scope.__struct_fields__])
def test_every_scope_of_a_hold_is_rehearsed(field: str) -> None:
    """A scope cannot be added without a scenario that fails where it covers nothing."""
    assert SCOPES.get(field)


@pytest.mark.parametrize("ablation", EVERY, ids=str)
def test_the_scenario_of_a_hold_fails_without_it(ablation: Ablation) -> None:
    """What a hold stops, lets out, outlives and is lifted by is noticed where it is missing."""
    assert_needed(ablation)


def test_every_scenario_of_holds_has_an_ablation() -> None:
    """No scenario of a hold passes whatever the house does."""
    assert [] == not_ablated("holds", EVERY)
