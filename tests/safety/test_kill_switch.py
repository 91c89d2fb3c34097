"""The kill switch: in force at once, whatever state orders, actors and the venue are in."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from invariants import Watch, check_books, check_journal, check_no_opening_order_left_while_held
from safety_world import (
    CALM,
    FAR_BELOW,
    ONE,
    ORDER,
    Daemon,
    buys,
    daemon,
    keeps_buying,
    silent,
    status,
)
from session_world import BTC, MINUTE, START, flat, on_bars

from actors.execution import ExecutionActor
from actors.kill import KillSwitch
from messages import (
    CommandVerb,
    HoldMode,
    KillReport,
    KillStage,
    KillStep,
    OpenIntent,
    OrderCommitted,
    OrderEvent,
    OrderStatus,
    RiskDecision,
    Side,
    Verdict,
)

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
