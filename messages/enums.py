"""The closed vocabularies of orders. Values are lower case and appear as such in every artifact."""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    """Direction of an order or fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Return +1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """Return the other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class PositionSide(StrEnum):
    """The book of a position: one net book (``both``) or, in hedge mode, long and short apart."""

    BOTH = "both"
    LONG = "long"
    SHORT = "short"


class PositionMode(StrEnum):
    """How a venue account keeps positions."""

    ONE_WAY = "one_way"
    HEDGE = "hedge"


class OrderType(StrEnum):
    """What makes an order executable, and at which price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"  # becomes a market order when the price reaches the stop
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"  # becomes a market order when the price reaches the target
    TAKE_PROFIT_LIMIT = "take_profit_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    """How long an order may rest."""

    GTC = "gtc"  # until cancelled
    IOC = "ioc"  # fill what is possible at once, cancel the rest
    FOK = "fok"  # all at once or nothing
    DAY = "day"  # until the next UTC midnight


class Liquidity(StrEnum):
    """Whether a fill took liquidity or provided it."""

    MAKER = "maker"
    TAKER = "taker"


class OrderStatus(StrEnum):
    """State of an order; the legal transitions are the table in ``state.orders``."""

    INTENDED = "intended"
    APPROVED = "approved"
    DENIED = "denied"
    JOURNALED = "journaled"
    SENT = "sent"
    SUPPRESSED = "suppressed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    IN_DOUBT = "in_doubt"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class OrderEvent(StrEnum):
    """What happened to an order."""

    APPROVED = "approved"
    DENIED = "denied"
    JOURNALED = "journaled"
    SENT = "sent"
    SUPPRESSED = "suppressed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SILENCE = "silence"  # the answer is lost: says nothing about what the venue did
    FILLED_PARTLY = "filled_partly"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PROVEN_ABSENT = "proven_absent"  # the venue's evidence that the order never existed


class Verdict(StrEnum):
    """Outcome of a risk decision."""

    APPROVED = "approved"
    DENIED = "denied"


class InstrumentKind(StrEnum):
    """How an instrument is paid for and how its profit settles."""

    SPOT = "spot"  # paid in full, held as an asset; also equities and forex in cash accounts
    LINEAR_PERPETUAL = "linear_perpetual"  # margined, profit settles in the quote currency
