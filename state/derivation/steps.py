"""
Whether an intent that names a plan is one of its steps.

A step's kind of order, its way out and, where the plan names one, its price are the plan's. How
much a step is for follows from what is held, which its plan's rules and Risk decide; here it is
only held against what the plan says outright: a rung's quantity or notional.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from messages import (
    ExecutionPolicy,
    Intent,
    IntentAction,
    OrderType,
    Plan,
    PlanAdd,
    PlanIntent,
    PlanPlace,
)
from state.derivation.orders import Fault


def step_faults(intent: Intent, plan: PlanIntent | None) -> Iterator[Fault]:
    """Yield whatever of an intent does not follow from the UPDATE_PLAN that it names."""
    if plan is None or plan.plan is None:
        yield "plan_id", "a plan that the strategy has handed in", intent.plan_id
        return
    for name, found, expected in (
        ("strategy", intent.strategy, plan.strategy),
        ("symbol", intent.symbol, plan.symbol),
        ("position_side", intent.position_side, plan.position_side),
    ):
        if found != expected:
            yield name, str(expected), str(found)
    if not any(_is_step(intent, plan.plan)):
        yield "step", "one of its plan's", f"{intent.action.value} {intent.policy.order_type.value}"


def _is_step(intent: Intent, plan: Plan) -> Iterator[bool]:
    """Yield, for each step of a plan, whether an intent may be it."""
    action, policy = intent.action, intent.policy
    if plan.stop is not None:
        offset = plan.stop.limit_offset_bps is not None
        how = msgspec.structs.replace(policy, stop_price=None)
        how = msgspec.structs.replace(how, limit_price=None) if offset else how
        at_price = plan.stop.price in (None, policy.stop_price)
        yield action is IntentAction.SET_STOP and at_price and how == plan.stop.how
    if plan.trail is not None:
        how = msgspec.structs.replace(policy, trail_bps=None)
        same = policy.trail_bps == plan.trail.trail_bps and how == plan.trail.how
        yield action is IntentAction.TRAIL and same
    for target in plan.targets:
        price, how = _priced(policy)
        at_price = target.price in (None, price)
        yield action is IntentAction.SET_TAKE_PROFIT and at_price and how == target.how
    for rung in plan.adds:
        yield action is IntentAction.ADD and _is_rung(intent, rung, plan.place)
    leaves = action in (IntentAction.CLOSE, IntentAction.PARTIAL_CLOSE)
    yield leaves and policy == plan.close_how


def _priced(policy: ExecutionPolicy) -> tuple[object, ExecutionPolicy]:
    """Return the price of a target's or a rung's order, and its policy without it."""
    if policy.order_type is OrderType.LIMIT:
        return policy.limit_price, msgspec.structs.replace(policy, limit_price=None)
    return policy.stop_price, msgspec.structs.replace(policy, stop_price=None)


def _is_rung(intent: Intent, rung: PlanAdd, place: PlanPlace) -> bool:
    price, how = _priced(intent.policy)
    if rung.price is not None and price is not None and price != rung.price:
        return False
    wanted = rung.how
    if place is PlanPlace.HERE and wanted.order_type is OrderType.STOP:  # it was met here
        wanted = msgspec.structs.replace(wanted, order_type=OrderType.MARKET)
    return (intent.quantity, intent.notional) == (rung.quantity, rung.notional) and how == wanted
