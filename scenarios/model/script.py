"""What the built-in ``scripted`` strategy does, and when."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from messages import (
    Explained,
    FallbackOn,
    IfAbsent,
    Maker,
    OrderEvent,
    OrderType,
    PartialFill,
    PlanPlace,
    PositionSide,
    ReasonCode,
    Rollback,
    Side,
    TimeInForce,
)
from scenarios.model.base import Exact, Offset, Table

OccasionName = Literal["start", "fill", "update", "refusal", "end", "quote", "tick"]
ActionName = Literal[
    "open",
    "add",
    "reduce",
    "close",
    "partial_close",
    "set_stop",
    "set_take_profit",
    "trail",
    "cancel",
    "update_plan",
    "pause_trading",
    "resubmit",
    "repeat",
    "raise",
    "nonsense",
]
OPENS = frozenset({"open", "add"})
SIZED = frozenset({"open", "add", "reduce", "partial_close"})
PRICED = frozenset({"set_stop", "set_take_profit"})


class Nonsense(Explained):
    """What a strategy must never return."""

    TEXT = "text", "a text where an intent belongs"
    NOT_ITERABLE = "not_iterable", "a number in place of a list of intents"
    FLOAT_QUANTITY = "float_quantity", "an intent whose quantity is a float"
    WRONG_SIDE = "wrong_side", "an intent whose side is a mere text"
    OTHER_STRATEGY = "other_strategy", "an intent in another strategy's name"
    OTHER_ID = "other_id", "an intent with an id that is not its desk's"
    APPROVED_ORDER = "approved_order", "an order past the gate"
    HOLD = "hold", "a hold of its own making"
    ENDLESS = "endless", "intents without end"


class RepriceTable(Table):
    """Permit a resting limit order to follow the market, as ``Reprice``."""

    every: Offset = Field(description="how long it rests at one price")
    times: int = Field(ge=1, description="at most so often")
    worst_price: Exact = Field(description="never beyond this")
    offset_bps: Exact = Field(Decimal(0), ge=0, description="distance on the passive side")


class FallbackTable(Table):
    """Permit the rest of an order to go out at market, as ``MarketFallback``."""

    on: tuple[FallbackOn, ...] = Field(min_length=1, description="for which reasons")
    slippage_bps_max: Exact | None = Field(None, ge=0, description="against the decision's price")


class RetryTable(Table):
    """Permit a refused order to be tried again, as ``Retry``."""

    times: int = Field(ge=1, description="at most so often")
    codes: tuple[ReasonCode, ...] = Field(min_length=1, description="for which reasons")
    delay: Offset = Field(1_000, description="before the first try")
    factor: int = Field(2, ge=1, description="each next delay is so many times as long")
    delay_max: Offset = Field(60_000, description="longest delay")


class PolicyTable(Table):
    """How an intent may be executed, as ``ExecutionPolicy``; ``expire_in`` counts from then."""

    order_type: OrderType = Field(OrderType.MARKET, description="what makes the order executable")
    time_in_force: TimeInForce = Field(TimeInForce.GTC, description="how long it may rest")
    maker: Maker = Field(Maker.ANY, description="whether it may take liquidity")
    limit_price: Exact | None = Field(None, description="worst price")
    stop_price: Exact | None = Field(None, description="price that triggers")
    trail_bps: Exact | None = Field(
        None, description="trailing stop: distance behind the best price"
    )
    expire_in: Offset | None = Field(None, description="when the order ends by itself")
    timeout: Offset | None = Field(None, description="when what is left is cancelled")
    reprice: RepriceTable | None = Field(None, description="follow the market")
    fallback: FallbackTable | None = Field(None, description="go out at market")
    retry: RetryTable | None = Field(None, description="try again")
    slippage_bps_max: Exact | None = Field(None, ge=0, description="against the decision's price")
    partial: PartialFill = Field(PartialFill.PURSUE, description="what becomes of the rest")
    rollback: Rollback = Field(
        Rollback.NEVER, description="the strategy's state, if nothing comes of it"
    )
    if_absent: IfAbsent = Field(IfAbsent.REFUSE, description="where less is held than it closes")


class BackoffTable(Table):
    """The scripted strategy's own backoff, as ``StrategyRejectionBackoff``."""

    base: Offset = Field(30_000, gt=0, description="the first pause")
    factor: int = Field(2, ge=1, description="each next pause is so many times as long")
    max: Offset = Field(3_600_000, gt=0, description="the longest pause")
    tolerated: int = Field(0, ge=0, description="refusals in a row that cost nothing")


class PlanStopTable(Table):
    """Where a plan leaves at a loss: exactly one of price and distance."""

    price: Exact | None = Field(None, description="this price")
    distance_bps: Exact | None = Field(None, description="so far from the mean entry price")
    limit_offset_bps: Exact | None = Field(None, description="a stop-limit, so far beyond")


class PlanTargetTable(Table):
    """Where a plan leaves at a profit: exactly one of price and distance."""

    price: Exact | None = Field(None, description="this price")
    distance_bps: Exact | None = Field(None, description="so far from the mean entry price")
    share: Exact = Field(Decimal(1), description="of all that was held")
    order_type: OrderType = Field(OrderType.LIMIT, description="limit, or take_profit (market)")


