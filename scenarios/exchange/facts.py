"""What a venue knows: the lines of its truth log."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from brokers.virtual.wire import Account, FundingAtMark, MarketData
from messages import OrderEvent, OrderRequest, PositionMode, PositionSide, VenueReport
from state.instruments import Instrument

VERSION = 1
"""Version of the truth log; raised by any change of what its lines mean."""


class FactKind(StrEnum):
    """What a line says. The first five are what was done to the venue, the rest what came of it."""

    OPENED = "opened"  # the account, with the venue's terms: the first line
    RECEIVED = "received"  # an order came
    CANCEL_ASKED = "cancel_asked"
    SHOWN = "shown"  # a piece of the market
    REFUSED = "refused"  # a request came and was not looked at: late, or a second time
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FUNDING = "funding"
    BALANCE = "balance"  # the account after whatever moved money


INPUTS = frozenset(
    {FactKind.OPENED, FactKind.RECEIVED, FactKind.CANCEL_ASKED, FactKind.SHOWN, FactKind.REFUSED}
)

KIND_OF = {
    OrderEvent.ACCEPTED: FactKind.ACCEPTED,
    OrderEvent.REJECTED: FactKind.REJECTED,
    OrderEvent.FILLED: FactKind.FILLED,
    OrderEvent.FILLED_PARTLY: FactKind.FILLED,
    OrderEvent.CANCELLED: FactKind.CANCELLED,
    OrderEvent.EXPIRED: FactKind.EXPIRED,
}
"""Which kind of fact a report of the engine is."""


class Terms(msgspec.Struct, frozen=True):
    """What a venue is: its instruments, its account, how it matches."""

    instruments: dict[str, Instrument]
    currency: str
    deposit: Decimal
    tag: str
    position_mode: PositionMode = PositionMode.ONE_WAY
    slippage_bps: Decimal = Decimal(0)
    participation: Decimal = Decimal(1)
    brackets: bool = True
    version: int = VERSION


class Payment(msgspec.Struct, frozen=True, gc=False):
    """Funding of one position, negative when paid."""

    symbol: str
    position_side: PositionSide
    amount: Decimal


class Fact(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """
    One line of the truth log.

    ``n`` counts the lines from 1, ``at`` is the market's time (int ms UTC), ``wall`` the
    machine's, of what came from outside. ``seq`` is the number of the news item that tells of it.
    """

    n: int
    fact: FactKind
    at: int
    wall: int = 0
    seq: int = 0
    client_order_id: str = ""
    symbol: str = ""
    reason: str = ""
    request: OrderRequest | None = None
    report: VenueReport | None = None
    source: str = ""
    number: int = 0
    shown: MarketData | None = None
    payment: Payment | None = None
    account: Account | None = None
    terms: Terms | None = None


__all__ = ["INPUTS", "KIND_OF", "Fact", "FactKind", "FundingAtMark", "Payment", "Terms"]
