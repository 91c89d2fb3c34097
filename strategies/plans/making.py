"""The intents that a plan's steps become, and what each step notes of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from messages import ExecutionPolicy, Intent, OrderType, PlanAdd, PlanTarget, ReduceIntent, Side
from state.money import BASIS_POINT, ZERO
from strategies.desk import Desk
from strategies.plans.levels import Levels
from strategies.plans.standing import Standing, Step

ASKED: Final = Decimal(1)
"""What a rung of a notional notes as its quantity: that it was asked for."""


class Maker:
    """Makes the intents of steps at the strategy's desk, each with its plan's id and its tag."""

    def __init__(self, desk: Desk, levels: Levels) -> None:
        """Make them at ``desk``, at the prices of ``levels``."""
        self._desk = desk
        self._levels = levels

    def stop(self, standing: Standing, held: Decimal, price: Decimal) -> ReduceIntent:
        """Return the stop of the whole position, in the place of the older one."""
        stop = standing.plan.stop
        assert stop is not None, "asked of a plan with a stop"
        how = stop.how
        if stop.limit_offset_bps is not None:
            away = price * stop.limit_offset_bps * BASIS_POINT
            limit = price - away if held > ZERO else price + away
            how = msgspec.structs.replace(how, limit_price=limit)
        step, quantity = standing.stop, abs(held)
        intent = self._desk.set_stop(
            standing.intent.symbol,
            price,
            quantity,
            position_side=standing.intent.position_side,
            policy=how,
            decision_price=price,
            tag="stop",
            plan_id=standing.intent.intent_id,
            replaces=step.intent_id,
        )
        step.intent_id, step.price, step.quantity = intent.intent_id, price, quantity
        return intent

    def trail(self, standing: Standing, quantity: Decimal) -> ReduceIntent:
        """Return the trailing stop, in the place of the stop or of an older one."""
        trail = standing.plan.trail
        assert trail is not None, "asked of a plan with a trail"
        symbol, step = standing.intent.symbol, standing.trail
        intent = self._desk.trail(
            symbol,
            trail.trail_bps,
            quantity,
            position_side=standing.intent.position_side,
            policy=trail.how,
            decision_price=self._levels.mark(symbol),
            tag="trail",
            plan_id=standing.intent.intent_id,
            replaces=step.intent_id or standing.stop.intent_id,
        )
        step.intent_id, step.quantity = intent.intent_id, quantity
        standing.stop = Step()
        return intent

    def target(
        self, standing: Standing, number: int, target: PlanTarget, quantity: Decimal, price: Decimal
    ) -> ReduceIntent:
        """Return target ``number`` (from 1), in the place of an older one."""
        step = standing.targets[number - 1]
        intent = self._desk.set_take_profit(
            standing.intent.symbol,
            price,
            quantity,
            position_side=standing.intent.position_side,
            policy=target.how,
            decision_price=price,
            tag=f"target {number}",
            plan_id=standing.intent.intent_id,
            replaces=step.intent_id,
        )
        step.intent_id, step.price, step.quantity = intent.intent_id, price, quantity
        return intent

    def take(self, standing: Standing, number: int, quantity: Decimal) -> ReduceIntent:
        """Return the close that target ``number`` comes to where it waited here."""
        symbol, step = standing.intent.symbol, standing.targets[number - 1]
        intent = self._desk.partial_close(
            symbol,
            quantity,
            position_side=standing.intent.position_side,
            policy=standing.plan.close_how,
            decision_price=self._levels.mark(symbol),
            tag=f"target {number}",
            plan_id=standing.intent.intent_id,
        )
        step.intent_id, step.quantity = intent.intent_id, quantity
        return intent

    def close(self, standing: Standing, why: str) -> ReduceIntent:
        """Return the close of the whole position."""
        symbol = standing.intent.symbol
        intent = self._desk.close(
            symbol,
            position_side=standing.intent.position_side,
            policy=standing.plan.close_how,
            decision_price=self._levels.mark(symbol),
            tag=why,
            plan_id=standing.intent.intent_id,
        )
        standing.closing.intent_id = intent.intent_id
        return intent

    def add(self, standing: Standing, number: int, rung: PlanAdd, held: Decimal) -> Intent:
        """Return rung ``number`` (from 1), with the plan's stop and next target as its own."""
        step, levels = standing.adds[number - 1], self._levels
        price = levels.rung(standing, rung, held)
        target = next(iter(standing.plan.targets), None)
        intent = self._desk.add(
            standing.intent.symbol,
            Side.BUY if held > ZERO else Side.SELL,
            rung.quantity,
            notional=rung.notional,
            position_side=standing.intent.position_side,
            policy=_priced(rung.how, price),
            decision_price=price,
            tag=f"add {number}",
            plan_id=standing.intent.intent_id,
            planned_stop=None if standing.plan.stop is None else levels.stop(standing, held),
            planned_target=None if target is None else levels.target(standing, target, held),
        )
        step.intent_id, step.price = intent.intent_id, price
        step.quantity = rung.quantity or ASKED
        return intent


def _priced(how: ExecutionPolicy, price: Decimal) -> ExecutionPolicy:
    """Return a rung's policy with its price where its kind of order has it."""
    if how.order_type is OrderType.LIMIT:
        return msgspec.structs.replace(how, limit_price=price)
    if how.order_type is OrderType.STOP:
        return msgspec.structs.replace(how, stop_price=price)
    return how
