"""What a strategy's intents must be made of: anything else is its own failure, and is named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from neighbours import beside_a_neighbour, check_only_evil_failed, market
from session_world import BTC, START, Script, on_bars

from messages import (
    ActorFailed,
    CancelIntent,
    ExecutionPolicy,
    FallbackOn,
    IntentAction,
    Maker,
    MarketFallback,
    OpenIntent,
    OrderType,
    Plan,
    PlanStop,
    ReasonCode,
    Reprice,
    Retry,
    Rollback,
    Side,
)

ONE = Decimal(1)


@pytest.mark.parametrize(
    "malformed",
    [
        {"quantity": 0.5},
        {"quantity": "1"},
        {"quantity": None},
        {"quantity": Decimal("NaN")},
        {"quantity": Decimal("sNaN")},
        {"quantity": Decimal("Infinity")},
        {"side": "buy"},
        {"side": None},
        {"symbol": None},
        {"symbol": ["BTC/USDT"]},
        {"position_side": "both"},
        {"policy": None},
        {"policy": ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=99.5)},  # type: ignore[arg-type]
        {"policy": ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal("NaN"))},
        {"policy": ExecutionPolicy(order_type=OrderType.STOP, stop_price=Decimal("Infinity"))},
        {"policy": ExecutionPolicy(order_type="limit", limit_price=ONE)},  # type: ignore[arg-type]
        {"valid_until": "soon"},
        {"quantity": Decimal("1e60")},
        {"quantity": Decimal("1e999999")},
        {"quantity": Decimal("-1e60")},
        {"policy": ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal("1e60"))},
        {"policy": ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal("1e-60"))},
        {"policy": ExecutionPolicy(order_type=OrderType.STOP, stop_price=Decimal("1e999999"))},
        {"tag": 5},
        {"decision_price": "100"},
        {"decision_price": float("nan")},
        {"decision_price": Decimal("sNaN")},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_malformed_intent_is_its_strategys_failure_and_not_risks(
    malformed: dict[str, Any],
) -> None:
    """A float where money belongs, NaN, a text for a side: refused, or its own failure."""
    script = on_bars({1: lambda desk: [market(desk, **malformed)]})
    world = beside_a_neighbour(script).run()

    assert {failed.actor for failed in world.all(ActorFailed)} <= {"strategy:evil"}
    assert world.session.halted is None
    assert "abc-1-1" not in world.sent()
    assert world.life("abc-2-1")[-1] == "filled"


LIMIT_TERMS: dict[str, Any] = {"order_type": OrderType.LIMIT, "limit_price": Decimal(50)}


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ({"timeout_ms": 0}, "policy.timeout_ms"),
        ({"timeout_ms": 2**60}, "policy.timeout_ms"),
        ({"timeout_ms": 0.5}, "policy"),
        ({"slippage_bps_max": Decimal(-1)}, "policy.slippage_bps_max"),
        ({"slippage_bps_max": 5.0}, "policy.slippage_bps_max"),
        ({"order_type": OrderType.MARKET, "maker": Maker.PREFER}, "policy.maker"),
        (
            {"order_type": OrderType.MARKET, "fallback": MarketFallback((FallbackOn.TIMEOUT,))},
            "policy.fallback",
        ),
        ({"fallback": MarketFallback(on=())}, "policy.fallback.on"),
        ({"fallback": True}, "policy"),
        (
            {"order_type": OrderType.MARKET, "reprice": Reprice(1_000, 1, Decimal(60))},
            "policy.reprice",
        ),
        ({"reprice": Reprice(0, 1, Decimal(60))}, "policy.reprice.every_ms"),
        ({"reprice": Reprice(1_000, 0, Decimal(60))}, "policy.reprice.times"),
        ({"reprice": Reprice(1_000, 10**6, Decimal(60))}, "policy.reprice.times"),
        ({"reprice": Reprice(1_000, 1, Decimal(0))}, "policy.reprice.worst_price"),
        ({"reprice": Reprice(1_000, 1, 60.5)}, "policy"),
        (
            {"reprice": Reprice(1_000, 1, Decimal(60), Decimal(-1))},
            "policy.reprice.offset_bps",
        ),
        ({"retry": Retry(0, (ReasonCode.VENUE_REJECTED,))}, "policy.retry.times"),
        ({"retry": Retry(1, ())}, "policy.retry.codes"),
        (
            {"retry": Retry(1, (ReasonCode.VENUE_REJECTED,), delay_ms=10, delay_ms_max=5)},
            "policy.retry.delay_ms",
        ),
        ({"retry": Retry(1, (ReasonCode.VENUE_REJECTED,), factor=0)}, "policy.retry.factor"),
        ({"partial": "accept_some"}, "policy"),
        ({"rollback": Rollback.IF_UNFILLED}, "policy.rollback"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_policy_that_contradicts_itself_fails_its_strategy_and_is_named(
    terms: dict[str, Any], named: str
) -> None:
    """What was found and what was expected of which term, before anything of it is journaled."""
    policy = ExecutionPolicy(**{**LIMIT_TERMS, **terms})
    script = on_bars({1: lambda desk: [market(desk, policy=policy)]})
    world = beside_a_neighbour(script).run()

    check_only_evil_failed(world)
    (failed,) = world.all(ActorFailed)
    assert f"MalformedIntent: {named}" in failed.error
    assert "expected" in failed.error


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"action": IntentAction.CLOSE}, "action"),
        ({"action": "entry"}, "action"),
        ({"notional": 5.0}, "notional"),
        ({"notional": Decimal("NaN")}, "notional"),
        ({"plan_id": None}, "plan_id"),
        ({"planned_stop": Decimal("Infinity")}, "planned_stop"),
    ],
    ids=str,
)
def test_an_action_or_a_size_of_another_kind_is_named(changed: dict[str, Any], named: str) -> None:
    """An opening intent cannot call itself a close."""
    script = on_bars({1: lambda desk: [market(desk, **changed)]})
    world = beside_a_neighbour(script).run()

    check_only_evil_failed(world)
    assert f"MalformedIntent: {named}" in world.all(ActorFailed)[0].error


def test_a_close_cannot_be_an_opening() -> None:
    """Every action that adds is refused in an intent that only reduces."""
    script = on_bars(
        {1: lambda desk: [desk.reduce(BTC, Side.SELL, ONE, action=IntentAction.ENTRY)]}
    )
    check_only_evil_failed(beside_a_neighbour(script).run())


@pytest.mark.parametrize(
    "malformed",
    [
        lambda desk: desk.cancel(BTC, None),
        lambda desk: desk.cancel(None),
        lambda desk: desk.cancel(BTC, 5),
        lambda desk: desk.cancel(BTC, "abc-1-1", tag=None),
        lambda desk: CancelIntent("abc-1-9", "evil", BTC, "now"),  # type: ignore[arg-type]
        lambda desk: desk.pause(START, "over already"),
        lambda desk: desk.pause(None, "until when?"),
        lambda desk: desk.pause(START + 10**9, None),
        lambda desk: desk.update_plan(BTC, "a plan"),
        lambda desk: desk.update_plan(BTC, Plan(stop=PlanStop(price=99.5))),
        lambda desk: desk.update_plan(BTC, Plan(), position_side="both"),
        lambda desk: OpenIntent("abc-1-9", "evil", BTC, Side.BUY, ONE, None),  # type: ignore[arg-type]
        lambda desk: OpenIntent(None, "evil", BTC, Side.BUY, ONE, START),  # type: ignore[arg-type]
    ],
    ids=[
        "no id",
        "no symbol",
        "number",
        "no tag",
        "cancel's time",
        "pause that is over",
        "pause without an end",
        "pause without a reason",
        "no plan",
        "plan with a float",
        "plan's side",
        "intent's time",
        "no intent id",
    ],
)
def test_every_field_of_whatever_a_strategy_returns_is_of_its_type(malformed: Any) -> None:
    """What is journaled can be read back: a None where a text belongs never gets that far."""
    script = on_bars({1: lambda desk: [malformed(desk)]})
    world = beside_a_neighbour(script).run()

    assert {failed.actor for failed in world.all(ActorFailed)} == {"strategy:evil"}
    assert world.life("abc-2-1")[-1] == "filled"


def test_a_strategy_that_keeps_sending_malformed_intents_never_halts_the_session() -> None:
    """A user's float at every bar ends in a quarantine of that strategy, not in exit code 6."""
    script = Script()
    script.on_bar = lambda strategy, _bar: [market(strategy.desk, quantity=0.5)]
    world = beside_a_neighbour(script).run()

    assert world.session.halted is None
    assert world.life("abc-2-1")[-1] == "filled"
