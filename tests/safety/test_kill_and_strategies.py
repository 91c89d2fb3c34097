"""Under a kill: what stays of a strategy's orders, what still goes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from invariants import Watch
from safety_world import FAR_BELOW, ONE, STOP_BELOW, Daemon, daemon, keeps_buying, status
from session_world import BTC, Script, closes, flat, on_bars

from actors.runtime import limits
from messages import (
    CommandVerb,
    DeadLetter,
    ExecutionReport,
    OpenIntent,
    OrderStatus,
    RiskDecision,
    Side,
    Verdict,
)


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
