"""The kill switch: in force at once, whatever state orders, actors and the venue are in."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from invariants import Watch, check_books, check_journal, check_no_opening_order_left_while_held
from safety_world import FAR_BELOW, ONE, STOP_BELOW, Daemon, daemon, silent
from session_world import BTC, MINUTE, START, Script, closes, flat, on_bars

from actors.execution import ExecutionActor
from actors.health import HealthPlan
from actors.kill import KillSwitch
from actors.runtime import limits
from messages import (
    CommandVerb,
    DeadLetter,
    ExecutionReport,
    Hold,
    HoldMode,
    HoldPlaced,
    KillReport,
    KillStage,
    KillStep,
    OpenIntent,
    OrderCommitted,
    OrderEvent,
    OrderStatus,
    ReasonCode,
    RiskDecision,
    Side,
    ToolReport,
    Verdict,
)
from state.projections.timestamps import iso_ms

CALM = [
    KillStage.LATCHED,
    KillStage.DRAINED,
    KillStage.CANCELLING,
    KillStage.CANCELLED,
    KillStage.CONFIRMED,
]
ORDER = "abc-1-1"


def buys(policy: Any = None, *, at_bar: int = 0, count: int = 1, **terms: Any) -> Script:
    """Return a script that orders once."""
    if policy is not None:
        terms["policy"] = policy
    return on_bars(
        {at_bar: lambda desk: [desk.open(BTC, Side.BUY, ONE, **terms) for _ in range(count)]}
    )


def keeps_buying(policy: Any = None) -> Script:
    """Return a script that orders at every bar, and again at every refusal."""
    script = Script()

    def buy(strategy: Any, _told: Any) -> Any:
        return [strategy.desk.open(BTC, Side.BUY, ONE, **({"policy": policy} if policy else {}))]

    script.on_bar = buy
    script.on_refusal = buy
    return script


# -- a kill in each state of an order


def intended() -> Daemon:
    """Its intent waits behind a pause."""
    world = daemon(flat(BTC, 8), buys().spec()).begin()
    world.take(CommandVerb.PAUSE, for_s=3600)
    return world.play(1)


def approved() -> Daemon:
    """Risk has approved it in the very step in which a pause came: it waits at Execution."""
    world = daemon(flat(BTC, 8), buys().spec())

    def pauses(_intent: Any, _count: int) -> bool:
        world.assembly.supervisor.hold_open("pause", "x", mode=HoldMode.BLOCK)
        return False

    world.poison("risk", OpenIntent, when=pauses)
    return world.begin().play(1)


def journaled() -> Daemon:
    """Its record is written, and not yet on the disk."""
    world = daemon(flat(BTC, 8), buys().spec()).begin()
    world.disk = False
    world.play(1)
    world.disk = True
    return world


def sent() -> Daemon:
    """It is on its way, and the venue says nothing yet."""
    world = daemon(flat(BTC, 8), buys(FAR_BELOW).spec()).begin()
    world.venue.mute = True
    return world.play(1)


def accepted() -> Daemon:
    """It rests at the venue."""
    return daemon(flat(BTC, 8), buys(FAR_BELOW).spec()).begin().play(1)


def partially_filled() -> Daemon:
    """A tenth of it is filled, the rest rests."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1000))]})
    world = daemon(flat(BTC, 8), script.spec(), participation=Decimal("0.1"))
    return world.begin().play(2)


def in_doubt() -> Daemon:
    """Its answer is lost: the venue has it, and nobody here knows."""
    world = daemon(flat(BTC, 8), buys(FAR_BELOW).spec()).begin()
    world.venue.loses = True
    return world.play(1)


def filled() -> Daemon:
    """It has ended."""
    return daemon(flat(BTC, 8), buys().spec()).begin().play(2)


