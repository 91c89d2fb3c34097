"""Stable reason codes. The table in ``docs/reference/reason-codes.md`` is generated from here."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

import msgspec


class Explained(StrEnum):
    """Base of vocabularies whose every word says what it means."""

    def __new__(cls, value: str, meaning: str = "") -> Self:  # noqa: D102
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    meaning: str


class ReasonCode(Explained):
    """Why an intent, order or message was refused, suppressed, rejected or ended."""

    QUANTITY_NOT_POSITIVE = (
        "quantity_not_positive",
        "the quantity is zero or negative, or rounds down to zero at the lot step",
    )
    QUANTITY_BELOW_MIN = ("quantity_below_min", "below the instrument's minimum quantity")
    QUANTITY_ABOVE_MAX = ("quantity_above_max", "above the instrument's maximum quantity")
    NOTIONAL_BELOW_MIN = ("notional_below_min", "below the instrument's minimum notional")
    PRICE_NOT_POSITIVE = ("price_not_positive", "a limit or stop price is zero or negative")
    PRICE_MISSING = ("price_missing", "the order type needs a price that the intent lacks")
    PRICE_UNKNOWN = ("price_unknown", "no market price is known yet to value the order")
    INSTRUMENT_UNKNOWN = ("instrument_unknown", "the symbol is not an instrument of this session")
    MAX_ORDER_NOTIONAL = ("max_order_notional", "the order's notional exceeds the limit")
    MAX_POSITION_NOTIONAL = (
        "max_position_notional",
        "the position, with what is in flight, would exceed the limit",
    )
    MAX_GROSS_EXPOSURE = (
        "max_gross_exposure",
        "gross exposure over all positions, with what is in flight, would exceed the limit",
    )
    LIVE_NOTIONAL_CAP = (
        "live_notional_cap",
        "gross exposure, with what is in flight, would exceed the cap that a file raises by hand",
    )
    MAX_NET_EXPOSURE = (
        "max_net_exposure",
        "net exposure over all positions, with what is in flight, would exceed the limit",
    )
    SYMBOL_BUDGET = ("symbol_budget", "the symbol's budget would be exceeded")
    STRATEGY_BUDGET = ("strategy_budget", "the strategy's budget would be exceeded")
    MAX_DRAWDOWN = ("max_drawdown", "equity, open profit included, fell too far below its peak")
    MAX_DAILY_LOSS = ("max_daily_loss", "the loss since UTC midnight, open loss included")
    MAX_SESSION_LOSS = ("max_session_loss", "the session's risk budget is used up")
    CONSECUTIVE_LOSSES = ("consecutive_losses", "too many closed trades in a row lost")
    ORDER_RATE = ("order_rate", "too many orders that add exposure within a minute")
    CANCEL_RATE = ("cancel_rate", "too many cancels within a minute: nothing new may open")
    PRICE_COLLAR = ("price_collar", "a price is too far from the market")
    SLIPPAGE_LIMIT = ("slippage_limit", "the market has moved too far from the decision's price")
    SPREAD_LIMIT = ("spread_limit", "the spread between bid and ask is too wide")
    LIQUIDITY_LIMIT = ("liquidity_limit", "the order is too large for what trades")
    REWARD_TO_RISK = ("reward_to_risk", "the plan's reward is too small for its risk")
    STACKING_BLOCKED = ("stacking_blocked", "the book already has, or is about to have, a position")
    ORDER_VALUE_BUFFER = ("order_value_buffer", "the order leaves too little money unspent")
    MAX_OPEN_ORDERS = ("max_open_orders", "too many orders are unfinished")
    MARGIN_USE = ("margin_use", "too much of the equity would be bound as margin")
    FUNDING_COST = ("funding_cost", "funding is, or has been, too expensive")
    UNIVERSE_DENIED = ("universe_denied", "the symbol is not one that may be traded")
    CASH_INSUFFICIENT = (
        "cash_insufficient",
        "free cash, less what is reserved, does not pay for the order and its fee",
    )
    MARGIN_INSUFFICIENT = ("margin_insufficient", "free equity does not cover the initial margin")
    REDUCE_ONLY_WOULD_OPEN = (
        "reduce_only_would_open",
        "a reducing order exceeds the position less what is already being reduced in flight",
    )
    SPOT_CANNOT_SHORT = ("spot_cannot_short", "a spot sale exceeds what is held")
    POSITION_SIDE_MISMATCH = (
        "position_side_mismatch",
        "the position side is not one of the account's position mode, or contradicts the side",
    )
    DUPLICATE_INTENT = ("duplicate_intent", "an intent with this id was already decided")
    INTENT_EXPIRED = (
        "intent_expired",
        "the intent's valid_until has passed, or it has none and waited for over a time frame",
    )
    HELD = ("held", "a hold covers what the order would do")
    QUANTITY_MISSING = (
        "quantity_missing",
        "the intent says neither how much nor that its notional decides",
    )
    POSITION_ABSENT = ("position_absent", "there is nothing left to close: the book is flat")
    PLAN_INVALID = ("plan_invalid", "a step of the plan contradicts itself, the book or the market")
    STRATEGY_BACKOFF = ("strategy_backoff", "the strategy's own backoff after refusals lasts")
    STRATEGY_DECLINED = ("strategy_declined", "the strategy's `can_submit_order` said no")
    STRATEGY_QUARANTINED = ("strategy_quarantined", "the strategy failed too often and is stopped")
    MAILBOX_FULL = ("mailbox_full", "the receiver's lane is full")
    HANDLER_FAILED = (
        "handler_failed",
        "the actor that had to handle it failed on it; it is never handled again",
    )
    EXECUTION_RESTARTED = (
        "execution_restarted",
        "journaled and never sent when Execution restarted",
    )
    UNKNOWN_ORDER = ("unknown_order", "no live order has this id")
    POST_ONLY_WOULD_TAKE = ("post_only_would_take", "a post-only order would have taken liquidity")
    FOK_UNFILLABLE = ("fok_unfillable", "a fill-or-kill order could not be filled whole at once")
    IOC_REMAINDER = ("ioc_remainder", "the unfilled rest of an immediate-or-cancel order")
    DAY_ENDED = ("day_ended", "a day order reached UTC midnight")
    ORDER_EXPIRED = ("order_expired", "the order's own expiry time has passed")
    TIMED_OUT = ("timed_out", "not finished within its policy's `timeout_ms`")
    REPRICED = ("repriced", "cancelled to be placed at another price, as its policy permits")
    REPLACED = ("replaced", "another order of the strategy took its place")
    POSITION_CLOSED = ("position_closed", "the position that it was to leave is gone")
    BRACKET = ("bracket", "it made room for the other side of its bracket")
    CANCEL_REQUESTED = ("cancel_requested", "cancelled at the strategy's request")
    QUARANTINE_CANCEL = ("quarantine_cancel", "cancelled because its strategy was quarantined")
    KILL_CANCEL = ("kill_cancel", "cancelled by a kill")
    COMMAND_CANCEL = ("command_cancel", "cancelled at the operator's request")
    SESSION_ENDED = ("session_ended", "still open when the session ended")
    VENUE_INSUFFICIENT_FUNDS = ("venue_insufficient_funds", "the venue found too little cash")
    VENUE_REDUCE_ONLY = ("venue_reduce_only", "the venue found nothing left to reduce")
    VENUE_REJECTED = ("venue_rejected", "the venue refused the order; the detail is its own word")
    VENUE_UNSUPPORTED = (
        "venue_unsupported",
        "the venue cannot do what the order asks for; it was not sent",
    )
    FILLED_AS_SENT = (
        "filled_as_sent",
        "the venue filled all that was sent: the rest is below its grid or was taken as its fee",
    )
    VENUE_RATE_LIMITED = (
        "venue_rate_limited",
        "the venue was asked too often and did not look at the order",
    )
    DUPLICATE_CLIENT_ORDER_ID = (
        "duplicate_client_order_id",
        "the venue already has an order of this client order id",
    )
    ANSWER_LOST = ("answer_lost", "no answer came: the order is in doubt, never sent again")
    SEND_UNKNOWN = (
        "send_unknown",
        "the process ended before an answer came: nobody knows whether the order left",
    )
    NEVER_ARRIVED = (
        "never_arrived",
        "the venue does not have the order, asked when its request could no longer arrive",
    )
    ENDED_UNSEEN = (
        "ended_unseen",
        "the venue says that the order is over; the news of its end never came",
    )


class Cause(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One reason with its figures, as ``key=value`` pairs separated by spaces."""

    code: ReasonCode
    detail: str = ""

    def __str__(self) -> str:
        """Return ``code`` or ``code(detail)``, the form that artifacts show."""
        return f"{self.code.value}({self.detail})" if self.detail else self.code.value
