"""Risk in a running session: the same promises through mailboxes, venue and restarts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from session_world import BTC, ETH, Script, flat, make_world, on_bars

from actors.risk import RiskLimits
from actors.runtime import CellState, Mailbox
from messages import (
    ActorFailed,
    CancelIntent,
    ExecutionPolicy,
    Lane,
    OpenIntent,
    OrderType,
    ReasonCode,
    RiskDecision,
    Side,
    Verdict,
)

ONE = Decimal(1)
FAR_BELOW = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))


def refused(world: Any) -> list[tuple[str, list[ReasonCode]]]:
    return [
        (d.intent_id, [cause.code for cause in d.causes])
        for d in world.all(RiskDecision)
        if d.verdict is Verdict.DENIED
    ]


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_a_close_resting_at_the_venue_counts_until_it_is_cancelled(queued: bool) -> None:
    """A second close is refused while the first rests, and goes out once it is gone."""
    resting = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(200))
    script = on_bars(
        {
            0: lambda d: [d.open(BTC, Side.BUY, ONE)],
            2: lambda d: [d.reduce(BTC, Side.SELL, ONE, policy=resting)],
            3: lambda d: [d.reduce(BTC, Side.SELL, ONE)],
            4: lambda d: [d.cancel(BTC, "abc-1-2")],
            5: lambda d: [d.reduce(BTC, Side.SELL, ONE)],
        }
    )
    world = make_world(flat(BTC, 8), script.spec(), queued=queued).run()

    assert refused(world) == [("abc-1-3", [ReasonCode.REDUCE_ONLY_WOULD_OPEN])]
    assert world.life("abc-1-5")[-1] == "filled"


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_an_intent_repeated_after_a_restart_of_risk_is_refused_and_harms_nobody(
    queued: bool,
) -> None:
    """A copy of a filled order's intent is a duplicate, and never reaches Execution."""
    script = Script()
    kept: list[OpenIntent] = []

    def decide(strategy: Any, _bar: Any) -> Any:
        number = len(script.seen)
        if number == 3:
            kept.append(strategy.desk.open(BTC, Side.BUY, ONE))
            return kept
        if number == 6:
            return [strategy.desk.open(BTC, Side.BUY, ONE)]  # Risk fails on this one
        return kept if number == 9 else None

    script.on_bar = decide
    world = make_world(flat(BTC, 14), script.spec(), queued=queued)
    world.poison("risk", OpenIntent, when=lambda _m, count: count == 2)
    world.run()

    assert {event.actor for event in world.all(ActorFailed)} == {"risk"}
    # The copy is old by then: both reasons are recorded.
    causes = [ReasonCode.DUPLICATE_INTENT, ReasonCode.INTENT_EXPIRED]
    assert ("abc-1-1", causes) in refused(world)


def test_reserved_cash_is_released_by_each_way_an_order_can_end() -> None:
    """After cancels, an expiry and fills nothing is reserved and all the cash is there."""
    expiring = ExecutionPolicy(
        order_type=OrderType.LIMIT,
        limit_price=Decimal(50),
        expire_at=flat(BTC, 4)[3].timestamp,
    )
    script = on_bars(
        {
            0: lambda d: [
                d.open(BTC, Side.BUY, ONE, policy=FAR_BELOW),
                d.open(BTC, Side.BUY, ONE, policy=expiring),
                d.open(BTC, Side.BUY, ONE),
            ],
            2: lambda d: [d.cancel(BTC, "abc-1-1"), d.reduce(BTC, Side.SELL, ONE)],
        }
    )
    world = make_world(flat(BTC, 8), script.spec(), cash=200).run()
    risk: Any = world.cell("risk").actor

    assert [world.life(f"abc-1-{n}")[-1] for n in (1, 2, 3)] == ["cancelled", "expired", "filled"]
    assert risk.view.reserved_cash == 0
    assert risk.view.free_cash() == 200


def test_a_cancel_never_waits_for_room_in_a_full_mailbox_without_an_answer() -> None:
    """A cancel that Risk's full REDUCE lane turns away is answered or escalated, not a crash."""
    script = on_bars({0: lambda d: [d.cancel(BTC) for _ in range(1_000)]})
    world = make_world({BTC: flat(BTC, 3), ETH: flat(ETH, 3)}, script.spec())
    risk = world.cell("risk")
    risk.mailbox = Mailbox("risk", {Lane.REDUCE: 100})
    world.before_turn(0, lambda _w: risk.become(CellState.RESTARTING))
    world.run()

    assert len(world.all(CancelIntent)) == 1_000
    assert world.session.turns == 3


def test_a_plan_reaches_the_guard_that_judges_it_as_exact_as_it_was_written() -> None:
    """A strategy gives its stop and target as it sees prices; two orders differ in a tenth."""
    plans = ({"planned_stop": 99.9, "planned_target": target} for target in (100.2, 100.1))
    script = on_bars(
        {
            n: lambda d, plan=plan: [d.open(BTC, Side.BUY, ONE, **plan)]
            for n, plan in enumerate(plans)
        }
    )
    world = make_world(
        flat(BTC, 4), script.spec(), limits=RiskLimits(min_reward_to_risk=Decimal(2))
    ).run()

    assert [("abc-1-2", [ReasonCode.REWARD_TO_RISK])] == refused(world)


@pytest.mark.parametrize("field", ["planned_stop", "planned_target"])
@pytest.mark.parametrize("value", [99.5, Decimal("NaN"), "99"], ids=["float", "nan", "text"])
def test_a_malformed_plan_is_its_strategys_failure_and_not_risks(field: str, value: Any) -> None:
    """An intent made by hand, with a price that is none, never reaches a guard."""

    def made(desk: Any) -> list[Any]:
        return [replace(desk.open(BTC, Side.BUY, ONE), **{field: value})]

    world = make_world(
        flat(BTC, 3),
        on_bars({0: made}).spec(),
        limits=RiskLimits(min_reward_to_risk=Decimal(2)),
    ).run()

    assert ["strategy:one"] == [failed.actor for failed in world.all(ActorFailed)]
    assert f"{field} is" in world.all(ActorFailed)[0].error
