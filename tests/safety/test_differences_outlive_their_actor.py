"""A hold over a difference ends when that is seen to be gone, whoever sees it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from safety_world import FAR_ABOVE, Daemon, UnrulyVenue
from session_world import BTC, MINUTE, START, flat, make_spec, on_bars

from actors.assembly import Core
from actors.reconciler import Found
from feeds.memory import MemoryFeed
from messages import (
    HoldLifted,
    OrderRequest,
    OrderType,
    PositionSide,
    Reconciled,
    Side,
    TimeInForce,
)
from state.reconciliation_policy import Policy, ReconciliationPlan

ONE = Decimal(1)
HOLD = "reconciliation"


def holder() -> Daemon:
    """Return a session that holds one, and later wants to sell it at a price that nobody pays."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            8: lambda desk: [desk.reduce(BTC, Side.SELL, ONE, policy=FAR_ABOVE)],
        }
    )
    spec = make_spec(MemoryFeed({BTC: flat(BTC, 30)}), script.spec())
    plan = ReconciliationPlan(Policy.REFUSE, {}, MINUTE, 10 * MINUTE, patient=True)
    return Daemon(replace(spec, broker=UnrulyVenue, reconciliation=plan)).begin()


def somebody(world: Daemon, side: Side) -> None:
    """Let somebody trade one at the venue."""
    name = f"web-{side.value}"
    order = OrderRequest(
        name,
        name,
        "nobody",
        BTC,
        side,
        PositionSide.BOTH,
        OrderType.MARKET,
        TimeInForce.GTC,
        ONE,
        START,
    )
    world.venue.engine.submit(order, world.assembly.clock.now)


def reconciler_fails(world: Daemon) -> None:
    """Let the Reconciler fail once: it is restarted a second later."""
    cell = world.cell("reconciler")
    world.assembly.supervisor.actor_failed(cell, None, RuntimeError("a drill"))
    world.settle()


def held_over_what_an_order_may_explain(*, fails: bool) -> Daemon:
    """
    Return a session held over a position that somebody sold, with an order of its own in flight.

    Sold by that order it would be explained: nobody can tell, until the order is answered.
    """
    world = holder().play(4)
    somebody(world, Side.SELL)
    world.play(3)
    assert HOLD in world.holds
    world.venue.mute = True
    world.play(3)
    assert world.assembly.books.doubts.open or world.live_ids()
    assert HOLD in world.holds
    if fails:
        reconciler_fails(world)
    return world.play(3)


@pytest.mark.parametrize("fails", [False, True], ids=["one incarnation", "another one"])
def test_a_difference_that_cannot_be_looked_for_is_not_gone(*, fails: bool) -> None:
    """Restarted in the middle, the Reconciler goes on to hold; and lets go once it sees it gone."""
    world = held_over_what_an_order_may_explain(fails=fails)

    assert HOLD in world.holds
    assert [] == [each for each in world.all(HoldLifted) if each.hold.hold_id == HOLD]

    world.venue.speak()
    world.play(2)
    assert HOLD in world.holds
    somebody(world, Side.BUY)
    world.play(6)

    assert () == world.all(Reconciled)[-1].differences
    assert HOLD not in world.holds


def let_each_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each incarnation of the Reconciler begin with nothing found."""
    make = Core.make_reconciler

    def forgetful(core: Core) -> object:
        core.found = Found(core.parts.reconciliation)
        return make(core)

    monkeypatch.setattr(Core, "make_reconciler", forgetful)


def test_with_a_memory_of_its_own_each_incarnation_would_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ablation: that it finds nothing of what it cannot compare is taken for agreement."""
    let_each_forget(monkeypatch)
    monkeypatch.setattr(Found, "is_evidence", True)
    world = held_over_what_an_order_may_explain(fails=True)

    assert HOLD not in world.holds


def test_who_has_compared_nothing_to_the_last_unit_yet_lets_nothing_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a process that goes on with a session that was held: nobody remembers over what."""
    let_each_forget(monkeypatch)
    world = held_over_what_an_order_may_explain(fails=True)

    assert HOLD in world.holds