class PlanTrailTable(Table):
    """How a plan's stop follows the price."""

    trail_bps: Exact = Field(description="distance behind the best price")
    activate_price: Exact | None = Field(None, description="from this price on")
    activate_distance_bps: Exact | None = Field(None, description="or so far in profit")


class PlanAddTable(Table):
    """Where a plan adds: exactly one of price and distance, and of quantity and notional."""

    price: Exact | None = Field(None, description="this price")
    distance_bps: Exact | None = Field(None, description="so far against the position")
    quantity: Exact | None = Field(None, description="how much")
    notional: Exact | None = Field(None, description="or what it is worth")


class PlanTable(Table):
    """A plan, as ``Plan``; an empty table takes the one there is back."""

    stop: PlanStopTable | None = Field(None, description="out at a loss")
    targets: tuple[PlanTargetTable, ...] = Field((), description="out at a profit")
    trail: PlanTrailTable | None = Field(None, description="a stop that follows")
    adds: tuple[PlanAddTable, ...] = Field((), description="rungs that add")
    time_stop: Offset | None = Field(None, description="closed so long after it was handed in")
    place: PlanPlace = Field(PlanPlace.VENUE, description="where its steps wait")


class Line(Table):
    """
    One line of a script: when (a bar, a time, or an occasion), and what.

    ``bar`` counts the session's bars from 1; ``at`` acts at the first bar that closes then or
    later. ``tag`` names the order for the other lines, the steps and the expectations.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "oneOf": [{"required": [name]} for name in ("bar", "at", "on", "every")]
        },
    )

    bar: int | None = Field(None, ge=1, description="at the close of this bar, from 1")
    at: Offset | None = Field(None, description="at the first bar that closes then or later")
    every: int | None = Field(None, ge=1, description="at every bar whose number this divides")
    on: OccasionName | None = Field(None, description="whenever this happens to the strategy")
    of: str | None = Field(None, description="on: only what concerns the order of this tag")
    event: OrderEvent | None = Field(None, description="on = update: only this event")
    times: int | None = Field(
        None, ge=1, description="on, every: at most so often (default: always)"
    )

    do: ActionName = Field(description="what")
    symbol: str | None = Field(None, description="default: the strategy's first symbol")
    side: Side | None = Field(None, description="open, add, reduce: direction")
    quantity: Exact | None = Field(
        None, description="open, add, reduce, partial_close: how much; of others: all that is held"
    )
    notional: Exact | None = Field(None, description="or what it is worth")
    unsized: bool = Field(default=False, description="say not how much: to see it refused")
    price: Exact | None = Field(None, description="set_stop, set_take_profit: where")
    trail_bps: Exact | None = Field(None, description="trail: distance behind the best price")
    plan: PlanTable = Field(PlanTable(), description="update_plan: which")
    pause_for: Offset | None = Field(None, description="pause_trading: how long")
    withhold: str = Field("", description="open, add: why the strategy itself says no")
    replaces: str = Field("", description="set_stop and the like: tag of the order it replaces")
    position_side: PositionSide = Field(PositionSide.BOTH, description="hedge mode: which book")
    policy: PolicyTable = Field(
        PolicyTable(), description="how it may be executed (default: market)"
    )
    valid_for: Offset | None = Field(None, description="how long the intent is good for")
    tag: str = Field("", description="name of the order; of cancel, resubmit, repeat: which order")
    planned_stop: Exact | None = Field(None, description="where it means to leave at a loss")
    planned_target: Exact | None = Field(None, description="where it means to leave at a profit")
    error: str = Field("scripted failure", description="raise: the text of the error")
    what: Nonsense = Field(Nonsense.TEXT, description="nonsense: which")

    @model_validator(mode="after")
    def _check(self) -> Line:
        given = [n for n in ("bar", "at", "on", "every") if getattr(self, n) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"found {found}, expected exactly one of: bar, at, on, every")
        if self.of is not None and self.on not in {"fill", "update", "refusal", "end"}:
            raise ValueError("of: goes with on = fill, update, refusal or end only")
        if self.event is not None and self.on != "update":
            raise ValueError("event: goes with on = update only")
        if self.times is not None and not (self.on or self.every):
            raise ValueError("times: goes with on or every only")
        self._check_terms()
        if self.do == "resubmit" and self.on != "refusal":
            raise ValueError("do: resubmit goes with on = refusal only")
        if self.do == "repeat" and not self.tag:
            raise ValueError("tag: missing, and needed to repeat an intent")
        return self

    def _check_terms(self) -> None:
        needed: list[str] = []
        if self.do in {"open", "add", "reduce"} and self.side is None:
            needed.append("side")
        sized = self.quantity is not None or self.notional is not None or self.unsized
        if self.do in SIZED and not sized:
            needed.append("quantity")
        if self.do in PRICED and self.price is None:
            needed.append("price")
        if self.do == "trail" and self.trail_bps is None:
            needed.append("trail_bps")
        if self.do == "pause_trading" and self.pause_for is None:
            needed.append("pause_for")
        if needed:
            raise ValueError(f"{needed[0]}: missing, and needed to {self.do}")
