"""What a session's safety system did: holds, kills, commands, breaches, circuits, stale data."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from messages import BreachAction, CommandVerb, Hold, KillStage, Scope


class HoldEnd(StrEnum):
    """How one placement of a hold ended."""

    IN_FORCE = "in_force"  # it has not
    LIFTED = "lifted"
    REPLACED = "replaced"  # by a newer hold of the same id


class HoldResult(msgspec.Struct, frozen=True):
    """
    One placement of a hold, and how it ended.

    ``placed_at`` is when it came into force in this session: its own ``since`` or, of one that
    an earlier session left (``carried_over``), the session's start. ``placement`` counts those
    of the same id, from 1. One that ``outlives`` the session is in force at its end and will be
    in the account's next one.
    """

    hold: Hold
    placed_at: int
    placement: int = 1
    carried_over: bool = False
    end: HoldEnd = HoldEnd.IN_FORCE
    lifted_at: int | None = None
    lifted_by: str = ""
    lift_reason: str = ""
    outlives: bool = False


class HoldCount(msgspec.Struct, frozen=True):
    """How many holds of one kind (an id up to its first colon) are not listed one by one."""

    kind: str
    count: int


class KillStageResult(msgspec.Struct, frozen=True):
    """One stage that a kill reached, ``elapsed_ms`` after its trigger."""

    stage: KillStage
    at: int
    elapsed_ms: int
    count: int
    detail: str


class KillResult(msgspec.Struct, frozen=True):
    """
    One kill: what pulled it, how far it came, and the newest evidence of what is left.

    ``confirmed`` is ``None`` if the journal holds no evidence. ``open_orders`` and ``positions``
    are what was left, bounded, with their true numbers. ``causes`` are all holds that were in
    force when it was pulled or came until there was evidence. ``unlatched_at`` is when the last
    hold of the kill was lifted. ``flatten_at`` is when flattening was added to a kill that was in
    force, ``None`` where it was not, or the kill said so from its beginning.
    """

    kill_id: str
    cause: str
    by: str
    at: int
    carried_over: bool
    flatten: bool
    confirmed: bool | None
    reported_at: int | None
    open_orders: tuple[str, ...]
    open_orders_total: int
    positions: tuple[str, ...]
    positions_total: int
    detail: str
    stages: tuple[KillStageResult, ...]
    causes: tuple[Hold, ...]
    causes_total: int
    unlatched_at: int | None
    unlatched_by: str
    unlatch_reason: str
    flatten_at: int | None = None
    flatten_by: str = ""
    flatten_cause: str = ""


class CommandResult(msgspec.Struct, frozen=True):
    """One command of an operator; ``refused`` says why nothing was done, or is empty."""

    at: int
    command_id: str
    verb: CommandVerb
    by: str
    reason: str
    scope: Scope
    until: int | None
    hold_id: str
    flatten: bool
    unlatch: bool
    refused: str


class BreachResult(msgspec.Struct, frozen=True):
    """How often a limit was breached with one consequence: the first figures and the newest."""

    guard: str
    action: BreachAction
    code: str
    count: int
    first_at: int
    first_detail: str
    first_equity: Decimal | None
    newest_at: int
    newest_detail: str
    newest_equity: Decimal | None


class CircuitResult(msgspec.Struct, frozen=True):
    """
    What became of one tool: calls that failed, rests, questions, recoveries.

    ``probes`` are the questions answered while it was half-open. ``state`` is the circuit's at
    the session's end: open, half_open or closed.
    """

    tool: str
    failures: int
    rate_limits: int
    openings: int
    half_opens: int
    probes: int
    probes_failed: int
    closings: int
    paused_ms: int
    longest_pause_ms: int
    state: str


class OpeningEnd(StrEnum):
    """What ended one opening of a circuit."""

    NOTHING = ""  # it is open, or half-open, at the end
    CLOSED = "closed"
    OPENED_AGAIN = "opened_again"


class CircuitOpening(msgspec.Struct, frozen=True):
    """
    One opening of a circuit.

    ``opening`` counts those in a row, ``pause_ms`` is the rest that it was given,
    ``half_open_at`` when it was first asked again.
    """

    tool: str
    at: int
    reason: str
    failures: int
    opening: int
    pause_ms: int
    half_open_at: int | None
    probes: int
    end: OpeningEnd
    ended_at: int | None


class StaleResult(msgspec.Struct, frozen=True):
    """
    When a symbol's data was too old: how often, how long in all, and the longest time.

    ``silent`` counts the times at which the source claimed to be connected. ``since`` is set if
    the data is stale at the session's end.
    """

    symbol: str
    spans: int
    silent: int
    total_ms: int
    longest_ms: int
    longest_at: int
    since: int | None


class SafetyResult(msgspec.Struct, frozen=True):
    """What the safety system did besides its holds; each ``..._total`` counts what there was."""

    kills: tuple[KillResult, ...] = ()
    kills_total: int = 0
    commands: tuple[CommandResult, ...] = ()
    commands_total: int = 0
    commands_refused: int = 0
    breaches: tuple[BreachResult, ...] = ()
    breaches_total: int = 0
    circuits: tuple[CircuitResult, ...] = ()
    openings: tuple[CircuitOpening, ...] = ()
    openings_total: int = 0
    stale: tuple[StaleResult, ...] = ()
