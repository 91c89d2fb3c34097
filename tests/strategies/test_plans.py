"""Plans, one guarantee at a time: what is asked for, when, and in whose place."""

from __future__ import annotations

from decimal import Decimal

import pytest
from plan_bench import BTC, HALF, HALVES, ONE, RUNG, STOP, TWO, Bench, D, bench

from messages import (
    ExecutionPolicy,
    IntentAction,
    OrderType,
    Plan,
    PlanAdd,
    PlanPlace,
    PlanStatus,
    PlanStop,
    PlanTarget,
    PlanTrail,
    PositionSide,
    ReduceIntent,
    Side,
)


def test_a_plan_asks_for_its_steps_in_the_strategys_name() -> None:
    """Stop, targets, rungs: each an intent with its action, its policy and the plan's id."""
    world = bench(Plan(STOP, HALVES, adds=(RUNG,)))

    assert ["stop", "target 1", "target 2", "add 1"] == world.tags()
    stop, target = world.tagged("stop"), world.tagged("target 1")
    assert (stop.action, stop.quantity, stop.policy.stop_price) == (
        IntentAction.SET_STOP,
        TWO,
        D(90),
    )
    assert (target.quantity, target.policy.limit_price) == (ONE, D(105))
    assert world.tagged("add 1").planned_stop == D(90)
    assert world.tagged("add 1").planned_target == D(105)
    assert {"t-1-2"} == {intent.plan_id for intent in world.asked}


def test_a_plan_waits_for_its_position() -> None:
    """Handed in before there is one, nothing is asked for until there is."""
    world = bench(Plan(PlanStop(distance_bps=D(1000)), adds=(RUNG,)), held=0)
    assert [] == world.asked
    world.hold(1)
    world.hold(1, 110)

    assert [D(90), D("94.5")] == [
        each.policy.stop_price for each in world.asked if each.tag == "stop"
    ]
    assert 1 == world.tags().count("add 1")


def test_nothing_is_asked_for_twice_while_it_lives() -> None:
    """Prices, times and looks change nothing where what should be there is there."""
    world = bench(Plan(STOP, HALVES, adds=(RUNG,)))
    for price in (101, 104, 96, 100):
        world.see(price)
        world.later(60_000)

    assert 4 == len(world.asked)


def test_a_stop_that_was_filled_in_part_goes_on() -> None:
    """What is left of it is what is held: one that leaves is not replaced by one that waits."""
    world = bench(Plan(STOP))
    world.fill(world.tagged("stop").intent_id, HALF, 90)

    assert ["stop"] == world.tags()


def test_a_target_that_was_filled_in_part_keeps_its_place() -> None:
    """Its rest is its share less what it took; the stop is for what is held now."""
    world = bench(Plan(STOP, HALVES))
    world.fill(world.tagged("target 1").intent_id, HALF, 105)

    assert ["stop", "target 1", "target 2", "stop"] == world.tags()
    assert D("1.5") == world.tagged("stop").quantity


def test_a_rung_moves_and_enlarges_what_protects() -> None:
    """The stop follows the mean entry price, the rungs do not."""
    plan = Plan(
        PlanStop(distance_bps=D(1000)),
        adds=(
            PlanAdd(distance_bps=D(500), quantity=TWO),
            PlanAdd(distance_bps=D(800), notional=ONE),
        ),
    )
    world = bench(plan)
    older = world.tagged("stop")
    world.fill(world.tagged("add 1").intent_id, None, 95)

    stop = world.tagged("stop")
    assert isinstance(stop, ReduceIntent)
    assert (stop.quantity, stop.policy.stop_price, stop.replaces) == (
        D(4),
        D("87.75"),
        older.intent_id,
    )
    assert D(92) == world.tagged("add 2").policy.limit_price
    assert 1 == world.tags().count("add 2")


def test_prices_of_distances_are_on_the_grid() -> None:
    """A stop and a target are never met earlier, a rung is never worse, than asked."""
    plan = Plan(
        PlanStop(distance_bps=D(333)),
        (PlanTarget(distance_bps=D(333)),),
        adds=(PlanAdd(distance_bps=D(333), quantity=ONE),),
    )
    long, short = bench(plan, tick="0.5"), bench(plan, held=-2, tick="0.5")

    assert (D("96.5"), D("103.5"), D("96.5")) == prices(long)
    assert (D("103.5"), D("96.5"), D("103.5")) == prices(short)


