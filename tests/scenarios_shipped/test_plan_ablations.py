"""Every scenario of a plan fails where it is carried out with less care than it promises."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from ablations import Ablation, assert_needed, each_incarnation, not_ablated, without_limit

from messages import Message, PlanIntent, PositionSide, Quote, Tick
from scenarios.director import Alter
from state.instruments import Instrument
from state.money import ZERO
from strategies.desk import Asked
from strategies.plans import PlanKeeper, Told
from strategies.plans.levels import Levels
from strategies.plans.making import Maker
from strategies.plans.standing import BookKey, Standing, Step
from strategies.plans.wants import Span, Wants


def kept_by(kind: type[PlanKeeper]) -> Alter:
    """Return an ablation in which the plans of the strategy `one` are kept by another class."""
    return each_incarnation("strategy:one", lambda host: setattr(host.plans, "__class__", kind))


def part_as(name: str, kind: type) -> Alter:
    """Return an ablation in which a part of the keeper is of another class."""
    return each_incarnation(
        "strategy:one", lambda host: setattr(getattr(host.plans, name), "__class__", kind)
    )


class Gullible(PlanKeeper):
    """Takes up whatever is handed in."""

    def _problems(self, _intent: PlanIntent, _book: BookKey) -> list[str]:
        return []


class AnyBook(PlanKeeper):
    """Takes a plan for a book that is not there."""

    def _misplaced(self, _book: BookKey) -> list[str]:
        return []


class Forgetful(PlanKeeper):
    """Forgets what a refused step was to take the place of."""

    def note_end(self, symbol: str, side: PositionSide, intent_id: str, *, refused: bool) -> None:
        super().note_end(symbol, side, intent_id, refused=refused)
        standing = self.standing.get((symbol, side))
        if standing is not None and refused:
            standing.guards.clear()
            standing.stop.intents.clear()


class Insistent(PlanKeeper):
    """Asks again for what was refused."""

    def note_end(self, symbol: str, side: PositionSide, intent_id: str, *, refused: bool) -> None:
        super().note_end(symbol, side, intent_id, refused=refused)
        standing = self.standing.get((symbol, side))
        if standing is not None and refused:
            self._think_again(standing)


class Storming(Insistent):
    """Asks for a close again as soon as it is refused."""

    def _close(self, standing: Standing, held: Decimal, why: str) -> list[Told]:
        standing.closed_at = -1
        return super()._close(standing, held, why)


class Resigned(PlanKeeper):
    """Closes once, whatever becomes of it."""

    def _close(self, standing: Standing, held: Decimal, why: str) -> list[Told]:
        return super()._close(standing, held, why) if standing.closed_at < 0 else []


class Clearing(PlanKeeper):
    """Takes everything of the older plan back before the new one begins."""

    def _take_over(self, standing: Standing, older: Standing) -> None:
        ids = [intent_id for step in older.steps() for intent_id in step.intents]
        standing.leaving = [*older.leaving, *ids]


class Hasty(PlanKeeper):
    """Is done as soon as the book is flat."""

    def _end(self, standing: Standing) -> list[Told]:
        del self.standing[standing.book]
        return [*self._wants.back(standing, self._openings(standing))]


class Hopeful(PlanKeeper):
    """Takes it that of a bar the better came first."""

    def _watch(self, standing: Standing, held: Decimal, span: Span) -> list[Told]:
        return [*self._wants.met(standing, held, span)] or super()._watch(standing, held, span)


class OneSided(PlanKeeper):
    """Takes the better side of a quote for a price that a position can be left at."""

    def on_market(self, seen: Any) -> list[Told]:
        if isinstance(seen, Quote):
            seen = Tick(seen.symbol, seen.timestamp, seen.ask, seen.ask_size)
        return super().on_market(seen)


class Once(Wants):
    """Protects what was held first."""

    def protected(self, standing: Standing, held: Decimal) -> list[Asked]:
        return [] if standing.guards else super().protected(standing, held)


class AllAtOnce(Wants):
    """Moves every target without looking at the others."""

    def _aimed(self, _standing: Standing, _but: Step) -> Decimal:
        return ZERO


class OffTheGrid(Levels):
    """Leaves it to others on which grid a price is."""

    def _rules(self, standing: Standing) -> Instrument:
        return Instrument.permissive(standing.intent.symbol)


class Unjudged(Maker):
    """Makes rungs that do not say what they risk."""

    def add_terms(self, standing: Standing, rung: Any, held: Decimal) -> dict[str, Any]:
        terms = super().add_terms(standing, rung, held)
        return terms | {"planned_stop": None, "planned_target": None}


def placed_at_the_venue() -> Alter:
    """Return an ablation in which steps that are to wait here rest at the venue."""

    def change(host: Any) -> None:
        take = host.plans.take

        def taken(intent: PlanIntent) -> Any:
            plan = intent.plan
            if plan is not None:
                plan = msgspec.structs.replace(plan, place="venue")
            return take(msgspec.structs.replace(intent, plan=plan))

        host.plans.take = taken

    return each_incarnation("strategy:one", change)


def _nothing_while_down(host: Any) -> None:
    def lost(message: Message) -> Any:
        if message is not host._noted:
            host._note(message)
        return host._said()

    host.lost = lost


def _deaf_while_down(host: Any) -> None:
    def note(message: Any) -> None:
        host._note_report(message)

    host._note = note


P = "plans"
ABLATIONS = (
    Ablation(
        "rungs pass the stacking guard",
        f"{P}/plan_add_is_stacked",
        without_limit("block_stacking"),
        ("expect[1].seen", "expect[4].position"),
    ),
    Ablation(
        "rungs pass the liquidity guard",
        f"{P}/plan_add_participation",
        without_limit("max_participation_pct"),
        ("expect[0].seen", "expect[1].seen"),
    ),
    Ablation(
        "rungs pass the reward-to-risk guard",
        f"{P}/plan_add_reward_to_risk",
        without_limit("min_reward_to_risk"),
        ("expect[1].seen",),
    ),
    Ablation(
        "rungs say what they risk",
        f"{P}/plan_add_reward_to_risk",
        part_as("_make", Unjudged),
        ("expect[0].seen", "expect[2].seen"),
    ),
    Ablation(
        "contradictions are refused",
        f"{P}/plan_invalid",
        kept_by(Gullible),
        ("expect[0].seen", "expect[2].seen", "expect[3].never"),
    ),
    Ablation(
        "the stop is for all",
        f"{P}/plan_stop_leaves",
        part_as("_wants", Once),
        ("expect[2].seen", "expect[6].position"),
    ),
    Ablation(
        "on the price grid", f"{P}/plan_stop_leaves", part_as("_levels", OffTheGrid), ("expect[1]",)
    ),
    Ablation(
        "waiting here is unseen",
        f"{P}/plan_waits_here",
        placed_at_the_venue(),
        ("expect[0].never",),
    ),
    Ablation("the stop first", f"{P}/plan_waits_here", kept_by(Hopeful), ("expect[3].seen",)),
    Ablation("the side of a quote", f"{P}/plan_waits_here", kept_by(OneSided), ("expect[2].seen",)),
    Ablation(
        "together no more than is held",
        f"{P}/plan_scales_out",
        part_as("_wants", AllAtOnce),
        ("expect[0].never",),
    ),
    Ablation(
        "the stop behind a refused trail",
        f"{P}/plan_trail_takes_over",
        kept_by(Forgetful),
        ("expect[2].seen", "expect[4].never"),
    ),
    Ablation("no storm of closes", f"{P}/plan_time_stop", kept_by(Storming), ("expect[0].seen",)),
    Ablation(
        "closed in the end",
        f"{P}/plan_time_stop",
        kept_by(Resigned),
        ("expect[1].seen", "expect[4].position"),
    ),
    Ablation(
        "what is the same stays",
        f"{P}/plan_replaced_without_a_gap",
        kept_by(Clearing),
        ("expect[1].seen", "expect[3].seen"),
    ),
    Ablation(
        "protected while the strategy is down",
        f"{P}/plan_restart_in_the_middle",
        each_incarnation("strategy:one", _nothing_while_down),
        ("expect[1].seen",),
    ),
    Ablation(
        "facts reach the plan while the strategy is down",
        f"{P}/plan_restart_in_the_middle",
        each_incarnation("strategy:one", _deaf_while_down),
        ("expect[4].seen",),
    ),
    Ablation(
        "what was refused waits",
        f"{P}/plan_refused_step_waits",
        kept_by(Insistent),
        ("expect[3].seen",),
    ),
    Ablation(
        "the older stop is remembered",
        f"{P}/plan_refused_step_waits",
        kept_by(Forgetful),
        ("expect[2].seen",),
    ),
    Ablation(
        "not over before its rungs",
        f"{P}/plan_rung_fills_after_the_stop",
        kept_by(Hasty),
        ("expect[2].seen", "expect[3].position"),
    ),
    Ablation(
        "a book that is there",
        f"{P}/plan_of_one_book_of_a_hedge",
        kept_by(AnyBook),
        ("expect[2].seen",),
    ),
)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
def test_the_scenario_of_a_plan_fails_where_less_care_is_taken(ablation: Ablation) -> None:
    """What a plan promises is missed where it is not done."""
    assert_needed(ablation)


def test_every_scenario_of_a_plan_has_an_ablation() -> None:
    """A scenario that no missing safeguard could fail would show nothing."""
    assert [] == not_ablated(P, ABLATIONS)
