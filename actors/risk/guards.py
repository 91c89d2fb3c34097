"""
The guards that no configuration can switch off: pure functions over (proposal, view).

Every guard runs on every intent, in this order, and every cause found is recorded: a refusal
never hides that there was a second reason. A guard reads the view and changes nothing.

These judge whether an order is correct, reducing ones included. What a session limits besides
is in ``order_limits`` and ``market_limits``, and concerns openings only: nothing but correctness
may stand in the way of a protective exit.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from actors.risk.proposal import Proposal, left_to_reduce, worst_market
from actors.risk.view import Kind, RiskView
from messages import (
    FAMILIES,
    Cause,
    IfAbsent,
    InstrumentKind,
    IntentAction,
    OperatorReduce,
    OrderType,
    PositionMode,
    PositionSide,
    ReasonCode,
    Side,
    Sizing,
)
from state.money import ZERO, plain

NEEDS_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
NEEDS_STOP = frozenset(
    {
        OrderType.STOP,
        OrderType.STOP_LIMIT,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_MARKET: Final = OrderType.MARKET
_ONE_WAY: Final = PositionMode.ONE_WAY
_BOTH: Final = PositionSide.BOTH
_SPOT: Final = InstrumentKind.SPOT
_PERPETUAL: Final = InstrumentKind.LINEAR_PERPETUAL
_SELL: Final = Side.SELL
_BUY: Final = Side.BUY
_NOW: Final = Kind.NOW
_CLOSE: Final = IntentAction.CLOSE
_EXPLICIT: Final = Sizing.EXPLICIT
_SYNC: Final = IfAbsent.SYNC


Guard = Callable[[Proposal, RiskView], Cause | None]


def duplicate_intent(proposal: Proposal, view: RiskView) -> Cause | None:
    """Refuse an id that was decided before."""
    intent_id = proposal.intent.intent_id
    if intent_id in view.decided:
        return Cause(ReasonCode.DUPLICATE_INTENT, f"intent_id={intent_id}")
    return None


def quarantine(proposal: Proposal, view: RiskView) -> Cause | None:
    """
    Refuse whatever a quarantined strategy still had on its way, closes included.

    The operator's closes pass: what a stopped strategy holds must not be stuck with it.
    """
    if not view.quarantined:
        return None
    reason = view.quarantined.get(proposal.intent.strategy)
    if reason is None or type(proposal.intent) is OperatorReduce:
        return None
    return Cause(ReasonCode.STRATEGY_QUARANTINED, reason)


def expiry(proposal: Proposal, view: RiskView) -> Cause | None:
    """
    Refuse an intent past its ``valid_until``, and an opening without one that waited too long.

    The view's ``intent_age_ms_max``, one time frame, is how long: what waited behind a hold for
    longer was decided for a market that is gone.
    """
    until = proposal.intent.valid_until
    if until is not None:
        if proposal.now > until:
            return Cause(ReasonCode.INTENT_EXPIRED, f"valid_until={until} now={proposal.now}")
        return None
    oldest = view.intent_age_ms_max
    if oldest is None or proposal.reducing:
        return None
    waited = proposal.now - proposal.intent.created_at
    if waited <= oldest:
        return None
    return Cause(ReasonCode.INTENT_EXPIRED, f"waited={waited} limit={oldest}")


def backoff(proposal: Proposal, view: RiskView) -> Cause | None:
    """Refuse to open while the strategy's own backoff lasts, or its own circuit says no."""
    intent = proposal.intent
    if proposal.reducing:
        return None
    if intent.withheld:
        return Cause(ReasonCode.STRATEGY_DECLINED, intent.withheld)
    if not view.backoffs:
        return None
    family = FAMILIES[intent.action]
    until = view.backoffs.get((intent.strategy, intent.symbol, family), 0)
    if proposal.now >= until:
        return None
    return Cause(
        ReasonCode.STRATEGY_BACKOFF, f"family={family.value} until={until} now={proposal.now}"
    )


