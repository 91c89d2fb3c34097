"""
When an order executes, and at which price: one observed stretch of the market at a time.

A stretch is a bar, or a single print (a quote or a trade) written as a bar whose four prices
are equal and whose time frame is 0. Of a bar only this is certain: it opened at its open,
reached its high and its low in an unknown order, and ended at its close. Every rule here takes
the less fortunate reading of what is unknown:

- a limit fills only when the price went through it, strictly;
- a stop is touched by equality;
- an order that arrives or wakes within a bar may use of that bar only what must have come
  after: the close;
- a trailing stop stands, for the whole of a bar, where it stood at the bar's open.

A buy waits for low prices and flees from high ones; a sell is its mirror image. ``sign`` turns
one into the other: ``sign * comparison < 0`` reads "better than" for both.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from brokers.matching.orders import Level, Stage, WorkingOrder
from messages import Bar, Liquidity, ReasonCode, TimeInForce
from state.money import BASIS_POINT, exact

_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
_AT_MARKET: Final = Stage.AT_MARKET
_LIMIT: Final = Stage.LIMIT
_STOP: Final = Stage.STOP
_TRAIL: Final = Stage.TRAIL
_TARGET: Final = Stage.TARGET
_IOC: Final = TimeInForce.IOC
_FOK: Final = TimeInForce.FOK
_MAKER: Final = Liquidity.MAKER
_TAKER: Final = Liquidity.TAKER


RESTING: Final = 2
"""The rank of limits and targets, which wait for a price that is good for them."""


class Touch(msgspec.Struct, frozen=True, gc=False):
    """An execution that the market allows, before slippage: at ``price``, taking or making."""

    price: Decimal
    liquidity: Liquidity


def rank(order: WorkingOrder, bar: Bar) -> int:
    """
    Return the order's turn within ``bar``: what happens at the open, then stops, then the rest.

    A limit that the open itself would fill still comes after every stop: where a bar could
    fill both, the stop is taken.
    """
    stage = order.stage
    if stage is _AT_MARKET:
        return 0
    if stage is _STOP or stage is _TRAIL:
        stop = order.stop
        return 0 if stop is not None and order.sign * stop.compare(bar.open) >= 0 else 1
    return RESTING


def turn(order: WorkingOrder, bar: Bar) -> tuple[int, bool, Decimal, int]:
    """
    Return by what the orders that meet ``bar`` are sorted: rank, then price, then time.

    A price that reaches the lower one of two buys has gone through the higher one before, and has
    filled it. Whether it was at a buy or at a sell first nobody knows: what only closes, which
    needs nothing, comes before what opens.
    """
    place = rank(order, bar)
    level = order.limit or order.stop
    if place < RESTING or level is None:
        return place, False, _ZERO, order.number
    return place, not order.closing, level.price * -order.sign, order.number


def is_far(order: WorkingOrder, bar: Bar) -> bool:
    """
    Return whether ``bar`` plainly leaves a resting limit alone: ``touch`` would change nothing.

    Most orders of a book are such, and need no turn.
    """
    limit = order.limit
    if order.fresh or limit is None or order.stage is not _LIMIT:
        return False
    return bar.low > limit.nearest if order.is_buy else bar.high < limit.nearest


def touch(order: WorkingOrder, bar: Bar) -> Touch | ReasonCode | None:
    """
    Return where ``order`` executes in ``bar``, why it ends there instead, or None if it waits.

    Moves the order on: a stop that was reached is a market or a limit order from then on, a
    limit order that met the market is no longer fresh, and a trailing stop follows the price.
    """
    stage = order.stage
    if stage is _AT_MARKET:
        return Touch(exact(bar.open), _TAKER)
    if stage is _LIMIT:
        if order.fresh:
            return _arrive(order, exact(bar.open), bar, at_open=True)
        return _rest(order, bar)
    return _wake(order, bar)


def _wake(order: WorkingOrder, bar: Bar) -> Touch | ReasonCode | None:
    """Trip a waiting stop or target if ``bar`` reaches it."""
    if order.stage is _TRAIL:
        _follow(order, bar.open)
    stop = order.stop
    assert stop is not None, "a waiting order has a stop"
    if order.stage is _TARGET:
        at_open = order.sign * stop.compare(bar.open) <= 0
        reached = at_open or order.sign * stop.compare(_best(order, bar)) <= 0
    else:
        at_open = order.sign * stop.compare(bar.open) >= 0
        reached = at_open or order.sign * stop.compare(_worst(order, bar)) >= 0
    if not reached:
        if order.stage is _TRAIL:
            _follow(order, _best(order, bar))
        return None
    price = exact(bar.open) if at_open else stop.price
    if order.limit is None:
        order.stage = _AT_MARKET
        return Touch(price, _TAKER)
    order.stage = _LIMIT
    return _arrive(order, price, bar, at_open=at_open)


def _arrive(
    order: WorkingOrder, price: Decimal, bar: Bar, *, at_open: bool
) -> Touch | ReasonCode | None:
    """
    Let a limit order meet the market at ``price``: it takes, rests or ends.

    A print is a price one can have, so there equality is enough to take; of a bar's open, which
    is one trade of many, the limit must be better than that.
    """
    limit = order.limit
    assert limit is not None, "a limit order has a limit"
    order.fresh = False
    distance = order.sign * _order_of(price, limit.price)
    if order.request.post_only and distance <= 0:
        return ReasonCode.POST_ONLY_WOULD_TAKE
    if distance < 0 or (distance == 0 and bar.timeframe_ms == 0):
        return Touch(price, _TAKER)
    if order.time_in_force is _IOC:
        return ReasonCode.IOC_REMAINDER
    if order.time_in_force is _FOK:
        return ReasonCode.FOK_UNFILLABLE
    certain = _best(order, bar) if at_open else bar.close
    if order.sign * limit.compare(certain) < 0:
        return Touch(limit.price, _MAKER if distance else _TAKER)
    return None


def _rest(order: WorkingOrder, bar: Bar) -> Touch | None:
    """Fill a resting limit that the price went through: at the open past it, else at its price."""
    limit = order.limit
    assert limit is not None, "a limit order has a limit"
    if order.sign * limit.compare(_best(order, bar)) >= 0:
        return None
    # A print beyond a resting order met it on the way: no better price than its own.
    if bar.timeframe_ms and order.sign * limit.compare(bar.open) < 0:
        return Touch(exact(bar.open), _MAKER)
    return Touch(limit.price, _MAKER)


def _follow(order: WorkingOrder, price: float) -> None:
    """Move a trailing stop behind ``price`` if it is the best so far."""
    if order.best is not None and order.sign * (price - order.best) >= 0:
        return
    order.best = price
    trail = order.request.trail_bps
    assert trail is not None, "a trailing stop has a distance"
    order.stop = Level(exact(price) * (_ONE + order.sign * trail * BASIS_POINT))


def _best(order: WorkingOrder, bar: Bar) -> float:
    return bar.low if order.is_buy else bar.high


def _worst(order: WorkingOrder, bar: Bar) -> float:
    return bar.high if order.is_buy else bar.low


def _order_of(price: Decimal, other: Decimal) -> int:
    return (price > other) - (price < other)
