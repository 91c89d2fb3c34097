"""What happens to the session: a time, and exactly one action."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from messages import CommandVerb, Explained, ReasonCode
from scenarios.model.base import (
    Exact,
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
    "outside",
    "silence",
    "quote",
    "tick",
    "funding",
    "minimum",
    "clock_jump",
    "vitals",
    "disk_full",
    "power_cut",
    "stop",
    "start",
)


class Tell(Table):
    """A message into an actor's mailbox, as if it came from outside."""

    actor: str = Field(min_length=1, description="execution, risk, strategy:NAME, ...")
    times: int = Field(1, ge=1, le=100_000, description="so often; `{n}` in a field is which")
    message: str = Field(min_length=1, description="the message's class")
    fields: dict[str, Any] = Field(default_factory=dict, description="its fields")


class ScopeTable(Table):
    """What a command is about: everything, or whatever equals every field that is set."""

    venue: str | None = Field(None, description="orders at this venue (`paper`)")
    strategy: str | None = Field(None, description="orders of this strategy")
    symbol: str | None = Field(None, description="orders of this symbol")
    side: Literal["long", "short"] | None = Field(
        None, description="orders that add exposure in this direction"
    )


class Command(Table):
    """An operator's command."""

    verb: CommandVerb = Field(description="which")
    by: str = Field("scenario", min_length=1, description="who gives it")
    reason: str = Field("", description="why; needed to unlatch")
    scope: ScopeTable = Field(ScopeTable(), description="what it is about (default: everything)")
    until: Offset | None = Field(None, description="when a pause ends by itself")
    for_: Offset | None = Field(None, alias="for", description="how long a pause lasts")
    hold_id: str = Field("", description="resume: this hold only")
    flatten: bool = Field(default=False, description="kill: close all positions too")
    unlatch: bool = Field(default=False, description="resume: lift latched holds too")
    refused: bool = Field(default=False, description="the desk is expected to refuse it")


class Crash(Table):
    """An actor fails: at once, or on the next messages that reach it."""

    actor: str = Field(
        min_length=1,
        description="execution, reconciler, risk, health, telemetry, feed or strategy:NAME",
    )
    on: str | None = Field(
        None, description="the message's class that it fails on, `next` for whichever comes"
    )
    times: int = Field(1, ge=1, le=1000, description="so many times in a row")
    error: str = Field("scripted crash", description="the text of the error")


class FaultKind(Explained):
    """What is wrong with the venue, or with the line to it."""

    LOSE_ANSWERS = "lose_answers", "the order arrives, its answer does not: it is in doubt"
    LOSE_REQUESTS = "lose_requests", "neither the order nor an answer arrives: it is in doubt"
    REJECT = "reject", "the order is rejected, with `code` and `detail`"
    IGNORE_CANCELS = "ignore_cancels", "a cancel has no effect and no answer"
    LOSE_CANCEL_ANSWERS = "lose_cancel_answers", "a cancel takes effect, and no answer comes"
    DELAY_ACCEPTANCE = "delay_acceptance", "the acceptance comes `by` later, after fills perhaps"
    SPLIT_FILLS = "split_fills", "a fill comes in `parts` pieces that add up to it exactly"
    DUPLICATE_FILLS = "duplicate_fills", "each fill comes twice"
    REORDER_FILLS = "reorder_fills", "pieces come in reverse; a single fill comes after the next"
    DELAY_FILLS = "delay_fills", "a fill comes `by` later"
    LOSE_FILLS = "lose_fills", "news of a fill never comes: it is found by asking for the order"
    MUTE_ORDERS = "mute_orders", "the venue does not answer what it is asked about an order"
    MUTE_ACCOUNT = "mute_account", "the venue does not say what it holds"
    MUTE_PROBES = "mute_probes", "the venue does not answer a probe"
    WRONG_ACCOUNT = "wrong_account", "the venue's balance is one unit of money more than it is"
    RATE_LIMIT = "rate_limit", "orders are turned away with a Retry-After of `by`"
    DOWN = "down", "every call fails: orders, cancels, probes, questions"


NEEDS_TIME = frozenset({FaultKind.DELAY_ACCEPTANCE, FaultKind.DELAY_FILLS, FaultKind.RATE_LIMIT})


class VenueFault(Table):
    """The venue, or the line to it, misbehaves for a time or a number of occasions."""

    fault: FaultKind = Field(description="which: see below")
    for_: Offset | None = Field(None, alias="for", description="how long (default: to the end)")
    count: int | None = Field(None, ge=1, description="how often (default: always)")
    symbol: str | None = Field(None, description="only this symbol's orders")
    by: Offset = Field(0, description="delay_acceptance, delay_fills: how late; rate_limit: retry")
    parts: int = Field(2, ge=2, le=100, description="split_fills: into how many")
    code: ReasonCode = Field(ReasonCode.VENUE_REJECTED, description="reject: the venue's reason")
    detail: str = Field("", description="reject: the venue's own words")

    @model_validator(mode="after")
    def _check(self) -> VenueFault:
        if self.fault in NEEDS_TIME and not self.by:
            raise ValueError(f"by: missing, and needed by {self.fault}")
        return self


class Outside(Table):
    """
    Somebody else trades on our account: the venue takes an order that none of our processes sent.

    Nothing is told of it; it is found where the venue's account is compared with our books.
    """

    symbol: str = Field(description="of which symbol")
    side: Literal["buy", "sell"] = Field(description="which way")
    quantity: Exact = Field(gt=0, description="how much")
    limit_price: Exact | None = Field(None, gt=0, description="default: at market")
    client_order_id: str = Field(
        "outside-1",
        min_length=1,
        description="its client order id; one like `tg-s1-9` is a session's of ours, by its tag",
    )