def quantity_rules(proposal: Proposal, view: RiskView) -> Cause | None:
    """
    Refuse quantities outside the instrument's rules, after rounding down to its lot step.

    What only reduces is never above the maximum: see ``propose``.
    """
    quantity = proposal.quantity
    instrument = proposal.instrument
    if quantity <= ZERO:
        return _no_quantity(proposal, view)
    least = instrument.min_quantity
    if least is not None and quantity < least:
        return Cause(ReasonCode.QUANTITY_BELOW_MIN, f"quantity={plain(quantity)} min={least}")
    most = instrument.max_quantity
    if most is not None and quantity > most:
        return Cause(ReasonCode.QUANTITY_ABOVE_MAX, f"quantity={plain(quantity)} max={most}")
    return None


def _no_quantity(proposal: Proposal, view: RiskView) -> Cause:
    """Return why there is nothing to order: it is not said, it is too little, it is not there."""
    intent = proposal.intent
    if intent.quantity is None and intent.sizing is _EXPLICIT and intent.action is not _CLOSE:
        return Cause(ReasonCode.QUANTITY_MISSING, f"action={intent.action.value} sizing=explicit")
    if intent.quantity is None and intent.sizing is not _EXPLICIT and intent.notional is None:
        return Cause(ReasonCode.QUANTITY_MISSING, f"sizing={intent.sizing.value} notional=none")
    if intent.action is _CLOSE or intent.policy.if_absent is _SYNC:
        left, held, taken = left_to_reduce(intent, proposal.book, view)
        if left <= ZERO:
            return Cause(
                ReasonCode.POSITION_ABSENT, f"position={plain(held)} in_flight={plain(taken)}"
            )
    asked = f"asked={'none' if intent.quantity is None else plain(intent.quantity)}"
    if intent.notional is not None:
        asked = f"notional={plain(intent.notional)}"
    return Cause(ReasonCode.QUANTITY_NOT_POSITIVE, f"{asked} step={proposal.instrument.lot_step}")


def own_slippage(proposal: Proposal, view: RiskView) -> Cause | None:
    """Refuse an order, closes included, whose market moved farther than its policy allows."""
    intent = proposal.intent
    limit = intent.policy.slippage_bps_max
    if limit is None:
        return None
    worst = worst_market(intent)
    mark = view.board.mark(intent.symbol)
    if worst is None or mark is None:
        return Cause(
            ReasonCode.SLIPPAGE_LIMIT,
            f"decision_price={_shown(intent.decision_price)} mark={_shown(mark)}",
        )
    if (mark - worst) * intent.side.sign <= ZERO:
        return None
    return Cause(
        ReasonCode.SLIPPAGE_LIMIT,
        f"decision_price={_shown(intent.decision_price)} mark={plain(mark)} limit={plain(limit)}",
    )


def _shown(price: Decimal | None) -> str:
    return "none" if price is None else plain(price)


def price_rules(proposal: Proposal, view: RiskView) -> Cause | None:  # noqa: ARG001
    """Refuse an order without the prices its type needs, or with one that is not positive."""
    policy = proposal.intent.policy
    order_type = policy.order_type
    limit, stop, trail = proposal.limit_price, proposal.stop_price, policy.trail_bps
    if order_type is _MARKET:
        pass
    elif order_type in NEEDS_LIMIT and limit is None:
        return Cause(ReasonCode.PRICE_MISSING, f"type={order_type.value} needs=limit_price")
    elif order_type in NEEDS_STOP and stop is None:
        return Cause(ReasonCode.PRICE_MISSING, f"type={order_type.value} needs=stop_price")
    elif order_type is OrderType.TRAILING_STOP and trail is None:
        return Cause(ReasonCode.PRICE_MISSING, f"type={order_type.value} needs=trail_bps")
    if limit is not None or stop is not None or trail is not None:
        for price in (limit, stop, trail):
            if price is not None and price <= ZERO:
                return Cause(ReasonCode.PRICE_NOT_POSITIVE, f"price={plain(price)}")
    if proposal.price is None:
        return Cause(ReasonCode.PRICE_UNKNOWN, f"symbol={proposal.intent.symbol}")
    return None


