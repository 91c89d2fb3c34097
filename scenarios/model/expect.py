"""What is expected of a session: each entry of ``expect`` is one of these, by its key."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from messages import OrderEvent, OrderStatus, PositionSide, ReasonCode
from scenarios.model.base import Exact, Offset, Table, exactly_one, one_of
from state.journal.entry import ENTRY_TYPES

EXPECTATIONS = (
    "seen",
    "never",
    "order",
    "refusal",
    "position",
    "account",
    "holds",
    "within",
    "artifact",
    "report",
    "outcome",
    "exit_code",
)

JOURNALED = {kind.__name__: kind for kind in ENTRY_TYPES}


class Sight(Table):
    """
    A journaled message: its class, and what of its fields must be equal.

    ``where`` is a part of the message: tables match field by field, lists item by item, numbers
    by value. ``contains`` gives texts that the named fields must contain. ``tag`` means the
    order of that tag.
    """

    message: str
    where: dict[str, Any] = Field(default_factory=dict)
    contains: dict[str, str] = Field(default_factory=dict)
    tag: str | None = None
    session: int | None = Field(None, ge=1, description="only in the nth session of the scenario")

    @field_validator("message")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in JOURNALED:
            from difflib import get_close_matches

            near = get_close_matches(name, JOURNALED, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise ValueError(f"expected the name of a journaled message{hint}")
        return name

    @model_validator(mode="after")
    def _fields(self) -> Sight:
        fields = JOURNALED[self.message].__struct_fields__
        for name in (*self.where, *(path.partition(".")[0] for path in self.contains)):
            if name not in fields:
                raise ValueError(
                    f"{self.message} has no field {name!r}; it has: {', '.join(fields)}"
                )
        if self.tag is not None and not {"order_id", "intent_id"} & set(fields):
            raise ValueError(f"tag: {self.message} is not about an order")
        return self


class Seen(Sight):
    """Such a message is journaled: at least once, or as often as ``times`` says."""

    times: int | None = Field(None, ge=1, description="exactly so often")
    at_least: int = Field(1, ge=1)
    from_: Offset | None = Field(None, alias="from", description="not before")
    until: Offset | None = Field(None, description="not after")
    after: Sight | None = Field(None, description="only what comes after the first of these")


class Never(Sight):
    """No such message is journaled."""

    from_: Offset | None = Field(None, alias="from", description="not from then on")
    until: Offset | None = Field(None, description="not up to then")
    after: Sight | None = Field(None, description="not after the first of these")


class OrderExpected(Table):
    """How one order fares, by its tag or by which of all intents it is (from 1)."""

    tag: str | None = None
    ordinal: int | None = Field(None, ge=1)
    life: tuple[OrderEvent, ...] | None = Field(None, description="its events, all, in order")
    status: OrderStatus | None = Field(None, description="how it stands at the end")
    filled: Exact | None = None
    fee: Exact | None = None

    @model_validator(mode="after")
    def _check(self) -> OrderExpected:
        _named(self.tag, self.ordinal)
        if self.life is None and self.status is None and self.filled is None and self.fee is None:
            raise ValueError("found nothing to expect, expected life, status, filled or fee")
        return self


class Refusal(Table):
    """Why an intent was refused or its order ended: all causes, in order."""

    tag: str | None = None
    ordinal: int | None = Field(None, ge=1)
    causes: tuple[ReasonCode, ...] = Field(min_length=1)
    details: tuple[str, ...] = Field((), description="texts that the causes' figures must contain")

    @model_validator(mode="after")
    def _check(self) -> Refusal:
        _named(self.tag, self.ordinal)
        return self


def _named(tag: str | None, ordinal: int | None) -> None:
    if (tag is None) == (ordinal is None):
        found = "none" if tag is None else "tag and ordinal"
        raise ValueError(f"found {found}, expected exactly one of: tag, ordinal")


class Moment(Table):
    """When something is looked at: at a time or a bar's close; neither means the end."""

    at: Offset | None = None
    bar: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_time(self) -> Moment:
        if self.at is not None and self.bar is not None:
            raise ValueError("found at and bar, expected one of them, or neither for the end")
        return self


class Position(Moment):
    """What is held of a symbol: signed, short is negative; of all strategies, or of one."""

    symbol: str
    quantity: Exact
    strategy: str | None = None
    position_side: PositionSide | None = None


class Account(Moment):
    """The account's figures, exactly."""

    cash: Exact | None = None
    equity: Exact | None = None
    realized_pnl: Exact | None = None
    unrealized_pnl: Exact | None = None
    fees: Exact | None = None
    funding: Exact | None = None


class Holds(Moment):
    """Which holds are in force, by id."""

    are: tuple[str, ...] | None = Field(None, description="exactly these, in any order")
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Holds:
        if self.are is None and not self.include and not self.exclude:
            raise ValueError("found nothing to expect, expected are, include or exclude")
        return self


class Within(Table):
    """From the first of one to the first of another after it, in session time."""

    trigger: Sight
    event: Sight
    at_most: Offset


class Artifact(Table):
    """Rows of one of the session's CSV files."""

    file: Literal["orders.csv", "trades.csv", "positions.csv", "account.csv", "quarantine.csv"]
    where: dict[str, str] = Field(default_factory=dict, description="column = text, all of them")
    count: int | None = Field(None, ge=0, description="exactly so many (default: at least one)")
    session: int | None = Field(None, ge=1, description="of the nth session (default: the last)")


class Report(Table):
    """What session.md says."""

    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    session: int | None = Field(None, ge=1, description="of the nth session (default: the last)")


class Expectation(Table):
    """One expectation: exactly one of its keys."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra=exactly_one(EXPECTATIONS)
    )

    seen: Seen | None = None
    never: Never | None = None
    order: OrderExpected | None = None
    refusal: Refusal | None = None
    position: Position | None = None
    account: Account | None = None
    holds: Holds | None = None
    within: Within | None = None
    artifact: Artifact | None = None
    report: Report | None = None
    outcome: str | None = Field(None, description="completed, halted, interrupted, ...")
    exit_code: int | None = None

    @model_validator(mode="after")
    def _check(self) -> Expectation:
        one_of(self, EXPECTATIONS, "expectation")
        return self

    @property
    def kind(self) -> str:
        """Return which expectation it is."""
        return one_of(self, EXPECTATIONS, "expectation")
