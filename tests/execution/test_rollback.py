"""A strategy's own state of its books: journaled, kept over crashes, taken back with an intent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from session_world import BTC, MINUTE, START, World, flat, instruments_of, make_world

from actors.assembly import StrategySpec
from messages import (
    ActorFailed,
    Bar,
    ExecutionPolicy,
    IntentEnded,
    OrderType,
    PartialFill,
    PositionSide,
    Reprice,
    RiskDecision,
    Rollback,
    Side,
    StateOccasion,
    StrategyState,
)
from strategies import Desk, Strategy, StrategyParams
from strategies.contract import Intents

ONE = Decimal(1)
TINY = Decimal("0.001")
ALWAYS = ExecutionPolicy(rollback=Rollback.IF_UNFILLED)
FAR = ExecutionPolicy(
    order_type=OrderType.LIMIT, limit_price=Decimal(50), rollback=Rollback.IF_UNFILLED
)
# A quantity below the venue's least is refused by Risk: the plainest way to come to nothing.
RULES = {"min_quantity": Decimal("0.01")}

Step = Callable[["Keeper"], Intents]


class Keeper(Strategy):
    """Counts rungs by book, and does at each bar what its plan says."""

    def __init__(self, desk: Desk, params: StrategyParams, steps: Mapping[int, Step]) -> None:
        super().__init__(desk, params)
        self.steps = steps
        self.rungs: dict[tuple[str, PositionSide], int] = {}
        self.heard: list[Any] = []

    def book_state(self, symbol: str, position_side: PositionSide) -> Mapping[str, Any]:
        return {"rungs": self.rungs.get((symbol, position_side), 0)}

    def restore_book(
        self, symbol: str, position_side: PositionSide, state: Mapping[str, Any]
    ) -> None:
        self.rungs[symbol, position_side] = state["rungs"]

    def on_bar(self, bar: Bar) -> Intents:
        step = self.steps.get((bar.timestamp - START) // MINUTE)
        return None if step is None else step(self)

    def on_order_rejected(self, rejection: Any) -> Intents:
        self.heard.append((rejection, self.taken))
        return None

    def on_intent_ended(self, ended: IntentEnded) -> Intents:
        self.heard.append((ended, self.taken))
        return None

    @property
    def taken(self) -> int:
        """Return how many rungs of the one book are taken."""
        return self.rungs.get((BTC, PositionSide.BOTH), 0)

    @taken.setter
    def taken(self, count: int) -> None:
        self.rungs[BTC, PositionSide.BOTH] = count

    def take(self, quantity: Decimal = ONE, policy: ExecutionPolicy = ALWAYS) -> Intents:
        """Ask for a rung and believe in it."""
        intent = self.desk.open(BTC, Side.BUY, quantity, policy=policy)
        self.taken += 1
        return [intent]


def run(
    steps: Mapping[int, Step], *, queued: bool = False, bars: int = 8, **settings: Any
) -> tuple[World, list[Keeper]]:
    """Run one keeper over flat bars; return the world and every incarnation."""
    made: list[Keeper] = []

    def make(desk: Desk, params: StrategyParams) -> Keeper:
        made.append(Keeper(desk, params, steps))
        return made[-1]

    spec = StrategySpec("one", make, StrategyParams(), (BTC,))
    settings.setdefault("instruments", instruments_of([BTC], **RULES))
    world = make_world(flat(BTC, bars), spec, queued=queued, **settings)
    return world.run(), made


def told(world: World) -> list[tuple[str, int, str]]:
    """Return every state that was journaled: occasion, rungs, intent."""
    return [
        (state.occasion.value, json.loads(state.state)["rungs"], state.intent_id)
        for state in world.all(StrategyState)
    ]


both = pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])


@both
def test_a_refused_intent_takes_its_book_back(queued: bool) -> None:
    """The state is as it was when the intent was made, and the hook sees it so already."""
    world, (keeper,) = run({1: lambda k: k.take(TINY)}, queued=queued)

    assert 0 == keeper.taken
    assert [0] == [taken for _, taken in keeper.heard]
    assert told(world) == [
        ("changed", 1, ""),
        ("before_intent", 0, "abc-1-1"),
        ("rolled_back", 0, "abc-1-1"),
    ]


@both
def test_what_goes_back_is_journaled_before_the_intent(queued: bool) -> None:
    """A process that is killed after the intent finds on disk what a failure goes back to."""
    world, _ = run({1: lambda k: k.take(TINY)}, queued=queued)
    story = world.story()

    assert story.index("StrategyState") < story.index("OpenIntent")


def test_an_intent_that_is_filled_keeps_its_state() -> None:
    """Also in part: what was bought was bought."""
    world, (keeper,) = run({1: lambda k: k.take()})

    assert 1 == keeper.taken
    assert [("changed", 1, ""), ("before_intent", 0, "abc-1-1")] == told(world)


def test_without_the_policy_nothing_goes_back() -> None:
    """Rollback is a permission like the others."""
    world, (keeper,) = run({1: lambda k: k.take(TINY, ExecutionPolicy())})

    assert 1 == keeper.taken
    assert [("changed", 1, "")] == told(world)


def test_a_state_that_moved_on_is_not_taken_back() -> None:
    """Going back would undo what came after as well: the fact is journaled, the state stays."""

    def again(keeper: Keeper) -> Intents:
        keeper.taken += 10
        return [keeper.desk.cancel(BTC)]

    world, (keeper,) = run({1: lambda k: k.take(policy=FAR), 3: again})

    assert 11 == keeper.taken
    assert ("superseded", 11, "abc-1-1") == told(world)[-1]


def test_only_the_book_of_the_intent_goes_back() -> None:
    """A strategy's other symbols and books keep what they know."""

    def take_with_another(keeper: Keeper) -> Intents:
        asked = keeper.take(TINY)
        keeper.rungs[BTC, PositionSide.LONG] = 7
        return asked

    world, (keeper,) = run({1: take_with_another})

    assert {(BTC, PositionSide.BOTH): 0, (BTC, PositionSide.LONG): 7} == keeper.rungs
    assert "rolled_back" == told(world)[-1][0]


