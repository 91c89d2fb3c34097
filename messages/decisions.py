"""
What becomes of strategies' wishes besides orders: ends, plans, states, backoffs, minimums.

All of it is journaled, so that every order, and every change of a strategy's mind that led to one,
can be followed from the journal alone. Times are int ms UTC of the session.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from messages.base import Lane, Message, Overflow
from messages.codes import Cause
from messages.enums import OrderFamily, PositionSide


class IntentEnded(Message, frozen=True):
    """
    An intent whose policy permits more than one order is over, and what it took.

    ``orders`` counts the orders made, the first included; ``cause`` is why it ended with less
    than its quantity ``filled``, if it did.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    intent_id: str
    strategy: str
    symbol: str
    at: int
    quantity: Decimal
    filled: Decimal
    orders: int
    retries: int = 0
    reprices: int = 0
    fallbacks: int = 0
    cause: Cause | None = None


class PlanStatus(StrEnum):
    """What happened to a plan."""

    ADOPTED = "adopted"
    REPLACED = "replaced"  # a newer one took its place
    DROPPED = "dropped"  # the strategy took it back
    STEP = "step"  # a step's price or time has come
    DONE = "done"  # the book is flat


class PlanChanged(Message, frozen=True):
    """Something happened to the plan of a book; ``plan_id`` is its UPDATE_PLAN's intent id."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.DROP_NEWEST
    journaled: ClassVar[bool] = True

    plan_id: str
    strategy: str
    symbol: str
    position_side: PositionSide
    at: int
    status: PlanStatus
    detail: str = ""


class StateOccasion(StrEnum):
    """When a strategy's state of a book was noted."""

    BEFORE_INTENT = "before_intent"  # what a failure of the intent goes back to
    CHANGED = "changed"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"  # the intent failed, and the state had moved on: it stays


class StrategyState(Message, frozen=True):
    """
    A strategy's own state of one book (JSON), whenever it has changed.

    ``intent_id`` is the intent that it belongs to, where it belongs to one.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.DROP_NEWEST
    journaled: ClassVar[bool] = True

    strategy: str
    symbol: str
    position_side: PositionSide
    at: int
    occasion: StateOccasion
    state: str
    intent_id: str = ""


class BackoffChanged(Message, frozen=True):
    """
    A strategy's own backoff: until when it will not have orders of a family on a symbol.

    Risk refuses openings until then. Nothing that reduces is ever kept back by it.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    strategy: str
    symbol: str
    family: OrderFamily
    at: int
    failures: int
    until: int


class MinimumOrder(Message, frozen=True):
    """The least that the venue accepts as an order of a symbol; ``None``: no such rule."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    symbol: str
    at: int
    min_quantity: Decimal | None = None
    min_notional: Decimal | None = None
