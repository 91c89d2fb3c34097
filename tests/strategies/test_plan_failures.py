"""Plans in failures and restarts: what was never sent is wanted, and nobody goes in circles."""

from __future__ import annotations

from plan_bench import BTC, HALVES, RUNG, STOP, Bench, D, bench

from messages import Plan, PlanTrail, PositionSide
from strategies.plans import StepState


def test_what_was_never_sent_is_wanted_as_before() -> None:
    """A rung that was lost with a failure is not one that ended."""
    world = Bench()
    world.hold(2)
    world.keeper.take(world.desk.update_plan(BTC, Plan(STOP, adds=(RUNG,))))
    world.desk.settle_drafts(())  # the strategy failed in the same step
    protecting = world.keeper.resume(adding=False)
    assert ["stop"] == [intent.tag for intent in protecting]  # type: ignore[union-attr]
    world.take(protecting)
    world.take(world.keeper.resume())

    assert ["stop", "add 1"] == world.tags()


def test_a_restart_in_the_middle_goes_on_where_it_was() -> None:
    """What rests is known, what was filled counts, what was refused is not asked for."""
    world = bench(Plan(STOP, HALVES, adds=(RUNG,)))
    world.fill(world.tagged("target 1").intent_id, None, 105)
    world.refuse(world.tagged("stop").intent_id)
    before, saved = len(world.asked), world.saved()
    world.restart()
    world.take(world.keeper.resume())
    assert saved == world.saved()
    world.see(101)

    assert before == len(world.asked)


def test_nobody_goes_round_in_circles() -> None:
    """A venue that ends at once whatever it accepts is asked a limited number of times."""
    world = bench(Plan(STOP))
    for _ in range(1_000):
        stops = [name for name, each in world.live.items() if each.tag == "stop"]
        if not stops:
            break
        world.end(stops[-1])

    assert 256 == len(world.asked)
    world.later(1)
    world.see(100)
    assert 257 == len(world.asked)


def test_an_operator_sees_each_step_as_it_is() -> None:
    """Asked for, refused, filled, still to come."""
    world = bench(Plan(STOP, HALVES, PlanTrail(D(100), activate_price=D(120)), (RUNG,), 9_000))
    world.refuse(world.tagged("add 1").intent_id)
    world.fill(world.tagged("target 1").intent_id, None, 105)
    views = {view.name: view.state for view in world.keeper.outlook((BTC, PositionSide.BOTH))}

    assert {
        "stop": StepState.ASKED,
        "trail": StepState.LATER,
        "target 1": StepState.OVER,
        "target 2": StepState.ASKED,
        "add 1": StepState.REFUSED,
        "close": StepState.LATER,
    } == views
