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


class IntentAction(StrEnum):
    """What an intent is for; the first two add exposure, the next six can only reduce it."""

    ENTRY = "entry"  # open a position
    ADD = "add"  # add to one (DCA, scaling in)
    CLOSE = "close"  # close a whole position now
    PARTIAL_CLOSE = "partial_close"  # close part of it now
    REDUCE = "reduce"  # take something off it, now or by a resting order
    SET_STOP = "set_stop"  # protect it: out at a loss
    SET_TAKE_PROFIT = "set_take_profit"  # out at a profit
    TRAIL = "trail"  # a stop that follows the price
    CANCEL = "cancel"
    UPDATE_PLAN = "update_plan"
    PAUSE_TRADING = "pause_trading"


class OrderFamily(StrEnum):
    """Orders that are refused for like reasons: what a backoff is counted by."""

    ENTRY = "entry"
    ADD = "add"
    EXIT = "exit"
    STOP = "stop"
    TAKE_PROFIT = "take_profit"


class Sizing(StrEnum):
    """How an intent says how much."""

    EXPLICIT = "explicit"  # its quantity
    DELEGATE_NOTIONAL = "delegate_notional"  # its notional, to be divided by the worst price


class Maker(StrEnum):
    """Whether a limit order may take liquidity."""

    ANY = "any"
    PREFER = "prefer"  # post-only first; where that would take, once more without
    ONLY = "only"  # post-only: it never takes


class FallbackOn(StrEnum):
    """What a market fallback is permitted for."""

    REJECT = "reject"  # the venue refused the order
    TIMEOUT = "timeout"  # it was not filled in time, or not at once where it had to be


class PartialFill(StrEnum):
    """What becomes of the rest of an order that was filled in part when its time is over."""

    PURSUE = "pursue"  # the rest goes on as the policy permits
    ACCEPT = "accept"  # what was filled is enough


class Rollback(StrEnum):
    """Whether a strategy's state goes back to what it was when an intent comes to nothing."""

    NEVER = "never"
    IF_UNFILLED = "if_unfilled"


class IfAbsent(StrEnum):
    """What a reducing order does where less is held than it wants to take off."""

    REFUSE = "refuse"
    SYNC = "sync"  # take off what there is; if nothing is, tell the strategy so


class FollowUpReason(StrEnum):
    """Why an intent's policy had one more order made."""

    RETRY = "retry"  # the venue refused, and the policy permits another try
    TAKE = "take"  # a post-only order would have taken, and the policy only prefers to make
    REPRICE = "reprice"  # it rested at a price that the market has left
    FALLBACK_REJECT = "fallback_reject"  # at market, because the venue refused
    FALLBACK_TIMEOUT = "fallback_timeout"  # at market, because the time was over
    RESTORE = "restore"  # a stop put back that had made room for a take-profit


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
