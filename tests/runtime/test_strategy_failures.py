"""What a strategy's actor knows of its own affairs when the strategy fails on the news of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from session_world import BTC, Script, Scripted, World, flat, make_world

from actors.assembly import StrategySpec
from messages import (
    BackoffChanged,
    Bar,
    ExecutionPolicy,
    ExecutionReport,
    IntentEnded,
    OrderEvent,
    OrderFamily,
    OrderRequest,
    PositionSide,
    Retry,
    RiskDecision,
    Rollback,
    Side,
    StateOccasion,
    StrategyState,
)
from messages.codes import ReasonCode
from strategies import StrategyParams
from strategies.backoff import StrategyRejectionBackoff
from strategies.contract import Rejection
from strategies.desk import FINAL

ONE = Decimal(1)
MINUTE_S = 60.0
ROLLING_BACK = ExecutionPolicy(rollback=Rollback.IF_UNFILLED)
TRYING_AGAIN = ExecutionPolicy(
    rollback=Rollback.IF_UNFILLED, retry=Retry(1, (ReasonCode.VENUE_REJECTED,))
)


class Counting(Scripted):
    """A scripted strategy with a state of its book, a count of intents, and with a backoff."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked = 0
        self.backoff = StrategyRejectionBackoff(base_s=10 * MINUTE_S, max_s=100 * MINUTE_S)

    def execution_backoff(self) -> StrategyRejectionBackoff:
        return self.backoff

    def book_state(self, symbol: str, position_side: PositionSide) -> int:
        return self.asked

    def restore_book(self, symbol: str, position_side: PositionSide, state: int) -> None:
        self.asked = state


def asking_at(number: int, quantity: Decimal, policy: ExecutionPolicy) -> tuple[Script, Any]:
    """Return a script that buys at its nth bar (from 1), counting it, and its strategy's spec."""
    script = Script()

    def decide(strategy: Scripted, _bar: Bar) -> Any:
        if len(script.seen) != number:
            return None
        assert isinstance(strategy, Counting)
        intent = strategy.desk.open(BTC, Side.BUY, quantity, policy=policy)
        strategy.asked += 1
        return (intent,)

    script.on_bar = decide
    spec = StrategySpec(
        "one",
        lambda desk, params: Counting(desk, params, script),
        StrategyParams(),
        (BTC,),
    )
    return script, spec


def failing_on(
    world: World, kind: type[Any], when: Callable[[Any], bool] = lambda _message: True
) -> World:
    """Let the strategy fail on the first such message, before it has looked at it."""
    struck: list[Any] = []

    def strikes(message: Any, _count: int) -> bool:
        if struck or not when(message):
            return False
        struck.append(message)
        return True

    world.poison("strategy:one", kind, when=strikes)
    return world


def rolled_back(world: World) -> list[tuple[str, str]]:
    """Return (intent, state) of every rollback that the journal has."""
    return [
        (state.intent_id, state.state)
        for state in world.all(StrategyState)
        if state.occasion is StateOccasion.ROLLED_BACK
    ]


def test_a_fill_that_a_strategy_fails_on_is_on_its_desk_all_the_same() -> None:
    """The next incarnation finds its position as the ledger has it."""
    script, spec = asking_at(1, ONE, ROLLING_BACK)
    world = failing_on(
        make_world(flat(BTC, 6), spec), ExecutionReport, lambda report: report.fill is not None
    ).run()

    assert 2 == world.cell("strategy:one").incarnation
    assert ONE == script.desk.position(BTC)
    assert 0 == script.desk.pending(BTC)