class Silence(Table):
    """No bar arrives, though the source stays connected."""

    symbols: tuple[str, ...] = Field((), description="default: all")
    for_: Offset | None = Field(None, alias="for", description="how long (default: to the end)")


class QuoteTable(Table):
    """A quote of the venue."""

    symbol: str = Field(description="of which symbol")
    bid: Price = Field(description="best bid")
    ask: Price = Field(description="best ask")
    bid_size: float = Field(
        1000.0, ge=0, allow_inf_nan=False, description="size at the bid, base units"
    )
    ask_size: float = Field(
        1000.0, ge=0, allow_inf_nan=False, description="size at the ask, base units"
    )


class TickTable(Table):
    """A public trade at the venue."""

    symbol: str = Field(description="of which symbol")
    price: Price = Field(description="at which price")
    size: float = Field(1.0, ge=0, allow_inf_nan=False, description="how much, base units")


class FundingTable(Table):
    """A funding settlement: a long pays ``rate`` times its notional."""

    symbol: str = Field(description="of which symbol")
    rate: float = Field(allow_inf_nan=False, description="the rate, a fraction")


class MinimumTable(Table):
    """The venue asks for another least order from now on; what is left out is no rule."""

    symbol: str = Field(description="of which symbol")
    min_quantity: Exact | None = Field(None, gt=0, description="least quantity")
    min_notional: Exact | None = Field(None, gt=0, description="least notional")


class Vitals(Table):
    """What the machine's instruments show from then on."""

    disk_free_bytes: int | None = Field(None, ge=0, description="free space, bytes")
    clock_offset_ms: int | None = Field(None, description="how far the machine's clock is off")
    stalls: int | None = Field(None, ge=0, description="stalls of the event loop in a minute")


class DiskFull(Table):
    """The journal cannot be written any more."""


class PowerCut(Table):
    """The process dies: nothing is finished, only what is durable survives."""

    restart: bool = Field(default=True, description="the daemon is started again")
    new: bool = Field(default=False, description="with a new session: `trade --new`")
    down: Offset = Field(0, description="how long it is down; bars that close meanwhile are lost")
    tears_register: bool = Field(
        default=False, description="the register of holds is found cut off afterwards"
    )

    @model_validator(mode="after")
    def _check(self) -> PowerCut:
        if self.new and not self.restart:
            raise ValueError("new: goes with restart only")
        return self


class Stop(Table):
    """The session is stopped in order, as by Ctrl-C; it may be gone on with, or a new one begun."""

    restart: bool = Field(default=False, description="the daemon is started again")
    new: bool = Field(default=False, description="with a new session: `trade --new`")
    down: Offset = Field(0, description="how long it is down; bars that close meanwhile are lost")

    @model_validator(mode="after")
    def _check(self) -> Stop:
        if self.new and not self.restart:
            raise ValueError("new: goes with restart only")
        return self


class Start(Table):
    """The daemon is started again; by then its process has ended, by itself or by a step."""

    new: bool = Field(
        default=False, description="with a new session: `trade --new`; needed if it has ended"
    )


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

    at: Offset | None = Field(None, description="at this time")
    bar: int | None = Field(None, ge=1, description="at the close of this bar, from 1")
    on: Sight | None = Field(None, description="as soon as this is journaled")
    nth: int = Field(1, ge=1, description="on: at the how manyth time")
    when: Literal["before", "after", "commit"] = Field(
        "after", description="which side of the moment"
    )

    tell: Tell | None = Field(None, description="a message to an actor")
    command: Command | None = Field(None, description="an operator's command")
    crash: Crash | None = Field(None, description="an actor fails")
    venue: VenueFault | None = Field(None, description="the venue misbehaves")
    outside: Outside | None = Field(None, description="somebody else trades on our account")
    silence: Silence | None = Field(None, description="no data arrives")
    quote: QuoteTable | None = Field(None, description="a quote arrives")
    tick: TickTable | None = Field(None, description="a public trade arrives")
    funding: FundingTable | None = Field(None, description="funding is settled")
    minimum: MinimumTable | None = Field(None, description="the venue's least order changes")
    clock_jump: SignedOffset | None = Field(
        None, description="the session's clock jumps; it never runs backwards"
    )
    vitals: Vitals | None = Field(None, description="the machine's instruments show something else")
    disk_full: DiskFull | None = Field(
        None, description="the journal cannot be written any more: `{}`"
    )
    power_cut: PowerCut | None = Field(None, description="the process dies")
    stop: Stop | None = Field(None, description="the session is stopped in order")
    start: Start | None = Field(
        None, description="the daemon is started again after its process has ended: `{}`"
    )

    @model_validator(mode="after")
    def _check(self) -> Step:
        given = [name for name in ("at", "bar", "on") if name in self.model_fields_set]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"found {found}, expected exactly one time of: at, bar, on")
        if self.when == "before" and self.bar is None:
            raise ValueError("when: before goes with bar only")
        if self.start is not None and (self.on is not None or self.when != "after"):
            raise ValueError("start: goes with at or bar only, nothing happens between sessions")
        one_of(self, ACTIONS, "action")
        return self

    @property
    def goes_on(self) -> bool:
        """Return whether the daemon is started to go on with its session."""
        cut = self.power_cut
        return (cut is not None and cut.restart and not cut.new) or (
            self.start is not None and not self.start.new
        )

    @property
    def kind(self) -> str:
        """Return which action it is."""
        return one_of(self, ACTIONS, "action")
