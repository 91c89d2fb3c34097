"""One intent and the orders that its policy permits: decided from values alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pursuits import BOTH, HUNDRED, NOW, TIMED_OUT, intent, limit, only

from actors.execution.pursuit import CancelOrder, Pursuit, Stage, WakeAt
from messages import (
    MARKET,
    Cause,
    ExecutionPolicy,
    FallbackOn,
    FollowUpReason,
    IntentEnded,
    Maker,
    MarketFallback,
    OpenFollowUp,
    OrderEvent,
    OrderType,
    PartialFill,
    ReasonCode,
    ReduceFollowUp,
    ReduceIntent,
    Reprice,
    Retry,
    Side,
    TimeInForce,
)

REFUSED = Cause(ReasonCode.VENUE_REJECTED)


def working(policy: ExecutionPolicy, **terms: Any) -> Pursuit:
    """Return a pursuit whose first order is at the venue."""
    pursuit = Pursuit(intent(policy, **terms), Decimal(3))
    pursuit.sent(NOW)
    return pursuit


# -- timeouts


def test_the_timeout_counts_from_the_first_sending() -> None:
    """Neither the verdict nor the journal's commit shortens an order's time."""
    pursuit = Pursuit(intent(limit(timeout_ms=5_000)), Decimal(3))

    assert [WakeAt(NOW + 5_000)] == pursuit.sent(NOW)
    assert [WakeAt(NOW + 5_000)] == pursuit.woken(NOW + 4_999, HUNDRED)


def test_an_order_whose_time_is_over_is_cancelled_first() -> None:
    """Nothing follows before the venue has ended it."""
    pursuit = working(limit(timeout_ms=5_000, fallback=BOTH))
    moves = pursuit.woken(NOW + 5_000, HUNDRED)

    assert "abc-1-7" == only(moves, CancelOrder).order_id
    assert ReasonCode.TIMED_OUT is only(moves, CancelOrder).cause.code
    assert Stage.CANCELLING is pursuit.stage
    assert not [move for move in moves if isinstance(move, OpenFollowUp)]


def test_what_is_left_goes_out_at_market_where_that_is_permitted() -> None:
    """The rest and no more, in the intent's own book, with its validity and its decision."""
    pursuit = working(
        limit(timeout_ms=5_000, fallback=MarketFallback((FallbackOn.TIMEOUT,), Decimal(20))),
        valid_until=NOW + 60_000,
        decision_price=HUNDRED,
        tag="entry",
    )
    pursuit.filled_by(Decimal(1), NOW, whole=False)
    pursuit.woken(NOW + 5_000, HUNDRED)
    then, moves = pursuit.ended(OrderEvent.CANCELLED, TIMED_OUT, NOW + 5_010, HUNDRED)
    follow = only(moves, OpenFollowUp)

    assert FollowUpReason.FALLBACK_TIMEOUT is then
    assert ("abc-1-7-2", "abc-1-7", Decimal(2)) == (
        follow.intent_id,
        follow.root_id,
        follow.quantity,
    )
    assert ExecutionPolicy(OrderType.MARKET, slippage_bps_max=Decimal(20)) == follow.policy
    assert (NOW + 60_000, HUNDRED, "entry", NOW + 5_010) == (
        follow.valid_until,
        follow.decision_price,
        follow.tag,
        follow.created_at,
    )


def test_a_fallback_that_is_on_its_way_has_no_timeout() -> None:
    """The time of the intent is over: it must not end the very order that makes up for it."""
    pursuit = working(limit(timeout_ms=5_000, fallback=BOTH))
    pursuit.woken(NOW + 5_000, HUNDRED)
    pursuit.ended(OrderEvent.CANCELLED, TIMED_OUT, NOW + 5_000, HUNDRED)
    pursuit.taken_up("abc-1-7-2")

    assert [] == pursuit.sent(NOW + 5_000)
    assert [] == pursuit.woken(NOW + 99_000, HUNDRED)


