"""
Whether a further order is one that its intent's policy permits, and no more than that.

Each kind has its permission, its reason in how the last order ended, and its count. Its quantity is
what is left, no more and no less; its price is the intent's, or, where the policy lets it follow
the market, within the worst one. What is put back is a protective order that made room.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from messages import (
    PROTECTIVE,
    ExecutionPolicy,
    FallbackOn,
    FollowUp,
    FollowUpReason,
    Maker,
    OpenFollowUp,
    OpenIntent,
    OrderStatus,
    OrderType,
    PartialFill,
    ReasonCode,
    Side,
)
from state.derivation.lives import FALLBACKS, OrderLife, RootLife
from state.derivation.orders import Fault
from state.money import ZERO, plain

R: Final = FollowUpReason
AT_ONCE: Final = frozenset({ReasonCode.IOC_REMAINDER, ReasonCode.FOK_UNFILLABLE})
"""Why an order that must not wait ended: its time was over at once."""


def further_faults(follow: FollowUp, root: RootLife, held: Decimal) -> Iterator[Fault]:
    """Yield whatever of a further order its root's policy does not permit."""
    yield from _own(follow, root)
    if follow.because is R.RESTORE:
        yield from _put_back(follow, root, held)
        return
    left = (root.quantity or ZERO) - root.filled
    if follow.quantity != left:
        yield "quantity", f"{plain(left)}, what is left", str(follow.quantity)
    live = [order.order_id for order in root.orders if not order.is_over]
    if live:
        yield "when", f"after the end of {', '.join(live)}", "while it is live"
    yield from _permission(follow, root)
    yield from _policy(follow, root)


def _own(follow: FollowUp, root: RootLife) -> Iterator[Fault]:
    """Check what is the root's, unchanged."""
    intent = root.intent
    for name, found, expected in (
        ("strategy", follow.strategy, intent.strategy),
        ("symbol", follow.symbol, intent.symbol),
        ("side", follow.side, intent.side),
        ("position_side", follow.position_side, intent.position_side),
        ("action", follow.action, intent.action),
        ("valid_until", follow.valid_until, intent.valid_until),
        ("decision_price", follow.decision_price, intent.decision_price),
        ("opens", isinstance(follow, OpenFollowUp), isinstance(intent, OpenIntent)),
    ):
        if found != expected:
            yield name, str(expected), str(found)


def _permission(follow: FollowUp, root: RootLife) -> Iterator[Fault]:
    """Check that the policy permits a further order for this reason, and once more."""
    policy = root.intent.policy
    last = root.last
    because = follow.because
    if last is None:
        yield "because", "the end of an order", f"{because.value} without any"
        return
    if because is R.RETRY:
        retry = policy.retry
        if retry is None or last.code not in retry.codes:
            yield "because", _permitted(policy), f"retry after {_end(last)}"
        elif root.count(R.RETRY) >= retry.times:
            yield "because", f"at most {retry.times} retries", "one more"
    elif because is R.TAKE:
        if policy.maker is not Maker.PREFER or last.code is not ReasonCode.POST_ONLY_WOULD_TAKE:
            yield "because", _permitted(policy), f"take after {_end(last)}"
    elif because is R.REPRICE:
        reprice = policy.reprice
        if reprice is None or last.status is OrderStatus.REJECTED:
            yield "because", _permitted(policy), f"reprice after {_end(last)}"
        elif root.count(R.REPRICE) >= reprice.times:
            yield "because", f"at most {reprice.times} new prices", "one more"
    else:
        yield from _fallback(follow, root, last)


def _fallback(follow: FollowUp, root: RootLife, last: OrderLife) -> Iterator[Fault]:
    policy = root.intent.policy
    rejected = follow.because is R.FALLBACK_REJECT
    on = FallbackOn.REJECT if rejected else FallbackOn.TIMEOUT
    if policy.fallback is None or on not in policy.fallback.on:
        yield "because", _permitted(policy), f"{follow.because.value} after {_end(last)}"
        return
    if root.count(*FALLBACKS):
        yield "because", "one fallback", "one more"
    if root.filled and policy.partial is PartialFill.ACCEPT:
        yield "because", "none: what was filled is enough", follow.because.value
    if rejected:
        refused = last.status is OrderStatus.REJECTED
        if not refused and last.code is not ReasonCode.POST_ONLY_WOULD_TAKE:
            yield "because", "a refusal", f"{follow.because.value} after {_end(last)}"
    elif last.code not in AT_ONCE and not _is_late(follow, root):
        yield "because", "its time to be over", f"{follow.because.value} after {_end(last)}"


