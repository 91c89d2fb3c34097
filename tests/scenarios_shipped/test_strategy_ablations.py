"""Every scenario of a shipped strategy fails where the strategy, or what carries it, does less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ablations import (
    SHIPPED,
    Ablation,
    all_of,
    assert_needed,
    each_incarnation,
    not_ablated,
    part,
    with_guards,
)

from actors.execution.pursuit import Move, Pursuit
from actors.risk.proposal import Proposal
from actors.risk.view import RiskView
from actors.turns import Session
from messages import MARKET, Cause, ExecutionPolicy, FollowUpReason, ReasonCode
from scenarios.director import Alter
from state.ledger import LotMethod

# -- the strategy


def strategy_with(change: Callable[[Any], None]) -> Alter:
    """Return an ablation of every incarnation of the strategy `one`'s host."""
    return each_incarnation("strategy:one", change)


def _deaf_to_minimums(host: Any) -> None:
    host.strategy._looker.minimums.clear()
    host.strategy.set_broker_min_order = lambda _minimum: None


def _forgets_what_is_taken(host: Any) -> None:
    """Let every close find the rungs as if none had been asked for."""
    strategy = host.strategy
    decide = strategy.on_bar

    def forgetful(bar: Any) -> Any:
        for book in strategy._all_books():
            book.taken.clear()
            book.changed = True
        return decide(bar)

    strategy.on_bar = forgetful


def _asks_nobody(host: Any) -> None:
    host._asks = False


def _knows_no_hedge(host: Any) -> None:
    """Let the desk, and with it the strategy, believe in one net book of each symbol."""
    host.desk._sides.clear()
    strategy = host.strategy
    strategy._books = {
        symbol: tuple(strategy._new_book(symbol, side) for side in host.desk.books(symbol))
        for symbol in host.desk.symbols
    }


# -- its host


def _no_rollback(host: Any) -> None:
    host.states.over = lambda *_, **__: None


def _no_backoff(host: Any) -> None:
    host.backoff.record_rejection = lambda *_, **__: False


def forgetting(what: Callable[[Any], None]) -> Alter:
    """Return an ablation in which a strategy that is made anew has forgotten something."""

    def alter(session: Session) -> None:
        cell = session.assembly.dispatcher.cells["strategy:one"]
        make = cell.factory

        def forgetful() -> Any:
            if cell.incarnation:
                what(cell.actor.house)  # type: ignore[union-attr]
            return make()

        cell.factory = forgetful

    return alter


def _books(house: Any) -> None:
    house.books.clear()


def _backoff(house: Any) -> None:
    house.memory.backoff = None


# -- what its orders meet


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


def pursued_as(kind: type[Pursuit]) -> Alter:
    """Return an ablation in which every pursuit is of another class."""

    class Altered(dict[str, Pursuit]):
        def __setitem__(self, intent_id: str, pursuit: Pursuit) -> None:
            pursuit.__class__ = kind
            super().__setitem__(intent_id, pursuit)

    def alter(session: Session) -> None:
        session.assembly.books.pursuits = Altered()

    return alter


def nothing_is_asked() -> Alter:
    """Return an ablation in which no question about an order reaches the venue."""
    return part(lambda session: session.assembly.broker, "query", lambda _query: lambda *_: None)


def lots_closed(method: LotMethod) -> Alter:
    """Return an ablation in which the ledger closes other lots than the strategy declares."""

    def alter(session: Session) -> None:
        session.assembly.books.ledger._lot_methods["one"] = method

    return alter


def _no_end_with_the_position(execution: Any) -> None:
    execution._end_with_the_position = lambda *_: ()


S = "strategies"
ABLATIONS = (
    Ablation(
        "the venue's minimum is known",
        f"{S}/hype_open_one_way",
        strategy_with(_deaf_to_minimums),
        ("expect[0].seen", "expect[1].order", "expect[12].position"),
    ),
    Ablation(
        "each side has its book",
        f"{S}/hype_open_hedge",
        strategy_with(_knows_no_hedge),
        ("expect[0].seen", "expect[3].order", "expect[9].position"),
    ),
    Ablation(
        "a rung that was asked for is taken",
        f"{S}/hype_dca_one_way",
        all_of(strategy_with(_forgets_what_is_taken), strategy_with(_asks_nobody)),
        ("expect[2].position", "expect[8].seen"),
    ),
    Ablation(
        "a rung that is under way is not asked for again",
        f"{S}/hype_dca_hedge",
        all_of(strategy_with(_forgets_what_is_taken), strategy_with(_asks_nobody)),
        ("expect[3].position", "expect[5].position", "expect[9].seen"),
    ),
    Ablation(
        "lots are closed as declared",
        f"{S}/hype_take_profit_one_way",
        lots_closed(LotMethod.FIFO),
        ("expect[9].artifact", "expect[11].artifact"),
    ),
    Ablation(
        "protection ends with its position",
        f"{S}/hype_take_profit_hedge",
        each_incarnation("execution", _no_end_with_the_position),
        ("expect[8].seen", "expect[9].never"),
    ),
    Ablation(
        "a failed entry rolls back",
        f"{S}/hype_rejection_one_way",
        strategy_with(_no_rollback),
        ("expect[3].seen", "expect[5].seen", "expect[9].position"),
    ),
    Ablation(
        "a backoff keeps no exit back",
        f"{S}/hype_rejection_hedge",
        backoff_of_closes_too(),
        ("expect[7].order", "expect[9].position"),
    ),
    Ablation(
        "refused entries rest",
        f"{S}/hype_retry_backoff_one_way",
        strategy_with(_no_backoff),
        ("expect[4].seen", "expect[5].never", "expect[12].position"),
    ),
    Ablation(
        "a crash forgives no refusal",
        f"{S}/hype_retry_backoff_hedge",
        forgetting(_backoff),
        ("expect[6].seen", "expect[9].never", "expect[11].never"),
    ),
    Ablation(
        "the final fills are asked for",
        f"{S}/hype_partial_then_cancel_one_way",
        nothing_is_asked(),
        ("expect[0].order", "expect[5].position", "expect[7].seen"),
    ),
    Ablation(
        "no fallback without permission",
        f"{S}/hype_partial_then_cancel_hedge",
        pursued_as(Permitting),
        ("expect[2].seen", "expect[3].never", "expect[13].position"),
    ),
    Ablation(
        "book states outlive a strategy",
        f"{S}/hype_restart_mid_ladder_one_way",
        forgetting(_books),
        ("expect[2].seen", "expect[3].seen", "expect[6].seen"),
    ),
    Ablation(
        "both books outlive a strategy",
        f"{S}/hype_restart_mid_ladder_hedge",
        forgetting(_books),
        ("expect[3].never", "expect[8].seen", "expect[13].position"),
    ),
)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
def test_the_scenario_of_a_ladder_fails_where_less_is_done(ablation: Ablation) -> None:
    """What a ladder relies on is there, and the scenario notices when it is not."""
    assert_needed(ablation)


def test_every_scenario_of_a_ladder_has_an_ablation() -> None:
    """A scenario that no missing safeguard could fail would show nothing."""
    assert [] == not_ablated(S, ABLATIONS, "hype_")


def test_every_scenario_of_a_strategy_belongs_to_a_family_that_is_ablated() -> None:
    """Each family's own module of ablations sees to its scenarios."""
    families = {path.name.partition("_")[0] for path in (SHIPPED / S).iterdir()}

    assert families == {"hype", "donchian"}
