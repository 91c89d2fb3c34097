"""
A plan: how a position is left, and added to, step by step.

A strategy hands a plan in with UPDATE_PLAN; from then on its steps become intents in the
strategy's name, each through Risk like any other. A step's price is absolute, or a distance in
basis points from the position's mean entry price; its ``how`` says by which kind of order. The
plan is the book's: a new one takes the old one's place, and it is over when the book is flat.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from messages.enums import OrderType
from messages.policies import MARKET, ExecutionPolicy

AT_STOP: Final = ExecutionPolicy(OrderType.STOP)
AT_LIMIT: Final = ExecutionPolicy(OrderType.LIMIT)
AT_TRAIL: Final = ExecutionPolicy(OrderType.TRAILING_STOP)


class PlanPlace(StrEnum):
    """Where the steps of a plan wait for their price."""

    VENUE = "venue"  # as resting orders: they work while this process does not
    HERE = "here"  # with the strategy, which looks at every bar, quote and trade


class PlanStop(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    Leave with the whole position when the price goes against it as far as this.

    ``limit_offset_bps`` bounds, for a stop-limit order, how far beyond the stop it may fill.
    """

    price: Decimal | None = None
    distance_bps: Decimal | None = None
    limit_offset_bps: Decimal | None = None
    how: ExecutionPolicy = AT_STOP


class PlanTarget(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    Leave with ``share`` of the position at a profit.

    The share is of all that was ever held under the plan, so that three thirds leave nothing.
    """

    price: Decimal | None = None
    distance_bps: Decimal | None = None
    share: Decimal = Decimal(1)
    how: ExecutionPolicy = AT_LIMIT


class PlanTrail(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    Let the stop follow the best price at ``trail_bps``, from ``activate`` on (at once if neither).

    It takes the stop's place where it protects at least as well.
    """

    trail_bps: Decimal
    activate_price: Decimal | None = None
    activate_distance_bps: Decimal | None = None
    how: ExecutionPolicy = AT_TRAIL


class PlanAdd(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    Add to the position at a price: one rung of a ladder.

    The quantity is explicit, or a notional that is divided by the worst price. A distance is
    counted against the position (a long adds below; by a stop order, on strength, above) from the
    mean entry price when the plan was handed in, so that rungs do not run away from what they
    fill. A market order rests nowhere: such a rung needs a plan that waits here.
    """

    price: Decimal | None = None
    distance_bps: Decimal | None = None
    quantity: Decimal | None = None
    notional: Decimal | None = None
    how: ExecutionPolicy = AT_LIMIT


class Plan(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    The steps of one book: at most one stop, targets, trail and time stop; any number of adds.

    ``time_stop`` (int ms UTC) closes what is left then, as ``close_how`` says.
    """

    stop: PlanStop | None = None
    targets: tuple[PlanTarget, ...] = ()
    trail: PlanTrail | None = None
    adds: tuple[PlanAdd, ...] = ()
    time_stop: int | None = None
    close_how: ExecutionPolicy = MARKET
    place: PlanPlace = PlanPlace.VENUE
