"""
What a session puts on record of what is elsewhere, beside news: all that it was decided by.

Orders are decided by what a venue says, and when. Its news enters the journal as it comes
(``VenueReport``, ``VenueOrder``, ``VenueTrades``, ``VenuePayment``, ``ToolReport``); what is asked
for and answered in the middle of something is here. A venue in this process needs none of it: it
says the same again; only what a shadow has kept from a venue is told here too. So is a live feed's
market, which nothing repeats. Times are int ms UTC, of the session.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

from messages.base import Lane, Message, Overflow
from messages.enums import PositionSide, Side
from messages.market import Bar, Quote, Tick
from messages.orders import Fill, VenuePayment


class VenueAccount(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    What a venue says that it holds, in sorted order.

    ``net_flow`` is deposits less everything paid plus everything received; ``fees`` and ``funding``
    are totals of what was paid, ``None`` where the venue does not keep them; ``prices`` are average
    prices of positions. ``grain`` is how far the money may be off because the venue rounds it.
    """

    positions: tuple[tuple[str, PositionSide, Decimal], ...]
    open_orders: tuple[str, ...]
    net_flow: Decimal | None
    fees: Decimal | None = None
    funding: Decimal | None = None
    prices: tuple[tuple[str, PositionSide, Decimal], ...] = ()
    grain: Decimal = Decimal(0)


class VenueRecord(Message, frozen=True):
    """Base of what is put on record of a venue and delivered to nobody."""

    abstract: ClassVar[bool] = True
    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.FATAL
    journaled: ClassVar[bool] = True

    at: int


class VenueConnected(VenueRecord, frozen=True):
    """
    A session starts over a venue elsewhere; what it goes by of that venue and of its own house.

    ``brackets`` and ``answers_at_once`` are the broker's, ``shown`` says whether the venue is shown
    the session's market, ``trades_overlap`` is ``None`` where it lists no trades. ``own_tags`` name
    the sessions whose orders at the venue are ours; ``reconciliation`` is the plan, as JSON.
    """

    venue: str
    brackets: bool
    answers_at_once: bool
    shown: bool
    trades_overlap: int | None
    own_tags: tuple[str, ...]
    reconciliation: str


class VenueSurveyed(VenueRecord, frozen=True):
    """What the venue held before the session's first step, and what it had not told of yet."""

    account: VenueAccount
    fills: tuple[Fill, ...] = ()
    payments: tuple[VenuePayment, ...] = ()


class AccountRead(VenueRecord, frozen=True):
    """Somebody looked at the venue's account: this is what it was, or ``silent`` says why not."""

    account: VenueAccount | None
    silent: str = ""


class OrderWithheld(VenueRecord, frozen=True):
    """
    A shadow: an order that would have left for the venue at ``at`` has not, and goes to the twin.

    ``bid`` and ``ask`` are the newest live quote of its symbol then, which had come at
    ``quoted_at``; ``None`` where none has.
    """

    client_order_id: str
    strategy: str
    symbol: str
    side: Side
    quantity: Decimal
    decision_price: Decimal | None
    bid: float | None = None
    ask: float | None = None
    quoted_at: int | None = None


class NewsMissing(VenueRecord, frozen=True):
    """Somebody asked whether all news is in and all requests are over, and they are not."""


class CallFailed(VenueRecord, frozen=True):
    """
    A call of the broker raised: ``call`` is which, ``subject`` whose order or empty.

    ``kind`` is the error's class, ``text`` what it says, ``shown`` how it is shown with both.
    """

    call: str
    subject: str
    kind: str
    text: str
    shown: str


class ClockRead(VenueRecord, frozen=True):
    """
    The clock was read where nothing else says so, and the timers due by ``upto`` go off.

    ``occasion`` is ``kill`` (one looks on in the middle of a turn) or ``end`` (what is in doubt is
    asked about after the last turn).
    """

    upto: int
    occasion: str


class MarketBefore(VenueRecord, frozen=True):
    """What a live feed knew of the time before a start: strategies warm up with it, in order."""

    bars: tuple[Bar, ...]


class MarketSeen(VenueRecord, frozen=True):
    """What a live feed brought, just before it was acted upon: closed bars, a quote or a trade."""

    seen: tuple[Bar | Quote | Tick, ...]