def _is_late(follow: FollowUp, root: RootLife) -> bool:
    """Return whether the time that the policy gives was over when a further order was asked for."""
    timeout_ms, sent_at = root.intent.policy.timeout_ms, root.first_sent_at
    if timeout_ms is None or sent_at is None:
        return False
    return follow.created_at >= sent_at + timeout_ms


def _policy(follow: FollowUp, root: RootLife) -> Iterator[Fault]:
    """Check how it may be executed: as one order that permits nothing more."""
    permitted = _next_policy(follow, root)
    if follow.policy != permitted:
        yield "policy", str(permitted), str(follow.policy)
    reprice = root.intent.policy.reprice
    price = follow.policy.limit_price
    if follow.because is R.REPRICE and reprice is not None and price is not None:
        worst = reprice.worst_price
        if (price > worst) if follow.side is Side.BUY else (price < worst):
            yield "limit_price", f"not beyond {plain(worst)}", plain(price)


def _next_policy(follow: FollowUp, root: RootLife) -> ExecutionPolicy:
    policy, because = root.intent.policy, follow.because
    fallback = policy.fallback
    if fallback is not None and (because in FALLBACKS or root.count(*FALLBACKS)):
        bound = fallback.slippage_bps_max
        return ExecutionPolicy(slippage_bps_max=policy.slippage_bps_max if bound is None else bound)
    maker = policy.maker
    if maker is Maker.PREFER:
        maker = Maker.ANY if because is R.TAKE else Maker.ONLY
    return ExecutionPolicy(
        policy.order_type,
        policy.time_in_force,
        maker,
        follow.policy.limit_price if because is R.REPRICE else root.price,
        policy.stop_price,
        policy.trail_bps,
        policy.expire_at,
        slippage_bps_max=policy.slippage_bps_max,
    )


def _put_back(follow: FollowUp, root: RootLife, held: Decimal) -> Iterator[Fault]:
    """Check that what is put back is a protective order that made room, and no more of it."""
    last = root.last
    request = None if last is None else last.request
    if root.intent.action not in PROTECTIVE:
        yield "action", "a stop or a take-profit", root.intent.action.value
    if last is None or request is None or last.code is not ReasonCode.BRACKET:
        yield "because", "an order that made room", "restore"
        return
    left = min(request.quantity - last.filled, abs(held))
    quantity = follow.quantity
    if quantity is None or not ZERO < quantity <= left:
        yield "quantity", f"at most {plain(left)}, what is left", str(quantity)
    policy = follow.policy
    for name, found, expected in (
        ("order_type", policy.order_type, root.intent.policy.order_type),
        ("limit_price", policy.limit_price, request.price),
        ("trail_bps", policy.trail_bps, request.trail_bps),
    ):
        if found != expected:
            yield name, str(expected), str(found)
    if policy.order_type is not OrderType.LIMIT and policy.stop_price != request.stop_price:
        yield "stop_price", str(request.stop_price), str(policy.stop_price)


def _permitted(policy: ExecutionPolicy) -> str:
    """Return what a policy permits after its first order, in a few words."""
    found = []
    if policy.maker is Maker.PREFER:
        found.append("take where it would have made")
    if policy.retry is not None:
        found.append(f"retry on {', '.join(code.value for code in policy.retry.codes)}")
    if policy.reprice is not None:
        found.append("new prices")
    if policy.fallback is not None:
        found.append(f"market on {', '.join(on.value for on in policy.fallback.on)}")
    return " or ".join(found) or "no further order"


def _end(order: OrderLife) -> str:
    status = "nothing" if order.status is None else order.status.value
    return status if order.cause is None else f"{status} {order.cause}"