def notional_rules(proposal: Proposal, view: RiskView) -> Cause | None:  # noqa: ARG001
    """Refuse an opening below the instrument's minimum notional; venues ask it of no close."""
    least = proposal.instrument.min_notional
    if least is None or proposal.reducing:
        return None
    if proposal.price is not None and proposal.notional < least:
        return Cause(
            ReasonCode.NOTIONAL_BELOW_MIN, f"notional={plain(proposal.notional)} min={least}"
        )
    return None


def position_side(proposal: Proposal, view: RiskView) -> Cause | None:
    """Refuse a book that the account's mode does not have, or a side that contradicts it."""
    book_side = proposal.intent.position_side
    if view.position_mode is _ONE_WAY:
        if book_side is _BOTH:
            return None
        return Cause(
            ReasonCode.POSITION_SIDE_MISMATCH, f"mode=one_way position_side={book_side.value}"
        )
    if book_side is _BOTH:
        return Cause(ReasonCode.POSITION_SIDE_MISMATCH, "mode=hedge position_side=both")
    opening = _BUY if book_side is PositionSide.LONG else _SELL
    expected = opening.opposite if proposal.reducing else opening
    if proposal.intent.side is expected:
        return None
    return Cause(
        ReasonCode.POSITION_SIDE_MISMATCH,
        f"position_side={book_side.value} side={proposal.intent.side.value} "
        f"expected={expected.value}",
    )


def reduce_only(proposal: Proposal, view: RiskView) -> Cause | None:
    """
    Refuse a reducing order beyond what is left to reduce.

    What is left is the position less every reducing order in flight: flat cannot open, long 1
    cannot sell 3, and two closes of the same position cannot both go out. A stop and a target of
    the same position can: see ``left_to_reduce``.
    """
    if not proposal.reducing:
        return None
    left, held, taken = left_to_reduce(proposal.intent, proposal.book, view)
    if proposal.quantity <= left:
        return None
    return Cause(
        ReasonCode.REDUCE_ONLY_WOULD_OPEN,
        f"quantity={plain(proposal.quantity)} position={plain(held)} in_flight={plain(taken)}",
    )


def spot_short(proposal: Proposal, view: RiskView) -> Cause | None:
    """Refuse a spot sale of more than is held and not being sold already."""
    if proposal.reducing or proposal.intent.side is _BUY or proposal.instrument.kind is not _SPOT:
        return None
    held = view.position(proposal.book)
    protecting = max(view.reducing(proposal.book, kind) for kind in (Kind.STOP, Kind.TARGET))
    taken = view.reducing(proposal.book) + protecting + view.opening(proposal.book, _SELL)
    left = held - taken
    if proposal.quantity <= left:
        return None
    return Cause(
        ReasonCode.SPOT_CANNOT_SHORT, f"quantity={plain(proposal.quantity)} available={plain(left)}"
    )


def money(proposal: Proposal, view: RiskView) -> Cause | None:
    """Refuse an order that free cash (spot) or free margin (perpetuals) does not pay for."""
    per_unit = proposal.cash_per_unit
    if not per_unit or proposal.quantity <= ZERO:
        return None
    need = proposal.quantity * per_unit
    spot = proposal.instrument.kind is _SPOT
    free = view.free_cash() if spot else view.free_margin()
    if need <= free:
        return None
    code = ReasonCode.CASH_INSUFFICIENT if spot else ReasonCode.MARGIN_INSUFFICIENT
    return Cause(code, f"need={plain(need)} free={plain(free)}")


ALWAYS: tuple[Guard, ...] = (
    duplicate_intent,
    quarantine,
    expiry,
    backoff,
    quantity_rules,
    price_rules,
    own_slippage,
    notional_rules,
    position_side,
    reduce_only,
    spot_short,
    money,
)
"""The guards that no configuration can switch off."""