def test_a_fill_that_crosses_the_cancel_leaves_nothing_to_pursue() -> None:
    """Filled whole by the time the venue has ended it, it is over and nothing is missing."""
    pursuit = working(limit(timeout_ms=5_000, fallback=BOTH))
    pursuit.woken(NOW + 5_000, HUNDRED)
    pursuit.filled_by(Decimal(3), NOW + 5_001, whole=False)
    then, moves = pursuit.ended(OrderEvent.CANCELLED, TIMED_OUT, NOW + 5_010, HUNDRED)

    assert then is None
    assert (Decimal(3), None) == (only(moves, IntentEnded).filled, only(moves, IntentEnded).cause)


def test_without_a_fallback_the_time_ends_it() -> None:
    """What was filled stands, the rest is given up, and the end says why."""
    pursuit = working(limit(timeout_ms=5_000))
    pursuit.filled_by(Decimal(1), NOW, whole=False)
    pursuit.woken(NOW + 5_000, HUNDRED)
    then, moves = pursuit.ended(OrderEvent.CANCELLED, TIMED_OUT, NOW + 5_010, HUNDRED)
    ended = only(moves, IntentEnded)

    assert then is None
    assert (Decimal(1), 1, TIMED_OUT) == (ended.filled, ended.orders, ended.cause)


@pytest.mark.parametrize("code", [ReasonCode.IOC_REMAINDER, ReasonCode.FOK_UNFILLABLE])
def test_what_had_to_be_filled_at_once_and_was_not_is_out_of_time(code: ReasonCode) -> None:
    """Its timeout was zero: a fallback for timeouts covers it, one for refusals does not."""
    for permitted, reasons in ((True, FallbackOn.TIMEOUT), (False, FallbackOn.REJECT)):
        pursuit = working(limit(time_in_force=TimeInForce.IOC, fallback=MarketFallback((reasons,))))
        then, _ = pursuit.ended(OrderEvent.CANCELLED, Cause(code), NOW, HUNDRED)

        assert (FollowUpReason.FALLBACK_TIMEOUT if permitted else None) is then


def test_an_accepted_part_is_not_pursued() -> None:
    """`partial = accept`: a part is enough, nothing at all is not."""
    for filled, expected in ((Decimal(1), None), (Decimal(0), FollowUpReason.FALLBACK_TIMEOUT)):
        pursuit = working(limit(timeout_ms=1, fallback=BOTH, partial=PartialFill.ACCEPT))
        if filled:
            pursuit.filled_by(filled, NOW, whole=False)
        pursuit.woken(NOW + 1, HUNDRED)
        then, _ = pursuit.ended(OrderEvent.CANCELLED, TIMED_OUT, NOW + 1, HUNDRED)

        assert expected is then


# -- refusals


@pytest.mark.parametrize(
    "code",
    [
        ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        ReasonCode.VENUE_REDUCE_ONLY,
        ReasonCode.VENUE_RATE_LIMITED,
        ReasonCode.DUPLICATE_CLIENT_ORDER_ID,
        ReasonCode.ANSWER_LOST,
    ],
)
def test_a_refusal_that_a_market_order_would_meet_too_has_none_follow(code: ReasonCode) -> None:
    """A fallback is for orders that could not be, not for accounts that cannot pay."""
    pursuit = working(limit(fallback=BOTH))
    then, moves = pursuit.ended(OrderEvent.REJECTED, Cause(code), NOW, HUNDRED)

    assert then is None
    assert code is only(moves, IntentEnded).cause.code


@pytest.mark.parametrize("event", [OrderEvent.REJECTED, OrderEvent.PROVEN_ABSENT])
def test_a_refusal_after_the_intent_was_stopped_has_nothing_follow(event: OrderEvent) -> None:
    """Whoever cancelled it wants no second order, whatever the venue made of the first."""
    codes = (ReasonCode.VENUE_REJECTED, ReasonCode.NEVER_ARRIVED)
    pursuit = working(limit(retry=Retry(3, codes), fallback=BOTH))
    pursuit.stop(Cause(ReasonCode.CANCEL_REQUESTED), NOW)
    then, moves = pursuit.ended(event, REFUSED, NOW, HUNDRED)

    assert then is None
    assert REFUSED == only(moves, IntentEnded).cause


