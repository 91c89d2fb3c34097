"""Failures in a running session: restart, quarantine, hold, halt; and nothing handled twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from session_world import BTC, DAY, MINUTE, START, Script, flat, make_world, on_bars, walk
from workloads import round_trips, sma

from actors.runtime import CellState
from messages import (
    ActorFailed,
    ActorRestarting,
    ActorStarted,
    ActorStopped,
    Bar,
    DeadLetter,
    Escalated,
    ExecutionPolicy,
    ExecutionReport,
    HoldMode,
    OrderEvent,
    OrderType,
    ReasonCode,
    RiskDecision,
    SessionEnded,
    SessionStarted,
    Side,
    StrategyQuarantined,
    VenueReport,
    Verdict,
)
from state.ledger import LedgerImbalance

ONE = Decimal(1)
FAR_BELOW = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))

both_dispatchers = pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])


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
