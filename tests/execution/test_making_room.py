"""A stop that made room is not over: it comes back, unless it is taken back meanwhile."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from session_world import BTC, World, flat, make_spec, on_bars

from feeds.memory import MemoryFeed
from messages import (
    ExecutionPolicy,
    IntentEnded,
    OrderEvent,
    OrderType,
    ReasonCode,
    ReduceFollowUp,
    Retry,
    Side,
    Tick,
)
from scenarios.faults import FaultyBroker
from scenarios.model.steps import FaultKind, VenueFault

STOP = "abc-1-2"
FAR = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(150))
PLAIN = ExecutionPolicy(OrderType.STOP)
PURSUED = ExecutionPolicy(OrderType.STOP, retry=Retry(2, (ReasonCode.VENUE_REJECTED,)))

policies = pytest.mark.parametrize("policy", [PLAIN, PURSUED], ids=["plain", "pursued"])


def world_of(policy: ExecutionPolicy, *, then: dict[int, Any] | None = None) -> World:
    """
    Return a session at a venue where a close needs room: two bought, and a stop for both.

    A close of one that is never filled has the stop make room at bar 4; it is cancelled at bar 7.
    """
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(2))],
            2: lambda desk: [desk.set_stop(BTC, 90.0, policy=policy)],
            4: lambda desk: [desk.partial_close(BTC, Decimal(1), policy=FAR)],
            7: lambda desk: [desk.cancel(BTC, "abc-1-3")],
            **(then or {}),
        }
    )
    spec = make_spec(MemoryFeed({BTC: flat(BTC, 14)}), script.spec(), brackets=False)
    world = World(replace(spec, broker=FaultyBroker))
    broker = world.assembly.broker
    assert isinstance(broker, FaultyBroker)
    broker.clock = world.assembly.clock
    return world


def ends_of(world: World) -> list[ReasonCode | None]:
    """Return why the stop's intent was said to be over, each time."""
    ended = [end for end in world.all(IntentEnded) if end.intent_id == STOP]
    return [None if end.cause is None else end.cause.code for end in ended]


@policies
def test_a_stop_that_makes_room_is_put_back_and_not_over(policy: ExecutionPolicy) -> None:
    """Its strategy still has it, whatever its policy permits besides."""
    world = world_of(policy)
    world.run()
    desk = next(iter(world.assembly.strategy_cells.values())).actor.desk  # type: ignore[union-attr]
    then = [report.then for report in world.reports(STOP) if report.then is not None]

    assert [f"{STOP}-b1"] == [follow.intent_id for follow in world.all(ReduceFollowUp)]
    assert ["restore"] == [reason.value for reason in then]
    assert [] == ends_of(world)
    assert desk.intent(STOP) is not None


@policies
def test_a_stop_that_was_put_back_ends_like_any_other(policy: ExecutionPolicy) -> None:
    """Cancelled by its intent's id, it is over once."""
    world = world_of(policy, then={10: lambda desk: [desk.cancel(BTC, STOP)]}).run()

    assert OrderEvent.CANCELLED is world.reports(f"{STOP}-b1")[-1].event
    assert (policy is PURSUED) == (ends_of(world) == [ReasonCode.CANCEL_REQUESTED])


@policies
def test_a_stop_that_is_cancelled_while_it_makes_room_does_not_come_back(
    policy: ExecutionPolicy,
) -> None:
    """Nothing is put back that its strategy does not want any more; it is told so."""
    world = world_of(policy, then={5: lambda desk: [desk.cancel(BTC, STOP)]}).run()

    assert [] == world.all(ReduceFollowUp)
    assert [ReasonCode.CANCEL_REQUESTED] == ends_of(world)


def test_a_stop_whose_cancel_is_ignored_is_not_said_to_be_over() -> None:
    """As long as it is live at the venue it is neither put back nor given up."""
    world = world_of(PLAIN)
    broker = world.assembly.broker
    assert isinstance(broker, FaultyBroker)
    fault = VenueFault(fault=FaultKind.IGNORE_CANCELS)
    world.before_turn(4, lambda _world: broker.strike(fault)).run()

    assert "accepted" == world.life(STOP)[-1]
    assert [] == world.all(ReduceFollowUp)
    assert [] == ends_of(world)


def test_a_stop_that_is_filled_while_it_is_to_make_room_is_filled_and_no_more() -> None:
    """Nobody is told that it was not put back."""
    world = world_of(PLAIN)
    broker = world.assembly.broker
    assert isinstance(broker, FaultyBroker)
    fault = VenueFault(fault=FaultKind.IGNORE_CANCELS)
    world.before_turn(4, lambda _world: broker.strike(fault))
    world.before_turn(6, fall).run()

    assert "filled" == world.life(STOP)[-1]
    assert [] == ends_of(world)
    assert [] == world.all(ReduceFollowUp)


def test_a_stop_that_never_arrived_is_not_put_back() -> None:
    """It made no room, for it was never there; to make it anew would try again unasked."""
    both = {
        2: lambda _desk: [],
        4: lambda desk: [
            desk.set_stop(BTC, 90.0, policy=PLAIN),
            desk.partial_close(BTC, Decimal(1), policy=FAR),
        ],
    }
    world = world_of(PLAIN, then=both)
    broker = world.assembly.broker
    assert isinstance(broker, FaultyBroker)
    fault = VenueFault(fault=FaultKind.LOSE_REQUESTS, count=1)
    world.before_turn(4, lambda _world: broker.strike(fault)).run()

    assert "proven_absent" == world.life(STOP)[-1]
    assert [] == world.all(ReduceFollowUp)


def fall(world: World) -> None:
    """Let the market fall through the stop for a moment."""
    world.session.observe(Tick(BTC, world.assembly.clock.now, 89.0, 10.0))
