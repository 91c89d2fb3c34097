"""Failures in a running session: restart, quarantine, hold, halt; and nothing handled twice."""

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

from actors.assembly import StrategySpec
from actors.runtime import CellState
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
    ExecutionPolicy,
    ExecutionReport,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    Message,
    OpenIntent,
    OrderCommitted,
    OrderEvent,
    OrderStatus,
    OrderType,
    PortfolioMarked,
    ReasonCode,
    Reconciled,
    ReduceIntent,
    RiskDecision,
    SessionEnded,
    SessionStarted,
    Side,
    SnapshotTaken,
    StrategyQuarantined,
    VenueReport,
    Verdict,
    Wake,
)
from state.ledger import LedgerImbalance
from strategies.sma_cross import SmaCross, SmaCrossParams

ONE = Decimal(1)
FAR_BELOW = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))

both_dispatchers = pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])


def sma(name: str = "sma", symbols: tuple[str, ...] = (BTC,)) -> StrategySpec:
    params = SmaCrossParams(fast=2, slow=5)
    return StrategySpec(name, SmaCross, params, symbols)  # type: ignore[arg-type]


def round_trips() -> Script:
    """Return a script that buys and sells by turns and keeps one order far below the market."""
    script = Script()

    def decide(strategy: Any, bar: Bar) -> Any:
        desk = strategy.desk
        number = len(script.seen)
        if number == 1:
            return [desk.open(bar.symbol, Side.BUY, ONE, policy=FAR_BELOW)]
        if desk.position(bar.symbol):
            return [desk.reduce(bar.symbol, Side.SELL, desk.position(bar.symbol))]
        return [desk.open(bar.symbol, Side.BUY, ONE)]

    script.on_bar = decide
    return script


# -- the life of a session


def test_children_start_in_order_and_stop_in_reverse() -> None:
    """Whoever depends on another starts after it and stops before it."""
    world = make_world(flat(BTC, 3), Script().spec("one"), Script().spec("two")).run()

    started = [event.actor for event in world.all(ActorStarted)]
    stopped = [event.actor for event in world.all(ActorStopped)]

    assert started == [
        "execution",
        "reconciler",
        "risk",
        "telemetry",
        "feed",
        "strategy:one",
        "strategy:two",
    ]
    assert stopped == started[::-1]
    assert {cell.state for cell in world.assembly.dispatcher.cells.values()} == {CellState.STOPPED}


def test_the_first_event_is_the_start_and_the_last_the_end() -> None:
    """A journal is a whole session exactly when these two are its ends."""
    world = make_world(flat(BTC, 3), Script().spec()).run()

    assert isinstance(world.entries[0].message, SessionStarted)
    assert isinstance(world.entries[-1].message, SessionEnded)


# -- a failing strategy


def raising_from(bar: int, error: str = "a bug") -> Script:
    """Return a script that rests an order at its first bar and raises from bar ``bar`` on."""
    script = Script()

    def decide(strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) >= bar:
            raise RuntimeError(error)
        if len(script.seen) == 1:
            return [strategy.desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)]
        return None

    script.on_bar = decide
    return script


@both_dispatchers
def test_a_strategy_that_fails_from_bar_1000_on_is_quarantined_while_another_trades(
    queued: bool,
) -> None:
    """Restarted up to its intensity, then stopped for good with its resting orders cancelled."""
    script = raising_from(1000)
    world = make_world(
        {BTC: walk(BTC, 1300, 3)}, script.spec("bad"), sma("good"), queued=queued
    ).run()
    failures = world.all(ActorFailed)
    restarts = [event.delay_s for event in world.all(ActorRestarting)]
    (quarantined,) = world.all(StrategyQuarantined)
    after = [
        report
        for report in world.reports()
        if report.strategy == "good" and report.timestamp > quarantined.at
    ]

    assert {event.actor for event in failures} == {"strategy:bad"}
    assert restarts == [1.0, 2.0, 4.0]
    assert len(failures) == 4
    assert quarantined.at == START + 1003 * MINUTE
    assert world.life("abc-1-1") == ["journaled", "sent", "accepted", "cancelled"]
    assert world.assembly.supervisor.quarantined == {"bad": quarantined.reason}
    assert sum(report.event is OrderEvent.FILLED for report in after) > 10
    assert world.session.halted is None
    assert len(script.seen) == 1003
    assert list(world.assembly.holds.view()) == ["quarantine:bad"]


@both_dispatchers
def test_a_quarantined_strategys_orders_name_the_quarantine(queued: bool) -> None:
    """The cancel says why: nobody will look for a decision that was never made."""
    world = make_world(flat(BTC, 12), raising_from(3).spec("bad"), queued=queued).run()

    (cancelled,) = [r for r in world.reports("abc-1-1") if r.event is OrderEvent.CANCELLED]

    assert cancelled.cause is not None
    assert ReasonCode.QUARANTINE_CANCEL is cancelled.cause.code
    assert "quarantine" in world.lines.decode()


