"""The intents that a plan's steps become, and what each step notes of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from messages import (
    ExecutionPolicy,
    Intent,
    OrderType,
    PlanAdd,
    PlanPlace,
    PlanTarget,
    ReduceIntent,
    Side,
)
from state.money import BASIS_POINT, ZERO
from strategies.desk import Desk
from strategies.plans.levels import Levels
from strategies.plans.standing import Standing, Step


class Maker:
    """Makes the intents of steps at the strategy's desk, each with its plan's id and its tag."""

    def __init__(self, desk: Desk, levels: Levels) -> None:
        """Make them at ``desk``, at the prices of ``levels``."""
        self._desk = desk
        self._levels = levels

    def stop_policy(self, standing: Standing, held: Decimal, price: Decimal) -> ExecutionPolicy:
        """Return how the stop of a plan that has one is to be executed."""
        stop = standing.plan.stop
        assert stop is not None, "asked of a plan with a stop"
        limit = None
        if stop.limit_offset_bps is not None:
            away = price * stop.limit_offset_bps * BASIS_POINT
            limit = price - away if held > ZERO else price + away
        return msgspec.structs.replace(stop.how, stop_price=price, limit_price=limit)

    def stop(
        self, standing: Standing, quantity: Decimal, price: Decimal, policy: ExecutionPolicy
    ) -> ReduceIntent:
        """Return the stop of the whole position, in the place of what protects it now."""
        return self._guard(
            standing,
            standing.stop,
            self._desk.set_stop(
                standing.intent.symbol,
                price,
                quantity,
                policy=policy,
                decision_price=price,
                tag="stop",
                **self._terms(standing, standing.guards),
            ),
            price,
        )

    def trail_policy(self, standing: Standing) -> ExecutionPolicy:
        """Return how the trailing stop of a plan that has one is to be executed."""
        trail = standing.plan.trail
        assert trail is not None, "asked of a plan with a trail"
        return msgspec.structs.replace(trail.how, trail_bps=trail.trail_bps)

    def trail(self, standing: Standing, quantity: Decimal, policy: ExecutionPolicy) -> ReduceIntent:
        """Return the trailing stop, in the place of what protects the position now."""
        trail, symbol = standing.plan.trail, standing.intent.symbol
        assert trail is not None, "asked of a plan with a trail"
        return self._guard(
            standing,
            standing.trail,
            self._desk.trail(
                symbol,
                trail.trail_bps,
                quantity,
                policy=policy,
                decision_price=self._levels.mark(symbol),
                tag="trail",
                **self._terms(standing, standing.guards),
            ),
            None,
        )

    def _guard(
        self, standing: Standing, step: Step, intent: ReduceIntent, price: Decimal | None
    ) -> ReduceIntent:
        assert intent.quantity is not None, "what protects says how much"
        step.note(intent.intent_id, intent.quantity, price, intent.replaces)
        standing.guards.append(intent.intent_id)
        return intent

    def _terms(self, standing: Standing, chain: list[str]) -> dict[str, Any]:
        """Return what every protective intent of a plan says: whose it is, whose place it takes."""
        return {
            "position_side": standing.intent.position_side,
            "plan_id": standing.intent.intent_id,
            "replaces": chain[-1] if chain else "",
        }

    def target_policy(self, target: PlanTarget, price: Decimal) -> ExecutionPolicy:
        """Return how a target is to be executed."""
        limit = target.how.order_type is OrderType.LIMIT
        field = "limit_price" if limit else "stop_price"
        return msgspec.structs.replace(target.how, **{field: price})

    def target(
        self,
        standing: Standing,
        number: int,
        quantity: Decimal,
        price: Decimal,
        policy: ExecutionPolicy,
    ) -> ReduceIntent:
        """Return target ``number`` (from 1), in the place of an older one."""
        step = standing.targets[number - 1]
        intent = self._desk.set_take_profit(
            standing.intent.symbol,
            price,
            quantity,
            policy=policy,
            decision_price=price,
            tag=f"target {number}",
            **self._terms(standing, step.intents),
        )
        step.note(intent.intent_id, quantity, price, intent.replaces)
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
        step.note(intent.intent_id, quantity)
        return intent

    def close(self, standing: Standing, held: Decimal, why: str) -> ReduceIntent:
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
        standing.closing.note(intent.intent_id, abs(held))
        return intent

    def add(self, standing: Standing, number: int, rung: PlanAdd, held: Decimal) -> Intent:
        """Return rung ``number`` (from 1), with the plan's stop and next target as its own."""
        step = standing.adds[number - 1]
        price = self._levels.rung(standing, rung, held)
        intent = self._desk.add(
            standing.intent.symbol,
            Side.BUY if held > ZERO else Side.SELL,
            rung.quantity,
            position_side=standing.intent.position_side,
            decision_price=price,
            tag=f"add {number}",
            plan_id=standing.intent.intent_id,
            **self.add_terms(standing, rung, held),
        )
        step.note(intent.intent_id, rung.quantity or ZERO, price)
        return intent

    def add_terms(self, standing: Standing, rung: PlanAdd, held: Decimal) -> dict[str, Any]:
        """Return what a rung is judged by: one that rests with the same terms is the same."""
        levels, stop = self._levels, standing.plan.stop
        how = _priced(rung.how, levels.rung(standing, rung, held))
        if standing.plan.place is PlanPlace.HERE and rung.how.order_type is OrderType.STOP:
            how = msgspec.structs.replace(rung.how, order_type=OrderType.MARKET)  # it was met here
        return {
            "notional": rung.notional,
            "policy": how,
            "planned_stop": None if stop is None else levels.stop(standing, held),
            "planned_target": levels.next_target(standing, held),
        }


def _priced(how: ExecutionPolicy, price: Decimal) -> ExecutionPolicy:
    """Return a rung's policy with its price where its kind of order has it."""
    if how.order_type is OrderType.LIMIT:
        return msgspec.structs.replace(how, limit_price=price)
    if how.order_type is OrderType.STOP:
        return msgspec.structs.replace(how, stop_price=price)
    return how
