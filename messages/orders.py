"""
From an intent to what a venue did: decisions, requests, reports, fills.

All money is ``Decimal``. Quantities are base-asset units; prices and fees are in the
instrument's quote currency unless a field says otherwise. Times are int milliseconds UTC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

from messages.base import Lane, Message, Overflow
from messages.codes import Cause
from messages.enums import (
    FollowUpReason,
    IntentAction,
    Liquidity,
    OrderEvent,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    Verdict,
)
from messages.intents import Intent


class RiskDecision(Message, frozen=True):
    """
    The verdict on one intent with every cause found.

    Of an approval, ``quantity``, ``limit_price`` and ``stop_price`` are what the order will
    carry after rounding to the instrument's rules. ``root_id`` is the intent that a follow-up
    belongs to.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    intent_id: str
    strategy: str
    symbol: str
    verdict: Verdict
    decided_at: int
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    causes: tuple[Cause, ...] = ()
    root_id: str = ""


class OrderRequest(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    The exact order a broker is asked to place; on disk before it is sent.

    ``valued_price`` is the worst price by which Risk reserved its exposure, ``worst_price`` the
    market's beyond which it must not leave any more. ``root_id`` is the intent that it is a
    further order of (empty: its own), ``replaces`` the order whose place it takes.
    """

    order_id: str
    client_order_id: str
    strategy: str
    symbol: str
    side: Side
    position_side: PositionSide
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    created_at: int
    reduce_only: bool = False
    post_only: bool = False
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_bps: Decimal | None = None
    expire_at: int | None = None
    valid_until: int | None = None
    decision_price: Decimal | None = None
    valued_price: Decimal | None = None
    action: IntentAction = IntentAction.ENTRY
    root_id: str = ""
    replaces: str = ""
    worst_price: Decimal | None = None


class ApprovedOpen(Message, frozen=True):
    """
    An order that adds exposure and has passed every guard; its exposure is reserved.

    ``intent`` is given where its policy permits more than this one order.
    """

    lane: ClassVar[Lane] = Lane.OPEN
    overflow: ClassVar[Overflow] = Overflow.ESCALATE

    request: OrderRequest
    intent: Intent | None = None


class ApprovedReduce(Message, frozen=True):
    """A reducing order that has passed every guard; ``intent`` as of ``ApprovedOpen``."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE

    request: OrderRequest
    intent: Intent | None = None


class ApprovedCancel(Message, frozen=True):
    """A cancel on its way to Execution. No guard can refuse it."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE

    intent_id: str
    strategy: str
    symbol: str
    order_id: str = ""
    code: str = "cancel_requested"


class Fill(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One execution at the venue, known by the venue's ``trade_id`` and booked exactly once."""

    trade_id: str
    order_id: str
    client_order_id: str
    strategy: str
    symbol: str
    side: Side
    position_side: PositionSide
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    timestamp: int


class Booking(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    What the ledger made of one fill: the position's state right after it.

    ``realized_pnl`` is this fill's, gross of fees; ``realized_total`` the position's so far.
    ``lot_ids`` are the lots it opened (one) or closed, wholly or partly, in that order.
    ``average_price`` is the mean price of the open lots, zero when flat. ``cash`` is the
    account's, after the fill and its fee.
    """

    realized_pnl: Decimal
    realized_total: Decimal
    quantity: Decimal
    average_price: Decimal
    cash: Decimal
    lot_ids: tuple[str, ...] = ()


class VenueReport(Message, frozen=True):
    """
    What a broker says about one order: the only way news of a venue enters the system.

    A venue elsewhere is journaled as it speaks; one in this process says the same again.

    ``event`` is ACCEPTED, REJECTED, SILENCE, FILLED_PARTLY, FILLED, CANCELLED, EXPIRED or
    PROVEN_ABSENT; ``fill`` is set for the two fill events. ``timestamp`` is the venue's. With an
    end (CANCELLED, EXPIRED) ``filled`` is what the order was filled with by then, where the venue
    says so: by it a fill whose news was lost is missed.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    client_order_id: str
    event: OrderEvent
    timestamp: int
    fill: Fill | None = None
    cause: Cause | None = None
    venue_order_id: str = ""
    filled: Decimal | None = None


class VenueOrder(Message, frozen=True):
    """
    What the venue answers when it is asked about one order.

    ``known`` is false where it has no such order, ``open`` true while it is live there. ``fills``
    are all of its fills that the venue tells of, those that were reported before included;
    ``filled`` is their sum by the venue's own count. Of an order that is over, ``ended`` says by
    which event (FILLED, CANCELLED, EXPIRED or REJECTED), and ``cause`` why.

    ``asked_at`` is when the question left, not when it was answered. The venue still knows every
    order that ended at ``remembers_from`` or later; unless it says so, "not known" proves nothing.
    All times are int ms UTC.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    client_order_id: str
    timestamp: int
    known: bool
    open: bool
    fills: tuple[Fill, ...] = ()
    ended: OrderEvent | None = None
    cause: Cause | None = None
    filled: Decimal | None = None
    asked_at: int | None = None
    remembers_from: int | None = None


class FundingSettled(Message, frozen=True):
    """The venue settled funding of a symbol: a long pays ``rate * mark`` for each unit it holds."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE

    symbol: str
    at: int
    rate: Decimal
    mark: Decimal


class VenuePayment(Message, frozen=True):
    """
    A venue elsewhere has settled funding of a symbol, and says what it came to.

    ``amount`` is negative when paid. ``payment_id`` names the payment in the whole account: told
    again, it is the same one. ``timestamp`` is the venue's. ``position_side`` is which of the
    account's positions it was of, ``None`` where the venue keeps two and does not say.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    payment_id: str
    symbol: str
    timestamp: int
    amount: Decimal
    position_side: PositionSide | None = None


class ExecutionReport(Message, frozen=True):
    """
    One step in an order's life, after the order table accepted it.

    ``order`` is carried by the JOURNALED event only, ``fill`` and ``booking`` by fill events.
    ``root_id`` is the intent that the order is a further one of. ``then`` says that the order's
    end is not the intent's: what its policy has follow.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    order_id: str
    client_order_id: str
    strategy: str
    symbol: str
    event: OrderEvent
    status: OrderStatus
    timestamp: int
    filled: Decimal
    cause: Cause | None = None
    fill: Fill | None = None
    booking: Booking | None = None
    order: OrderRequest | None = None
    root_id: str = ""
    then: FollowUpReason | None = None


class PortfolioMarked(Message, frozen=True):
    """
    The account at one moment, valued at ``marks``: what ``account.csv`` and ``positions.csv`` show.

    ``marks`` holds (symbol, price) of every symbol with a position. ``occasion`` is ``start``,
    ``fill``, ``midnight`` or ``close``. ``equity`` is exactly cash + quantity * mark (spot) or
    cash + unrealised (linear perpetuals), over all positions.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    at: int
    occasion: str
    currency: str
    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    marks: tuple[tuple[str, Decimal], ...] = ()


class EquitySampled(Message, frozen=True):
    """
    The equity over the session, valued at every bar's close: a bounded sample and its extremes.

    ``points`` are (timestamp ms, equity) pairs, ``max_drawdown`` is the largest fall from a
    peak as a fraction of the peak. Statistics, therefore floats; the books are exact.
    """

    lane: ClassVar[Lane] = Lane.DATA
    overflow: ClassVar[Overflow] = Overflow.DROP_NEWEST
    journaled: ClassVar[bool] = True

    points: tuple[tuple[int, float], ...]
    max_drawdown: float
    exposure_share: float


class MarketSampled(Message, frozen=True):
    """A bounded sample of one symbol's closes for the report: (timestamp ms, close) pairs."""

    lane: ClassVar[Lane] = Lane.DATA
    overflow: ClassVar[Overflow] = Overflow.DROP_NEWEST
    journaled: ClassVar[bool] = True

    symbol: str
    points: tuple[tuple[int, float], ...]