@both_dispatchers
def test_no_order_of_a_quarantined_strategy_leaves_afterwards(queued: bool) -> None:
    """Of two intents returned together the second dies with the strategy, if the first kills it."""
    script = Script()
    armed = [False]

    def decide(strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) in (2, 3, 4):
            raise RuntimeError("one of three restarts")
        if len(script.seen) == 5:
            armed[0] = True
            return [strategy.desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW) for _ in range(2)]
        return None

    def told(_strategy: Any, _report: Any) -> Any:
        if armed[0]:
            raise RuntimeError("the last straw")

    script.on_bar, script.on_update = decide, told
    world = make_world(flat(BTC, 9), script.spec(), queued=queued).run()

    assert len(world.all(StrategyQuarantined)) == 1
    assert world.assembly.broker.engine.open_orders() == []
    assert world.assembly.books.orders.live() == []


@both_dispatchers
def test_what_a_pause_kept_of_a_quarantined_strategy_is_refused_on_release(queued: bool) -> None:
    """An intent that waited in Risk's mailbox does not trade for a strategy that is stopped."""
    script = Script()

    def decide(strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) == 2:
            return [strategy.desk.open(BTC, Side.BUY, ONE)]
        if len(script.seen) > 2:
            raise RuntimeError("a bug")
        return None

    script.on_bar = decide
    world = make_world(flat(BTC, 12), script.spec(), queued=queued)
    supervisor = world.assembly.supervisor
    world.before_turn(1, lambda _w: supervisor.hold_open("pause", "x", mode=HoldMode.BLOCK))
    world.before_turn(9, lambda _w: supervisor.lift("pause", "test", "over")).run()

    assert len(world.all(StrategyQuarantined)) == 1
    assert world.sent() == []
    assert [d.verdict for d in world.all(RiskDecision)] == [Verdict.DENIED]


def test_market_data_for_a_quarantined_strategy_is_not_journaled_bar_by_bar() -> None:
    """A stopped strategy reads nothing; a journal of half a million bars is not dead letters."""
    world = make_world(flat(BTC, 500), raising_from(3).spec("bad")).run()

    assert len(world.all(DeadLetter)) < 20


def test_a_strategy_that_fails_once_comes_back_with_its_snapshot_and_its_desk() -> None:
    """Restored from the last midnight; positions and pending orders were never lost."""
    script = Script()

    def decide(strategy: Any, _bar: Bar) -> Any:
        number = len(script.seen)
        desk = strategy.desk
        if number == 1:
            return [
                desk.open(BTC, Side.BUY, ONE),
                desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW),
            ]
        if number == 20:
            raise RuntimeError("once")
        if number == 22:
            return [desk.reduce(BTC, Side.SELL, desk.position(BTC)), desk.cancel(BTC, "abc-1-2")]
        return None

    script.on_bar = decide
    script.snapshot = lambda _strategy: {"bars": len(script.seen)}
    bars = flat(BTC, 30, start=START + DAY - 10 * MINUTE)
    world = make_world(bars, script.spec()).run()

    (restarting,) = world.all(ActorRestarting)

    assert script.restored == [{"bars": 10}]
    assert restarting.delay_s == 1.0
    assert len(script.made) == 2
    assert world.life("abc-1-3")[-1] == "filled"
    assert world.life("abc-1-2")[-1] == "cancelled"
    assert script.desk.position(BTC) == 0
    assert script.desk.pending(BTC) == 0


def test_an_intent_that_never_left_its_strategy_is_not_pending() -> None:
    """A hook that makes an intent and then raises leaves nothing behind on its desk."""
    script = Script()
    pending: list[int] = []

    def decide(strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) == 2:
            strategy.desk.open(BTC, Side.BUY, ONE)
            raise RuntimeError("after the intent was made")
        pending.append(strategy.desk.pending(BTC))

    script.on_bar = decide
    make_world(flat(BTC, 6), script.spec()).run()

    assert pending == [0] * 5


def test_a_snapshot_is_what_was_journaled_and_not_what_became_of_it() -> None:
    """A strategy that goes on changing the very dict that it returned is restored as of then."""
    script = Script()
    state: dict[str, Any] = {"mean": [1, 2], "seen": ()}

    def decide(_strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) == 20:
            state["mean"].append("poison")
            raise RuntimeError("once")

    script.on_bar = decide
    script.snapshot = lambda _strategy: state
    bars = flat(BTC, 30, start=START + DAY - 10 * MINUTE)
    make_world(bars, script.spec()).run()

    # As it would be after a restart of the process, too: JSON knows no tuple.
    assert script.restored == [{"mean": [1, 2], "seen": []}]


def test_a_snapshot_that_is_no_json_is_a_failure_and_the_older_one_stays() -> None:
    """What cannot be journaled cannot be restored from."""
    script = Script()

    def snapshot(_strategy: Any) -> dict[str, Any]:
        return {"number": Decimal(1) if len(script.seen) > 100 else len(script.seen)}

    script.snapshot = snapshot
    bars = flat(BTC, 30, start=START + DAY - 10 * MINUTE) + flat(
        BTC, 100, start=START + 2 * DAY - 80 * MINUTE
    )
    world = make_world(bars, script.spec()).run()

    assert {event.actor for event in world.all(ActorFailed)} == {"strategy:one"}
    assert script.restored == [{"number": 10}]


