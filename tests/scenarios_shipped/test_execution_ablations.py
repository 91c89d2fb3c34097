"""Every scenario of what a policy permits fails where more is done than that, or less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from ablations import (
    Ablation,
    assert_needed,
    each_incarnation,
    not_ablated,
    part,
    with_guards,
    without_check,
    without_hold,
)

from actors.execution.pursuit import Move, Pursuit
from actors.risk.account import Book
from actors.risk.proposal import Proposal
from actors.risk.view import KINDS, Kind, RiskView
from actors.turns import Session
from messages import (
    MARKET,
    Cause,
    ExecutionPolicy,
    FollowUpReason,
    IfAbsent,
    Intent,
    IntentAction,
    OrderEvent,
    ReasonCode,
    Sizing,
)
from scenarios.director import Alter
from state.money import ZERO

# -- pursuits of another kind


def pursued_as(kind: type[Pursuit]) -> Alter:
    """Return an ablation in which every pursuit is of another class."""

    class Altered(dict[str, Pursuit]):
        def __setitem__(self, intent_id: str, pursuit: Pursuit) -> None:
            pursuit.__class__ = kind
            super().__setitem__(intent_id, pursuit)

    def alter(session: Session) -> None:
        session.assembly.books.pursuits = Altered()

    return alter


class OfTheWhole(Pursuit):
    """Asks for all of it again, whatever was filled."""

    __slots__ = ()

    @property
    def rest(self) -> Decimal:
        return self.quantity


class Permitting(Pursuit):
    """Falls back to the market whether the policy permits it or not."""

    __slots__ = ()

    def _fall_back(
        self, why: FollowUpReason, cause: Cause | None, now: int
    ) -> tuple[FollowUpReason | None, list[Move]]:
        if self._fallbacks:
            return None, [self._over(now, cause)]
        self._fallbacks += 1
        self._deadline = None
        return why, [self._follow(why, now)]

    def _next_policy(self, why: FollowUpReason) -> ExecutionPolicy:
        return MARKET


class Impatient(Pursuit):
    """Retries after the first delay each time."""

    __slots__ = ()

    def ended(
        self, event: OrderEvent, cause: Cause | None, now: int, mark: Decimal | None
    ) -> tuple[FollowUpReason | None, list[Move]]:
        then, moves = super().ended(event, cause, now, mark)
        if then is FollowUpReason.RETRY:
            retry = self.intent.policy.retry
            assert retry is not None, "only a policy that permits it retries"
            self._retry_at = now + retry.delay_ms
            moves = self._wake()
        return then, moves


class Tireless(Pursuit):
    """Retries as often as it is refused."""

    __slots__ = ()

    def ended(
        self, event: OrderEvent, cause: Cause | None, now: int, mark: Decimal | None
    ) -> tuple[FollowUpReason | None, list[Move]]:
        self._retries = min(self._retries, 1)
        return super().ended(event, cause, now, mark)


class Chasing(Pursuit):
    """Follows the market at any price."""

    __slots__ = ()

    def _new_price(self, mark: Decimal | None) -> Decimal | None:
        return mark


class Insisting(Pursuit):
    """Takes a preference to make for a condition."""

    __slots__ = ()

    def ended(
        self, event: OrderEvent, cause: Cause | None, now: int, mark: Decimal | None
    ) -> tuple[FollowUpReason | None, list[Move]]:
        then, moves = super().ended(event, cause, now, mark)
        return (None, [self._over(now, cause)]) if then is FollowUpReason.TAKE else (then, moves)


# -- Execution, strategies, Risk


def nothing_is_asked() -> Alter:
    """Return an ablation in which no question about an order reaches the venue."""
    return part(lambda session: session.assembly.broker, "query", lambda _query: lambda *_: None)


def execution_with(change: Callable[[Any], None]) -> Alter:
    """Return an ablation of every incarnation of Execution."""
    return each_incarnation("execution", change)


def _no_end_with_the_position(execution: Any) -> None:
    execution._end_with_the_position = lambda *_: ()


def _no_replacement(execution: Any) -> None:
    execution.replace = lambda _request: ()


def _nothing_put_back(execution: Any) -> None:
    execution._room.put_back = lambda *_: []


def _pursuits_forgotten(execution: Any) -> None:
    execution.books.pursuits.clear()


def _cancels_of_orders_only(execution: Any) -> None:
    execution._canceller.pursuits_of = lambda _cancel: []


def blind_to_the_venues_rules() -> Alter:
    """Return an ablation in which Execution believes that the venue knows brackets."""

    def alter(session: Session) -> None:
        session.assembly.broker.brackets = True

    return alter


def strategy_with(change: Callable[[Any], None]) -> Alter:
    """Return an ablation of every incarnation of the strategy `one`'s host."""
    return each_incarnation("strategy:one", change)


def _no_rollback(host: Any) -> None:
    host.states.over = lambda *_, **__: None


def _rolls_back_whatever_happened(host: Any) -> None:
    over = host.states.over

    def forced(intent_id: str, *, unfilled: bool) -> Any:
        kept = host.desk.kept.get(intent_id)
        if kept is not None:
            kept.after = host.states._text(kept.symbol, kept.position_side)
        return over(intent_id, unfilled=unfilled)

    host.states.over = forced


