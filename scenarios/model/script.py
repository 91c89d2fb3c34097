"""What the built-in ``scripted`` strategy does, and when."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from messages import Explained, OrderEvent, OrderType, PositionSide, Side, TimeInForce
from scenarios.model.base import Exact, Offset, Table

OccasionName = Literal["start", "fill", "update", "refusal", "quote", "tick"]
ActionName = Literal["open", "reduce", "cancel", "resubmit", "repeat", "raise", "nonsense"]


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


class PolicyTable(Table):
    """How an intent may be executed, as ``ExecutionPolicy``; ``expire_in`` counts from then."""

    order_type: OrderType = Field(OrderType.MARKET, description="what makes the order executable")
    time_in_force: TimeInForce = Field(TimeInForce.GTC, description="how long it may rest")
    post_only: bool = Field(default=False, description="never takes liquidity")
    limit_price: Exact | None = Field(None, description="worst price")
    stop_price: Exact | None = Field(None, description="price that triggers")
    trail_bps: Exact | None = Field(
        None, description="trailing stop: distance behind the best price"
    )
    expire_in: Offset | None = Field(None, description="when the order ends by itself")


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
    side: Side | None = Field(None, description="open, reduce: direction")
    quantity: Exact | None = Field(None, description="open, reduce: how much")
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
        if self.of is not None and self.on not in {"fill", "update", "refusal"}:
            raise ValueError("of: goes with on = fill, update or refusal only")
        if self.event is not None and self.on != "update":
            raise ValueError("event: goes with on = update only")
        if self.times is not None and not (self.on or self.every):
            raise ValueError("times: goes with on or every only")
        if self.do in {"open", "reduce"} and (self.side is None or self.quantity is None):
            missing = "side" if self.side is None else "quantity"
            raise ValueError(f"{missing}: missing, and needed to {self.do}")
        if self.do == "resubmit" and self.on != "refusal":
            raise ValueError("do: resubmit goes with on = refusal only")
        if self.do == "repeat" and not self.tag:
            raise ValueError("tag: missing, and needed to repeat an intent")
        return self