def test_an_order_that_never_arrived_is_made_up_for_where_the_policy_falls_back_on_refusals() -> (
    None
):
    """Nobody has it, and the venue that said so can be reached again."""
    never = Cause(ReasonCode.NEVER_ARRIVED)
    falls_back = working(limit(fallback=MarketFallback((FallbackOn.REJECT,))))
    then, moves = falls_back.ended(OrderEvent.PROVEN_ABSENT, never, NOW, HUNDRED)
    waits = working(limit(timeout_ms=5_000, fallback=MarketFallback((FallbackOn.TIMEOUT,))))
    not_named, over = waits.ended(OrderEvent.PROVEN_ABSENT, never, NOW, HUNDRED)

    assert FollowUpReason.FALLBACK_REJECT is then
    assert Decimal(3) == only(moves, OpenFollowUp).quantity
    assert (None, never) == (not_named, only(over, IntentEnded).cause)


def test_a_fallback_that_never_arrived_is_the_last_of_its_intent() -> None:
    """One market order is permitted; that nobody has it does not make it two."""
    never = Cause(ReasonCode.NEVER_ARRIVED)
    pursuit = working(limit(fallback=BOTH))
    pursuit.ended(OrderEvent.PROVEN_ABSENT, never, NOW, HUNDRED)
    pursuit.taken_up("abc-1-7-2")
    pursuit.sent(NOW)
    then, moves = pursuit.ended(OrderEvent.PROVEN_ABSENT, never, NOW, HUNDRED)

    assert then is None
    assert never == only(moves, IntentEnded).cause


def test_an_order_that_never_arrived_is_tried_again_where_the_policy_names_that() -> None:
    """It is a refusal like others: by its code, and not without."""
    never = Cause(ReasonCode.NEVER_ARRIVED)
    named = working(limit(retry=Retry(1, (ReasonCode.NEVER_ARRIVED,))))
    unnamed = working(limit(retry=Retry(1, (ReasonCode.VENUE_REJECTED,))))

    assert FollowUpReason.RETRY is named.ended(OrderEvent.PROVEN_ABSENT, never, NOW, HUNDRED)[0]
    assert None is unnamed.ended(OrderEvent.PROVEN_ABSENT, never, NOW, HUNDRED)[0]


def test_retries_wait_longer_each_time_and_end() -> None:
    """Delays grow by the factor up to the bound; past the last one the refusal stands."""
    retry = Retry(3, (ReasonCode.VENUE_REJECTED,), 1_000, 4, 9_000)
    pursuit = working(limit(retry=retry))
    delays = []
    now = NOW
    for number in range(2, 5):
        then, moves = pursuit.ended(OrderEvent.REJECTED, REFUSED, now, HUNDRED)
        at = only(moves, WakeAt).at
        delays.append(at - now)

        assert FollowUpReason.RETRY is then
        assert [WakeAt(at)] == pursuit.woken(at - 1, HUNDRED)
        now = at
        follow = only(pursuit.woken(now, HUNDRED), OpenFollowUp)
        assert (f"abc-1-7-{number}", limit()) == (follow.intent_id, follow.policy)
        pursuit.taken_up(follow.intent_id)
        pursuit.sent(now)
    then, moves = pursuit.ended(OrderEvent.REJECTED, REFUSED, now, HUNDRED)

    assert [1_000, 4_000, 9_000] == delays
    assert then is None
    assert (4, 3) == (only(moves, IntentEnded).orders, only(moves, IntentEnded).retries)


def test_a_fallback_that_is_refused_is_tried_again_at_market() -> None:
    """The intent's time is over: a limit order would rest from then on without any."""
    retry = Retry(2, (ReasonCode.VENUE_REJECTED,), 1_000)
    pursuit = working(limit(timeout_ms=5_000, fallback=BOTH, retry=retry))
    pursuit.woken(NOW + 5_000, HUNDRED)
    pursuit.ended(OrderEvent.CANCELLED, TIMED_OUT, NOW + 5_000, HUNDRED)
    pursuit.taken_up("abc-1-7-2")
    pursuit.sent(NOW + 5_000)
    pursuit.ended(OrderEvent.REJECTED, REFUSED, NOW + 5_000, HUNDRED)
    follow = only(pursuit.woken(NOW + 6_000, HUNDRED), OpenFollowUp)

    assert FollowUpReason.RETRY is follow.because
    assert OrderType.MARKET is follow.policy.order_type