@pytest.mark.parametrize(
    ("make", "before", "after", "drained"),
    [
        (intended, None, None, 1),
        (approved, None, OrderStatus.SUPPRESSED, 1),
        (journaled, OrderStatus.JOURNALED, OrderStatus.SUPPRESSED, 0),
        (accepted, OrderStatus.ACCEPTED, OrderStatus.CANCELLED, 0),
        (partially_filled, OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELLED, 0),
        (filled, OrderStatus.FILLED, OrderStatus.FILLED, 0),
    ],
)
def test_a_kill_ends_an_order_in_each_of_its_states(
    make: Callable[[], Daemon],
    before: OrderStatus | None,
    after: OrderStatus | None,
    drained: int,
) -> None:
    """Refused, suppressed, cancelled or left as it ended; the venue confirms that none is left."""
    world = make()
    watch = Watch(world)
    assert before == world.assembly.books.orders.by_order_id(ORDER) or before == status(world)

    answer = world.kill(reason="drill")
    world.play()

    assert answer.ok
    assert after == status(world)
    assert CALM == world.steps()
    assert drained == next(s.count for s in world.all(KillStep) if s.stage is KillStage.DRAINED)
    assert [] == watch.left
    assert (True, ()) == (world.newest_report().confirmed, world.newest_report().open_orders)
    assert ("killed", 4) == world.end()
    check_books(world)
    check_journal(world)


def status(world: Daemon, order_id: str = ORDER) -> OrderStatus | None:
    order = world.assembly.books.orders.by_order_id(order_id)
    return None if order is None else order.status


def test_a_kill_answers_what_waited_with_the_kill_as_its_cause() -> None:
    """The strategy of an intent that a pause had kept hears why it will not be."""
    world = intended()
    world.kill(reason="drill")

    (decision,) = world.all(RiskDecision)
    assert Verdict.DENIED is decision.verdict
    assert ["hold=pause", "hold=kill"] == [c.detail.split()[0] for c in decision.causes]


def test_an_order_that_is_sent_is_cancelled_once_the_venue_knows_it() -> None:
    """While the venue says nothing the kill asks on, with growing pauses, and confirms later."""
    world = sent()
    world.kill()
    world.play(2)

    assert OrderStatus.SENT is status(world)
    assert not world.newest_report().confirmed
    assert KillStage.CANCELLED not in world.steps()

    world.venue.speak()
    world.settle()
    world.play(2)

    assert OrderStatus.CANCELLED is status(world)
    assert world.newest_report().confirmed


def test_an_order_in_doubt_that_the_venue_has_is_cancelled_there() -> None:
    """The venue's word on the cancel ends the doubt."""
    world = in_doubt()
    assert OrderStatus.IN_DOUBT is status(world)

    world.kill()
    world.play()

    assert OrderStatus.CANCELLED is status(world)
    assert world.newest_report().confirmed


def test_an_order_in_doubt_is_never_called_gone_by_silence() -> None:
    """The venue hears no cancel: the hold stays, it is asked on, and what it shows is reported."""
    world = in_doubt()
    world.venue.deaf = True
    world.kill()
    world.play(3)

    assert OrderStatus.IN_DOUBT is status(world)
    assert (False, ("tg-abc-1-1",)) == (
        world.newest_report().confirmed,
        world.newest_report().open_orders,
    )
    assert len(world.venue.cancels) > 5
    assert "kill" in world.holds

    world.venue.deaf = False
    world.play()

    assert OrderStatus.CANCELLED is status(world)
    assert world.newest_report().confirmed


def test_the_last_look_is_what_stops_an_order_between_its_record_and_its_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ablation: without it and without the cancel of what is journaled an order leaks."""

    def leaks(*, last_look: bool) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(KillSwitch, "_cancel", lambda _self, _orders: None)
            if not last_look:
                patch.setattr(ExecutionActor, "last_look", lambda *_: ())
            world = journaled()
            watch = Watch(world)
            world.kill()
            return bool(watch.left)

    assert not leaks(last_look=True)
    assert leaks(last_look=False)


# -- what stays, what goes


def test_protective_orders_stay_and_are_named() -> None:
    """A stop that can only reduce is left at the venue: the position is not left naked."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            1: lambda desk: [
                desk.reduce(BTC, Side.SELL, ONE, policy=STOP_BELOW),
                desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW),
            ],
        }
    )
    world = daemon(flat(BTC, 6), script.spec()).begin().play(3)
    world.kill()
    world.play()

    report = world.newest_report()
    assert ["abc-1-2"] == world.live_ids()
    assert (True, ("tg-abc-1-2",), ("BTC/USDT both 1",)) == (
        report.confirmed,
        report.open_orders,
        report.positions,
    )