def _cannot_pause(host: Any) -> None:
    host.house = replace(host.house, pause=lambda _intent: None)


def judging_as(change: Callable[[Intent], Intent]) -> Alter:
    """Return an ablation in which Risk judges another intent than the one that was asked for."""

    def changed(risk: Any) -> None:
        judge = risk.on_intent
        risk.on_intent = lambda intent: judge(change(intent))

    return each_incarnation("risk", changed)


def sized_by_the_house(intent: Intent) -> Intent:
    """Fill in a quantity where there is none."""
    unsized = intent.quantity is None and intent.sizing is Sizing.EXPLICIT
    if not unsized or intent.action is IntentAction.CLOSE:
        return intent
    return msgspec.structs.replace(intent, quantity=Decimal(1))


def if_absent(term: IfAbsent) -> Callable[[Intent], Intent]:
    """Let every policy have the same close semantics."""

    def change(intent: Intent) -> Intent:
        policy = msgspec.structs.replace(intent.policy, if_absent=term)
        return msgspec.structs.replace(intent, policy=policy)

    return change


def without_replacing(intent: Intent) -> Intent:
    """Forget in whose place an order comes."""
    return msgspec.structs.replace(intent, replaces="")


def _impatient(actor: Any) -> None:
    """Let a refusal count although something follows it."""
    noted = actor._note_report

    def note(report: Any) -> Any:
        intent, rejection = noted(report)
        if rejection is not None and not rejection.final:
            actor._count(intent, report.timestamp, rejection.causes)
        return intent, rejection

    actor._note_report = note


class NearestOnly(RiskView):
    """Sees of a chain of replacements only the order that is replaced next."""

    def replaced(self, order_id: str, book: Book, kind: Kind) -> Decimal:
        found = self.reservations.get(order_id)
        return ZERO if found is None or (found.book, found.kind) != (book, kind) else found.quantity


def _short_sighted(risk: Any) -> None:
    risk.view.__class__ = NearestOnly


def _deaf_to_minimums(risk: Any) -> None:
    risk.on_minimum = lambda _minimum: None


def protection_counts() -> Alter:
    """Return an ablation in which what protects a position stands in the way of closing it."""

    def severe(proposal: Proposal, view: RiskView) -> Cause | None:
        protected = max(view.reducing(proposal.book, kind) for kind in (Kind.STOP, Kind.TARGET))
        now = proposal.reducing and proposal.intent.action not in KINDS
        return Cause(ReasonCode.REDUCE_ONLY_WOULD_OPEN) if now and protected > ZERO else None

    return with_guards(lambda old: replace(old, checks=(*old.checks, severe)))


def backoff_of_closes_too() -> Alter:
    """Return an ablation in which a backoff keeps back whatever its symbol has."""

    def severe(proposal: Proposal, view: RiskView) -> Cause | None:
        intent = proposal.intent
        rests = any(
            key[:2] == (intent.strategy, intent.symbol) and proposal.now < until
            for key, until in view.backoffs.items()
        )
        return Cause(ReasonCode.STRATEGY_BACKOFF) if proposal.reducing and rests else None

    return with_guards(lambda old: replace(old, checks=(*old.checks, severe)))