def test_a_retry_that_waits_is_not_woken_for_the_order_that_has_ended() -> None:
    """A time that is due and that nobody looks at would be due again at once, without end."""
    retry = Retry(2, (ReasonCode.VENUE_REJECTED,), 120_000, delay_ms_max=120_000)
    policy = limit(reprice=Reprice(60_000, 2, Decimal(105)), retry=retry)
    pursuit = working(policy)
    _, moves = pursuit.ended(OrderEvent.REJECTED, REFUSED, NOW, HUNDRED)

    assert [WakeAt(NOW + 120_000)] == moves
    assert [WakeAt(NOW + 120_000)] == pursuit.woken(NOW + 60_000, HUNDRED)


@pytest.mark.parametrize("ends", ["timeout", "cancel"])
def test_a_retry_that_is_not_made_is_not_counted(ends: str) -> None:
    """Counts say what was done, not what was about to be."""
    retry = Retry(2, (ReasonCode.VENUE_REJECTED,), 4_000)
    pursuit = working(limit(timeout_ms=5_000, retry=retry))
    for at in (NOW, NOW + 4_000):
        pursuit.ended(OrderEvent.REJECTED, REFUSED, at, HUNDRED)
        for follow in pursuit.woken(at + 4_000, HUNDRED) if at == NOW else ():
            pursuit.taken_up(follow.intent_id)
            pursuit.sent(at + 4_000)
    if ends == "timeout":
        moves = pursuit.woken(NOW + 5_000, HUNDRED)
    else:
        moves = pursuit.stop(Cause(ReasonCode.CANCEL_REQUESTED), NOW + 4_500)

    assert (2, 1) == (only(moves, IntentEnded).orders, only(moves, IntentEnded).retries)


def test_a_timeout_ends_the_wait_for_a_retry() -> None:
    """Whatever is permitted is permitted within the intent's time."""
    retry = Retry(3, (ReasonCode.VENUE_REJECTED,), 10_000)
    pursuit = working(limit(timeout_ms=5_000, retry=retry))
    _, moves = pursuit.ended(OrderEvent.REJECTED, REFUSED, NOW, HUNDRED)

    assert [WakeAt(NOW + 5_000)] == moves
    assert ReasonCode.TIMED_OUT is only(pursuit.woken(NOW + 5_000, HUNDRED), IntentEnded).cause.code


def test_a_preference_to_make_is_tried_once_and_then_takes() -> None:
    """The second order has the same limit and is not post-only; there is no third."""
    pursuit = working(limit(maker=Maker.PREFER))
    would_take = Cause(ReasonCode.POST_ONLY_WOULD_TAKE)
    then, moves = pursuit.ended(OrderEvent.REJECTED, would_take, NOW, HUNDRED)
    follow = only(moves, OpenFollowUp)

    assert FollowUpReason.TAKE is then
    assert (Maker.ANY, HUNDRED) == (follow.policy.maker, follow.policy.limit_price)


def test_a_retry_of_an_order_that_prefers_to_make_still_does() -> None:
    """A refusal for another reason takes nothing away from the preference."""
    retry = Retry(1, (ReasonCode.VENUE_REJECTED,), 1)
    pursuit = working(limit(maker=Maker.PREFER, retry=retry))
    pursuit.ended(OrderEvent.REJECTED, REFUSED, NOW, HUNDRED)
    follow = only(pursuit.woken(NOW + 1, HUNDRED), OpenFollowUp)

    assert Maker.ONLY is follow.policy.maker


# -- new prices