def test_a_protective_order_still_protects_under_a_kill() -> None:
    """The stop triggers, fills and is booked while everything is held."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            1: lambda desk: [desk.reduce(BTC, Side.SELL, ONE, policy=STOP_BELOW)],
        }
    )
    world = daemon(closes(BTC, [100, 100, 100, 100, 40, 40]), script.spec()).begin().play(3)
    world.kill()
    world.play()

    assert OrderStatus.FILLED is status(world, "abc-1-2")
    assert world.assembly.books.ledger.flat


def test_closes_and_cancels_of_strategies_flow_under_a_kill() -> None:
    """Whoever is killed can still get out."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            3: lambda desk: [desk.reduce(BTC, Side.SELL, ONE)],
        }
    )
    world = daemon(flat(BTC, 8), script.spec()).begin().play(2)
    world.kill()
    world.play()

    assert world.assembly.books.ledger.flat


def storm(*, queued: bool, restarts: bool) -> Daemon:
    """Return a session whose strategy answers each refusal alike, with a backlog at a kill."""
    world = daemon(flat(BTC, 12), keeps_buying(FAR_BELOW).spec(), queued=queued).begin()
    world.take(CommandVerb.PAUSE, for_s=36_000)
    world.play(3)
    if restarts:
        cell = world.cell("strategy:one")
        world.assembly.supervisor.actor_failed(cell, None, RuntimeError("planted"))
    world.kill()
    return world


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
@pytest.mark.parametrize("restarts", [False, True], ids=["", "restarting"])
def test_a_strategy_that_answers_each_refusal_with_the_same_intent_is_refused_each_time(
    queued: bool, restarts: bool
) -> None:
    """A kill waits for no strategy to give in; what it says beyond a bound is not said."""
    world = storm(queued=queued, restarts=restarts)
    watch = Watch(world)
    world.play(2)

    denied = [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]
    asked = [i.intent_id for i in world.all(OpenIntent)]
    assert sorted(asked) == sorted(d.intent_id for d in denied)
    assert limits.DISPATCH_DEPTH_MAX / 2 < len(asked) < 6 * limits.DISPATCH_DEPTH_MAX
    assert {"dispatch_depth"} == {letter.reason for letter in world.all(DeadLetter)}
    assert [] == watch.left
    assert world.newest_report().confirmed


def test_a_storm_is_the_same_in_both_ways_of_dispatch() -> None:
    """A chain of causes that goes through a mailbox is as deep in one as in the other."""
    for restarts in (False, True):
        fused, queued = (storm(queued=way, restarts=restarts).play() for way in (False, True))
        for world in (fused, queued):
            world.end()

        assert fused.story() == queued.story()
        assert fused.lines == queued.lines


def test_what_a_kill_brings_about_comes_before_what_strategies_make_of_it() -> None:
    """Every answer and every cancel is done before the first strategy hears of one."""
    script = Script()
    script.on_bar = lambda strategy, _bar: [
        strategy.desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW) for _ in range(5)
    ]
    world = daemon(flat(BTC, 8), script.spec()).begin().play(2)
    world.take(CommandVerb.PAUSE, for_s=3600)
    world.play(2)
    told: list[int] = []

    def hears(_strategy: Any, _message: Any) -> Any:
        told.append(len(world.messages()))

    script.on_refusal = script.on_update = hears
    world.kill()

    done = [
        number
        for number, message in enumerate(world.messages())
        if isinstance(message, RiskDecision | ExecutionReport)
    ]
    assert 20 == len(told)
    assert max(done) < min(told)


# -- several kills


def test_a_second_kill_is_the_same_kill() -> None:
    """Its words are journaled; the sequence, its id and its hold are the first one's."""
    world = daemon(flat(BTC, 6), buys(FAR_BELOW).spec()).begin().play(1)
    first, second = world.kill(reason="one"), world.kill(reason="two", by="http")
    world.play()

    assert first.kill_id == second.kill_id
    assert "one" == world.holds["kill"].cause
    assert CALM == world.steps()
    assert 1 == len(world.all(KillReport))


def test_two_causes_at_once_are_two_holds_and_both_are_in_the_report() -> None:
    """The operator and a guard: neither masks the other."""
    world = daemon(flat(BTC, 6), buys(FAR_BELOW).spec()).begin().play(1)
    world.kill(reason="data looks wrong")
    world.assembly.kill.pull("drawdown 21 %", "risk", hold_id="risk:max_drawdown")
    world.play()

    assert ["kill", "risk:max_drawdown"] == list(world.holds)
    assert "data looks wrong; drawdown 21 %" == world.newest_report().cause
    assert ("killed", 4) == world.end()


