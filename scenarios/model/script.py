"""What the built-in ``scripted`` strategy does, and when."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from messages import OrderEvent, OrderType, PositionSide, Side, TimeInForce
from scenarios.model.base import Exact, Offset, Table

OccasionName = Literal["start", "fill", "update", "refusal", "quote", "tick"]
ActionName = Literal["open", "reduce", "cancel", "resubmit", "repeat", "raise", "nonsense"]
NonsenseName = Literal[
    "text",
    "not_iterable",
    "float_quantity",
    "wrong_side",
    "other_strategy",
    "other_id",
    "approved_order",
    "hold",
    "endless",
]


class PolicyTable(Table):
    """How an intent may be executed, as ``ExecutionPolicy``; ``expire_in`` counts from then."""

    order_type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    limit_price: Exact | None = None
    stop_price: Exact | None = None
    trail_bps: Exact | None = None
    expire_in: Offset | None = None


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

    do: ActionName
    symbol: str | None = Field(None, description="default: the strategy's first symbol")
    side: Side | None = None
    quantity: Exact | None = None
    position_side: PositionSide = PositionSide.BOTH
    policy: PolicyTable = PolicyTable()
    valid_for: Offset | None = Field(None, description="how long the intent is good for")
    tag: str = Field("", description="name of the order; of cancel, resubmit, repeat: which order")
    planned_stop: Exact | None = None
    planned_target: Exact | None = None
    error: str = Field("scripted failure", description="raise: the text of the error")
    what: NonsenseName = Field("text", description="nonsense: which")

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
