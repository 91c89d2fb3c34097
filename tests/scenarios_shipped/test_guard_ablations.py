"""Every guard's scenario fails without the guard, and fails if the guard stood in a close's way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from ablations import (
    Ablation,
    assert_needed,
    each_incarnation,
    holds_that,
    named,
    not_ablated,
    with_guards,
    without_check,
    without_limit,
    without_reapplied_holds,
)

from actors.risk import guards_for
from actors.risk.guards import ALWAYS, Guard
from actors.risk.proposal import Proposal
from actors.risk.registry import GUARDS, SPECS, GuardSet
from actors.risk.view import RiskMemory, RiskView
from actors.turns import Session
from messages import BreachAction, Cause, RiskBreached
from scenarios.director import Alter


def judging_reductions(guard: str) -> Alter:
    """Return an ablation in which one limit takes every reducing order for an opening."""

    def severe(old: GuardSet) -> GuardSet:
        alone = SPECS[guard].make(old.limits)
        assert alone is not None, f"the scenario sets no {guard}"
        return replace(old, checks=(*old.checks, of_all_orders(alone)))

    return with_guards(severe)


def of_all_orders(guard: Guard) -> Guard:
    """Return a guard that does not know that an order only reduces."""

    def severe(proposal: Proposal, view: RiskView) -> Cause | None:
        if not proposal.reducing or proposal.price is None:
            return None
        cost = view.cash_per_unit(
            proposal.instrument, proposal.intent.side, proposal.price, reducing=False
        )
        return guard(msgspec.structs.replace(proposal, reducing=False, cash_per_unit=cost), view)

    return severe


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """
    Where one limit is rehearsed.

    ``trips`` is the expectation that is missed without the limit, ``lets_out`` the one that would
    be missed if the limit were asked about reducing orders too.
    """

    guard: str
    trips: str
    lets_out: str
    scenario: str = ""

    @property
    def file(self) -> str:
        """Return the scenario: by default it is called like the guard."""
        return f"guards/{self.scenario or self.guard}"

    def __str__(self) -> str:
        """Return what pytest calls it."""
        return self.scenario or self.guard


REHEARSALS = (
    Rehearsal("universe", "expect[0].refusal", "expect[2].refusal"),
    Rehearsal("max_order_notional", "expect[0].refusal", "expect[2].order"),
    Rehearsal("max_order_notional", "expect[0].refusal", "expect[2].order", "order_too_large"),
    Rehearsal("max_position_notional", "expect[0].refusal", "expect[4].order"),
    Rehearsal("max_gross_exposure", "expect[0].refusal", "expect[3].order"),
    Rehearsal("live_notional_cap", "expect[0].refusal", "expect[3].order"),
    Rehearsal("max_net_exposure", "expect[0].refusal", "expect[4].order"),
    Rehearsal("symbol_budgets", "expect[0].refusal", "expect[3].order"),
    Rehearsal("strategy_budget", "expect[0].refusal", "expect[3].order"),
    Rehearsal("max_open_orders", "expect[1].refusal", "expect[2].order"),
    Rehearsal("max_orders_per_minute", "expect[1].refusal", "expect[2].order"),
    Rehearsal("max_cancels_per_minute", "expect[2].refusal", "expect[3].order"),
    Rehearsal("block_stacking", "expect[3].refusal", "expect[4].order"),
    Rehearsal("order_value_buffer_pct", "expect[0].refusal", "expect[3].order"),
    Rehearsal("price_collar_bps", "expect[1].refusal", "expect[6].order"),
    Rehearsal("max_slippage_bps", "expect[2].refusal", "expect[4].order"),
    Rehearsal("max_spread_bps", "expect[0].refusal", "expect[3].order"),
    Rehearsal("max_participation_pct", "expect[0].refusal", "expect[2].order"),
    Rehearsal("min_reward_to_risk", "expect[1].refusal", "expect[4].order"),
    Rehearsal("max_funding_rate_bps", "expect[1].refusal", "expect[3].order"),
    Rehearsal("max_drawdown_pct", "expect[2].seen", "expect[9].order"),
    Rehearsal("max_daily_loss", "expect[1].refusal", "expect[2].order"),
    Rehearsal("max_daily_loss", "expect[1].seen", "expect[4].order", "max_daily_loss_halts"),
    Rehearsal("max_session_loss", "expect[1].seen", "expect[4].order"),
    Rehearsal("max_consecutive_losses", "expect[2].seen", "expect[4].order"),
    Rehearsal("max_margin_use_pct", "expect[0].refusal", "expect[3].order"),
    Rehearsal("max_margin_use_pct", "expect[1].seen", "expect[3].order", "margin_use_holds"),
    Rehearsal("max_funding_cost", "expect[2].seen", "expect[4].order"),
)

WITHOUT_A_LIMIT = tuple(
    Ablation(each.guard, each.file, without_limit(each.guard), (each.trips,)) for each in REHEARSALS
)

ASKED_ABOUT_CLOSES = tuple(
    Ablation(each.guard, each.file, judging_reductions(each.guard), (each.lets_out,))
    for each in REHEARSALS
)


@dataclass(frozen=True, slots=True)
class Correctness:
    """Where one of the guards that are always on is rehearsed, and what is missed without it."""

    guard: str
    missed: str
    scenario: str = ""
    crashes: int = 0

    @property
    def ablation(self) -> Ablation:
        """Return the ablation of this guard alone."""
        name = self.scenario or self.guard
        alter = without_check(self.guard)
        return Ablation(self.guard, f"guards/{name}", alter, (self.missed,), self.crashes)


ALWAYS_ON = (
    # Behind it the order store takes no client order id twice: Execution fails on each repetition.
    Correctness("duplicate_intent", "expect[0].refusal", crashes=2),
    Correctness("quarantine", "expect[1].refusal"),
    # Behind it the last look stops what has a deadline; what has none goes out.
    Correctness("expiry", "expect[2].refusal"),
    Correctness("backoff", "expect[0].refusal"),
    Correctness("backoff", "expect[0].refusal", "backoff_declines"),
    Correctness("quantity_rules", "expect[0].refusal"),
    Correctness("price_rules", "expect[0].refusal"),
    # Behind it an assertion: what cannot be valued is never approved.
    Correctness("price_rules", "expect[0].refusal", "price_unknown", crashes=1),
    # Behind it the last look stops it as well, with less to say.
    Correctness("own_slippage", "expect[1].refusal"),
    Correctness("notional_rules", "expect[0].refusal"),
    Correctness("position_side", "expect[0].refusal"),
    Correctness("position_side", "expect[0].refusal", "position_side_in_hedge_mode"),
    Correctness("reduce_only", "expect[0].refusal"),
    Correctness("spot_short", "expect[0].refusal"),
    Correctness("money", "expect[0].refusal", "money_spot"),
    Correctness("money", "expect[0].refusal", "money_margin"),
)

WITHOUT_A_CHECK = tuple(each.ablation for each in ALWAYS_ON)


def without_action(action: BreachAction) -> Alter:
    """Return an ablation in which breaches that call for ``action`` bring about nothing."""

    def alter(session: Session) -> None:
        core = session.assembly.core
        act = core.breached

        def deaf(breach: RiskBreached) -> None:
            if breach.action is not action:
                act(breach)

        setattr(core, "breached", deaf)  # noqa: B010 - a method of one instance

    return alter


def acting(guard: str, action: BreachAction) -> Alter:
    """Return an ablation in which a breach of ``guard`` brings about ``action``."""
    return with_guards(
        lambda old: guards_for(replace(old.limits, actions={**old.limits.actions, guard: action}))
    )


def without_acknowledgement() -> Alter:
    """Return an ablation in which a limit is measured as if nobody had resumed after it."""

    def alter(session: Session) -> None:
        watch = session.assembly.watch
        assert watch is not None, "the scenario limits the account"
        setattr(watch, "acknowledge", lambda _guard: None)  # noqa: B010

    return alter


def forgetting(what: Callable[[RiskView], None]) -> Alter:
    """Return an ablation in which each incarnation of Risk but the first has forgotten ``what``."""

    def alter(session: Session) -> None:
        cell = session.assembly.dispatcher.cells["risk"]

        def changed(risk: Any) -> None:
            if cell.incarnation:  # of those that were made before
                what(risk.view)

        each_incarnation("risk", changed)(session)

    return alter


def memory(view: RiskView) -> None:
    """Have a view begin anew with what outlives an incarnation."""
    fresh = RiskMemory.of(view.limits, view.cash, view.clock.now)
    view.decided, view.watch = fresh.decided, fresh.watch
    view.openings, view.cancels = fresh.openings, fresh.cancels


def reservations(view: RiskView) -> None:
    """Have a view not know of orders that live."""
    view.reservations.clear()


def only_the_first_cause() -> Alter:
    """Return an ablation in which a refusal stops at the first guard that has a cause."""

    def hasty(risk: Any) -> None:
        whole = risk._refused
        risk._refused = lambda proposal, found: whole(proposal, found[:1])

    return each_incarnation("risk", hasty)


ACTIONS = {
    BreachAction.REFUSE: Ablation(
        "refuse",
        "guards/action_refuse",
        acting("max_order_notional", BreachAction.REDUCE_ONLY),
        ("expect[1].order", "expect[2].never", "expect[3].never"),
    ),
    BreachAction.REDUCE_ONLY: Ablation(
        "reduce_only",
        "guards/action_reduce_only",
        without_action(BreachAction.REDUCE_ONLY),
        ("expect[2].holds", "expect[3].refusal"),
    ),
    BreachAction.HALT: Ablation(
        "halt",
        "guards/action_halt",
        without_action(BreachAction.HALT),
        ("expect[1].holds", "expect[3].order", "expect[4].refusal", "expect[11].exit_code"),
    ),
}

CONSEQUENCES = (
    *ACTIONS.values(),
    Ablation(
        "no kill but a hold",
        "guards/action_halt",
        acting("max_order_notional", BreachAction.REDUCE_ONLY),
        ("expect[2].seen", "expect[3].order", "expect[7].within", "expect[11].exit_code"),
    ),
    Ablation(
        "a kill instead of a hold",
        "guards/action_reduce_only",
        acting("max_order_notional", BreachAction.HALT),
        ("expect[4].order", "expect[7].never"),
    ),
    Ablation(
        "halt",
        "guards/halt_unlatched",
        without_action(BreachAction.HALT),
        ("expect[0].holds", "expect[1].refusal"),
    ),
    Ablation(
        "acknowledgement",
        "guards/halt_unlatched",
        without_acknowledgement(),
        ("expect[3].order",),
    ),
    Ablation(
        "acknowledgement",
        "guards/max_consecutive_losses",
        without_acknowledgement(),
        ("expect[5].order",),
    ),
    Ablation(
        "the register",
        "guards/halt_survives_a_power_cut",
        without_reapplied_holds(),
        ("expect[1].seen", "expect[3].refusal", "expect[6].exit_code"),
    ),
    Ablation(
        "halt",
        "guards/halt_ends_a_replay",
        without_action(BreachAction.HALT),
        ("expect[1].seen", "expect[2].never", "expect[5].exit_code"),
    ),
    Ablation(
        "memory",
        "guards/risk_crashes_and_remembers",
        forgetting(memory),
        ("expect[3].refusal", "expect[4].seen", "expect[5].refusal"),
        crashes=1,  # the order store takes nothing twice
    ),
    Ablation(
        "reservations",
        "guards/risk_crashes_and_remembers",
        forgetting(reservations),
        ("expect[1].refusal",),
    ),
    Ablation(
        "all causes",
        "guards/all_causes_at_once",
        only_the_first_cause(),
        ("expect[0].refusal",),
    ),
    Ablation(
        "no cause masks another",
        "guards/account_limits_at_once",
        holds_that(lambda holds, _message: holds[-1:]),
        ("expect[4].refusal", "expect[5].refusal"),
    ),
)


@pytest.mark.parametrize("guard", [spec.name for spec in GUARDS])
def test_every_limit_of_the_registry_is_rehearsed(guard: str) -> None:
    """A limit that the registry knows has a scenario of its own: a new one cannot come without."""
    assert guard in {each.guard for each in REHEARSALS}


@pytest.mark.parametrize("guard", [named(guard) for guard in ALWAYS])
def test_every_guard_that_is_always_on_is_rehearsed(guard: str) -> None:
    """A guard that nothing can switch off has a scenario of its own too."""
    assert guard in {each.guard for each in ALWAYS_ON}


@pytest.mark.parametrize("ablation", WITHOUT_A_CHECK, ids=str)
def test_the_scenario_of_a_guard_fails_without_the_guard(ablation: Ablation) -> None:
    """What a guard of correctness stops gets through when it alone is taken away."""
    assert_needed(ablation)


@pytest.mark.parametrize("ablation", WITHOUT_A_LIMIT, ids=str)
def test_the_scenario_of_a_limit_fails_without_the_limit(ablation: Ablation) -> None:
    """What a limit stops gets through when the limit alone is taken away."""
    assert_needed(ablation)


@pytest.mark.parametrize("ablation", ASKED_ABOUT_CLOSES, ids=str)
def test_the_scenario_of_a_limit_fails_where_the_limit_stops_closes(ablation: Ablation) -> None:
    """A limit that did not let reducing orders out would be noticed by its scenario."""
    assert_needed(ablation)


@pytest.mark.parametrize("action", list(BreachAction))
def test_every_consequence_of_a_breach_is_rehearsed(action: BreachAction) -> None:
    """Refuse, reduce_only and halt have a scenario each that is about nothing else."""
    assert f"guards/action_{action.value}" == ACTIONS[action].scenario


@pytest.mark.parametrize("ablation", CONSEQUENCES, ids=str)
def test_the_scenario_of_a_consequence_fails_without_it(ablation: Ablation) -> None:
    """What a breach brings about, and no more than that, is noticed where it is missing."""
    assert_needed(ablation)


def test_every_scenario_of_guards_has_an_ablation() -> None:
    """No scenario of a guard passes whatever the house does."""
    every = (*WITHOUT_A_CHECK, *WITHOUT_A_LIMIT, *CONSEQUENCES)

    assert [] == not_ablated("guards", every)