def prices(world: Bench) -> tuple[Decimal | None, ...]:
    return (
        world.tagged("stop").policy.stop_price,
        world.tagged("target 1").policy.limit_price,
        world.tagged("add 1").policy.limit_price,
    )


@pytest.mark.parametrize("tag", ["stop", "target 1"])
def test_what_protects_and_was_cancelled_is_asked_for_again(tag: str) -> None:
    """Whoever cancelled it."""
    world = bench(Plan(STOP, HALVES))
    world.end(world.tagged(tag).intent_id)

    assert 2 == world.tags().count(tag)


def test_a_rung_is_asked_for_once() -> None:
    """One that was cancelled or refused, ended."""
    world = bench(Plan(STOP, adds=(RUNG, RUNG)))
    world.end(world.tagged("add 1").intent_id)
    world.refuse(world.tagged("add 2").intent_id)
    world.see(96)

    assert ["stop", "add 1", "add 2"] == world.tags()


def test_what_was_refused_waits_until_the_book_changes() -> None:
    """Neither prices nor time bring it back; a fill does."""
    world = bench(Plan(STOP))
    world.hold(1)
    world.refuse(world.tagged("stop").intent_id)
    world.see(101)
    world.later(60_000)
    assert [TWO, D(3)] == [each.quantity for each in world.asked]
    world.hold(-1)
    world.hold(1)

    assert [TWO, D(3), D(3)] == [each.quantity for each in world.asked]


def test_the_end_of_another_order_is_a_change_of_the_book() -> None:
    """A stop that was refused beside an order that leaves is there when that has gone."""
    world = Bench()
    world.hold(2)
    other = world.desk.reduce(BTC, Side.SELL, ONE, policy=ExecutionPolicy(OrderType.LIMIT))
    world.desk.settle_drafts([other])
    world.live[other.intent_id] = other
    world.plan(Plan(STOP))
    world.refuse(world.tagged("stop").intent_id)
    world.end(other.intent_id)

    assert ["stop", "stop"] == world.tags()


def test_a_refused_replacement_leaves_the_older_one_to_be_replaced() -> None:
    """The next one comes in the place of the one that stayed."""
    world = bench(Plan(STOP))
    first = world.tagged("stop").intent_id
    world.hold(1)
    world.refuse(world.tagged("stop").intent_id)
    world.hold(1)
    stop = world.tagged("stop")

    assert isinstance(stop, ReduceIntent)
    assert (stop.quantity, stop.replaces) == (D(4), first)
    world.accept(stop.intent_id)
    assert [stop.intent_id] == list(world.live)


def test_a_fill_of_the_replaced_target_counts() -> None:
    """A cancel and a fill cross: the share has been taken all the same."""
    world = bench(Plan(targets=(PlanTarget(distance_bps=D(500), share=HALF),)))
    first = world.tagged("target 1").intent_id
    world.hold(2, 90)
    world.fill(first, None, 105)

    assert [ONE, TWO, ONE] == [each.quantity for each in world.asked]


def test_targets_never_take_off_more_than_is_held_together() -> None:
    """What has no room beside those that leave comes when they have gone."""
    world = bench(Plan(targets=HALVES))
    world.hold(2)
    assert ["target 1", "target 2", "target 1"] == world.tags()
    world.accept_all()

    assert ["target 1", "target 2", "target 1", "target 2"] == world.tags()


def test_targets_that_are_all_too_large_do_not_wait_for_each_other() -> None:
    """What has no room to be made smaller beside the others leaves first, and comes back."""
    targets = (PlanTarget(price=D(105), share=HALF), PlanTarget(price=D(110), share=D("0.4")))
    world = bench(Plan(targets=targets), held=4)
    world.hold(-3)
    for cancel in world.cancels:
        world.end(cancel.order_id)
    world.accept_all()

    resting = [world.rest(name) for name in world.live]
    assert sum(resting) <= world.held
    assert ONE == world.rest(world.tagged("target 1").intent_id)


def test_a_target_that_there_is_nothing_left_for_is_taken_back_once() -> None:
    """The strategy has left with a part of its own; cancels are not repeated."""
    world = bench(Plan(targets=HALVES))
    second = world.tagged("target 2").intent_id
    world.hold(-1)
    world.see(101)
    world.see(102)

    assert [second] == [cancel.order_id for cancel in world.cancels]
    world.later(60_000)
    world.see(103)
    assert [second, second] == [cancel.order_id for cancel in world.cancels]


