"""A plan as an operator sees it: each step, where it is, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum

import msgspec

from messages import PlanPlace
from state.money import ZERO
from strategies.desk import Desk
from strategies.plans.levels import Levels
from strategies.plans.standing import Standing, Step


class StepState(StrEnum):
    """How a step stands."""

    ASKED = "asked"  # an intent of it is not finished
    HERE = "here"  # it waits for its price or time with the strategy
    LATER = "later"  # its condition is still to come: a position, an activation, a time
    REFUSED = "refused"  # just this was refused: not asked for again before the book changes
    OVER = "over"  # it was filled, or ended


class StepView(msgspec.Struct, frozen=True, gc=False):
    """
    One step: its name, the price it is at (``None`` where that is the market's), how much.

    ``intent_id`` is given while an intent of it is not finished.
    """

    name: str
    state: StepState
    price: Decimal | None = None
    quantity: Decimal = ZERO
    filled: Decimal = ZERO
    intent_id: str = ""


def outlook(standing: Standing, desk: Desk, levels: Levels) -> list[StepView]:
    """Return every step that a plan has, in the order in which they are looked at."""
    return list(_views(standing, desk, levels))


def _views(standing: Standing, desk: Desk, levels: Levels) -> Iterator[StepView]:
    plan, held = standing.plan, desk.position(*standing.book)
    here = plan.place is PlanPlace.HERE and standing.held
    waits = StepState.HERE if here else StepState.LATER
    if plan.stop is not None and not standing.trailing:
        price = levels.stop(standing, held) if held else plan.stop.price
        yield _view(standing, standing.stop, desk, price, waits)
    if plan.trail is not None:
        state = waits if standing.trailing else StepState.LATER
        price = None
        if standing.trailing and held and standing.best is not None:
            price = levels.trail(standing, held, standing.best)
        yield _view(standing, standing.trail, desk, price, state)
    for target, step in zip(plan.targets, standing.targets, strict=True):
        price = levels.target(standing, target, held) if held else target.price
        yield _view(standing, step, desk, price, waits)
    for rung, step in zip(plan.adds, standing.adds, strict=True):
        price = levels.rung(standing, rung, held) if held else rung.price
        yield _view(standing, step, desk, price, StepState.OVER if step.asked else waits)
    if plan.time_stop is not None:
        yield _view(standing, standing.closing, desk, None, StepState.LATER)


def _view(
    standing: Standing, step: Step, desk: Desk, price: Decimal | None, otherwise: StepState
) -> StepView:
    live = bool(step.intent_id) and desk.intent(step.intent_id) is not None
    state = otherwise
    if live:
        state = StepState.ASKED
    elif step.refused_at is not None:
        state = StepState.REFUSED
    elif step.filled and otherwise is not StepState.HERE:
        state = StepState.OVER
    return StepView(
        standing.name_of(step),
        state,
        price,
        step.quantity,
        step.filled,
        step.intent_id if live else "",
    )
