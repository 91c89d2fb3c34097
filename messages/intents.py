"""
What a strategy asks for: orders, cancels, plans, pauses.

What can add exposure and what can only reduce it are two classes, so that whatever stands
between a strategy and the venue can tell them apart without looking inside. ``action`` says what
an intent is for; it never changes its lane. Quantities are base-asset units, prices and
notionals in the quote currency, times int ms UTC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Final

from messages.base import Lane, Message, Overflow
from messages.enums import (
    FollowUpReason,
    IntentAction,
    OrderFamily,
    PositionSide,
    Side,
    Sizing,
)
from messages.plans import Plan
from messages.policies import MARKET, ExecutionPolicy

OPENING: Final = frozenset({IntentAction.ENTRY, IntentAction.ADD})
"""The actions of intents that add exposure."""

PROTECTIVE: Final = frozenset(
    {IntentAction.SET_STOP, IntentAction.SET_TAKE_PROFIT, IntentAction.TRAIL}
)
"""The actions of orders that wait to leave a position: they end with it."""

REDUCING: Final = PROTECTIVE | {
    IntentAction.CLOSE,
    IntentAction.PARTIAL_CLOSE,
    IntentAction.REDUCE,
}
"""The actions of intents that can only reduce exposure."""

FAMILIES: Final = {
    IntentAction.ENTRY: OrderFamily.ENTRY,
    IntentAction.ADD: OrderFamily.ADD,
    IntentAction.CLOSE: OrderFamily.EXIT,
    IntentAction.PARTIAL_CLOSE: OrderFamily.EXIT,
    IntentAction.REDUCE: OrderFamily.EXIT,
    IntentAction.SET_STOP: OrderFamily.STOP,
    IntentAction.TRAIL: OrderFamily.STOP,
    IntentAction.SET_TAKE_PROFIT: OrderFamily.TAKE_PROFIT,
}
"""The family of orders that an action belongs to."""


class Intent(Message, frozen=True):
    """
    What a strategy asks for; ``intent_id`` is unique across sessions, becomes the order id.

    How much is its ``quantity``, or, where ``sizing`` delegates it, its ``notional`` divided by
    the worst price to expect; of a CLOSE it may be left out and is the whole book. Whatever
    does not say how much is refused.

    ``planned_stop`` and ``planned_target`` say where the strategy means to leave, by loss and by
    profit: the reward-to-risk guard reads them. No order is made of them. ``plan_id`` names the
    UPDATE_PLAN that this is a step of, ``replaces`` the order whose place it takes, ``withheld``
    why the strategy's own circuit keeps it back.
    """

    abstract: ClassVar[bool] = True

    intent_id: str
    strategy: str
    symbol: str
    side: Side
    quantity: Decimal | None
    created_at: int
    position_side: PositionSide = PositionSide.BOTH
    policy: ExecutionPolicy = MARKET
    valid_until: int | None = None
    decision_price: Decimal | None = None
    tag: str = ""
    planned_stop: Decimal | None = None
    planned_target: Decimal | None = None
    action: IntentAction = IntentAction.ENTRY
    sizing: Sizing = Sizing.EXPLICIT
    notional: Decimal | None = None
    plan_id: str = ""
    replaces: str = ""
    withheld: str = ""


class OpenIntent(Intent, frozen=True):
    """Ask to add exposure. Refused to the sender when the lane is full or held."""

    lane: ClassVar[Lane] = Lane.OPEN
    overflow: ClassVar[Overflow] = Overflow.REFUSE
    journaled: ClassVar[bool] = True


class ReduceIntent(Intent, frozen=True):
    """Ask to reduce exposure: can never open or flip, whatever is in flight."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.REFUSE
    journaled: ClassVar[bool] = True

    action: IntentAction = IntentAction.REDUCE


class OpenFollowUp(OpenIntent, frozen=True):
    """
    One more order that an opening intent's policy permits, and why: ``root_id`` is the intent.

    A class of its own because it is a capability: Execution alone makes one, and Risk decides
    it anew like any intent.
    """

    journaled: ClassVar[bool] = True

    root_id: str = ""
    because: FollowUpReason = FollowUpReason.RETRY


class ReduceFollowUp(ReduceIntent, frozen=True):
    """One more order that a reducing intent's policy permits; see ``OpenFollowUp``."""

    journaled: ClassVar[bool] = True

    root_id: str = ""
    because: FollowUpReason = FollowUpReason.RETRY


FollowUp = OpenFollowUp | ReduceFollowUp


class CancelIntent(Message, frozen=True):
    """Ask to cancel one live order of the strategy, or (empty ``order_id``) all of a symbol."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    intent_id: str
    strategy: str
    symbol: str
    created_at: int
    order_id: str = ""
    tag: str = ""


class PlanIntent(Message, frozen=True):
    """
    Ask for a plan of a book to be carried out in the strategy's name (UPDATE_PLAN).

    ``plan`` ``None`` drops the one there is and cancels what rests of it.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.REFUSE
    journaled: ClassVar[bool] = True

    intent_id: str
    strategy: str
    symbol: str
    created_at: int
    position_side: PositionSide = PositionSide.BOTH
    plan: Plan | None = None
    tag: str = ""


class PauseIntent(Message, frozen=True):
    """
    Ask that the strategy opens nothing until a time (PAUSE_TRADING): of one symbol, or at all.

    It becomes a hold that ends by itself or is resumed by an operator.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.REFUSE
    journaled: ClassVar[bool] = True

    intent_id: str
    strategy: str
    created_at: int
    until: int
    reason: str
    symbol: str = ""