def test_a_guards_kill_alone_exits_with_the_guards_code() -> None:
    """So that whoever restarts it knows what to look for."""
    world = daemon(flat(BTC, 6), buys(FAR_BELOW).spec()).begin().play(1)
    world.assembly.kill.pull("drawdown 21 %", "risk", hold_id="risk:max_drawdown")
    world.play()

    assert ("risk_halted", 3) == world.end()


def test_a_milder_hold_of_the_same_name_does_not_pass_for_a_kill() -> None:
    """A guard that held reducing-only before, and halts now, holds as a kill does."""
    world = daemon(flat(BTC, 6), buys(FAR_BELOW).spec()).begin().play(1)
    world.assembly.supervisor.hold_open("risk:max_drawdown", "10 %", set_by="risk")
    world.assembly.kill.pull("21 %", "risk", hold_id="risk:max_drawdown")
    world.play()

    hold = world.holds["risk:max_drawdown"]
    assert (HoldMode.DRAIN, True, "21 %") == (hold.mode, hold.latched, hold.cause)
    assert ("risk_halted", 3) == world.end()


def test_lifting_one_of_two_kills_leaves_the_other() -> None:
    """And the sequence goes on under the same id."""
    world = daemon(flat(BTC, 8), buys(FAR_BELOW).spec()).begin().play(1)
    world.venue.deaf = True
    world.kill(reason="drill")
    world.assembly.kill.pull("21 %", "risk", hold_id="risk:max_drawdown")
    world.resume(hold_id="kill", unlatch=True, reason="drill over")
    world.venue.deaf = False
    world.play()

    assert ["risk:max_drawdown"] == list(world.holds)
    assert world.newest_report().confirmed
    assert ("risk_halted", 3) == world.end()


