"""What happens to the session: a time, and exactly one action."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from messages import CommandVerb, ReasonCode
from scenarios.model.base import (
    Offset,
    Price,
    SignedOffset,
    Table,
    exactly_one,
    one_of,
)
from scenarios.model.expect import Sight

ACTIONS = (
    "tell",
    "command",
    "crash",
    "venue",
    "silence",
    "quote",
    "tick",
    "funding",
    "clock_jump",
    "vitals",
    "disk_full",
    "power_cut",
    "stop",
)


class Tell(Table):
    """A message into an actor's mailbox, as if it came from outside."""

    actor: str = Field(min_length=1, description="execution, risk, strategy:NAME, ...")
    message: str = Field(min_length=1, description="the message's class")
    fields: dict[str, Any] = Field(default_factory=dict)


class ScopeTable(Table):
    """What a command is about: everything, or whatever equals every field that is set."""

    venue: str | None = None
    strategy: str | None = None
    symbol: str | None = None
    side: Literal["long", "short"] | None = None


class Command(Table):
    """An operator's command."""

    verb: CommandVerb
    by: str = Field("scenario", min_length=1)
    reason: str = ""
    scope: ScopeTable = ScopeTable()
    until: Offset | None = Field(None, description="when a pause ends by itself")
    for_: Offset | None = Field(None, alias="for", description="how long a pause lasts")
    hold_id: str = Field("", description="resume: this hold only")
    flatten: bool = False
    unlatch: bool = False
    refused: bool = Field(default=False, description="the desk is expected to refuse it")


class Crash(Table):
    """An actor fails: at once, or on the next messages that reach it."""

    actor: str = Field(min_length=1)
    on: str | None = Field(
        None, description="the message's class that it fails on, `next` for whichever comes"
    )
    times: int = Field(1, ge=1, le=1000)
    error: str = "scripted crash"


FaultName = Literal[
    "lose_answers",
    "lose_requests",
    "reject",
    "ignore_cancels",
    "delay_acceptance",
    "split_fills",
    "duplicate_fills",
    "reorder_fills",
    "delay_fills",
    "mute_account",
    "wrong_account",
    "rate_limit",
    "down",
]


class VenueFault(Table):
    """The venue, or the line to it, misbehaves for a time or a number of occasions."""

    fault: FaultName
    for_: Offset | None = Field(None, alias="for", description="how long (default: to the end)")
    count: int | None = Field(None, ge=1, description="how often (default: always)")
    symbol: str | None = Field(None, description="only this symbol's orders")
    by: Offset = Field(0, description="delay_acceptance, delay_fills: how late; rate_limit: retry")
    parts: int = Field(2, ge=2, le=100, description="split_fills: into how many")
    code: ReasonCode = Field(ReasonCode.VENUE_REJECTED, description="reject: the venue's reason")
    detail: str = Field("", description="reject: the venue's own words")

    @model_validator(mode="after")
    def _check(self) -> VenueFault:
        if self.fault in {"delay_acceptance", "delay_fills", "rate_limit"} and not self.by:
            raise ValueError(f"by: missing, and needed by {self.fault}")
        return self


class Silence(Table):
    """No bar arrives, though the source stays connected."""

    symbols: tuple[str, ...] = Field((), description="default: all")
    for_: Offset | None = Field(None, alias="for", description="how long (default: to the end)")


class QuoteTable(Table):
    """A quote of the venue."""

    symbol: str
    bid: Price
    ask: Price
    bid_size: float = Field(1000.0, ge=0, allow_inf_nan=False)
    ask_size: float = Field(1000.0, ge=0, allow_inf_nan=False)


class TickTable(Table):
    """A public trade at the venue."""

    symbol: str
    price: Price
    size: float = Field(1.0, ge=0, allow_inf_nan=False)


class FundingTable(Table):
    """A funding settlement: a long pays ``rate`` times its notional."""

    symbol: str
    rate: float = Field(allow_inf_nan=False)


class Vitals(Table):
    """What the machine's instruments show from then on."""

    disk_free_bytes: int | None = Field(None, ge=0)
    clock_offset_ms: int | None = None
    loop_lag_ms: int | None = Field(None, ge=0)


class DiskFull(Table):
    """The journal cannot be written any more."""


class PowerCut(Table):
    """The process dies: nothing is finished, only what is durable survives."""

    restart: bool = True
    down: Offset = Field(0, description="how long it is down; bars that close meanwhile are lost")
    tears_register: bool = Field(
        default=False, description="the register of holds is found cut off afterwards"
    )


class Stop(Table):
    """The session is stopped in order, as by Ctrl-C, and may be started again."""

    restart: bool = False
    down: Offset = 0


class Step(Table):
    """
    A time (``at``, ``bar`` or ``on``) and exactly one action.

    ``when`` says which side of a bar's turn is meant; ``commit`` is the moment between an
    order's durable record and its sending, the first one from then on.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "allOf": [
                {"oneOf": [{"required": ["at"]}, {"required": ["bar"]}, {"required": ["on"]}]},
                exactly_one(ACTIONS),
            ]
        },
    )

    at: Offset | None = None
    bar: int | None = Field(None, ge=1, description="at the close of this bar, from 1")
    on: Sight | None = Field(None, description="as soon as this is journaled")
    nth: int = Field(1, ge=1, description="on: at the how manyth time")
    when: Literal["before", "after", "commit"] = "after"

    tell: Tell | None = None
    command: Command | None = None
    crash: Crash | None = None
    venue: VenueFault | None = None
    silence: Silence | None = None
    quote: QuoteTable | None = None
    tick: TickTable | None = None
    funding: FundingTable | None = None
    clock_jump: SignedOffset | None = None
    vitals: Vitals | None = None
    disk_full: DiskFull | None = None
    power_cut: PowerCut | None = None
    stop: Stop | None = None

    @model_validator(mode="after")
    def _check(self) -> Step:
        given = [name for name in ("at", "bar", "on") if name in self.model_fields_set]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"found {found}, expected exactly one time of: at, bar, on")
        if self.when == "before" and self.bar is None:
            raise ValueError("when: before goes with bar only")
        one_of(self, ACTIONS, "action")
        return self

    @property
    def kind(self) -> str:
        """Return which action it is."""
        return one_of(self, ACTIONS, "action")