def test_the_trail_takes_the_stops_place_where_it_protects_as_well() -> None:
    """Activated, and no worse than the stop."""
    world = bench(Plan(PlanStop(price=D(98)), trail=PlanTrail(D(500), activate_price=D(102))))
    world.see("102.5")
    assert ["stop"] == world.tags()
    world.see(104)
    trail = world.tagged("trail")

    assert isinstance(trail, ReduceIntent)
    assert world.tagged("stop").intent_id == trail.replaces
    world.hold(-1)
    assert ["stop", "trail"] == world.tags()  # a smaller one would forget how far it has come


def test_a_refused_trail_leaves_the_stop_at_work() -> None:
    """The stop is still the plan's, and moves with the position; then the trail tries again."""
    world = bench(Plan(STOP, trail=PlanTrail(D(100), activate_price=D(104))))
    stop = world.tagged("stop").intent_id
    world.see(105)
    world.refuse(world.tagged("trail").intent_id)
    world.see(106)
    assert ["stop", "trail"] == world.tags()
    world.end(stop)

    assert ["stop", "trail", "trail"] == world.tags()
    world.refuse(world.tagged("trail").intent_id)
    assert ["stop", "trail", "trail", "stop"] == world.tags()


def test_a_time_stop_closes_and_tries_again_with_the_market() -> None:
    """Not before its time, not twice at once, not again before there is a new price."""
    world = bench(Plan(STOP, time_stop=2_000))
    world.later(999)
    assert ["stop"] == world.tags()
    world.later(1)
    world.later(1)
    world.refuse(world.tagged("time stop").intent_id)
    world.later(1)
    assert ["stop", "time stop"] == world.tags()
    world.see(100)

    assert ["stop", "time stop", "time stop"] == world.tags()
    world.fill(world.tagged("time stop").intent_id)
    assert not world.keeper


def test_a_time_stop_outlives_a_restart() -> None:
    """Its timer is armed again, and what is late is closed at the first look."""
    world = bench(Plan(time_stop=2_000))
    world.restart()
    assert [("plan:BTC/USDT|both", 2_000)] == world.keeper.timers()
    world.clock.now = 3_000
    world.take(world.keeper.resume())

    assert ["time stop"] == world.tags()


def test_the_timer_of_a_time_stop_goes_off_once() -> None:
    """Not again when timers are armed anew, by another plan or by another process."""
    world = bench(Plan(time_stop=2_000))
    world.later(1_000)
    world.end(world.tagged("time stop").intent_id)
    assert [] == world.keeper.timers()
    world.restart()
    assert [] == world.keeper.timers()
    world.later(1_000)
    assert ["time stop"] == world.tags()
    world.see(100)

    assert ["time stop", "time stop"] == world.tags()


def test_an_older_plans_timer_is_not_the_new_ones() -> None:
    """One that goes off all the same does nothing, and the new one's is still to come."""
    world = bench(Plan(time_stop=2_000))
    world.plan(Plan(time_stop=3_000))
    world.later(1_000)
    assert [] == world.tags()
    assert [("plan:BTC/USDT|both", 3_000)] == world.keeper.timers()
    world.later(1_000)

    assert ["time stop"] == world.tags()


def test_a_plan_that_an_older_tidegate_kept_is_taken_back() -> None:
    """It did not say whether the timer had gone off: it is armed."""
    world = bench(Plan(time_stop=2_000))
    (kept,) = world.keeper.snapshot()
    del kept["timed_out"]
    world.keeper.restore([kept])

    assert [("plan:BTC/USDT|both", 2_000)] == world.keeper.timers()


def test_the_same_plan_again_leaves_everything_where_it_rests() -> None:
    """A strategy may hand its plan in with every bar."""
    plan = Plan(STOP, HALVES, adds=(RUNG,))
    world = bench(plan)
    world.plan(plan)

    assert 4 == len(world.asked)
    assert [] == world.cancels


def test_a_plan_that_is_replaced_has_its_stop_until_the_new_one_is_there() -> None:
    """A stop id of an earlier plan is the chain's like any other."""
    world = bench(Plan(STOP))
    first = world.tagged("stop").intent_id
    world.plan(Plan(PlanStop(price=D(92))))
    second = world.tagged("stop").intent_id
    world.refuse(second)
    assert [first] == list(world.live)
    world.plan(Plan(PlanStop(price=D(93))))
    third = world.tagged("stop")

    assert isinstance(third, ReduceIntent)
    assert first == third.replaces
    world.accept(third.intent_id)
    assert [third.intent_id] == list(world.live)


