"""
Holds, operator commands and the life of actors.

The SYSTEM lane is a capability: only the supervisor holds references that can use it.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import msgspec

from messages.base import Lane, Message, Overflow


class HoldMode(StrEnum):
    """What a held lane does with the messages that a hold covers."""

    REFUSE = "refuse"  # each is answered with a refusal (STOP_NEW_ORDERS)
    BLOCK = "block"  # kept in order with their deadlines (circuit pause)
    DRAIN = "drain"  # emptied, each answered, then refused (kill)


STRICTNESS = {HoldMode.BLOCK: 0, HoldMode.REFUSE: 1, HoldMode.DRAIN: 2}


class Scope(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    What a hold covers: everything, or whatever equals every field that is set.

    ``side`` is the direction of the exposure that an order would add: ``long`` or ``short``,
    in hedge mode and in one-way mode alike.
    """

    venue: str | None = None
    strategy: str | None = None
    symbol: str | None = None
    side: str | None = None

    def __str__(self) -> str:
        """Return ``everything`` or ``field=value`` pairs, the form that operators read."""
        parts = [
            f"{name}={value}"
            for name in ("venue", "strategy", "symbol", "side")
            if (value := getattr(self, name)) is not None
        ]
        return " ".join(parts) or "everything"


EVERYTHING = Scope()


class Hold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    Why the OPEN lane is shut for a scope.

    ``until`` (int ms UTC) lifts it by itself; a ``latched`` one is lifted by an explicit
    command with a reason only. ``flatten`` is what else was asked for of a kill, as the account's
    register has it for the next start: everything is to be flat.
    """

    hold_id: str
    cause: str
    mode: HoldMode
    set_by: str
    since: int
    scope: Scope = EVERYTHING
    until: int | None = None
    latched: bool = False
    flatten: bool = False


KILL_HOLD = "kill"
"""The id of the hold of an operator's kill."""

RISK_HOLDS = "risk:"
"""How the ids of holds begin that a guard placed."""

RATE_LIMIT_HOLDS = "rate-limit:"
"""How the ids of holds begin by which a tool is left alone that asked for it; they have an end."""

STRATEGY_PAUSES = "pause-trading:"
"""How the ids of holds begin that a strategy asked for itself."""


IN_DOUBT_HOLDS = "in-doubt:"
"""How the ids of holds begin that an order is held by which nobody can account for; its id ends
them."""

OUTSIDE_HOLDS = "outside:"
"""How the ids of holds begin under which nothing opens in a symbol in which the venue has executed
what no order of ours explains; the symbol ends them."""


def is_kill(hold: Hold) -> bool:
    """Return whether a hold is a kill's: the operator's or a guard's."""
    return (
        hold.latched
        and hold.mode is HoldMode.DRAIN
        and (hold.hold_id == KILL_HOLD or hold.hold_id.startswith(RISK_HOLDS))
    )


class SystemMessage(Message, frozen=True):
    """Base of what only the supervisor may send."""

    abstract: ClassVar[bool] = True
    lane: ClassVar[Lane] = Lane.SYSTEM
    overflow: ClassVar[Overflow] = Overflow.FATAL


class HoldPlaced(SystemMessage, frozen=True):
    """A hold is in force."""

    journaled: ClassVar[bool] = True

    hold: Hold


class HoldLifted(SystemMessage, frozen=True):
    """A hold is gone: who lifted it and why."""

    journaled: ClassVar[bool] = True

    hold: Hold
    lifted_by: str
    reason: str
    at: int


class TakeSnapshot(SystemMessage, frozen=True):
    """Ask an actor for its durable state."""


class SnapshotTaken(SystemMessage, frozen=True):
    """One actor's durable state, JSON in ``state``."""

    journaled: ClassVar[bool] = True

    actor: str
    at: int
    state: str


class Wake(SystemMessage, frozen=True):
    """A timer that an actor armed has fired; ``key`` names it, ``generation`` dates it."""

    actor: str
    key: str
    generation: int
    at: int


class OrderCommitted(SystemMessage, frozen=True):
    """The record of an order is durable: it may be sent, if the last look agrees."""

    order_id: str


class LifecycleEvent(Message, frozen=True):
    """Base of what the supervisor reports of its children; telemetry, never dropped silently."""

    abstract: ClassVar[bool] = True
    lane: ClassVar[Lane] = Lane.SYSTEM
    overflow: ClassVar[Overflow] = Overflow.FATAL
    journaled: ClassVar[bool] = True

    actor: str
    at: int


class ActorStarted(LifecycleEvent, frozen=True):
    """A new incarnation runs."""

    incarnation: int


class ActorFailed(LifecycleEvent, frozen=True):
    """
    A handler raised; the message that it failed on is a dead letter and never comes again.

    ``place`` is the line of the strategy's own file that is to blame, where the actor is one.
    """

    incarnation: int
    error: str
    traceback: str
    message_type: str
    place: str = ""


class ActorRestarting(LifecycleEvent, frozen=True):
    """The supervisor will start a new incarnation after ``delay_s``."""

    incarnation: int
    delay_s: float


class ActorStopped(LifecycleEvent, frozen=True):
    """An actor ended as ordered."""

    incarnation: int
    reason: str


class StrategyQuarantined(LifecycleEvent, frozen=True):
    """A strategy passed its restart intensity: its orders are cancelled, it runs no more."""

    strategy: str
    reason: str


class Escalated(LifecycleEvent, frozen=True):
    """The supervisor went one rung up its ladder: ``rung`` says which and ``reason`` why."""

    rung: str
    reason: str


class DeadLetter(LifecycleEvent, frozen=True):
    """A message that no handler will see, with its reason."""

    message_type: str
    reason: str
    detail: str = ""


class SessionStarted(LifecycleEvent, frozen=True):
    """The first event of every session."""

    session_id: str
    mode: str
    seed: int


class JournalChecked(LifecycleEvent, frozen=True):
    """The journal of an earlier process has been found whole, so the session may trade again."""


class SessionEnded(LifecycleEvent, frozen=True):
    """
    The last event of every process of a session that ended by itself.

    Where it was ``stopped`` there was more to come: the session can be gone on with.
    """

    session_id: str
    outcome: str
    exit_code: int
    stopped: bool = False


class FeedGap(LifecycleEvent, frozen=True):
    """
    A feed found ``missing`` intervals between two bars of a symbol (times: int ms UTC).

    ``gaps`` is how many gaps the event stands for: more than one where a file has more than
    are listed one by one.
    """

    symbol: str
    after: int
    before: int
    missing: int
    gaps: int = 1


class Reconciled(LifecycleEvent, frozen=True):
    """The venue's books were compared with ours: ``differences`` is empty when they are equal."""

    occasion: str
    differences: tuple[str, ...] = ()


class FundingBooked(LifecycleEvent, frozen=True):
    """
    Funding paid (negative) or received by one position at a settlement.

    ``rate`` is ``None`` where only the amount is known. ``payment_id`` is of the venue's payment
    that this is all or a part of, empty where the venue settles by rate.
    """

    strategy: str
    symbol: str
    position_side: str
    amount: Decimal
    rate: Decimal | None = None
    payment_id: str = ""
