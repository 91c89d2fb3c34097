"""Whatever happens to the orders of one intent: no more is asked for than was meant."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pursuits import BOTH, HUNDRED, NOW, TIMED_OUT, intent, limit, only

from actors.execution.pursuit import Pursuit, Stage
from messages import (
    Cause,
    ExecutionPolicy,
    FallbackOn,
    FollowUpReason,
    IntentEnded,
    Maker,
    MarketFallback,
    OpenFollowUp,
    OrderEvent,
    PartialFill,
    PositionSide,
    ReasonCode,
    ReduceFollowUp,
    ReduceIntent,
    Reprice,
    Retry,
    Side,
)

policies = st.builds(
    limit,
    maker=st.sampled_from(Maker),
    timeout_ms=st.none() | st.integers(1, 50),
    reprice=st.none() | st.builds(Reprice, st.integers(1, 20), st.integers(1, 3), st.just(HUNDRED)),
    fallback=st.none()
    | st.builds(
        MarketFallback, st.lists(st.sampled_from(FallbackOn), min_size=1, max_size=2).map(tuple)
    ),
    retry=st.none()
    | st.builds(
        Retry,
        st.integers(1, 3),
        st.just((ReasonCode.VENUE_REJECTED, ReasonCode.ANSWER_LOST)),
        st.integers(1, 10),
    ),
    partial=st.sampled_from(PartialFill),
).filter(lambda policy: policy.pursues)
CODES = (
    ReasonCode.VENUE_REJECTED,
    ReasonCode.POST_ONLY_WOULD_TAKE,
    ReasonCode.IOC_REMAINDER,
    ReasonCode.VENUE_INSUFFICIENT_FUNDS,
    ReasonCode.ORDER_EXPIRED,
)
happenings = st.lists(
    st.tuples(
        st.sampled_from(("fill", "end", "time", "deny", "stop")),
        st.integers(1, 60),
        st.sampled_from(CODES),
    ),
    max_size=40,
)


@given(policies, happenings)
def test_whatever_happens_no_more_is_asked_for_than_was_meant(
    policy: ExecutionPolicy, happened: list[tuple[str, int, ReasonCode]]
) -> None:
    """
    One order at a time, each for the rest, of a kind and so often as the policy permits.

    And when it is over it stays over, having said so exactly once.
    """
    pursuit = Pursuit(intent(policy), Decimal(3))
    pursuit.sent(NOW)
    now, live, ends = NOW, Decimal(3), 0
    reasons: list[FollowUpReason] = []
    for what, amount, code in happened:
        now += amount
        moves: list[Any] = []
        match what:
            case "fill" if live:
                part = min(live, Decimal(amount) / 40)
                live -= part
                moves = pursuit.filled_by(part, now, whole=not live)
            case "end" if live:
                cancelling = pursuit.stage is Stage.CANCELLING
                event = OrderEvent.CANCELLED if cancelling else OrderEvent.REJECTED
                cause = Cause(ReasonCode.TIMED_OUT if cancelling else code)
                live = Decimal(0)
                _, moves = pursuit.ended(event, cause, now, Decimal(99))
            case "time":
                moves = pursuit.woken(now, Decimal(amount))
            case "deny" if not live:
                moves = pursuit.denied((Cause(code),), now)
            case "stop":
                moves = pursuit.stop(Cause(ReasonCode.CANCEL_REQUESTED), now)
                live = Decimal(0) if pursuit.stage is Stage.OVER else live
        for move in moves:
            if isinstance(move, IntentEnded):
                ends += 1
            elif isinstance(move, OpenFollowUp):
                assert not live, "one order at a time"
                assert pursuit.quantity - pursuit.filled == move.quantity
                assert not move.policy.pursues or move.policy.maker is Maker.PREFER
                reasons.append(move.because)
                live = move.quantity
                pursuit.taken_up(move.intent_id)
                pursuit.sent(now)

    retries, reprices = policy.retry, policy.reprice
    assert ends == (pursuit.stage is Stage.OVER)
    assert pursuit.filled <= pursuit.quantity
    assert reasons.count(FollowUpReason.RETRY) <= (retries.times if retries else 0)
    assert reasons.count(FollowUpReason.REPRICE) <= (reprices.times if reprices else 0)
    fallbacks = [r for r in reasons if r.value.startswith("fallback")]
    assert len(fallbacks) <= (policy.fallback is not None)
    for reason in fallbacks:
        assert policy.fallback is not None
        assert reason.value.removeprefix("fallback_") in policy.fallback.on
    assert FollowUpReason.TAKE not in reasons or policy.maker is Maker.PREFER


def test_a_follow_up_of_a_reduction_can_only_reduce() -> None:
    """Its class is the intent's: no hold on openings covers it, and it cannot open."""
    root = ReduceIntent(
        "abc-1-7",
        "one",
        "BTC/USDT",
        Side.SELL,
        Decimal(3),
        NOW,
        PositionSide.LONG,
        limit(timeout_ms=1, fallback=BOTH),
    )
    pursuit = Pursuit(root, Decimal(3))
    pursuit.sent(NOW)
    pursuit.woken(NOW + 1, HUNDRED)
    _, moves = pursuit.ended(OrderEvent.CANCELLED, TIMED_OUT, NOW + 1, HUNDRED)

    assert PositionSide.LONG is only(moves, ReduceFollowUp).position_side
