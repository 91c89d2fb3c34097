"""A failure of any actor on any message, in a busy session: what must hold all the same."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import Watch, check_account_equation, check_no_opening_order_left_while_held
from session_world import (
    BTC,
    ETH,
    PERP,
    Script,
    World,
    flat,
    instruments_of,
    make_world,
    on_bars,
)
from workloads import KINDS, Step, busy_steps, market, trader

from actors.runtime.entropy import SeededTape
from messages import (
    ActorFailed,
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    Bar,
    CancelIntent,
    ExecutionPolicy,
    ExecutionReport,
    HoldMode,
    Intent,
    IntentEnded,
    Message,
    OpenFollowUp,
    OpenIntent,
    OrderCommitted,
    OrderEvent,
    OrderStatus,
    OrderType,
    Reconciled,
    ReduceFollowUp,
    ReduceIntent,
    RiskDecision,
    Side,
    StrategyQuarantined,
    VenueOrder,
    VenueReport,
    Wake,
)

BUSY = 24  # each strategy's bars on which it does something; the rest of the market is calm
BARS = 20
ONE = Decimal(1)

VICTIMS: list[tuple[str, type[Message]]] = [
    ("risk", OpenIntent),
    ("risk", ReduceIntent),
    ("risk", CancelIntent),
    ("risk", ExecutionReport),
    ("execution", ApprovedOpen),
    ("execution", ApprovedReduce),
    ("execution", ApprovedCancel),
    ("execution", OrderCommitted),
    ("execution", VenueReport),
    ("execution", VenueOrder),
    ("execution", RiskDecision),
    ("execution", Wake),
    ("risk", OpenFollowUp),
    ("risk", ReduceFollowUp),
    ("telemetry", ExecutionReport),
    ("strategy:one", Bar),
    ("strategy:one", ExecutionReport),
    ("strategy:one", IntentEnded),
    ("strategy:two", RiskDecision),
]

steps = st.lists(
    st.builds(
        Step,
        st.integers(0, BUSY - 1),
        st.sampled_from(KINDS),
        st.sampled_from(Side),
        st.integers(1, 8),
        st.integers(-150, 150),
    ),
    min_size=3,
    max_size=25,
)
failures = st.lists(st.tuples(st.sampled_from(VICTIMS), st.integers(1, 12)), min_size=1, max_size=3)
Failures = list[tuple[tuple[str, type[Message]], int]]


def failing_world(
    first: list[Step],
    second: list[Step],
    planted: Failures,
    *,
    alone: bool = False,
    **settings: Any,
) -> tuple[World, Watch]:
    bars = market(BARS)
    if alone:  # sessions of one symbol take a shorter way through the driver
        bars = {BTC: bars[BTC]}
    world = make_world(
        bars,
        trader(first).spec("one", tuple(s for s in (BTC, ETH) if s in bars)),
        trader(second).spec("two", tuple(s for s in (BTC, PERP) if s in bars)),
        cash=2_500,
        instruments=instruments_of((BTC, ETH, PERP), Decimal(10), lot_step=Decimal("0.25")),
        participation=Decimal("0.05"),
        **settings,
    )
    for (actor, kind), count in planted:
        world.poison(actor, kind, when=lambda _m, seen, count=count: seen == count)  # type: ignore[misc]
    return world, Watch(world)


def story(world: World) -> list[tuple[Any, ...]]:
    """Return every entry without the text of tracebacks."""
    return [
        (entry.seq, entry.ts, entry.source, entry.causation)
        + (
            (message.actor, message.error)
            if isinstance(message := entry.message, ActorFailed)
            else (message,)
        )
        for entry in world.entries
    ]


@settings(max_examples=80)
@given(steps, steps, failures, st.booleans(), st.booleans())
def test_fused_and_queued_agree_on_any_failure(
    first: list[Step], second: list[Step], planted: Failures, alone: bool, brackets: bool
) -> None:
    """Restarts, refusals, holds and what waited for them: one order, however it is dispatched."""
    terms = {"alone": alone, "brackets": brackets}
    fused, _ = failing_world(first, second, planted, **terms, queued=False)
    queued, _ = failing_world(first, second, planted, **terms, queued=True)

    for one, other in zip(story(fused.run()), story(queued.run()), strict=False):
        assert one == other
    assert len(fused.entries) == len(queued.entries)


def test_fused_and_queued_agree_when_a_failure_drains_what_a_pause_kept() -> None:
    """A hold that a failure places answers what waits in the very step, in both dispatchers."""

    def paused(*, queued: bool) -> World:
        script = on_bars(
            {
                0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
                2: lambda desk: [desk.open(BTC, Side.BUY, ONE), desk.open(BTC, Side.BUY, ONE)],
                3: lambda desk: [desk.reduce(BTC, Side.SELL, ONE), desk.open(BTC, Side.BUY, ONE)],
            }
        )
        world = make_world(flat(BTC, 8), script.spec(), queued=queued)
        world.hold_between(2, 6, "pause", HoldMode.BLOCK)
        world.poison("execution", ApprovedReduce)
        return world.run()

    fused, queued = paused(queued=False), paused(queued=True)

    for one, other in zip(story(fused), story(queued), strict=False):
        assert one == other
    assert len(fused.entries) == len(queued.entries)


@settings(max_examples=120)
@given(steps, steps, failures, st.booleans(), st.booleans())
def test_what_holds_whatever_fails(
    first: list[Step], second: list[Step], planted: Failures, alone: bool, brackets: bool
) -> None:
    """Books audit, no order twice, none while held, every intent answered, money explained."""
    world, watch = failing_world(
        first, second, planted, alone=alone, brackets=brackets, queued=False
    )

    check_despite_failures(world.run_out(calm=True), watch)


def check_despite_failures(world: World, watch: Watch) -> None:
    """Check what no failure excuses."""
    asked = Counter(intent.intent_id for intent in world.all(Intent))
    decided = Counter(decision.intent_id for decision in world.all(RiskDecision))
    clients = Counter(request.client_order_id for request, _ in watch.left)
    risk: Any = world.cell("risk").actor
    live = {order.request.order_id for order in world.assembly.books.orders.live()}

    assert asked == decided
    assert set(asked.values()) <= {1}
    assert set(clients.values()) <= {1}
    check_no_opening_order_left_while_held(watch)
    world.assembly.books.ledger.audit()
    assert live == set(risk.view.reservations)
    check_account_equation(world)
    differences = world.all(Reconciled)[-1].differences
    lost_news = any(
        failed.actor == "execution" and failed.message_type == "VenueReport"
        for failed in world.all(ActorFailed)
    )
    assert lost_news or not differences


def test_no_schedule_and_failure_together_break_it() -> None:
    """The same under schedules other than depth first, with a failure in each."""
    for seed in range(60):
        first, second = (busy_steps(10 * seed + n, BUSY, 1.0) for n in range(2))
        planted = [(VICTIMS[seed % len(VICTIMS)], 1 + seed % 7)]
        world, watch = failing_world(
            first, second, planted, tape=SeededTape(seed), brackets=bool(seed % 2)
        )
        try:
            check_despite_failures(world.run_out(calm=True), watch)
        except AssertionError as error:
            raise AssertionError(f"under SeededTape({seed}) with {planted}") from error


def test_a_broker_that_raises_leaves_no_order_in_between() -> None:
    """An order whose hand-over failed is asked for and proven absent, and its strategy is told."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 8), script.spec())
    calls = [0]
    broker = world.assembly.broker
    submit = broker.submit

    def raises_once(request: Any, now: int) -> None:
        calls[0] += 1
        if calls[0] == 1:
            raise RuntimeError("a bug in the adapter")
        submit(request, now)

    broker.submit = raises_once  # type: ignore[method-assign]
    world.run()
    last = world.reports("abc-1-1")[-1]

    assert calls == [1]
    assert OrderEvent.PROVEN_ABSENT is last.event
    assert OrderStatus.REJECTED is last.status


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_not_even_a_close_of_a_quarantined_strategy_is_left_behind(queued: bool) -> None:
    """After the quarantine nobody looks after an order that rests: none may."""
    far = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(500))
    script = Script()
    armed = [False]

    def decide(strategy: Any, _bar: Bar) -> Any:
        number, desk = len(script.seen), strategy.desk
        if number == 1:
            return [desk.open(BTC, Side.BUY, Decimal(2))]
        if number in (3, 4, 5):
            raise RuntimeError("one of three restarts")
        if number == 6:
            armed[0] = True
            return [desk.reduce(BTC, Side.SELL, ONE, policy=far) for _ in range(2)]
        return None

    def told(_strategy: Any, _report: Any) -> Any:
        if armed[0]:
            raise RuntimeError("the last straw")

    script.on_bar, script.on_update = decide, told
    world = make_world(flat(BTC, 9), script.spec(), queued=queued).run()

    assert len(world.all(StrategyQuarantined)) == 1
    assert world.assembly.broker.engine.open_orders() == []


def test_a_quarantines_cancel_that_execution_loses_is_made_good() -> None:
    """Execution fails on the very cancel: the order of the stopped strategy still ends."""
    far = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))
    script = Script()

    def decide(strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) == 1:
            return [strategy.desk.open(BTC, Side.BUY, ONE, policy=far)]
        raise RuntimeError("a bug")

    script.on_bar = decide
    world = make_world(flat(BTC, 12), script.spec())
    world.poison("execution", ApprovedCancel)
    world.run()

    assert len(world.all(StrategyQuarantined)) == 1
    assert world.assembly.broker.engine.open_orders() == []


def test_a_restart_because_of_another_is_not_counted_against_a_child() -> None:
    """A strategy's intensity is for its own failures, not for those of Execution."""
    script = Script()

    def decide(strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) in (10, 11):
            raise RuntimeError("two failures of its own are within its intensity")
        return [strategy.desk.open(BTC, Side.BUY, ONE)]

    script.on_bar = decide
    world = make_world(flat(BTC, 20), script.spec())
    world.poison("execution", ApprovedOpen, when=lambda _m, count: count in (3, 5))
    world.run()

    assert world.all(StrategyQuarantined) == []
    assert world.session.halted is None
