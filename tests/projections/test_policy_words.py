"""Policies and plans in the words of ``intents.csv``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from session_makers import d

from messages import (
    ExecutionPolicy,
    FallbackOn,
    IfAbsent,
    Maker,
    MarketFallback,
    OrderType,
    PartialFill,
    Plan,
    PlanAdd,
    PlanStop,
    PlanTarget,
    ReasonCode,
    Reprice,
    Retry,
    Rollback,
    TimeInForce,
)
from state.projections.policy_text import plan_text, policy_text

ONE = Decimal(1)


def test_a_policy_is_told_by_what_it_permits() -> None:
    """Defaults are left out, everything else is there, without a comma."""
    whole = ExecutionPolicy(
        OrderType.LIMIT,
        TimeInForce.GTC,
        Maker.PREFER,
        d("100.50"),
        timeout_ms=30_000,
        reprice=Reprice(10_000, 3, d(105), d(2)),
        fallback=MarketFallback((FallbackOn.REJECT, FallbackOn.TIMEOUT), d(15)),
        retry=Retry(2, (ReasonCode.VENUE_REJECTED,), 500),
        slippage_bps_max=d(20),
        partial=PartialFill.ACCEPT,
        rollback=Rollback.IF_UNFILLED,
        if_absent=IfAbsent.SYNC,
    )

    assert "market gtc" == policy_text(ExecutionPolicy())
    assert "stop gtc stop_price=90" == policy_text(
        ExecutionPolicy(OrderType.STOP, stop_price=d("9E+1"))
    )
    assert (
        "limit gtc maker=prefer limit_price=100.50 timeout_ms=30000 reprice=3x10000 "
        "worst_price=105 offset_bps=2 fallback=reject|timeout fallback_slippage_bps_max=15 "
        "retry=2 retry_codes=venue_rejected retry_delay_ms=500x2..60000 slippage_bps_max=20 "
        "partial=accept rollback=if_unfilled if_absent=sync"
    ) == policy_text(whole)


def test_policies_that_differ_read_differently() -> None:
    """Each field of a policy that is not its default is in the text."""
    plain = policy_text(ExecutionPolicy())
    changes: dict[str, Any] = {
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.IOC,
        "maker": Maker.ONLY,
        "limit_price": ONE,
        "stop_price": ONE,
        "trail_bps": ONE,
        "expire_at": 1,
        "timeout_ms": 1,
        "reprice": Reprice(1, 1, ONE),
        "fallback": MarketFallback((FallbackOn.REJECT,)),
        "retry": Retry(1, (ReasonCode.VENUE_REJECTED,)),
        "slippage_bps_max": ONE,
        "partial": PartialFill.ACCEPT,
        "rollback": Rollback.IF_UNFILLED,
        "if_absent": IfAbsent.SYNC,
    }
    texts = {policy_text(replace(ExecutionPolicy(), **{name: changes[name]})) for name in changes}

    assert set(ExecutionPolicy.__struct_fields__) == set(changes)
    assert len(changes) == len(texts - {plain})


def test_a_plan_is_told_by_its_steps() -> None:
    """Where each is and how much of the position it is for; taking one back is no step."""
    plan = Plan(
        PlanStop(distance_bps=d(80)),
        (PlanTarget(price=d(110), share=d("0.5")),),
        adds=(PlanAdd(price=d(90), quantity=d(2)), PlanAdd(distance_bps=d(300), notional=d(50))),
    )

    assert "stop=80bps target=110x0.5 add=90x2 add=300bpsx50worth place=venue" == plan_text(plan)
    assert "none" == plan_text(None)
