"""What is wrong with a plan: each rule at its edge, and plans that nothing is wrong with."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from messages import (
    ExecutionPolicy,
    OrderType,
    Plan,
    PlanAdd,
    PlanIntent,
    PlanPlace,
    PlanStop,
    PlanTarget,
    PlanTrail,
    PositionSide,
)
from strategies.plans import problems_of
from strategies.plans.check import STEPS_MAX

BTC = "BTC/USDT"
NOW = 1_000
D = Decimal
ONE, HUNDRED = D(1), D(100)
LONG, SHORT, FLAT = D(2), D(-2), D(0)

STOP_LIMIT = ExecutionPolicy(OrderType.STOP_LIMIT)
MARKET = ExecutionPolicy(OrderType.MARKET)
ON_STRENGTH = ExecutionPolicy(OrderType.STOP)
LIMIT_OF_ITS_OWN = ExecutionPolicy(OrderType.LIMIT, limit_price=ONE)


def problems(
    plan: Plan,
    held: Decimal = LONG,
    side: PositionSide = PositionSide.BOTH,
    mark: Decimal | None = HUNDRED,
) -> list[str]:
    return problems_of(PlanIntent("p", "one", BTC, NOW, side, plan), held, mark, NOW)


def stop(**terms: Any) -> Plan:
    return Plan(stop=PlanStop(**terms))


def targets(*each: PlanTarget) -> Plan:
    return Plan(targets=each)


def adds(*each: PlanAdd, **terms: Any) -> Plan:
    return Plan(adds=each, **terms)


SOUND = {
    "a stop below a long": stop(price=D("99.99")),
    "a stop at a distance": stop(distance_bps=D("0.1")),
    "a stop just above nothing": stop(distance_bps=D("9999.9")),
    "a stop-limit": stop(price=D(95), limit_offset_bps=D(0), how=STOP_LIMIT),
    "a target above a long": targets(PlanTarget(price=D("100.01"))),
    "a target at market": targets(
        PlanTarget(distance_bps=ONE, how=ExecutionPolicy(OrderType.TAKE_PROFIT))
    ),
    "three thirds and a rest": targets(*[PlanTarget(distance_bps=ONE, share=D("0.33"))] * 3),
    "the whole in parts": targets(*[PlanTarget(distance_bps=ONE, share=D("0.25"))] * 4),
    "a trail": Plan(trail=PlanTrail(D("9999.99"))),
    "a trail that is activated": Plan(trail=PlanTrail(ONE, activate_price=D(90))),
    "a trail that is activated in profit": Plan(trail=PlanTrail(ONE, activate_distance_bps=ONE)),
    "a rung below a long": adds(PlanAdd(price=D("99.99"), quantity=ONE)),
    "a rung of a notional": adds(PlanAdd(distance_bps=ONE, notional=ONE)),
    "a rung on strength": adds(PlanAdd(price=D(101), quantity=ONE, how=ON_STRENGTH)),
    "a rung at market, here": adds(
        PlanAdd(price=D(99), quantity=ONE, how=MARKET), place=PlanPlace.HERE
    ),
    "a rung before the stop": adds(
        PlanAdd(price=D("95.01"), quantity=ONE), stop=PlanStop(price=D(95))
    ),
    "a time": Plan(time_stop=NOW + 1),
    "as many steps as there may be": adds(*[PlanAdd(distance_bps=ONE, quantity=ONE)] * STEPS_MAX),
    "all at once": Plan(
        PlanStop(price=D(90)),
        (PlanTarget(price=D(110)),),
        PlanTrail(D(100)),
        (PlanAdd(price=D(95), quantity=ONE),),
        NOW + 1,
    ),
}


@pytest.mark.parametrize("plan", SOUND.values(), ids=SOUND)
def test_nothing_is_wrong_with_a_sound_plan(plan: Plan) -> None:
    """Every step alone, at the edge of its rule, and all together."""
    assert [] == problems(plan)


WRONG: dict[str, tuple[Plan, str]] = {
    "no step": (Plan(), "found no step, expected at least one"),
    "too many steps": (
        adds(*[PlanAdd(distance_bps=ONE, quantity=ONE)] * (STEPS_MAX + 1)),
        "found 65 steps, expected at most 64",
    ),
    "a stop at the market": (
        stop(price=D(100)),
        "stop: price is 100, expected below the market at 100",
    ),
    "a stop without a place": (stop(), "stop: expected exactly one of price and distance"),
    "a stop at two places": (
        stop(price=D(95), distance_bps=ONE),
        "stop: expected exactly one of price and distance",
    ),
    "a stop at nothing": (
        stop(price=D(0)),
        "stop: found Decimal('0'), expected a finite Decimal above 0",
    ),
    "a stop at infinity": (
        stop(distance_bps=D("Infinity")),
        "stop: found Decimal('Infinity'), expected a finite Decimal above 0",
    ),
    "a stop below every price": (
        stop(distance_bps=D(10_000)),
        "stop: distance is 10000, expected less than 10000",
    ),
    "a stop of another kind": (
        stop(price=D(95), how=MARKET),
        "stop: order type is market, expected one of: stop, stop_limit",
    ),
    "a stop with a price of its policy's own": (
        stop(price=D(95), how=ExecutionPolicy(OrderType.STOP, stop_price=D(94))),
        "stop: its policy has a price of its own, expected the step's alone",
    ),
    "a stop-limit without a limit": (
        stop(price=D(95), how=STOP_LIMIT),
        "stop: limit_offset_bps goes with a stop_limit order, and is needed by it",
    ),
    "a limit without a stop-limit": (
        stop(price=D(95), limit_offset_bps=ONE),
        "stop: limit_offset_bps goes with a stop_limit order, and is needed by it",
    ),
    "a limit before the stop": (
        stop(price=D(95), limit_offset_bps=D("-0.1"), how=STOP_LIMIT),
        "stop: limit_offset_bps is -0.1, expected 0 or more and below 10000",
    ),
    "a limit below every price": (
        stop(price=D(95), limit_offset_bps=D(10_000), how=STOP_LIMIT),
        "stop: limit_offset_bps is 10000, expected 0 or more and below 10000",
    ),
    "a target at the market": (
        targets(PlanTarget(price=D(100))),
        "target 1: price is 100, expected above the market at 100",
    ),
    "the second target": (
        targets(PlanTarget(distance_bps=ONE, share=D("0.5")), PlanTarget(share=D("0.5"))),
        "target 2: expected exactly one of price and distance",
    ),
    "a target of another kind": (
        targets(PlanTarget(distance_bps=ONE, how=ON_STRENGTH)),
        "target 1: order type is stop, expected one of: limit, take_profit",
    ),
    "a target with a limit of its policy's own": (
        targets(PlanTarget(distance_bps=ONE, how=LIMIT_OF_ITS_OWN)),
        "target 1: its policy has a price of its own, expected the step's alone",
    ),
    "a share of nothing": (
        targets(PlanTarget(distance_bps=ONE, share=D(0))),
        "target 1: share is 0, expected more than 0 and at most 1",
    ),
    "a share of more than all": (
        targets(PlanTarget(distance_bps=ONE, share=D("1.01"))),
        "target 1: share is 1.01, expected more than 0 and at most 1",
    ),
    "shares of more than all": (
        targets(
            PlanTarget(distance_bps=ONE, share=D("0.5")),
            PlanTarget(distance_bps=ONE, share=D("0.51")),
        ),
        "targets: shares are 1.01 together, expected at most 1",
    ),
    "a trail of nothing": (
        Plan(trail=PlanTrail(D(0))),
        "trail: trail_bps is 0, expected more than 0 and below 10000",
    ),
    "a trail of the whole price": (
        Plan(trail=PlanTrail(D(10_000))),
        "trail: trail_bps is 10000, expected more than 0 and below 10000",
    ),
    "a trail that is activated twice": (
        Plan(trail=PlanTrail(ONE, activate_price=ONE, activate_distance_bps=ONE)),
        "trail: activate: expected exactly one of price and distance",
    ),
    "a trail of another kind": (
        Plan(trail=PlanTrail(ONE, how=MARKET)),
        "trail: order type is market, expected one of: trailing_stop",
    ),
    "a rung at the market": (
        adds(PlanAdd(price=D(100), quantity=ONE)),
        "add 1: price is 100, expected below the market at 100",
    ),
    "a rung on strength below": (
        adds(PlanAdd(price=D(99), quantity=ONE, how=ON_STRENGTH)),
        "add 1: price is 99, expected above the market at 100",
    ),
    "a rung of another kind": (
        adds(PlanAdd(price=D(99), quantity=ONE, how=STOP_LIMIT)),
        "add 1: order type is stop_limit, expected one of: limit, stop, market",
    ),
    "a rung at market, at the venue": (
        adds(PlanAdd(price=D(99), quantity=ONE, how=MARKET)),
        "add 1: a market order rests nowhere, expected place here",
    ),
    "a rung where the stop is": (
        adds(PlanAdd(price=D(95), quantity=ONE), stop=PlanStop(price=D(95))),
        "add 1: price is 95, expected one that is met before the stop",
    ),
    "a rung without a size": (
        adds(PlanAdd(distance_bps=ONE)),
        "add 1: expected exactly one of quantity and notional, more than 0",
    ),
    "a rung of two sizes": (
        adds(PlanAdd(distance_bps=ONE, quantity=ONE, notional=ONE)),
        "add 1: expected exactly one of quantity and notional, more than 0",
    ),
    "a rung of nothing": (
        adds(PlanAdd(distance_bps=ONE, quantity=D(0))),
        "add 1: expected exactly one of quantity and notional, more than 0",
    ),
    "a time that is now": (
        Plan(time_stop=NOW),
        f"time_stop is {NOW}, expected a time after {NOW}",
    ),
    "a close that is not at market": (
        Plan(time_stop=NOW + 1, close_how=ExecutionPolicy(OrderType.LIMIT)),
        "close_how: order type is limit, expected one of: market",
    ),
}


@pytest.mark.parametrize(("plan", "problem"), WRONG.values(), ids=WRONG)
def test_each_contradiction_is_told_alone(plan: Plan, problem: str) -> None:
    """A rule says its own problem, and no other one that is not there."""
    assert [problem] == problems(plan)


def test_the_sides_of_a_short_position_are_the_other_way_round() -> None:
    """A stop above, targets and what adds on strength below, rungs above."""
    sound = Plan(
        stop=PlanStop(price=D("100.01")),
        targets=(PlanTarget(price=D("99.99")), PlanTarget(distance_bps=D(9_999), share=D("0"))),
    )
    wrong = Plan(
        stop=PlanStop(price=D(100)),
        targets=(PlanTarget(price=D(100)),),
        adds=(
            PlanAdd(price=D(100), quantity=ONE),
            PlanAdd(price=D(101), quantity=ONE, how=ON_STRENGTH),
        ),
    )

    assert ["target 2: share is 0, expected more than 0 and at most 1"] == problems(sound, SHORT)
    assert [
        "stop: price is 100, expected above the market at 100",
        "target 1: price is 100, expected below the market at 100",
        "add 1: price is 100, expected above the market at 100",
        "add 1: price is 100, expected one that is met before the stop",
        "add 2: price is 101, expected below the market at 100",
    ] == problems(wrong, SHORT)
    assert ["target 1: distance is 10000, expected less than 10000"] == problems(
        targets(PlanTarget(distance_bps=D(10_000))), SHORT
    )
    assert [] == problems(stop(distance_bps=D(10_000)), SHORT)


def test_a_flat_book_of_a_hedge_has_a_direction_of_its_own() -> None:
    """The long book's stop is below, the short one's above, before anything is held."""
    below = stop(price=D(95))

    assert [] == problems(below, FLAT, PositionSide.LONG)
    assert ["stop: price is 95, expected above the market at 100"] == problems(
        below, FLAT, PositionSide.SHORT
    )


@pytest.mark.parametrize(
    ("held", "mark"), [(FLAT, D(100)), (LONG, None)], ids=["no direction", "no price"]
)
def test_what_is_not_known_is_not_compared(held: Decimal, mark: Decimal | None) -> None:
    """A flat net book has no direction yet, and a market that was not seen no price."""
    assert [] == problems(stop(price=D(105)), held, mark=mark)


def test_every_contradiction_is_told() -> None:
    """Whoever mends a plan mends it once: the problems come in the order of the steps."""
    plan = Plan(
        PlanStop(),
        (PlanTarget(),),
        PlanTrail(D(0)),
        (PlanAdd(),),
        NOW,
        ExecutionPolicy(OrderType.LIMIT),
    )

    found = [problem.partition(":")[0].partition(" is ")[0] for problem in problems(plan)]

    assert ["stop", "target 1", "trail", "add 1", "add 1", "time_stop", "close_how"] == found