@pytest.mark.parametrize(
    ("side", "mark", "worst", "expected"),
    [
        (Side.BUY, "200", "300", "199"),
        (Side.BUY, "200", "150", "150"),
        (Side.SELL, "200", "100", "201"),
        (Side.SELL, "200", "250", "250"),
    ],
)
def test_a_new_price_is_passive_and_never_beyond_the_worst(
    side: Side, mark: str, worst: str, expected: str
) -> None:
    """A buy stays below the mark and its bound, a sale above both."""
    policy = limit(reprice=Reprice(1_000, 5, Decimal(worst), Decimal(50)))
    root = ReduceIntent("abc-1-7", "one", "BTC/USDT", side, Decimal(3), NOW, policy=policy)
    pursuit = Pursuit(root, Decimal(3))
    pursuit.sent(NOW)
    cancel = only(pursuit.woken(NOW + 1_000, Decimal(mark)), CancelOrder)
    then, moves = pursuit.ended(OrderEvent.CANCELLED, cancel.cause, NOW + 1_010, Decimal(mark))

    assert (ReasonCode.REPRICED, FollowUpReason.REPRICE) == (cancel.cause.code, then)
    assert Decimal(expected) == only(moves, ReduceFollowUp).policy.limit_price


def test_an_unchanged_price_is_left_where_it_is() -> None:
    """Losing the place in the queue for the same price helps nobody."""
    pursuit = working(limit(reprice=Reprice(1_000, 5, Decimal(300))))

    assert [WakeAt(NOW + 2_000)] == pursuit.woken(NOW + 1_000, HUNDRED)
    assert [WakeAt(NOW + 3_000)] == pursuit.woken(NOW + 2_000, None)


def test_a_timeout_overtakes_a_new_price() -> None:
    """The time is over while the cancel is on its way: what follows is the timeout's."""
    pursuit = working(
        limit(timeout_ms=1_500, reprice=Reprice(1_000, 5, Decimal(300)), fallback=BOTH)
    )
    pursuit.woken(NOW + 1_000, Decimal(110))
    pursuit.woken(NOW + 1_500, Decimal(110))
    then, moves = pursuit.ended(
        OrderEvent.CANCELLED, Cause(ReasonCode.REPRICED), NOW + 1_600, Decimal(110)
    )

    assert FollowUpReason.FALLBACK_TIMEOUT is then
    assert OrderType.MARKET is only(moves, OpenFollowUp).policy.order_type


# -- ends


def test_whoever_stops_it_has_nothing_follow() -> None:
    """At the venue it waits for its cancel; anywhere else it is over at once."""
    cause = Cause(ReasonCode.CANCEL_REQUESTED)
    at_the_venue = working(limit(timeout_ms=5_000, fallback=BOTH))

    assert [] == at_the_venue.stop(cause, NOW)
    assert [] == at_the_venue.woken(NOW + 5_000, HUNDRED)
    then, moves = at_the_venue.ended(OrderEvent.CANCELLED, cause, NOW + 1, HUNDRED)
    assert (None, cause) == (then, only(moves, IntentEnded).cause)

    waiting = working(limit(retry=Retry(1, (ReasonCode.VENUE_REJECTED,))))
    waiting.ended(OrderEvent.REJECTED, REFUSED, NOW, HUNDRED)
    assert cause == only(waiting.stop(cause, NOW), IntentEnded).cause
    assert [] == waiting.woken(NOW + 99_000, HUNDRED)


def test_a_refusal_by_risk_ends_it() -> None:
    """What must not go out now is not tried again behind Risk's back."""
    pursuit = working(limit(timeout_ms=1, fallback=BOTH))
    pursuit.woken(NOW + 1, HUNDRED)
    pursuit.ended(OrderEvent.CANCELLED, TIMED_OUT, NOW + 1, HUNDRED)
    held = Cause(ReasonCode.HELD)

    assert held == only(pursuit.denied((held,), NOW + 1), IntentEnded).cause
    assert [] == pursuit.denied((held,), NOW + 1)


def test_a_plain_intent_is_not_pursued() -> None:
    """One order that lives and ends by itself needs nobody."""
    with pytest.raises(AssertionError, match="needs nobody"):
        Pursuit(intent(MARKET), Decimal(3))


def test_its_repr_shows_where_it_stands() -> None:
    """One line for whoever debugs it."""
    pursuit = working(limit(timeout_ms=1))

    assert "<Pursuit abc-1-7 working 0/3 orders=1>" == repr(pursuit)
