"""Every actor fails in turn: what comes back, what is held meanwhile, what halts the session."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from session_world import (
    BTC,
    DAY,
    ETH,
    MINUTE,
    START,
    Script,
    World,
    flat,
    make_world,
    on_bars,
    walk,
)
from workloads import round_trips, sma

from messages import (
    ActorFailed,
    ActorRestarting,
    ActorStarted,
    ActorStopped,
    ApprovedOpen,
    ApprovedReduce,
    Bar,
    CancelIntent,
    DeadLetter,
    Escalated,
    ExecutionReport,
    HoldLifted,
    HoldPlaced,
    Message,
    OpenIntent,
    OrderCommitted,
    OrderEvent,
    OrderStatus,
    PortfolioMarked,
    Reconciled,
    ReduceIntent,
    RiskDecision,
    SessionEnded,
    Side,
    SnapshotTaken,
    VenueReport,
    Verdict,
    Wake,
)

ONE = Decimal(1)
both_dispatchers = pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])


VICTIMS: list[tuple[str, type[Message]]] = [
    ("risk", OpenIntent),
    ("risk", ReduceIntent),
    ("risk", CancelIntent),
    ("risk", ExecutionReport),
    ("execution", ApprovedOpen),
    ("execution", ApprovedReduce),
    ("execution", OrderCommitted),
    ("execution", VenueReport),
    ("reconciler", Wake),
    ("telemetry", ExecutionReport),
    ("strategy:one", Bar),
    ("strategy:one", ExecutionReport),
]


def kill_once(actor: str, kind: type[Message], *, queued: bool, count: int = 1) -> World:
    script = round_trips()
    script.on_refusal = lambda _s, _d: None
    trips = script.on_bar

    def with_cancels(strategy: Any, bar: Bar) -> Any:
        found = list(trips(strategy, bar) or ())
        return [*found, strategy.desk.cancel(ETH, "nobody's")] if len(script.seen) == 4 else found

    script.on_bar = with_cancels
    bars = flat(BTC, 40, start=START + DAY - 20 * MINUTE)
    world = make_world(bars, script.spec(), sma("two"), queued=queued)
    world.poison(actor, kind, when=lambda _message, seen: seen == count)
    return world.run()


@both_dispatchers
@pytest.mark.parametrize(
    ("actor", "kind"), VICTIMS, ids=[f"{actor} {kind.__name__}" for actor, kind in VICTIMS]
)
def test_every_actor_that_fails_once_comes_back(
    actor: str, kind: type[Message], queued: bool
) -> None:
    """One failure is one restart; the session goes on, and its journal tells the whole story."""
    world = kill_once(actor, kind, queued=queued)
    (failed,) = world.all(ActorFailed)
    letters = [one for one in world.all(DeadLetter) if one.reason == "handler_raised"]
    restarting = next(e for e in world.all(ActorRestarting) if e.actor == actor)
    again = [e for e in world.all(ActorStarted) if e.actor == actor]

    assert (failed.actor, failed.message_type, failed.error) == (
        actor,
        kind.__name__,
        "RuntimeError: poison",
    )
    assert "poison" in failed.traceback
    assert [(one.actor, one.message_type) for one in letters] == [(actor, kind.__name__)]
    assert [e.incarnation for e in again] == [1, 2]
    assert again[1].at == restarting.at + round(restarting.delay_s * 1000)
    assert world.session.halted is None
    assert world.cell(actor).failures == 1


@both_dispatchers
@pytest.mark.parametrize(
    ("actor", "kind"),
    [
        ("risk", OpenIntent),
        ("risk", ReduceIntent),
        ("risk", CancelIntent),
        ("risk", ExecutionReport),
        ("execution", ApprovedOpen),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_opening_is_held_exactly_while_risk_or_execution_is_down(
    actor: str, kind: type[Message], queued: bool
) -> None:
    """No opening order leaves between the failure and the restart; afterwards they do again."""
    world = kill_once(actor, kind, queued=queued, count=3 if kind is not CancelIntent else 1)
    (placed,) = world.all(HoldPlaced)
    (lifted,) = world.all(HoldLifted)
    opening = [
        report.timestamp
        for report in world.reports()
        if report.event is OrderEvent.SENT and not is_reducing(world, report.order_id)
    ]

    assert placed.hold.hold_id == lifted.hold.hold_id == f"restarting:{actor}"
    assert not [at for at in opening if placed.hold.since < at < lifted.at]
    assert [at for at in opening if at > lifted.at]
    assert not world.assembly.holds.active


@both_dispatchers
@pytest.mark.parametrize(
    ("actor", "kind"),
    [
        ("risk", OpenIntent),
        ("risk", ReduceIntent),
        ("execution", ApprovedOpen),
        ("execution", ApprovedReduce),
        ("execution", OrderCommitted),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_strategy_whose_order_was_lost_in_a_failure_hears_of_it_and_trades_on(
    actor: str, kind: type[Message], queued: bool
) -> None:
    """No order stays between approval and venue for ever, and no desk waits for one that died."""
    world = make_world(walk(BTC, 400, 5), sma("two"), queued=queued)
    world.poison(actor, kind, when=lambda _m, count: count == 3)
    world.run()
    (failed,) = world.all(ActorFailed)
    later = [r for r in world.reports() if r.fill is not None and r.timestamp > failed.at]
    unfinished = [
        order
        for order in world.assembly.books.orders.live()
        if order.status in (OrderStatus.INTENDED, OrderStatus.APPROVED, OrderStatus.JOURNALED)
    ]

    assert unfinished == []
    assert len(later) > 20


def is_reducing(world: World, order_id: str) -> bool:
    return order_id in {intent.intent_id for intent in world.all(ReduceIntent)}


def test_execution_takes_those_after_it_along() -> None:
    """Rest-for-one: whoever started after Execution depends on it and restarts with it."""
    world = kill_once("execution", VenueReport, queued=False)

    restarted = [event.actor for event in world.all(ActorStarted) if event.incarnation == 2]

    assert restarted == [
        "execution",
        "reconciler",
        "risk",
        "telemetry",
        "feed",
        "strategy:one",
        "strategy:two",
    ]


def test_a_fill_that_was_lost_with_a_failure_is_found_and_holds_opening() -> None:
    """The failed message is never handled again: reconciliation finds what it would have said."""
    world = make_world(
        flat(BTC, 8),
        on_bars(
            {
                0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
                5: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            }
        ).spec(),
    )
    seen = world.poison(
        "execution", VenueReport, when=lambda report, _count: report.fill is not None
    )
    world.run()
    differences = [result.differences for result in world.all(Reconciled) if result.differences]
    refused = [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]

    assert sum(report.fill is not None for report in seen) == 1
    assert any("position_drift BTC/USDT" in text for text in differences[0])
    assert list(world.assembly.holds.view()) == ["reconciliation"]
    assert [d.intent_id for d in refused] == ["abc-1-2"]


@both_dispatchers
@pytest.mark.parametrize(
    ("actor", "kind"), VICTIMS, ids=[f"{actor} {kind.__name__}" for actor, kind in VICTIMS]
)
def test_no_message_is_handled_twice(actor: str, kind: type[Message], queued: bool) -> None:
    """Whatever fails, an actor sees each message once: doing it twice might order twice."""
    script = round_trips()
    bars = flat(BTC, 40, start=START + DAY - 20 * MINUTE)
    world = make_world(bars, script.spec("one"), queued=queued)
    handled: list[Any] = world.poison(actor, kind, when=lambda _m, count: count in (2, 7))
    world.run()

    repeated = [
        what for what, times in Counter(repr(message) for message in handled).items() if times > 1
    ]

    assert repeated == []


@both_dispatchers
def test_a_core_actor_that_keeps_failing_halts_the_session(queued: bool) -> None:
    """Past Risk's intensity opening is held and the session ends as a fault inside."""
    script = round_trips()
    world = make_world(flat(BTC, 60), script.spec(), queued=queued)
    world.poison("risk", OpenIntent, when=lambda _m, count: count > 2)
    world.run()
    (escalated,) = world.all(Escalated)
    ended = world.entries[-1].message

    assert escalated.rung == "halt"
    assert world.session.halted == escalated.reason
    assert "failed:risk" in world.assembly.holds.view()
    assert isinstance(ended, SessionEnded)
    assert (ended.outcome, ended.exit_code) == ("halted", 6)
    assert world.session.turns < 60


