"""From a scenario's tables to policies, plans and backoffs."""

from __future__ import annotations

from messages import (
    ExecutionPolicy,
    MarketFallback,
    OrderType,
    Plan,
    PlanAdd,
    PlanStop,
    PlanTarget,
    PlanTrail,
    Reprice,
    Retry,
)
from scenarios.model.script import BackoffTable, PlanTable, PolicyTable
from strategies.backoff import StrategyRejectionBackoff


def policy_of(table: PolicyTable, now: int) -> ExecutionPolicy:
    """Return the policy that a table describes, its times counted from ``now``."""
    reprice, fallback, retry = table.reprice, table.fallback, table.retry
    return ExecutionPolicy(
        table.order_type,
        table.time_in_force,
        table.maker,
        table.limit_price,
        table.stop_price,
        table.trail_bps,
        None if table.expire_in is None else now + table.expire_in,
        table.timeout,
        None
        if reprice is None
        else Reprice(reprice.every, reprice.times, reprice.worst_price, reprice.offset_bps),
        None if fallback is None else MarketFallback(fallback.on, fallback.slippage_bps_max),
        None
        if retry is None
        else Retry(retry.times, retry.codes, retry.delay, retry.factor, retry.delay_max),
        table.slippage_bps_max,
        table.partial,
        table.rollback,
        table.if_absent,
    )


def plan_of(table: PlanTable, now: int) -> Plan | None:
    """Return the plan that a table describes, ``None`` for an empty one."""
    if not table.model_fields_set:
        return None
    stop, trail = table.stop, table.trail
    return Plan(
        None
        if stop is None
        else PlanStop(
            stop.price,
            stop.distance_bps,
            stop.limit_offset_bps,
            ExecutionPolicy(
                OrderType.STOP if stop.limit_offset_bps is None else OrderType.STOP_LIMIT
            ),
        ),
        tuple(
            PlanTarget(
                target.price, target.distance_bps, target.share, ExecutionPolicy(target.order_type)
            )
            for target in table.targets
        ),
        None
        if trail is None
        else PlanTrail(trail.trail_bps, trail.activate_price, trail.activate_distance_bps),
        tuple(
            PlanAdd(rung.price, rung.distance_bps, rung.quantity, rung.notional)
            for rung in table.adds
        ),
        None if table.time_stop is None else now + table.time_stop,
        place=table.place,
    )


def backoff_of(table: BackoffTable) -> StrategyRejectionBackoff:
    """Return the backoff that a table describes."""
    return StrategyRejectionBackoff(
        base_s=table.base / 1000,
        factor=table.factor,
        max_s=max(table.base, table.max) / 1000,
        tolerated=table.tolerated,
    )