def test_a_strategy_whose_restart_fails_uses_up_its_intensity_too() -> None:
    """A constructor that raises is a failure like any other: quarantine, not a loop."""
    script = raising_from(3)
    world = make_world(flat(BTC, 8), script.spec("bad"), sma("good"))
    cell = world.cell("strategy:bad")
    make = cell.factory
    made = [0]

    def fails_later() -> Any:
        made[0] += 1
        if made[0] > 1:
            raise RuntimeError("no second incarnation")
        return make()

    cell.factory = fails_later
    world.run()

    assert len(world.all(StrategyQuarantined)) == 1
    assert made == [4]
    assert world.session.halted is None


@both_dispatchers
def test_messages_for_a_restarting_strategy_wait_for_it(queued: bool) -> None:
    """Fills that arrive while a strategy is down are told to its next incarnation."""
    script = Script()

    def decide(strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) == 1:
            return [strategy.desk.open(BTC, Side.BUY, ONE)]
        return None

    def told(_strategy: Any, report: Any) -> Any:
        if report.event is OrderEvent.ACCEPTED:
            raise RuntimeError("down when the fill comes")

    script.on_bar, script.on_update = decide, told
    world = make_world(flat(BTC, 4), script.spec(), queued=queued)
    # One restart is used up, so that the next one outlasts a bar.
    world.assembly.supervisor.histories["strategy:one"].extend([START] * 2)
    world.run()

    (started,) = [e for e in world.all(ActorStarted) if e.incarnation == 2]
    told_events = [m.event for m in script.told if isinstance(m, ExecutionReport)]

    assert started.at == START + MINUTE + 4_000
    assert told_events[-1] is OrderEvent.FILLED
    assert script.desk.position(BTC) == ONE


# -- every actor, killed in turn

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


# -- broken books


@both_dispatchers
def test_books_that_do_not_balance_end_the_session(queued: bool) -> None:
    """``LedgerImbalance`` is fatal at once: opening held, escalated, ended with exit code 6."""
    script = round_trips()
    world = make_world(flat(BTC, 60), script.spec(), queued=queued)
    world.poison(
        "execution",
        VenueReport,
        when=lambda _m, count: count == 6,
        error=lambda: LedgerImbalance("planted: 1 USDT"),
    )
    world.run()
    (escalated,) = world.all(Escalated)
    ended = world.entries[-1].message

    assert "planted: 1 USDT" in escalated.reason
    assert "fatal:execution" in world.assembly.holds.view()
    assert isinstance(ended, SessionEnded)
    assert (ended.outcome, ended.exit_code) == ("halted", 6)
    assert world.session.turns < 10
    assert len(world.all(ActorRestarting)) == 0


# -- dead letters


def test_dead_letters_are_counted_kept_and_journaled() -> None:
    """The operator's count, ring and journal agree, and say where in the strategy it was."""
    script = Script()

    def decide(_strategy: Any, _bar: Bar) -> None:
        if len(script.seen) in (2, 4):
            raise RuntimeError("a bug")

    script.on_bar = decide
    world = make_world(flat(BTC, 6), script.spec()).run()
    journaled = world.all(DeadLetter)
    supervisor = world.assembly.supervisor

    for letter in journaled:
        assert letter.detail.startswith("runtime/session_world.py:")
        assert letter.detail.endswith(" in on_bar: RuntimeError: a bug")
    assert len(journaled) == 2
    assert list(supervisor.dead_letters) == journaled
    assert supervisor.dead_letter_count == 2


def test_what_is_queued_when_the_session_ends_is_refused() -> None:
    """Intents kept by a pause that never ended are answered before nobody can any more."""
    script = on_bars({n: lambda desk: [desk.open(BTC, Side.BUY, ONE)] for n in range(3)})
    world = make_world(flat(BTC, 3), script.spec())
    world.before_turn(
        0, lambda w: w.assembly.supervisor.hold_open("pause", "x", mode=HoldMode.BLOCK)
    )
    world.run()

    decisions = world.all(RiskDecision)

    assert len(decisions) == 3
    for decision in decisions:
        holds = [cause.detail.split()[0] for cause in decision.causes]

        assert holds == ["hold=pause", "hold=stopping:completed"]
    assert world.all(DeadLetter) == []
    assert len(world.cell("risk").mailbox) == 0


def test_a_failing_strategy_leaves_the_account_rows_complete() -> None:
    """Start, every fill, midnight and close are marked whatever fails in between."""
    world = kill_once("strategy:one", Bar, queued=False, count=5)
    occasions = Counter(mark.occasion for mark in world.all(PortfolioMarked))
    fills = sum(report.fill is not None for report in world.reports())

    assert occasions == {"start": 1, "fill": fills, "midnight": 1, "close": 1}
    assert len(world.all(SnapshotTaken)) >= 2
