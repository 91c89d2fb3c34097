"""What a venue refuses at the door, each refusal with one cause."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from brokers.matching.account import Position
from brokers.matching.instruments import Listing
from brokers.matching.orders import WITH_LIMIT, WITH_STOP
from messages import Cause, OrderRequest, OrderType, PositionSide, ReasonCode, Side, TimeInForce
from state.money import ZERO

_BUY: Final = Side.BUY
_MARKET: Final = OrderType.MARKET
_TRAILING: Final = OrderType.TRAILING_STOP
_BOTH: Final = PositionSide.BOTH
_LONG: Final = PositionSide.LONG
_AT_ONCE: Final = (TimeInForce.IOC, TimeInForce.FOK)
_WHOLE_BPS: Final = Decimal(10_000)


def refusal(
    request: OrderRequest,
    listing: Listing | None,
    position: Position | None,
    now: int,
    bound: Decimal = ZERO,
) -> Cause | None:
    """
    Return why ``request`` cannot be an order at this venue, or None.

    Prices that the order's type does not use are ignored. ``bound`` is what of the position other
    orders bind that are to close it.
    """
    if listing is None:
        return Cause(ReasonCode.INSTRUMENT_UNKNOWN, f"symbol={request.symbol}")
    if position is None:
        sides = " ".join(book.side.value for book in listing.positions)
        return Cause(
            ReasonCode.POSITION_SIDE_MISMATCH,
            f"position_side={request.position_side.value} expected={sides}",
        )
    if request.quantity <= ZERO:
        return Cause(ReasonCode.QUANTITY_NOT_POSITIVE, f"quantity={request.quantity}")
    if request.order_type is not _MARKET or request.post_only:
        cause = _terms(request)
        if cause is not None:
            return cause
    if request.expire_at is not None and request.expire_at <= now:
        return Cause(ReasonCode.ORDER_EXPIRED, f"expire_at={request.expire_at} now={now}")
    if listing.filtered:
        cause = _filters(request, listing)
        if cause is not None:
            return cause
    return _reducing(request, position, bound)


def _terms(request: OrderRequest) -> Cause | None:
    """Check that the order's type has the prices it needs, and that its terms agree."""
    kind = request.order_type
    for name, needed, price in (
        ("price", kind in WITH_LIMIT, request.price),
        ("stop_price", kind in WITH_STOP, request.stop_price),
        ("trail_bps", kind is _TRAILING, request.trail_bps),
    ):
        if needed and price is None:
            return Cause(ReasonCode.PRICE_MISSING, f"type={kind.value} missing={name}")
        if needed and price is not None and price <= ZERO:
            return Cause(ReasonCode.PRICE_NOT_POSITIVE, f"{name}={price}")
    if kind is _TRAILING and request.trail_bps is not None and request.trail_bps >= _WHOLE_BPS:
        return Cause(
            ReasonCode.VENUE_REJECTED, f"trail_bps={request.trail_bps} expected_below=10000"
        )
    if request.post_only and kind not in WITH_LIMIT:
        return Cause(ReasonCode.VENUE_REJECTED, f"post_only=true type={kind.value}")
    if request.post_only and request.time_in_force in _AT_ONCE:
        return Cause(
            ReasonCode.VENUE_REJECTED,
            f"post_only=true time_in_force={request.time_in_force.value}",
        )
    return None


def _filters(request: OrderRequest, listing: Listing) -> Cause | None:
    """Check the instrument's steps and bounds."""
    rules = listing.instrument
    quantity = request.quantity
    if rules.lot_step is not None and quantity % rules.lot_step:
        return Cause(ReasonCode.VENUE_REJECTED, f"quantity={quantity} lot_step={rules.lot_step}")
    if rules.min_quantity is not None and quantity < rules.min_quantity:
        return Cause(ReasonCode.QUANTITY_BELOW_MIN, f"quantity={quantity} min={rules.min_quantity}")
    if rules.max_quantity is not None and quantity > rules.max_quantity:
        return Cause(ReasonCode.QUANTITY_ABOVE_MAX, f"quantity={quantity} max={rules.max_quantity}")
    kind = request.order_type
    limit = request.price if kind in WITH_LIMIT else None
    stop = request.stop_price if kind in WITH_STOP else None
    if rules.price_tick is not None:
        for name, price in (("price", limit), ("stop_price", stop)):
            if price is not None and price % rules.price_tick:
                return Cause(
                    ReasonCode.VENUE_REJECTED, f"{name}={price} price_tick={rules.price_tick}"
                )
    # A market order has no price to value it at; the rest of a position may always be closed.
    worth = limit if limit is not None else stop
    if rules.min_notional is not None and worth is not None and not request.reduce_only:
        notional = quantity * worth
        if notional < rules.min_notional:
            return Cause(
                ReasonCode.NOTIONAL_BELOW_MIN, f"notional={notional} min={rules.min_notional}"
            )
    return None


def _reducing(request: OrderRequest, position: Position, bound: Decimal) -> Cause | None:
    """Check that what can only reduce has something to reduce; hedge books never turn round."""
    is_buy = request.side is _BUY
    hedged = position.side is not _BOTH
    closing = request.reduce_only or (hedged and is_buy is not (position.side is _LONG))
    if not closing:
        return None
    if hedged and is_buy is (position.side is _LONG):
        return Cause(
            ReasonCode.POSITION_SIDE_MISMATCH,
            f"reduce_only=true side={request.side.value} position_side={position.side.value}",
        )
    closable = position.closable(is_buy=is_buy)
    if bound and request.quantity > closable - bound:
        return Cause(
            ReasonCode.VENUE_INSUFFICIENT_FUNDS,
            f"quantity={request.quantity} held={closable} bound_by_other_orders={bound}",
        )
    if closable > ZERO:
        return None
    return Cause(ReasonCode.VENUE_REDUCE_ONLY, f"position={position.quantity}")
