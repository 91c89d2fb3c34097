"""
Whether one order is what its intent asked for, as Risk may round it and no further.

A quantity never grows. A price moves, by rounding, only to the side that its strategy is not
harmed by. Everything else is the intent's own. With the session's instruments the rounding is
checked to the digit, without them its direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from messages import (
    ExecutionPolicy,
    IfAbsent,
    Intent,
    IntentAction,
    Maker,
    OrderRequest,
    OrderType,
    ReduceIntent,
    RiskDecision,
    Side,
    Sizing,
    TimeInForce,
)
from state.instruments import Instrument
from state.money import BASIS_POINT, ZERO, plain, ratio

TARGETS: Final = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})

Fault = tuple[str, str, str]
"""What differs, what it must be, what it is."""


def order_faults(
    request: OrderRequest,
    intent: Intent,
    decision: RiskDecision,
    held: Decimal,
    instrument: Instrument | None,
) -> Iterator[Fault]:
    """
    Yield whatever of an order does not derive from its intent and the verdict on it.

    ``held`` is the signed position of its book when it was put on record.
    """
    policy = intent.policy
    kept = _is_kept(request, intent)
    yield from _same(request, intent, policy, kept=kept)
    yield from _quantity(request, intent, decision, held, instrument)
    yield from _prices(request, intent, instrument, kept=kept)


def _is_kept(request: OrderRequest, intent: Intent) -> bool:
    """Return whether a take-profit has the form in which it waits here for its price."""
    if intent.action is not IntentAction.SET_TAKE_PROFIT or request.stop_price is None:
        return False
    order_type = intent.policy.order_type
    if order_type is OrderType.LIMIT:
        return request.stop_price == request.price
    return order_type is OrderType.TAKE_PROFIT and request.order_type is OrderType.MARKET


def _same(
    request: OrderRequest, intent: Intent, policy: ExecutionPolicy, *, kept: bool
) -> Iterator[Fault]:
    """Check what is the intent's own, unchanged."""
    order_type, time_in_force = policy.order_type, policy.time_in_force
    post_only = policy.maker is not Maker.ANY
    if kept and order_type is OrderType.LIMIT:
        time_in_force, post_only = TimeInForce.IOC, False
    elif kept:
        order_type = OrderType.MARKET
    for name, found, expected in (
        ("strategy", request.strategy, intent.strategy),
        ("symbol", request.symbol, intent.symbol),
        ("side", request.side, intent.side),
        ("position_side", request.position_side, intent.position_side),
        ("reduce_only", request.reduce_only, isinstance(intent, ReduceIntent)),
        ("action", request.action, intent.action),
        ("order_type", request.order_type, order_type),
        ("time_in_force", request.time_in_force, time_in_force),
        ("post_only", request.post_only, post_only),
        ("trail_bps", request.trail_bps, policy.trail_bps),
        ("expire_at", request.expire_at, policy.expire_at),
        ("valid_until", request.valid_until, intent.valid_until),
        ("decision_price", request.decision_price, intent.decision_price),
        ("replaces", request.replaces, intent.replaces),
        ("worst_price", request.worst_price, _worst_market(intent)),
    ):
        if found != expected:
            yield name, str(expected), str(found)


def _worst_market(intent: Intent) -> Decimal | None:
    """Return the mark beyond which its own policy has nothing leave any more."""
    decided, limit = intent.decision_price, intent.policy.slippage_bps_max
    if limit is None or decided is None:
        return None
    return decided + decided * limit * BASIS_POINT * intent.side.sign


def _quantity(
    request: OrderRequest,
    intent: Intent,
    decision: RiskDecision,
    held: Decimal,
    instrument: Instrument | None,
) -> Iterator[Fault]:
    found = request.quantity
    if found <= ZERO:
        yield "quantity", "more than 0", plain(found)
    if found != decision.quantity:
        yield "quantity", f"the approved {decision.quantity}", plain(found)
    most, whose = _most(request, intent, held)
    if most is None:
        yield "quantity", "one that the intent says, or delegates", plain(found)
    elif found > most:
        yield "quantity", f"at most {plain(most)}, {whose}", plain(found)
    elif instrument is not None and _is_exact(intent):
        if isinstance(intent, ReduceIntent) and instrument.max_quantity is not None:
            most = min(most, instrument.max_quantity)  # the rest of it is for the next order
        rounded = instrument.round_quantity(most)
        if found != rounded:
            yield "quantity", f"{plain(rounded)}, {whose} rounded", plain(found)


def _is_exact(intent: Intent) -> bool:
    """Return whether nothing but the instrument's rules may lessen the quantity."""
    closes = intent.action is IntentAction.CLOSE and intent.quantity is None
    return not closes and not _syncs(intent)


def _syncs(intent: Intent) -> bool:
    """Return whether an intent takes off what there is, where that is less than it asks for."""
    return isinstance(intent, ReduceIntent) and intent.policy.if_absent is IfAbsent.SYNC


def _most(request: OrderRequest, intent: Intent, held: Decimal) -> tuple[Decimal | None, str]:
    """Return the most that an order of an intent may be for, and whose word that is."""
    if intent.quantity is not None:
        if _syncs(intent) and abs(held) < intent.quantity:
            return abs(held), "what is held"
        return intent.quantity, "the intent's"
    if intent.sizing is Sizing.DELEGATE_NOTIONAL:
        price = request.valued_price
        if intent.notional is None or price is None or price <= ZERO:
            return None, ""
        return ratio(intent.notional, price), "the notional's"
    if isinstance(intent, ReduceIntent) and intent.action is IntentAction.CLOSE:
        return abs(held), "what is held"
    return None, ""


def _prices(
    request: OrderRequest, intent: Intent, instrument: Instrument | None, *, kept: bool
) -> Iterator[Fault]:
    policy, side = intent.policy, request.side
    buying = side is Side.BUY
    stop = request.stop_price
    if kept and policy.order_type is OrderType.LIMIT:
        stop = None  # the price that it waits for, which is its limit
    is_target = policy.order_type in TARGETS
    rounded: tuple[Callable[[Decimal, Side], Decimal] | None, ...] = (None, None)
    if instrument is not None:
        to_stop = instrument.round_target if is_target else instrument.round_stop
        rounded = (instrument.round_limit, to_stop)
    # A limit moves away from the market, a stop is never reached earlier, nor is a target.
    for name, found, asked, upwards, on_grid in (
        ("price", request.price, policy.limit_price, not buying, rounded[0]),
        ("stop_price", stop, policy.stop_price, buying is not is_target, rounded[1]),
    ):
        if found is None or asked is None:
            if found is not asked:
                yield name, _text(asked), _text(found)
        elif on_grid is not None:
            if found != on_grid(asked, side):
                yield name, f"{plain(asked)} rounded", plain(found)
        elif (found < asked) if upwards else (found > asked):
            yield name, f"{plain(asked)}, rounded {'up' if upwards else 'down'}", plain(found)


def _text(price: Decimal | None) -> str:
    return "none" if price is None else plain(price)