E = "execution"
ABLATIONS = (
    Ablation(
        "what was filled counts",
        f"{E}/limit_times_out_and_falls_back",
        pursued_as(OfTheWhole),
        ("expect[1].seen", "expect[4].position"),
    ),
    Ablation(
        "no fallback without permission",
        f"{E}/no_permission_no_fallback",
        pursued_as(Permitting),
        ("expect[0].order", "expect[1].never"),
    ),
    Ablation(
        "a permission's reasons",
        f"{E}/fallback_for_the_named_reason_only",
        pursued_as(Permitting),
        ("expect[0].order", "expect[1].order"),
    ),
    Ablation(
        "growing pauses", f"{E}/retries_with_growing_pauses", pursued_as(Impatient), ("expect[2]",)
    ),
    Ablation(
        "so often and no oftener",
        f"{E}/retries_with_growing_pauses",
        pursued_as(Tireless),
        ("expect[0].seen",),
    ),
    Ablation(
        "the worst price",
        f"{E}/reprices_within_the_worst_price",
        pursued_as(Chasing),
        ("expect[1].seen", "expect[2].seen"),
    ),
    Ablation(
        "a preference is no condition",
        f"{E}/maker_is_preferred_not_required",
        pursued_as(Insisting),
        ("expect[0].order", "expect[4].position"),
    ),
    Ablation(
        "asked before the cancel",
        f"{E}/fill_is_found_before_the_cancel",
        nothing_is_asked(),
        ("expect[0].order", "expect[3].position"),
    ),
    Ablation(
        "asked after the cancel",
        f"{E}/fill_is_found_after_the_cancel",
        nothing_is_asked(),
        ("expect[0].order", "expect[1].seen"),
    ),
    Ablation(
        "entries roll back",
        f"{E}/a_refused_entry_rolls_back",
        strategy_with(_no_rollback),
        ("expect[0].seen", "expect[1].seen"),
    ),
    Ablation(
        "what moved on stays",
        f"{E}/a_state_that_moved_on_stays",
        strategy_with(_rolls_back_whatever_happened),
        ("expect[0].seen", "expect[1].never"),
    ),
    Ablation(
        "reductions roll back",
        f"{E}/a_reduce_that_fails_rolls_back",
        strategy_with(_no_rollback),
        ("expect[0].seen",),
    ),
    Ablation(
        "protection ends with its position",
        f"{E}/stop_and_target_of_one_position",
        execution_with(_no_end_with_the_position),
        ("expect[0].order", "expect[1].refusal"),
    ),
    Ablation(
        "of each kind no more than there is",
        f"{E}/stop_and_target_of_one_position",
        without_check("reduce_only"),
        ("expect[3].refusal",),
    ),
    Ablation(
        "protection does not block a close",
        f"{E}/a_close_beside_resting_protection",
        protection_counts(),
        ("expect[0].order", "expect[4].position"),
    ),
    Ablation(
        "the replaced one goes",
        f"{E}/a_stop_is_replaced_without_a_gap",
        execution_with(_no_replacement),
        ("expect[1].refusal",),
    ),
    Ablation(
        "the replaced one does not count",
        f"{E}/a_stop_is_replaced_without_a_gap",
        judging_as(without_replacing),
        ("expect[0].seen", "expect[3].order"),
    ),
    Ablation(
        "only what is final counts",
        f"{E}/a_refusal_that_is_answered_is_not_counted",
        each_incarnation("strategy:one", _impatient),
        ("expect[2].position", "expect[3].never"),
    ),
    Ablation(
        "a whole chain does not count",
        f"{E}/a_trail_takes_the_place_of_a_smaller_stop",
        each_incarnation("risk", _short_sighted),
        ("expect[0].seen", "expect[1].never"),
    ),
    Ablation(
        "one close rests",
        f"{E}/bracket_where_one_close_rests",
        blind_to_the_venues_rules(),
        ("expect[0].order", "expect[4].never"),
    ),
    Ablation(
        "what made room comes back",
        f"{E}/bracket_target_misses_and_the_stop_comes_back",
        execution_with(_nothing_put_back),
        ("expect[1].seen", "expect[3].position"),
    ),
    Ablation(
        "a close makes itself room",
        f"{E}/bracket_close_makes_itself_room",
        blind_to_the_venues_rules(),
        ("expect[0].order", "expect[2].never"),
    ),
    Ablation(
        "what waits here ends with the position",
        f"{E}/bracket_stop_first",
        execution_with(_no_end_with_the_position),
        ("expect[1].order",),
    ),
    Ablation(
        "no size is invented",
        f"{E}/an_intent_without_a_quantity",
        judging_as(sized_by_the_house),
        ("expect[0].refusal", "expect[3].refusal"),
    ),
    Ablation(
        "sync is explicit",
        f"{E}/sync_if_absent",
        judging_as(if_absent(IfAbsent.SYNC)),
        ("expect[0].refusal",),
    ),
    Ablation(
        "sync is done",
        f"{E}/sync_if_absent",
        judging_as(if_absent(IfAbsent.REFUSE)),
        ("expect[1].order",),
    ),
    Ablation(
        "a strategy's own pause",
        f"{E}/a_strategy_pauses_itself",
        strategy_with(_cannot_pause),
        ("expect[0].seen", "expect[1].refusal"),
    ),
    Ablation(
        "the venue's new minimum",
        f"{E}/the_venues_minimum_changes",
        each_incarnation("risk", _deaf_to_minimums),
        ("expect[2].refusal",),
    ),
    Ablation(
        "pursuits outlive Execution",
        f"{E}/execution_fails_in_the_middle_of_a_pursuit",
        execution_with(_pursuits_forgotten),
        ("expect[0].order", "expect[1].order"),
    ),
    Ablation(
        "the hold covers what is to follow",
        f"{E}/a_kill_ends_what_was_to_follow",
        without_hold("kill"),
        ("expect[3].seen", "expect[4].never"),
    ),
    Ablation(
        "a cancel ends the intent",
        f"{E}/a_cancel_ends_what_was_to_follow",
        execution_with(_cancels_of_orders_only),
        ("expect[0].seen",),
    ),
    Ablation(
        "a part is enough",
        f"{E}/a_partial_fill_is_enough",
        pursued_as(Permitting),
        ("expect[0].order", "expect[1].never"),
    ),
    Ablation(
        "backoff lets closes out", "guards/backoff", backoff_of_closes_too(), ("expect[4].order",)
    ),
)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
def test_the_scenario_of_an_execution_fails_where_more_or_less_is_done(ablation: Ablation) -> None:
    """What the policy says is done, no more and no less: anything else is missed."""
    assert_needed(ablation)


def test_every_scenario_of_execution_has_an_ablation() -> None:
    """A scenario that no missing safeguard could fail would show nothing."""
    assert [] == not_ablated(E, ABLATIONS)
