"""
The plain dialect: what is said between the virtual venue and its broker, as JSON over HTTP.

Theory of operation. Everything that the venue does to an order is one *news item* with a number
of its own: 1, 2, 3, ... without gaps, for the account's whole life. An item comes to the client in
the answer to the request that brought it about, in the news that it asks for, or in both, and any
of them may be lost, late or twice. The number is what makes that harmless: the client takes item
n + 1 after item n and nothing else, and asks for what it lacks.

What is no news has no number: an order that the venue did not look at (``Refusal``).

A request says when it was sent and how long that is good for: the venue does not look at one that
comes later than that, so an order without an answer is in doubt for a bounded time only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from messages import (
    Bar,
    MinimumOrder,
    OrderRequest,
    PositionSide,
    Quote,
    Tick,
    VenueOrder,
    VenueReport,
)

KEY_HEADER: Final = "X-Venue-Key"
REQUEST_HEADER: Final = "X-Request-Id"
"""Chosen by the client and repeated in the answer, so that no answer is taken for another's."""

TIME: Final = "/v1/time"
ORDERS: Final = "/v1/orders"
ORDER: Final = "/v1/order"
CANCEL: Final = "/v1/cancel"
CANCEL_ALL: Final = "/v1/cancel-all"
TRADES: Final = "/v1/trades"
ACCOUNT: Final = "/v1/account"
NEWS: Final = "/v1/news"
MARKET: Final = "/v1/market"
FAULTS: Final = "/v1/faults"

NEWS_ITEMS_MAX: Final = 500
"""Most news items in one answer; who lacks more asks again."""

NEWS_WAIT_MS_MAX: Final = 30_000
"""Longest that the venue keeps a question for news open: what lies between us must not cut it."""

BODY_BYTES_MAX: Final = 1_000_000
"""Longest request or answer: a batch of bars, a full page of news."""

LATE: Final = "late"
EARLY: Final = "early"
MALFORMED: Final = "malformed"
UNAUTHORIZED: Final = "unauthorized"
RATE_LIMITED: Final = "rate_limited"
DUPLICATE: Final = "duplicate"
"""An order of this client order id came before: says nothing of what became of that one."""

UNPROCESSED: Final = frozenset({LATE, EARLY, MALFORMED, UNAUTHORIZED, RATE_LIMITED})
"""Refusals by which the venue says for certain that it has not looked at the request."""


class Submit(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One order; ``sent_at`` is the sender's wall clock (int ms UTC)."""

    order: OrderRequest
    sent_at: int
    recv_window_ms: int


class Cancel(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A cancel of one order, or of all (of ``symbol``) where no order is named."""

    sent_at: int
    recv_window_ms: int
    client_order_id: str = ""
    symbol: str = ""


class FundingAtMark(
    msgspec.Struct, frozen=True, tag=True, tag_field="type", forbid_unknown_fields=True
):
    """Funding is settled at ``timestamp``: a long pays ``rate * mark`` for each unit."""

    symbol: str
    timestamp: int
    rate: float
    mark: Decimal


MarketData = Bar | Quote | Tick | FundingAtMark | MinimumOrder
"""What the venue can be shown."""


class Shown(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    A stretch of the market as one source shows it, the first piece being its number ``first``.

    Numbers begin at 1. The venue takes each number of a source once, in order: a batch whose
    answer was lost can be shown again.
    """

    source: str
    first: int
    pieces: tuple[MarketData, ...]


class NewsItem(msgspec.Struct, frozen=True, gc=False):
    """One numbered piece of news of one order."""

    seq: int
    report: VenueReport


class Account(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    What the venue holds, right after news item ``seq``.

    ``net_flow`` is as of ``state.reconciliation.AccountView``; ``at`` is the venue's market time.
    ``fees`` were paid in all, ``funding`` is negative when more was paid than received;
    ``averages`` are the mean entry prices of the positions.
    """

    seq: int
    at: int
    currency: str
    cash: Decimal
    net_flow: Decimal
    positions: tuple[tuple[str, PositionSide, Decimal], ...] = ()
    open_orders: tuple[str, ...] = ()
    fees: Decimal | None = None
    funding: Decimal | None = None
    averages: tuple[tuple[str, PositionSide, Decimal], ...] = ()


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What was done, or asked for.

    ``news`` are items in order of their numbers; ``seq`` is how far the venue has come, which may
    be further. The ``account`` comes with what is asked for and with the news. ``shown`` is how
    far a source's pieces have been taken.
    """

    request_id: str
    seq: int
    account: Account | None = None
    news: tuple[NewsItem, ...] = ()
    order: VenueOrder | None = None
    orders: tuple[str, ...] = ()
    shown: int = 0


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not looked at (``UNPROCESSED``) or came a second time (``DUPLICATE``)."""

    request_id: str
    error: str
    detail: str = ""


class ServerTime(msgspec.Struct, frozen=True):
    """The venue's clocks: ``wall`` judges how old requests are, ``market`` the orders (ms UTC)."""

    wall: int
    market: int