def test_an_older_plans_stop_protects_until_a_trail_begins() -> None:
    """A plan with a trail alone has no stop of its own until it is activated."""
    world = bench(Plan(STOP))
    world.plan(Plan(trail=PlanTrail(D(100), activate_price=D(105))))
    assert [] == world.cancels
    world.see(106)
    trail = world.tagged("trail")

    assert isinstance(trail, ReduceIntent)
    assert world.tagged("stop").intent_id == trail.replaces


def test_a_new_plans_rungs_wait_until_the_older_ones_have_gone() -> None:
    """Two ladders at once would be more than either plan asked for."""
    world = bench(Plan(STOP, adds=(RUNG,)))
    older = world.tagged("add 1").intent_id
    world.plan(Plan(STOP, adds=(PlanAdd(price=D(94), quantity=ONE),)))
    assert [older] == [cancel.order_id for cancel in world.cancels]
    assert 1 == world.tags().count("add 1")
    world.end(older)

    assert D(94) == world.tagged("add 1").policy.limit_price


def test_a_plan_that_waits_here_takes_back_what_rests_of_an_older_one() -> None:
    """Nobody is to see its levels."""
    world = bench(Plan(STOP, HALVES))
    world.plan(Plan(STOP, HALVES, place=PlanPlace.HERE))

    assert set(world.live) == {cancel.order_id for cancel in world.cancels}


def test_a_plan_that_is_dropped_cancels_all_that_rests_of_it() -> None:
    """A replacement that has not come yet, and what it was to replace."""
    world = bench(Plan(STOP))
    world.hold(1)
    world.plan(None)

    assert set(world.live) == {cancel.order_id for cancel in world.cancels}
    assert PlanStatus.DROPPED is world.news[-1].status


def test_a_plan_with_something_wrong_changes_nothing() -> None:
    """Refused whole: the one that stands goes on."""
    world = bench(Plan(STOP))

    assert world.plan(Plan(PlanStop(price=D(101)), HALVES))
    assert ["stop"] == world.tags()
    assert [PlanStatus.ADOPTED] == [each.status for each in world.news]


@pytest.mark.parametrize(
    ("side", "problem"),
    [
        (PositionSide.LONG, "position_side is long, expected one of: both"),
        (PositionSide.SHORT, "position_side is short, expected one of: both"),
    ],
)
def test_a_plan_for_a_book_that_is_not_there_is_refused(side: PositionSide, problem: str) -> None:
    """It would wait for ever and protect nothing."""
    world = Bench()

    plan = Plan(PlanStop(distance_bps=ONE))

    problems, told = world.keeper.take(world.desk.update_plan(BTC, plan, position_side=side))
    assert ([problem], []) == (problems, told)
    problems, _ = world.keeper.take(world.desk.update_plan("ETH/USDT", plan))
    assert ["symbol is ETH/USDT, expected one of the strategy's"] == problems


def test_a_plan_is_over_when_its_book_is_flat() -> None:
    """What protects ends with the position; what adds is taken back, and then it is done."""
    world = bench(Plan(STOP, adds=(RUNG,)))
    rung = world.tagged("add 1").intent_id
    world.fill(world.tagged("stop").intent_id, None, 90)
    assert [rung] == [cancel.order_id for cancel in world.cancels]
    assert world.keeper
    world.end(rung)

    assert not world.keeper
    assert PlanStatus.DONE is world.news[-1].status


def test_a_rung_that_is_filled_while_it_is_taken_back_is_protected() -> None:
    """A cancel and a fill cross."""
    world = bench(Plan(STOP, adds=(RUNG,)))
    world.fill(world.tagged("stop").intent_id, None, 90)
    world.fill(world.tagged("add 1").intent_id, None, 95)

    assert ONE == world.tagged("stop").quantity
    world.fill(world.tagged("stop").intent_id, None, 90)
    assert not world.keeper


def test_a_position_that_turns_round_has_no_plan() -> None:
    """A long's stop is no stop of a short."""
    world = bench(Plan(STOP, adds=(RUNG,)))
    world.hold(-3)

    assert not world.keeper
    assert [world.tagged("add 1").intent_id] == [cancel.order_id for cancel in world.cancels]


def test_the_books_of_a_hedge_are_apart() -> None:
    """The short one's plan says nothing about the long one."""
    world = bench(Plan(PlanStop(price=D(105))), held=-2, side=PositionSide.SHORT)

    assert (Side.BUY, PositionSide.SHORT) == (
        world.tagged("stop").side,
        world.tagged("stop").position_side,
    )
    assert [] == world.keeper.look((BTC, PositionSide.LONG))