def test_the_newer_of_two_failed_intents_goes_back_first() -> None:
    """Each goes back to its own moment, where it still is at it."""

    def two(keeper: Keeper) -> Intents:
        return [*(keeper.take(policy=FAR) or ()), *(keeper.take(TINY) or ())]

    world, (keeper,) = run({1: two, 3: lambda k: [k.desk.cancel(BTC)]})

    # The second one's refusal leads back to the first one's state, and its cancel to none.
    assert [("rolled_back", 1, "abc-1-2"), ("rolled_back", 0, "abc-1-1")] == told(world)[-2:]
    assert 0 == keeper.taken


def test_the_older_of_two_is_not_taken_back_from_under_the_newer() -> None:
    """The first rung fails, the second one holds: what the second one did is not undone."""

    def two(keeper: Keeper) -> Intents:
        return [*(keeper.take(TINY) or ()), *(keeper.take() or ())]

    world, (keeper,) = run({1: two})

    assert ("superseded", 2, "abc-1-1") in told(world)
    assert 2 == keeper.taken


def test_a_pursued_intent_goes_back_when_the_pursuit_is_over() -> None:
    """An order among several that comes to nothing is no end of the intent."""
    policy = ExecutionPolicy(
        OrderType.LIMIT,
        limit_price=Decimal(50),
        reprice=Reprice(60_000, 2, Decimal(60)),
        timeout_ms=150_000,
        rollback=Rollback.IF_UNFILLED,
    )
    world, (keeper,) = run({1: lambda k: k.take(policy=policy)})
    occasions = [occasion for occasion, _, _ in told(world)]

    assert 2 == len(world.sent())
    assert 1 == occasions.count("rolled_back")
    story = [type(e.message).__name__ for e in world.entries]
    last = len(story) - 1 - story[::-1].index("ExecutionReport")
    assert last < len(story) - 1 - story[::-1].index("StrategyState")
    assert 0 == keeper.taken


def test_a_pursuit_filled_in_part_keeps_its_state() -> None:
    """What was bought of it was bought, whatever the policy says of the rest."""
    policy = ExecutionPolicy(
        OrderType.LIMIT,
        limit_price=Decimal(101),
        timeout_ms=90_000,
        partial=PartialFill.ACCEPT,
        rollback=Rollback.IF_UNFILLED,
    )
    world, (keeper,) = run(
        {1: lambda k: k.take(Decimal(5000), policy)}, cash=10_000_000, participation=Decimal("0.1")
    )

    assert [ended.filled > 0 for ended in world.all(IntentEnded)] == [True]
    assert 1 == keeper.taken


def test_a_crash_after_a_change_comes_back_with_it() -> None:
    """The books are as they were before the hook that failed, not as in an old snapshot."""

    def fail(_keeper: Keeper) -> Intents:
        raise RuntimeError("a bug of the user's")

    def count(keeper: Keeper) -> Intents:
        keeper.taken += 1
        return None

    world, made = run({1: count, 2: count, 3: fail})

    assert ["strategy:one"] == [failed.actor for failed in world.all(ActorFailed)]
    assert 2 == len(made)
    assert 2 == made[1].taken


def test_what_the_failed_hook_did_is_not_kept() -> None:
    """A hook that fails half-way has changed nothing."""

    def half(keeper: Keeper) -> Intents:
        keeper.taken += 100
        raise RuntimeError("half-way")

    _, made = run({1: half})

    assert [100, 0] == [keeper.taken for keeper in made]


def test_an_intent_that_fails_after_a_crash_goes_back_all_the_same() -> None:
    """What it goes back to outlives the incarnation that asked for it."""

    def fail(_keeper: Keeper) -> Intents:
        raise RuntimeError("a bug of the user's")

    world, made = run({1: lambda k: k.take(policy=FAR), 2: fail, 6: lambda k: [k.desk.cancel(BTC)]})

    assert 2 == len(made)
    assert ("rolled_back", 0, "abc-1-1") == told(world)[-1]
    assert 0 == made[1].taken


def test_a_rollback_needs_a_state_to_go_back_to() -> None:
    """A policy that promises what the strategy cannot do is the strategy's failure."""

    class Stateless(Strategy):
        def on_bar(self, bar: Bar) -> Intents:
            return [self.desk.open(BTC, Side.BUY, ONE, policy=ALWAYS)]

    world = make_world(flat(BTC, 4), StrategySpec("one", Stateless, StrategyParams(), (BTC,))).run()

    failures = [failed.error for failed in world.all(ActorFailed)]

    assert failures
    assert all("book_state to go back to" in error for error in failures)
    assert [] == world.all(RiskDecision)


def test_states_say_when_and_of_which_book() -> None:
    """The journal alone tells what a strategy believed at any time."""
    world, _ = run({1: lambda k: k.take(TINY)})

    assert {("one", BTC, PositionSide.BOTH)} == {
        (state.strategy, state.symbol, state.position_side) for state in world.all(StrategyState)
    }
    assert [START + 120_000] * 3 == [state.at for state in world.all(StrategyState)]
    assert {StateOccasion.BEFORE_INTENT, StateOccasion.CHANGED, StateOccasion.ROLLED_BACK} == {
        state.occasion for state in world.all(StrategyState)
    }
