"""The last look: nothing that adds risk leaves once a hold covers it, however late it landed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from session_world import BTC, MINUTE, START, World, flat, make_world, on_bars

from actors.execution import ExecutionActor
from messages import (
    Cause,
    ExecutionReport,
    HoldMode,
    OrderCommitted,
    OrderEvent,
    OrderRequest,
    ReasonCode,
    Side,
)
from strategies import Desk

ONE = Decimal(1)

both_dispatchers = pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])


def submissions(world: World) -> list[OrderRequest]:
    """Return the list that every request to the broker is appended to as it leaves."""
    left: list[OrderRequest] = []
    broker = world.assembly.broker
    submit = broker.submit

    def watched(request: OrderRequest, now: int) -> None:
        left.append(request)
        submit(request, now)

    broker.submit = watched  # type: ignore[method-assign]
    return left


def between_commit_and_send(world: World, act: Callable[[], object]) -> None:
    """Let ``act`` happen when an order is durable and not yet sent, every time."""
    cell = world.cell("execution")
    make = cell.factory

    def made() -> Any:
        actor = make()
        assert isinstance(actor, ExecutionActor)
        inner = actor.on_committed

        def on_committed(committed: OrderCommitted) -> Any:
            act()
            return inner(committed)

        actor.on_committed = on_committed  # type: ignore[method-assign]
        return actor

    cell.factory = made


def open_and_close(desk: Desk) -> list[Any]:
    return [desk.open(BTC, Side.BUY, ONE), desk.reduce(BTC, Side.SELL, ONE)]


def held_world(mode: HoldMode, *, queued: bool) -> tuple[World, list[OrderRequest]]:
    """Return a world in which a hold lands between the commit of bar 3's orders and their send."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)], 2: open_and_close})
    world = make_world(flat(BTC, 6), script.spec(), queued=queued)
    supervisor = world.assembly.supervisor

    def kill() -> None:
        if world.assembly.clock.now == START + 3 * MINUTE:
            supervisor.hold_open("kill", "a drill", mode=mode, set_by="test")

    between_commit_and_send(world, kill)
    return world, submissions(world)


@both_dispatchers
@pytest.mark.parametrize("mode", list(HoldMode))
def test_a_hold_between_commit_and_send_suppresses_the_order(mode: HoldMode, queued: bool) -> None:
    """An order already durable is not sent once OPEN is held; the close next to it is."""
    world, left = held_world(mode, queued=queued)
    world.run()

    assert world.life("abc-1-2") == ["journaled", "suppressed"]
    assert world.life("abc-1-3") == ["journaled", "sent", "accepted", "filled"]
    assert [request.order_id for request in left] == ["abc-1-1", "abc-1-3"]


@both_dispatchers
def test_without_the_last_look_the_order_leaks(
    queued: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: admission alone lets an opening order out after the hold."""

    def look_away(_self: ExecutionActor, _request: OrderRequest, _now: int) -> tuple[Cause, ...]:
        return ()

    monkeypatch.setattr(ExecutionActor, "last_look", look_away)
    world, left = held_world(HoldMode.DRAIN, queued=queued)
    world.run()

    assert "abc-1-2" in [request.order_id for request in left]


@both_dispatchers
def test_a_suppression_names_every_hold_that_caused_it(queued: bool) -> None:
    """Two holds that land together are both on the record, as in any other refusal."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 3), script.spec(), queued=queued)

    def two_holds() -> None:
        for name in ("first", "second"):
            world.assembly.supervisor.hold_open(name, "a drill", set_by="test")

    between_commit_and_send(world, two_holds)
    world.run()

    (suppressed,) = [r for r in world.reports() if r.event is OrderEvent.SUPPRESSED]

    assert "hold=first" in str(suppressed.cause)
    assert "hold=second" in str(suppressed.cause)


@both_dispatchers
def test_an_order_whose_time_ran_out_before_the_send_is_suppressed(queued: bool) -> None:
    """``valid_until`` is looked at again in the step of the send, for closes too."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            2: lambda desk: [
                desk.open(BTC, Side.BUY, ONE, valid_until=desk.now),
                desk.reduce(BTC, Side.SELL, ONE, valid_until=desk.now),
                desk.open(BTC, Side.BUY, ONE, valid_until=desk.now + 1),
            ],
        }
    )
    world = make_world(flat(BTC, 6), script.spec(), queued=queued)
    clock = world.assembly.clock

    def a_millisecond_passes() -> None:
        if clock.now == START + 3 * MINUTE:
            clock.advance(clock.now + 1)

    between_commit_and_send(world, a_millisecond_passes)
    world.run()

    ends = {order_id: world.life(order_id)[1] for order_id in ("abc-1-2", "abc-1-3", "abc-1-4")}
    causes = {r.cause.code for r in world.reports() if r.event is OrderEvent.SUPPRESSED and r.cause}

    assert ends == {"abc-1-2": "suppressed", "abc-1-3": "suppressed", "abc-1-4": "sent"}
    assert causes == {ReasonCode.INTENT_EXPIRED}


@both_dispatchers
def test_a_suppressed_order_gives_back_what_was_reserved(queued: bool) -> None:
    """After a kill the strategy can spend its cash on what the lifted gate lets through."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            2: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
        }
    )
    world = make_world(flat(BTC, 5), script.spec(), cash=150, queued=queued)
    supervisor = world.assembly.supervisor
    between_commit_and_send(
        world,
        lambda: (
            world.assembly.clock.now == START + MINUTE and supervisor.hold_open("kill", "drill")
        ),
    )
    world.before_turn(2, lambda _world: supervisor.lift("kill", "test", "over")).run()

    assert world.life("abc-1-1") == ["journaled", "suppressed"]
    assert world.life("abc-1-2")[-1] == "filled"


@both_dispatchers
def test_every_order_is_journaled_before_it_is_sent(queued: bool) -> None:
    """The write-ahead rule, from the order of the events of every order of a busy session."""
    script = on_bars(dict.fromkeys(range(30), open_and_close))
    world = make_world(flat(BTC, 32), script.spec(), queued=queued)
    left = submissions(world)
    world.run()

    seq = {
        (entry.message.order_id, entry.message.event): entry.seq
        for entry in world.entries
        if isinstance(entry.message, ExecutionReport)
    }

    assert len(left) > 30
    for request in left:
        journaled = seq[request.order_id, OrderEvent.JOURNALED]

        assert journaled < seq[request.order_id, OrderEvent.SENT]