def test_a_refusal_that_a_strategy_fails_on_counts_and_rolls_back() -> None:
    """A crash forgives nothing: the backoff has it, and the book is as it was before."""
    script, spec = asking_at(2, Decimal(10**9), ROLLING_BACK)
    world = failing_on(make_world(flat(BTC, 6), spec), RiskDecision).run()
    (intent,) = (decision.intent_id for decision in world.all(RiskDecision))
    made = script.made[-1]

    assert isinstance(made, Counting)
    assert [(intent, "0")] == rolled_back(world)
    assert 0 == made.asked
    assert 1 == made.backoff.failures(BTC, OrderFamily.ENTRY)
    assert [1, 1] == [changed.failures for changed in world.all(BackoffChanged)]
    assert 0 == script.desk.pending(BTC)


def test_the_end_of_a_pursuit_that_a_strategy_fails_on_rolls_back() -> None:
    """However the news of the end comes, the runner's part of it is done."""
    script, spec = asking_at(1, ONE, TRYING_AGAIN)
    world = make_world(flat(BTC, 8), spec)
    broker = world.assembly.broker
    broker.submit = lambda request, now: broker._deliver(  # type: ignore[method-assign]
        _rejected(request.client_order_id, now)
    )
    failing_on(world, IntentEnded).run()
    (ended,) = world.all(IntentEnded)

    assert 1 == ended.retries
    assert [(ended.intent_id, "0")] == rolled_back(world)
    assert 0 == script.desk.pending(BTC)


def _rejected(client_order_id: str, now: int) -> Any:
    from messages import Cause, VenueReport

    cause = Cause(ReasonCode.VENUE_REJECTED)
    return VenueReport(client_order_id, OrderEvent.REJECTED, now, None, cause)


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_what_a_strategy_was_refused_before_a_crash_is_not_forgotten(queued: bool) -> None:
    """Its backoff goes on where it was, without any snapshot of it."""
    script, spec = asking_at(1, Decimal(10**9), ROLLING_BACK)
    world = make_world(flat(BTC, 8), spec, queued=queued)
    failing_on(world, Bar, lambda _bar: len(script.seen) == 3).run()
    first, last = script.made[0], script.made[-1]

    assert isinstance(first, Counting)
    assert isinstance(last, Counting)
    assert first is not last
    assert first.backoff.export_state() == last.backoff.export_state()
    assert 1 == last.backoff.failures(BTC, OrderFamily.ENTRY)


def test_a_refusal_that_a_policy_tries_again_after_does_not_keep_the_next_try_back() -> None:
    """Only what is left refused in the end counts: patience begins where the policy's ends."""
    script, spec = asking_at(1, ONE, TRYING_AGAIN)
    world = make_world(flat(BTC, 8), spec)
    broker = world.assembly.broker
    submit, left = broker.submit, [1]

    def once(request: OrderRequest, now: int) -> None:
        if left.pop() if left else 0:
            broker._deliver(_rejected(request.client_order_id, now))
        else:
            submit(request, now)

    broker.submit = once  # type: ignore[method-assign]
    world.run()

    assert [OrderEvent.REJECTED, OrderEvent.FILLED] == [
        report.event for report in world.reports() if report.status in FINAL
    ]
    assert [] == world.all(BackoffChanged)
    assert ONE == script.desk.position(BTC)


def test_an_order_that_is_taken_back_before_it_left_is_no_refusal() -> None:
    """Nobody has refused it: no hook is told so, no backoff counts it, and the book goes back."""
    script, spec = asking_at(1, ONE, ROLLING_BACK)
    ask = script.on_bar

    def and_cancel(strategy: Scripted, bar: Bar) -> Any:
        asked = ask(strategy, bar)
        return asked and (*asked, strategy.desk.cancel(BTC, asked[0].intent_id))

    script.on_bar = and_cancel
    world = make_world(flat(BTC, 5), spec).run()
    (intent_id,) = {report.order_id for report in world.reports()}

    assert ["journaled", "suppressed"] == world.life(intent_id)
    assert [] == [told for told in script.told if isinstance(told, Rejection)]
    assert [] == world.all(BackoffChanged)
    assert [(intent_id, "0")] == rolled_back(world)