def test_a_halt_that_a_timer_brings_about_ends_the_session_there() -> None:
    """A core actor lost at midnight ends the session at midnight, not at the next order."""
    script = Script()
    world = make_world(flat(BTC, 500, start=START + DAY - 5 * MINUTE), script.spec())
    cell = world.cell("reconciler")
    make = cell.factory
    made = [0]

    def once() -> Any:
        made[0] += 1
        if made[0] > 1:
            raise RuntimeError("cannot start again")
        return make()

    cell.factory = once
    world.poison("reconciler", Wake)
    world.run()

    assert world.session.halted is not None
    assert len(script.seen) < 10


def test_telemetry_that_keeps_failing_is_abandoned_and_trading_goes_on() -> None:
    """What decides nothing stops nobody: the session completes without it."""
    script = round_trips()
    world = make_world(flat(BTC, 80), script.spec())
    world.poison("telemetry", ExecutionReport, when=lambda _m, _count: True)
    world.run()

    (stopped,) = [
        e for e in world.all(ActorStopped) if e.actor == "telemetry" and "intensity" in e.reason
    ]
    filled = [r for r in world.reports() if r.event is OrderEvent.FILLED]

    assert world.session.halted is None
    assert [report for report in filled if report.timestamp > stopped.at + 10 * MINUTE]


def test_an_abandoned_actor_does_not_fill_the_journal_with_dead_letters() -> None:
    """What nobody will ever read again is not announced once per fill."""
    script = round_trips()
    world = make_world(flat(BTC, 300), script.spec())
    world.poison("telemetry", ExecutionReport, when=lambda _m, _count: True)
    world.run()

    assert len(world.all(DeadLetter)) < 20


def test_a_failing_strategy_leaves_the_account_rows_complete() -> None:
    """Start, every fill, midnight and close are marked whatever fails in between."""
    world = kill_once("strategy:one", Bar, queued=False, count=5)
    occasions = Counter(mark.occasion for mark in world.all(PortfolioMarked))
    fills = sum(report.fill is not None for report in world.reports())

    assert occasions == {"start": 1, "fill": fills, "midnight": 1, "close": 1}
    assert len(world.all(SnapshotTaken)) >= 2
