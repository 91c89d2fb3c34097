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
    """What a line says: first what was done to the venue, then what came of it."""

    OPENED = "opened"  # the account, with the venue's terms: the first line
    RECEIVED = "received"  # an order came
    CANCEL_ASKED = "cancel_asked"
    SHOWN = "shown"  # a piece of the market
    REFUSED = "refused"  # a request came and was not looked at: late, or a second time
    AMEND_ASKED = "amend_asked"  # another quantity or price for a live order
    SET = "set"  # leverage, mode or rules were changed
    MET = "met"  # somebody came to one live order
    FORCED = "forced"  # the venue closes a position, whatever its margin
    AMENDED = "amended"
    OWN_ORDER = "own_order"  # an order of the venue's own: a liquidation, a deleveraging
    INSURED = "insured"  # what nobody can pay was made up for
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FUNDING = "funding"
    BALANCE = "balance"  # the account after whatever moved money


INPUTS = frozenset(
    {
        FactKind.OPENED,
        FactKind.RECEIVED,
        FactKind.CANCEL_ASKED,
        FactKind.SHOWN,
        FactKind.REFUSED,
        FactKind.AMEND_ASKED,
        FactKind.SET,
        FactKind.MET,
        FactKind.FORCED,
    }
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
    """
    What a venue is: its instruments, its account, how it matches.

    With ``reuses_ids`` a client order id is good for another order once its order has ended.
    ``reserves`` and ``at_once`` are as of ``EngineConfig``. Whoever's equity falls below
    ``maintenance`` times the value of the positions is liquidated; without it nobody is.
    """

    instruments: dict[str, Instrument]
    currency: str
    deposit: Decimal
    tag: str
    position_mode: PositionMode = PositionMode.ONE_WAY
    slippage_bps: Decimal = Decimal(0)
    participation: Decimal = Decimal(1)
    brackets: bool = True
    reuses_ids: bool = False
    reserves: bool = False
    at_once: bool = False
    maintenance: Decimal | None = None
    version: int = VERSION


class NotListable(ValueError):
    """An instrument that a dialect's exchange cannot list."""


class Payment(msgspec.Struct, frozen=True, gc=False):
    """Funding of one position, negative when paid."""

    symbol: str
    position_side: PositionSide
    amount: Decimal


class Setting(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is changed: of ``symbol`` leverage, margin type or rules, of the account its mode."""

    symbol: str = ""
    leverage: int | None = None
    isolated: bool | None = None
    position_mode: PositionMode | None = None
    rules: Instrument | None = None


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
    setting: Setting | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None


__all__ = [
    "INPUTS",
    "KIND_OF",
    "Fact",
    "FactKind",
    "FundingAtMark",
    "NotListable",
    "Payment",
    "Setting",
    "Terms",
]