def test_a_kill_after_a_resume_is_a_new_kill() -> None:
    """With an id, times and a report of its own; in between it traded."""
    script = keeps_buying()
    world = daemon(flat(BTC, 12), script.spec()).begin().play(2)
    first = world.kill(reason="one")
    world.play(2)
    world.resume(unlatch=True, reason="all is well")
    world.play(2)
    second = world.kill(reason="two")
    world.play()

    reports = world.all(KillReport)
    assert ["abc-K1", "abc-K2"] == [first.kill_id, second.kill_id]
    assert [("abc-K1", "one"), ("abc-K2", "two")] == [(r.kill_id, r.cause) for r in reports]
    assert CALM * 2 == world.steps()
    sent = [r.timestamp for r in world.reports() if r.event is OrderEvent.SENT]
    assert [1, 2, 5, 6] == [(at - START) // MINUTE for at in sent]


def test_a_kill_that_was_lifted_stops_asking() -> None:
    """No look of a kill that is over cancels anything of what came after it."""
    world = daemon(flat(BTC, 10), buys(FAR_BELOW, at_bar=3).spec()).begin().play(1)
    world.venue.silent = silent()
    world.kill()
    world.play(1)
    world.resume(unlatch=True, reason="over")
    world.play(4)

    assert [ORDER] == world.live_ids()
    assert [] == world.venue.cancels


# -- a venue that does not do as it is told


@pytest.mark.parametrize("error", [silent(), OSError("broken pipe"), RuntimeError("bug")])
def test_a_venue_that_does_not_answer_delays_the_evidence_and_not_the_hold(
    error: Exception,
) -> None:
    """Overdue at the deadline, from our own books; asked on; confirmed when it answers again."""
    world = daemon(flat(BTC, 12), buys(FAR_BELOW).spec()).begin().play(1)
    watch = Watch(world)
    world.venue.silent = error
    world.kill()
    world.play(3)

    overdue = world.newest_report()
    assert "kill" in world.holds
    assert [*CALM[:-1], KillStage.UNCONFIRMED] == world.steps()
    assert (False, ()) == (overdue.confirmed, overdue.open_orders)
    assert "the venue does not answer" in overdue.detail
    at = {s.stage: s.elapsed_ms for s in world.all(KillStep)}[KillStage.UNCONFIRMED]
    assert limits.KILL_CONFIRM_MS <= at < 2 * limits.KILL_CONFIRM_MS

    world.venue.silent = None
    world.play()

    assert world.newest_report().confirmed
    assert [] == watch.left
    assert 2 == len(world.all(KillReport))


def test_an_overdue_kill_says_what_our_own_books_know() -> None:
    """Orders that still live and positions, when the venue says nothing of them."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            1: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)],
        }
    )
    world = daemon(flat(BTC, 8), script.spec()).begin().play(2)
    world.venue.silent = silent()
    world.venue.deaf = True
    world.kill()
    world.play()

    overdue = world.newest_report()
    assert (("tg-abc-1-2",), ("BTC/USDT both 1",)) == (overdue.open_orders, overdue.positions)


def test_a_kill_says_at_once_what_it_waits_for_and_until_when() -> None:
    """
    A venue that wants to be left alone delays cancels; that is reported long before the deadline.

    Once for each such time, and it stands in what is reported past the deadline, too.
    """
    world = daemon(flat(BTC, 8), buys(FAR_BELOW).spec(), health=HealthPlan()).begin().play(2)
    world.venue.silent = silent()
    world.venue.deaf = True
    watch = world.assembly.health
    assert watch is not None
    watch.report(
        ToolReport("venue:paper", ok=False, at=0, detail="http=429", retry_after_ms=600_000)
    )
    world.settle()
    until = world.holds["rate-limit:venue:paper"].until
    world.kill()
    world.play(1)
    first, *later = world.all(KillReport)

    assert until is not None
    words = f"venue:paper wants to be left alone until {iso_ms(until)}"
    assert words in first.detail
    assert "http=429" in first.detail
    assert first.at - world.all(KillStep)[0].at < limits.KILL_CONFIRM_MS
    assert [True] == [words in each.detail for each in later]


def test_a_venue_that_ignores_cancels_is_asked_again_and_reported() -> None:
    """Pauses grow; nothing is called cancelled before the venue says so."""
    world = daemon(flat(BTC, 20), buys(FAR_BELOW).spec()).begin().play(1)
    world.venue.deaf = True
    world.kill()
    world.play(3)
    asked = len(world.venue.cancels)

    assert KillStage.CANCELLED not in world.steps()
    assert 5 < asked < 30
    assert ("tg-abc-1-1",) == world.newest_report().open_orders

    world.venue.deaf = False
    world.play()

    assert world.newest_report().confirmed


def test_an_order_that_only_the_venue_knows_is_evidence_against_us() -> None:
    """Somebody else's, or one that a crash made us forget: never confirmed, always named."""
    world = daemon(flat(BTC, 6), Script().spec()).begin().play(1)
    script = buys(FAR_BELOW)
    other = daemon(flat(BTC, 2), script.spec()).begin().play(1)
    (foreign,) = other.assembly.books.orders.live()
    world.venue.engine.submit(foreign.request, START)
    world.kill()
    world.play()

    assert (False, ("tg-abc-1-1",)) == (
        world.newest_report().confirmed,
        world.newest_report().open_orders,
    )


# -- actors that are down


@pytest.mark.parametrize("name", ["execution", "risk", "telemetry", "reconciler", "strategy:one"])
def test_a_kill_while_an_actor_restarts_is_in_force_and_completes(name: str) -> None:
    """What belongs to no actor needs none to hold; the rest is done when they are back."""
    script = keeps_buying(FAR_BELOW)
    world = daemon(flat(BTC, 10), script.spec()).begin().play(3)
    watch = Watch(world)
    cell = world.cell(name)
    world.assembly.supervisor.actor_failed(cell, None, RuntimeError("planted"))
    world.settle()
    assert not cell.runs

    world.kill()
    world.play()

    assert cell.runs
    assert world.newest_report().confirmed
    assert [] == watch.left
    assert [] == world.live_ids()
    check_journal(world)


def test_cancels_wait_once_for_an_execution_that_is_down() -> None:
    """Each look must not add ten thousand cancels to a mailbox that nobody empties."""
    script = on_bars(
        {0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW) for _ in range(500)]}
    )
    world = daemon(flat(BTC, 6), script.spec()).begin().play(1)
    cell = world.cell("execution")
    world.assembly.supervisor.actor_failed(cell, None, RuntimeError("planted"))
    world.kill()
    world.pass_time(world.assembly.clock.now + 900)

    assert 500 == len(cell.mailbox)

    world.play()

    assert world.newest_report().confirmed


def test_a_kill_in_an_actor_that_never_comes_back_ends_the_session_held() -> None:
    """Execution fails for good: the session halts, and the kill is still in force at its end."""
    world = daemon(flat(BTC, 30), keeps_buying(FAR_BELOW).spec())
    world.poison("execution", OrderCommitted, when=lambda _m, _n: True)
    watch = Watch(world)
    world.begin().play(2)
    world.kill()
    world.play()
    ended = world.end()

    assert "kill" in world.holds
    assert ended in {("halted", 6), ("killed", 4)}
    check_no_opening_order_left_while_held(watch)


