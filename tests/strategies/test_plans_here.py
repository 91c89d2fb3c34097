"""Plans whose steps wait here: which price meets them, and what leaves then."""

from __future__ import annotations

from decimal import Decimal

from plan_bench import bench

from messages import (
    ExecutionPolicy,
    OrderType,
    Plan,
    PlanAdd,
    PlanPlace,
    PlanStop,
    PlanTarget,
    PlanTrail,
)

D = Decimal
ONE, TWO = D(1), D(2)
HALF = D("0.5")
STOP = PlanStop(price=D(90))
HALVES = (PlanTarget(price=D(105), share=HALF), PlanTarget(price=D(110), share=HALF))
RUNG = PlanAdd(price=D(95), quantity=ONE)


HERE = Plan(STOP, HALVES, adds=(RUNG,), place=PlanPlace.HERE)


def test_steps_that_wait_here_leave_when_their_price_is_met() -> None:
    """A trade, or the side of a quote at which the position can be left or added to."""
    world = bench(HERE)
    world.quote(104.5, 105.5)
    world.quote(94.5, 95.5)
    assert [] == world.asked
    world.quote(94, 95)
    world.quote(105, 106)

    assert ["add 1", "target 1"] == world.tags()


def test_the_sides_of_a_quote_for_a_short_are_the_other_way_round() -> None:
    """It is left at the ask and added to at the bid."""
    plan = Plan(
        PlanStop(price=D(110)),
        (PlanTarget(price=D(95)),),
        adds=(PlanAdd(price=D(105), quantity=ONE),),
        place=PlanPlace.HERE,
    )
    world = bench(plan, held=-2)
    world.quote(94.5, 95.5)
    world.quote(104.5, 105.5)
    assert [] == world.asked
    world.quote(94, 95)
    world.quote(105, 106)
    world.quote(109, 110)

    assert ["target 1", "add 1", "stop"] == world.tags()


def test_while_everything_leaves_nothing_else_does() -> None:
    """No rung and no target beside a close; after a refusal it is tried with the next price."""
    world = bench(HERE)
    world.see(90)
    world.see(95)
    world.see(106)
    assert ["stop"] == world.tags()
    world.refuse(world.tagged("stop").intent_id)
    world.later(1)
    assert ["stop"] == world.tags()
    world.see(89)

    assert ["stop", "stop"] == world.tags()


def test_a_trail_that_waits_here_follows_the_best_price() -> None:
    """From where it was activated, and never back."""
    plan = Plan(trail=PlanTrail(D(1000), activate_price=D(110)), place=PlanPlace.HERE)
    world = bench(plan)
    for price in (109, 95, 120, 109):
        world.see(price)
    assert [] == world.asked
    world.see(108)

    assert ["stop"] == world.tags()


def test_a_rung_on_strength_that_waits_here_goes_out_at_market() -> None:
    """The venue need not know stops: it was met here."""
    rung = PlanAdd(distance_bps=D(500), quantity=ONE, how=ExecutionPolicy(OrderType.STOP))
    world = bench(Plan(STOP, adds=(rung,), place=PlanPlace.HERE))
    world.see("104.9")
    assert [] == world.asked
    world.see(105)

    assert OrderType.MARKET is world.tagged("add 1").policy.order_type
