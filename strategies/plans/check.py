"""What is wrong with a plan, in words: every contradiction, before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from messages import (
    ExecutionPolicy,
    OrderType,
    Plan,
    PlanIntent,
    PlanPlace,
    PlanStop,
    PositionSide,
)
from state.money import EXACT, ZERO, plain

STEPS_MAX: Final = 64
"""Targets and rungs of one plan: more orders than that for one position are a slip."""

WHOLE_BPS: Final = Decimal(10_000)
"""So far down there is no price left."""

STOP_KINDS: Final = (OrderType.STOP, OrderType.STOP_LIMIT)
TARGET_KINDS: Final = (OrderType.LIMIT, OrderType.TAKE_PROFIT)
ADD_KINDS: Final = (OrderType.LIMIT, OrderType.STOP, OrderType.MARKET)
TRAIL_KINDS: Final = (OrderType.TRAILING_STOP,)
CLOSE_KINDS: Final = (OrderType.MARKET,)


def problems_of(intent: PlanIntent, held: Decimal, mark: Decimal | None, now: int) -> list[str]:
    """
    Return every problem of a plan for a book that holds ``held`` with the price at ``mark``.

    The direction is the position's, or, of a flat book in hedge mode, the book's own. Of a flat
    one-way book it is not known yet, and prices are not compared with the market.
    """
    assert intent.plan is not None, "taking a plan back has no problems"
    way = 1 if held > ZERO else -1 if held < ZERO else WAYS.get(intent.position_side, 0)
    return list(_problems(intent.plan, way, mark, now))


WAYS: Final = {PositionSide.LONG: 1, PositionSide.SHORT: -1}


def _problems(plan: Plan, way: int, mark: Decimal | None, now: int) -> Iterator[str]:
    if not (plan.stop or plan.targets or plan.trail or plan.adds or plan.time_stop is not None):
        yield "found no step, expected at least one"
    if len(plan.targets) + len(plan.adds) > STEPS_MAX:
        yield f"found {len(plan.targets) + len(plan.adds)} steps, expected at most {STEPS_MAX}"
    if plan.stop is not None:
        yield from _where("stop", plan.stop.price, plan.stop.distance_bps, -way, mark)
        yield from _how("stop", plan.stop.how, STOP_KINDS)
        yield from _limit_of_stop(plan.stop.how, plan.stop.limit_offset_bps)
    here = plan.place is PlanPlace.HERE
    shares = ZERO
    for number, target in enumerate(plan.targets, start=1):
        name = f"target {number}"
        yield from _where(name, target.price, target.distance_bps, way, mark)
        yield from _how(name, target.how, TARGET_KINDS)
        if not _amount(target.share) or not ZERO < target.share <= 1:
            yield f"{name}: share is {target.share}, expected more than 0 and at most 1"
        else:
            shares = EXACT.add(shares, target.share)
    if shares > 1:
        yield f"targets: shares are {plain(shares)} together, expected at most 1"
    yield from _trail(plan, mark)
    for number, rung in enumerate(plan.adds, start=1):
        name = f"add {number}"
        on_strength = _kind(rung.how) is OrderType.STOP
        towards = way if on_strength else -way
        yield from _where(name, rung.price, rung.distance_bps, towards, mark)
        yield from _how(name, rung.how, ADD_KINDS)
        if _kind(rung.how) is OrderType.MARKET and not here:
            yield f"{name}: a market order rests nowhere, expected place here"
        if not on_strength and way and _is_beyond(plan.stop, rung.price, way):
            assert rung.price is not None, "only a price is beyond another"
            yield f"{name}: price is {plain(rung.price)}, expected one that is met before the stop"
        sizes = [size for size in (rung.quantity, rung.notional) if size is not None]
        if len(sizes) != 1 or not _amount(sizes[0]) or sizes[0] <= ZERO:
            yield f"{name}: expected exactly one of quantity and notional, more than 0"
    if plan.time_stop is not None and (type(plan.time_stop) is not int or plan.time_stop <= now):
        yield f"time_stop is {plan.time_stop}, expected a time after {now}"
    yield from _how("close_how", plan.close_how, CLOSE_KINDS)


def _kind(how: object) -> OrderType | None:
    return how.order_type if isinstance(how, ExecutionPolicy) else None


def _is_beyond(stop: PlanStop | None, price: Decimal | None, way: int) -> bool:
    """Return whether a rung's price is met only where the stop has left already."""
    if stop is None or not _amount(stop.price) or not _amount(price):
        return False
    assert stop.price is not None, "it is an amount"
    assert price is not None, "it is an amount"
    return (price - stop.price) * way <= ZERO


def _trail(plan: Plan, mark: Decimal | None) -> Iterator[str]:
    trail = plan.trail
    if trail is None:
        return
    if not _amount(trail.trail_bps) or not ZERO < trail.trail_bps < WHOLE_BPS:
        yield f"trail: trail_bps is {trail.trail_bps}, expected more than 0 and below 10000"
    if trail.activate_price is not None or trail.activate_distance_bps is not None:
        yield from _where(
            "trail: activate", trail.activate_price, trail.activate_distance_bps, 0, mark
        )
    yield from _how("trail", trail.how, TRAIL_KINDS)


def _where(
    name: str,
    price: Decimal | None,
    distance_bps: Decimal | None,
    way: int,
    mark: Decimal | None,
) -> Iterator[str]:
    """Check a step's place: a price on the right side of the market (``way``), or a distance."""
    if (price is None) == (distance_bps is None):
        yield f"{name}: expected exactly one of price and distance"
        return
    found: Any = price if price is not None else distance_bps
    if not _amount(found) or found <= ZERO:
        yield f"{name}: found {found!r}, expected a finite Decimal above 0"
        return
    if distance_bps is not None and way < 0 and distance_bps >= WHOLE_BPS:
        yield f"{name}: distance is {plain(distance_bps)}, expected less than {plain(WHOLE_BPS)}"
    if price is not None and way and mark is not None and (price - mark) * way <= ZERO:
        side = "above" if way > 0 else "below"
        yield f"{name}: price is {plain(price)}, expected {side} the market at {plain(mark)}"


def _how(name: str, how: object, kinds: tuple[OrderType, ...]) -> Iterator[str]:
    if not isinstance(how, ExecutionPolicy):
        yield f"{name}: how is {how!r}, expected an ExecutionPolicy"
        return
    if how.order_type not in kinds:
        allowed = ", ".join(kind.value for kind in kinds)
        yield f"{name}: order type is {how.order_type.value}, expected one of: {allowed}"
    if how.limit_price is not None or how.stop_price is not None or how.trail_bps is not None:
        yield f"{name}: its policy has a price of its own, expected the step's alone"


def _limit_of_stop(how: ExecutionPolicy, offset_bps: Decimal | None) -> Iterator[str]:
    if (how.order_type is OrderType.STOP_LIMIT) is (offset_bps is None):
        yield "stop: limit_offset_bps goes with a stop_limit order, and is needed by it"
    elif offset_bps is not None and (not _amount(offset_bps) or not ZERO <= offset_bps < WHOLE_BPS):
        yield f"stop: limit_offset_bps is {offset_bps}, expected 0 or more and below 10000"


def _amount(value: object) -> bool:
    return type(value) is Decimal and value.is_finite()