# -- first and last


def test_a_kill_before_the_first_turn_lets_nothing_out() -> None:
    """Not even what strategies ask for as they start."""
    script = keeps_buying()
    script.on_start = lambda strategy: [strategy.desk.open(BTC, Side.BUY, ONE)]
    world = daemon(flat(BTC, 4), script.spec())
    watch = Watch(world)
    world.disk = False
    world.begin()
    world.kill()
    world.disk = True
    world.play()

    assert [] == watch.left
    assert world.newest_report().confirmed


def test_a_kill_after_the_last_turn_has_its_evidence() -> None:
    """The session ends before the first look at what is left: it is looked at then."""
    world = daemon(flat(BTC, 3), buys(FAR_BELOW).spec()).begin().play()
    world.kill()
    assert [] == world.all(KillReport)

    assert ("killed", 4) == world.end("completed")
    assert world.newest_report().confirmed
    assert CALM == world.steps()
    assert "SessionEnded" == world.story()[-1]


def test_a_session_that_ends_before_the_venue_confirms_says_so() -> None:
    """Not silence: an unconfirmed report with what the venue has."""
    world = daemon(flat(BTC, 3), buys(FAR_BELOW).spec()).begin().play()
    world.venue.deaf = True
    world.kill()
    world.end("completed")

    report = world.newest_report()
    assert (False, "the session ends", ("tg-abc-1-1",)) == (
        report.confirmed,
        report.detail,
        report.open_orders,
    )


def test_an_orderly_end_without_a_kill_reports_none() -> None:
    """Nothing is made up."""
    world = daemon(flat(BTC, 3), buys(FAR_BELOW).spec()).begin().play()

    assert ("completed", 0) == world.end("completed")
    assert [] == world.all(KillStep)


def test_a_replay_ends_with_a_guards_kill_at_once() -> None:
    """Not at the end of its data."""
    world = daemon(flat(BTC, 50), keeps_buying(FAR_BELOW).spec())
    world.before_turn(
        5, lambda w: w.assembly.kill.pull("21 %", "risk", hold_id="risk:max_drawdown")
    )
    world.begin()
    super(Daemon, world).play()

    assert 5 == world.session.turns
    assert ("risk_halted", 3) == world.end("completed")
    assert world.newest_report().confirmed


# -- across sessions


def test_a_session_that_starts_killed_is_held_before_anything_runs() -> None:
    """The hold is journaled before the first actor starts; the kill goes on from there."""
    hold = Hold("kill", "drill", HoldMode.DRAIN, "cli:ann", START - MINUTE, latched=True)
    script = keeps_buying()
    script.on_start = lambda strategy: [strategy.desk.open(BTC, Side.BUY, ONE)]
    world = daemon(flat(BTC, 4), script.spec())
    watch = Watch(world)
    world.begin([hold]).play()

    story = world.story()
    assert ["SessionStarted", "HoldPlaced", "ActorStarted"] == story[:3]
    assert [hold] == [placed.hold for placed in world.all(HoldPlaced)]
    assert [] == watch.left
    assert world.newest_report().confirmed
    assert "drill" == world.newest_report().cause
    assert ("killed", 4) == world.end()


def test_a_restart_goes_on_with_every_kill_that_was_in_force() -> None:
    """The guard's and the operator's, each with its own words, in one sequence."""
    holds = [
        Hold("risk:max_drawdown", "21 %", HoldMode.DRAIN, "risk", START, latched=True),
        Hold("kill", "drill", HoldMode.DRAIN, "cli:ann", START, latched=True),
    ]
    world = daemon(flat(BTC, 4), Script().spec()).begin(holds).play()

    assert holds == list(world.holds.values())
    assert CALM == world.steps()
    assert "21 %; drill" == world.newest_report().cause


def test_refusals_of_a_kill_carry_its_code_and_words() -> None:
    """What the strategy, the journal and ``explain`` are told."""
    world = daemon(flat(BTC, 4), keeps_buying(FAR_BELOW).spec()).begin().play(1)
    world.kill(reason="drill")
    world.play(1)

    cause = world.all(RiskDecision)[-1].causes[0]
    assert ReasonCode.HELD is cause.code
    assert "hold=kill cause=drill by=cli:ann" == cause.detail
    cancelled = [r for r in world.reports() if r.event is OrderEvent.CANCELLED]
    assert 1 == len(cancelled)
