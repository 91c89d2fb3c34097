"""Policies and plans on one line: what each asks for, and nothing that it leaves as it is."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from messages import MARKET, ExecutionPolicy, IfAbsent, Maker, PartialFill, Plan, Rollback
from state.money import plain
from state.projections.timestamps import iso_ms

PLAINEST: Final = "market gtc"


def policy_text(policy: ExecutionPolicy) -> str:
    """
    Return ``policy`` as words separated by spaces, without a comma, the same for equal policies.

    Its order type and time in force, then ``name=value`` for every term that is not the default.
    """
    return PLAINEST if policy is MARKET else " ".join(_words(policy))


def _words(policy: ExecutionPolicy) -> Iterator[str]:
    yield policy.order_type.value
    yield policy.time_in_force.value
    if policy.maker is not Maker.ANY:
        yield f"maker={policy.maker.value}"
    for name in ("limit_price", "stop_price", "trail_bps"):
        amount = getattr(policy, name)
        if amount is not None:
            yield f"{name}={plain(amount)}"
    if policy.expire_at is not None:
        yield f"expire_at={iso_ms(policy.expire_at)}"
    if policy.timeout_ms is not None:
        yield f"timeout_ms={policy.timeout_ms}"
    yield from _what_follows(policy)
    if policy.slippage_bps_max is not None:
        yield f"slippage_bps_max={plain(policy.slippage_bps_max)}"
    if policy.partial is not PartialFill.PURSUE:
        yield f"partial={policy.partial.value}"
    if policy.rollback is not Rollback.NEVER:
        yield f"rollback={policy.rollback.value}"
    if policy.if_absent is not IfAbsent.REFUSE:
        yield f"if_absent={policy.if_absent.value}"


def _what_follows(policy: ExecutionPolicy) -> Iterator[str]:
    """Yield what a policy permits after its first order."""
    reprice, fallback, retry = policy.reprice, policy.fallback, policy.retry
    if reprice is not None:
        yield f"reprice={reprice.times}x{reprice.every_ms}"
        yield f"worst_price={plain(reprice.worst_price)}"
        if reprice.offset_bps:
            yield f"offset_bps={plain(reprice.offset_bps)}"
    if fallback is not None:
        yield f"fallback={'|'.join(reason.value for reason in fallback.on)}"
        if fallback.slippage_bps_max is not None:
            yield f"fallback_slippage_bps_max={plain(fallback.slippage_bps_max)}"
    if retry is not None:
        yield f"retry={retry.times}"
        yield f"retry_codes={'|'.join(code.value for code in retry.codes)}"
        yield f"retry_delay_ms={retry.delay_ms}x{retry.factor}..{retry.delay_ms_max}"


def plan_text(plan: Plan | None) -> str:
    """Return the steps of ``plan`` as words: where each is, and how much it is of."""
    return "none" if plan is None else " ".join(_steps(plan))


def _steps(plan: Plan) -> Iterator[str]:
    if plan.stop is not None:
        yield f"stop={_where(plan.stop.price, plan.stop.distance_bps)}"
    for target in plan.targets:
        part = "" if target.share == 1 else f"x{plain(target.share)}"
        yield f"target={_where(target.price, target.distance_bps)}{part}"
    if plan.trail is not None:
        trail = plan.trail
        yield f"trail={plain(trail.trail_bps)}bps"
        if trail.activate_price is not None or trail.activate_distance_bps is not None:
            yield f"activate={_where(trail.activate_price, trail.activate_distance_bps)}"
    for rung in plan.adds:
        much = f"x{plain(rung.quantity)}" if rung.quantity is not None else ""
        if rung.notional is not None:
            much = f"x{plain(rung.notional)}worth"
        yield f"add={_where(rung.price, rung.distance_bps)}{much}"
    if plan.time_stop is not None:
        yield f"time_stop={iso_ms(plan.time_stop)}"
    yield f"place={plan.place.value}"


def _where(price: Decimal | None, distance_bps: Decimal | None) -> str:
    if price is not None:
        return plain(price)
    return "" if distance_bps is None else f"{plain(distance_bps)}bps"
