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


Outcome = Literal[
    "completed",
    "halted",
    "interrupted",
    "input_refused",
    "risk_halted",
    "killed",
    "journal_failed",
    "power_cut",
    "start_refused",
    "fault",
]
"""How a session ends: ``actors.outcomes``, or as it could not say itself."""


class Sight(Table):
    """
    A journaled message: its class, and what of its fields must be equal.

    ``where`` is a part of the message: tables match field by field, lists item by item, numbers
    by value. ``contains`` gives texts that the named fields must contain. ``tag`` means the
    order of that tag.
    """

    message: str = Field(description="the message's class")
    where: dict[str, Any] = Field(default_factory=dict, description="fields that must be equal")
    contains: dict[str, str] = Field(
        default_factory=dict, description="texts that fields must contain; figures by value"
    )
    tag: str | None = Field(None, description="only about the order of this tag")
    session: int | None = Field(None, ge=1, description="only of the nth process of the scenario")

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
    at_least: int = Field(1, ge=1, description="so often or more")
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

    tag: str | None = Field(None, description="the order's tag")
    ordinal: int | None = Field(None, ge=1, description="or which of all intents it is")
    life: tuple[OrderEvent, ...] | None = Field(None, description="its events, all, in order")
    status: OrderStatus | None = Field(None, description="how it stands at the end")
    filled: Exact | None = Field(None, description="how much of it was filled")
    fee: Exact | None = Field(None, description="the fees of its fills")

    @model_validator(mode="after")
    def _check(self) -> OrderExpected:
        _named(self.tag, self.ordinal)
        if self.life is None and self.status is None and self.filled is None and self.fee is None:
            raise ValueError("found nothing to expect, expected life, status, filled or fee")
        return self


class Refusal(Table):
    """Why an intent was refused or its order ended: all causes, in order."""

    tag: str | None = Field(None, description="the order's tag")
    ordinal: int | None = Field(None, ge=1, description="or which of all intents it is")
    causes: tuple[ReasonCode, ...] = Field(min_length=1, description="all causes, in order")
    details: tuple[str, ...] = Field(
        (), description="texts that the causes' figures must contain; figures by value"
    )

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

    at: Offset | None = Field(None, description="at this time")
    bar: int | None = Field(None, ge=1, description="at the close of this bar")

    @model_validator(mode="after")
    def _one_time(self) -> Moment:
        if self.at is not None and self.bar is not None:
            raise ValueError("found at and bar, expected one of them, or neither for the end")
        return self


class Position(Moment):
    """What is held of a symbol: signed, short is negative; of all strategies, or of one."""

    symbol: str = Field(description="which symbol")
    quantity: Exact = Field(description="how much, signed")
    strategy: str | None = Field(None, description="only this strategy's")
    position_side: PositionSide | None = Field(None, description="only this book's")


class Account(Moment):
    """The account's figures, exactly."""

    cash: Exact | None = Field(None, description="cash")
    equity: Exact | None = Field(None, description="cash and what positions are worth")
    realized_pnl: Exact | None = Field(None, description="profit of what was closed, gross of fees")
    unrealized_pnl: Exact | None = Field(None, description="profit of what is open")
    fees: Exact | None = Field(None, description="fees paid")
    funding: Exact | None = Field(None, description="funding paid, net")


class Holds(Moment):
    """Which holds are in force, by id."""

    are: tuple[str, ...] | None = Field(None, description="exactly these, in any order")
    include: tuple[str, ...] = Field((), description="at least these")
    exclude: tuple[str, ...] = Field((), description="none of these")

    @model_validator(mode="after")
    def _check(self) -> Holds:
        if self.are is None and not self.include and not self.exclude:
            raise ValueError("found nothing to expect, expected are, include or exclude")
        return self


class Within(Table):
    """From the first of one to the first of another after it, in session time."""

    trigger: Sight = Field(description="from the first of these")
    event: Sight = Field(description="to the first of these after it")
    at_most: Offset = Field(description="the longest that it may take")


class Artifact(Table):
    """Rows of one of the session's CSV files."""

    file: Literal[
        "orders.csv",
        "trades.csv",
        "positions.csv",
        "account.csv",
        "intents.csv",
        "round_trips.csv",
        "quarantine.csv",
    ] = Field(description="which file")
    where: dict[str, str] = Field(
        default_factory=dict, description="column = text, all of them; numbers by value"
    )
    count: int | None = Field(None, ge=0, description="exactly so many (default: at least one)")
    session: int | None = Field(None, ge=1, description="as of the nth process (default: the last)")


class Report(Table):
    """What session.md says."""

    contains: tuple[str, ...] = Field((), description="texts that it has")
    lacks: tuple[str, ...] = Field((), description="texts that it has not")
    session: int | None = Field(None, ge=1, description="as of the nth process (default: the last)")


class Expectation(Table):
    """One expectation: exactly one of its keys."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra=exactly_one(EXPECTATIONS)
    )

    seen: Seen | None = Field(None, description="a message is journaled")
    never: Never | None = Field(None, description="a message is not journaled")
    order: OrderExpected | None = Field(None, description="how an order fares")
    refusal: Refusal | None = Field(None, description="why an intent was refused")
    position: Position | None = Field(None, description="what is held")
    account: Account | None = Field(None, description="the account's figures")
    holds: Holds | None = Field(None, description="which holds are in force")
    within: Within | None = Field(None, description="how long something takes")
    artifact: Artifact | None = Field(None, description="rows of a CSV file")
    report: Report | None = Field(None, description="what session.md says")
    outcome: Outcome | None = Field(None, description="how the session ended")
    exit_code: int | None = Field(None, description="the exit code")

    @model_validator(mode="after")
    def _check(self) -> Expectation:
        one_of(self, EXPECTATIONS, "expectation")
        return self

    @property
    def kind(self) -> str:
        """Return which expectation it is."""
        return one_of(self, EXPECTATIONS, "expectation")
