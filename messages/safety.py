"""
What keeps the house safe: commands, kills, circuits, freshness, breached limits.

All of it is journaled: who asked for what and when, what was done about it, and the evidence.
Times are int ms UTC of the session.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from messages.base import Lane, Message, Overflow
from messages.codes import Cause
from messages.control import EVERYTHING, LifecycleEvent, Scope
from messages.intents import ReduceIntent


class CommandVerb(StrEnum):
    """What an operator may tell a running session."""

    KILL = "kill"
    STOP_NEW_ORDERS = "stop_new_orders"
    PAUSE = "pause"
    RESUME = "resume"


class OperatorCommand(LifecycleEvent, frozen=True):
    """
    One command as it was taken, before anything was done about it.

    ``by`` says who and by which way (``cli:alice``, ``kill_file``, ``signal:SIGUSR1``,
    ``http``, ``scenario``). ``until`` ends a pause by itself; ``hold_id`` names one hold to
    resume, empty means every operator's hold that ``scope`` equals; ``flatten`` belongs to a
    kill, ``unlatch`` to resuming what is latched.
    """

    command_id: str
    verb: CommandVerb
    by: str
    reason: str = ""
    scope: Scope = EVERYTHING
    until: int | None = None
    hold_id: str = ""
    flatten: bool = False
    unlatch: bool = False


class CommandRefused(LifecycleEvent, frozen=True):
    """A command changed nothing, and why."""

    command_id: str
    verb: CommandVerb
    by: str
    reason: str


class KillStage(StrEnum):
    """The steps of a kill, in order."""

    LATCHED = "latched"  # OPEN is held everywhere
    DRAINED = "drained"  # everything that waited has been answered
    CANCELLING = "cancelling"  # the cancels of what adds risk are on their way
    CANCELLED = "cancelled"  # our books know of no resting order that adds risk
    FLATTENING = "flattening"  # reduce-only orders for what is still held are on their way
    FLAT = "flat"  # our books hold nothing
    CONFIRMED = "confirmed"  # the venue itself says so
    UNCONFIRMED = "unconfirmed"  # the venue says otherwise, or nothing, past the deadline


class KillStep(LifecycleEvent, frozen=True):
    """
    One stage of a kill was reached, ``elapsed_ms`` after its trigger.

    ``count`` is how many messages, orders or positions it concerned.
    """

    kill_id: str
    stage: KillStage
    elapsed_ms: int
    count: int = 0
    detail: str = ""


class KillReport(LifecycleEvent, frozen=True):
    """
    The evidence of a kill: what the venue itself said is left.

    ``open_orders`` are the client order ids still open there (protective reducing orders may
    stay unless ``flatten``), ``positions`` its positions as ``SYMBOL side quantity``.
    ``stages`` gives each stage's ``name=elapsed_ms``. ``confirmed`` means that the venue
    answered and nothing is left that adds risk; with ``flatten``, nothing at all.
    """

    kill_id: str
    cause: str
    by: str
    flatten: bool
    confirmed: bool
    open_orders: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    detail: str = ""


class OperatorReduce(ReduceIntent, frozen=True):
    """
    A reducing order that the operator asked for, by a kill with ``flatten``.

    A class of its own because it is a capability: no strategy can make one, and it passes where
    a quarantined strategy's own closes do not.
    """

    journaled: ClassVar[bool] = True


class ToolReport(Message, frozen=True):
    """
    How one call of a tool went: a venue (``venue:NAME``), a feed, the disk, the clock.

    What circuits are fed with. ``retry_after_ms`` makes it a rate limit, which is no failure: the
    tool's own word (HTTP Retry-After) on when it may be asked again, 0 if it did not say. ``probe``
    marks the answer to a half-open circuit's question.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.DROP_NEWEST
    journaled: ClassVar[bool] = True

    tool: str
    ok: bool
    at: int
    detail: str = ""
    retry_after_ms: int | None = None
    probe: bool = False


class CircuitOpened(LifecycleEvent, frozen=True):
    """A tool failed ``failures`` times in a row: what needs it pauses until ``until``."""

    tool: str
    reason: str
    failures: int
    openings: int
    until: int


class CircuitHalfOpen(LifecycleEvent, frozen=True):
    """The pause is over: the tool is asked once, and its answer decides."""

    tool: str


class CircuitClosed(LifecycleEvent, frozen=True):
    """The tool works again, after ``successes`` good answers in a row."""

    tool: str
    successes: int


class DataStale(LifecycleEvent, frozen=True):
    """
    No bar of a symbol has come although one was due ``overdue_ms`` ago.

    ``silent`` means that the source claims to be connected all the while.
    """

    symbol: str
    timeframe_ms: int
    overdue_ms: int
    silent: bool = True


class DataFresh(LifecycleEvent, frozen=True):
    """A stale symbol has data again, after ``stale_ms``."""

    symbol: str
    timeframe_ms: int
    stale_ms: int


class BreachAction(StrEnum):
    """What a breached limit brings about besides refusing the intent at hand."""

    REFUSE = "refuse"  # nothing else
    REDUCE_ONLY = "reduce_only"  # hold OPEN everywhere until somebody resumes
    HALT = "halt"  # kill


class RiskBreached(LifecycleEvent, frozen=True):
    """A limit with more than a refusal behind it was breached; ``cause`` has the figures."""

    guard: str
    action: BreachAction
    cause: Cause
    equity: Decimal | None = None
