"""
What an operator may tell a running session, and what it answers.

The desk is called where no handler is running (between turns, or as an errand of the
dispatcher), by whichever way a command came: control socket, HTTP, signal, kill file, scenario.
It changes holds through the supervisor alone, journals each command before it acts on it, and
journals each refusal with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, assert_never

import msgspec

from actors.kill import KillSwitch
from actors.runtime import Origin, Supervisor
from actors.runtime.clock import Clock
from actors.runtime.limits import PAUSE_S_MAX, TEXT_MAX
from messages import (
    EVERYTHING,
    KILL_HOLD,
    RISK_HOLDS,
    STRATEGY_PAUSES,
    CommandRefused,
    CommandVerb,
    Hold,
    HoldMode,
    OperatorCommand,
    PositionSide,
    Scope,
    is_kill,
)
from state.projections.timestamps import iso_ms
from state.register import REGISTER_HOLD

STOP_HOLD = "stop-new-orders"
PAUSE_HOLD = "pause"
QUARANTINE_HOLDS = "quarantine:"

OPERATORS = (STOP_HOLD, PAUSE_HOLD, RISK_HOLDS, QUARANTINE_HOLDS, KILL_HOLD, REGISTER_HOLD)
"""How the ids of holds begin that an operator may lift; all others are lifted on evidence."""

BY_NAME_ONLY = (QUARANTINE_HOLDS, STRATEGY_PAUSES)
"""Those that are lifted by name only: what a strategy did, or decided, is not undone in passing."""


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One command before it is taken: see ``messages.OperatorCommand`` for the fields.

    A pause ends after ``for_s`` or at ``until`` (int ms UTC, session time).
    """

    verb: CommandVerb
    by: str
    reason: str = ""
    scope: Scope = EVERYTHING
    for_s: float | None = None
    until: int | None = None
    hold_id: str = ""
    flatten: bool = False
    unlatch: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of a command: whether it was carried out, in one line, with the facts.

    ``holds`` are the holds that it placed, or lifted. ``kill_id`` names the kill whose steps and
    report follow.
    """

    ok: bool
    text: str
    holds: tuple[Hold, ...] = ()
    kill_id: str = ""
    durable: bool = True


class Refused(Exception):
    """A command that cannot be carried out, and why."""


class CommandDesk:
    """Take commands of one session, one at a time, in the order in which they come."""

    def __init__(
        self,
        supervisor: Supervisor,
        kill: KillSwitch,
        clock: Clock,
        *,
        tag: str,
        strategies: Sequence[str],
        symbols: Sequence[str],
        venue: str,
    ) -> None:
        """Serve the session of ``supervisor``; ``tag`` starts the commands' ids."""
        self.supervisor = supervisor
        self.kill = kill
        self.clock = clock
        self.tag = tag
        self.strategies = tuple(strategies)
        self.symbols = tuple(symbols)
        self.venue = venue
        self.obstacle: Callable[[], str | None] = lambda: None
        """Why a kill may not be lifted now (the kill file is still there), or ``None``."""
        self.place: Callable[[], str] = lambda: ""
        """Where in the session it is; journaled as what a command follows from."""
        self._count = 0

    def count_from(self, number: int) -> None:
        """Go on counting commands after an earlier process of the same session."""
        self._count = number

    def take(self, request: Request, waited_ms: int = 0) -> Answer:
        """
        Carry out one command, or refuse it; either way it is journaled. Whatever it says: no raise.

        ``waited_ms`` is how long it was on its way: a kill's stages are timed from its trigger.
        """
        self._count += 1
        command_id = f"{self.tag}-C{self._count}"
        now = self.clock.now
        request = cleaned(request)
        until, trouble = _end(request, now)
        command = OperatorCommand(
            "operator",
            now,
            command_id,
            request.verb,
            request.by,
            request.reason,
            request.scope,
            until,
            request.hold_id,
            request.flatten,
            request.unlatch,
        )
        return self._taken(command, trouble, waited_ms)

    def take_again(self, command: OperatorCommand, trouble: str) -> Answer:
        """Take a command as it was recorded; ``trouble`` is what was wrong with its words."""
        self._count += 1
        now = self.clock.now
        command_id = f"{self.tag}-C{self._count}"
        again = msgspec.structs.replace(command, at=now, command_id=command_id)
        return self._taken(again, trouble, 0)

    def _taken(self, command: OperatorCommand, trouble: str, waited_ms: int) -> Answer:
        place = self.place() or None
        origin = self.supervisor.dispatcher.publish("operator", command, place)
        try:
            return self._carry_out(command, trouble, waited_ms, origin)
        except Refused as refused:
            self.supervisor.dispatcher.publish(
                "operator",
                CommandRefused(
                    "operator",
                    command.at,
                    command.command_id,
                    command.verb,
                    command.by,
                    str(refused),
                ),
            )
            return Answer(ok=False, text=str(refused))

    def _carry_out(
        self, command: OperatorCommand, trouble: str, waited_ms: int, origin: Origin
    ) -> Answer:
        if trouble:
            raise Refused(trouble)
        match command.verb:
            case CommandVerb.KILL:
                return self._kill(command, waited_ms, origin)
            case CommandVerb.STOP_NEW_ORDERS:
                return self._stop_new_orders(command)
            case CommandVerb.PAUSE:
                return self._pause(command)
            case CommandVerb.RESUME:
                return self._resume(command)
            case _:
                assert_never(command.verb)

    # -- shutting

    def _kill(self, command: OperatorCommand, waited_ms: int, origin: Origin) -> Answer:
        if command.scope != EVERYTHING:
            raise Refused("a kill covers everything; stop-new-orders and pause take a scope")
        before = self.supervisor.dispatcher.holds.view().get(KILL_HOLD)
        kill_id = self.kill.pull(
            command.reason or "operator",
            command.by,
            flatten=command.flatten,
            waited_ms=waited_ms,
            origin=origin,
        )
        hold = self.supervisor.dispatcher.holds.view()[KILL_HOLD]
        text = f"killed: {hold.cause}; nothing that adds risk leaves until `resume --unlatch`"
        if before is not None and is_kill(before):
            again = "; now to be flat" if command.flatten else ""
            text = f"killed already, by {before.set_by}: {before.cause}{again}"
        return Answer(ok=True, text=text, holds=(hold,), kill_id=kill_id)

    def _stop_new_orders(self, command: OperatorCommand) -> Answer:
        hold = self._hold(command, STOP_HOLD, HoldMode.REFUSE)
        text = f"no new orders ({hold.scope}); reducing orders and cancels go on"
        return Answer(ok=True, text=text, holds=(hold,))

    def _pause(self, command: OperatorCommand) -> Answer:
        if command.until is None:
            raise Refused("a pause needs an end: for how many seconds, or until when")
        if command.until <= self.clock.now:
            raise Refused(
                f"a pause until {iso_ms(command.until)} is over: "
                f"it is {iso_ms(self.clock.now)} already"
            )
        hold = self._hold(command, PAUSE_HOLD, HoldMode.BLOCK)
        end = iso_ms(command.until)
        text = f"paused ({hold.scope}) until {end}; what waits keeps its deadline"
        return Answer(ok=True, text=text, holds=(hold,))

    def _hold(self, command: OperatorCommand, name: str, mode: HoldMode) -> Hold:
        self._check(command.scope)
        hold_id = name if command.scope == EVERYTHING else f"{name}:{command.scope}"
        return self.supervisor.hold_open(
            hold_id,
            command.reason or "operator",
            mode=mode,
            scope=command.scope,
            set_by=command.by,
            until=command.until if name == PAUSE_HOLD else None,
        )

    def _check(self, scope: Scope) -> None:
        sides = (PositionSide.LONG.value, PositionSide.SHORT.value)
        for name, value, known in (
            ("venue", scope.venue, (self.venue,)),
            ("strategy", scope.strategy, self.strategies),
            ("symbol", scope.symbol, self.symbols),
            ("side", scope.side, sides),
        ):
            if value is not None and value not in known:
                raise Refused(f"{name}: found {value!r}, expected one of {', '.join(known)}")

    # -- opening

    def _resume(self, command: OperatorCommand) -> Answer:
        in_force = self.supervisor.dispatcher.holds.view()
        chosen = self._chosen(command, list(in_force.values()))
        latched = [hold for hold in chosen if hold.latched]
        if latched and not command.unlatch:
            names = ", ".join(hold.hold_id for hold in latched)
            raise Refused(f"{names}: latched; expected --unlatch and a --reason")
        if latched and not command.reason.strip():
            raise Refused("unlatching needs a --reason: it is kept with the hold")
        if any(is_kill(hold) for hold in chosen):
            obstacle = self.obstacle()
            if obstacle is not None:
                raise Refused(obstacle)
        reason = command.reason or "resumed"
        for hold in chosen:
            self.supervisor.lift(hold.hold_id, command.by, reason)
        self.kill.stand_down()
        left = list(self.supervisor.dispatcher.holds.view().values())
        text = f"lifted {', '.join(hold.hold_id for hold in chosen)}"
        if left:
            text += f"; still held by {', '.join(hold.hold_id for hold in left)}"
        return Answer(ok=True, text=text, holds=tuple(chosen))

    def _chosen(self, command: OperatorCommand, in_force: list[Hold]) -> list[Hold]:
        if not in_force:
            raise Refused("nothing is held")
        if command.hold_id:
            named = [hold for hold in in_force if hold.hold_id == command.hold_id]
            if not named:
                raise Refused(
                    f"hold: found {command.hold_id!r}, expected one of "
                    f"{', '.join(hold.hold_id for hold in in_force)}"
                )
            if not _is_operators(named[0]):
                raise Refused(
                    f"{command.hold_id} was placed by {named[0].set_by} and is lifted by it, on "
                    f"evidence: {named[0].cause}"
                )
            return named
        wanted = [
            hold
            for hold in in_force
            if _is_operators(hold)
            and not hold.hold_id.startswith(BY_NAME_ONLY)
            and command.scope in (EVERYTHING, hold.scope)
        ]
        if not wanted:
            others = ", ".join(f"{hold.hold_id} (by {hold.set_by})" for hold in in_force)
            raise Refused(f"nothing that you can resume so is held; in force: {others}")
        if not command.unlatch:
            # What can be resumed plainly is; the latched rest is named when there is nothing else.
            plain = [hold for hold in wanted if not hold.latched]
            return plain or wanted
        return wanted


def _is_operators(hold: Hold) -> bool:
    return hold.hold_id.startswith(OPERATORS)


def cleaned(request: Request) -> Request:
    """
    Return a request whose words can be journaled and shown, whoever wrote them.

    Bytes that were no text on their way here, line breaks and endless words would otherwise cost
    the journal an entry, which costs the session its life.
    """
    scope = request.scope
    return msgspec.structs.replace(
        request,
        by=_text(request.by),
        reason=_text(request.reason),
        hold_id=_text(request.hold_id),
        scope=Scope(
            *(
                None if field is None else _text(field)
                for field in (scope.venue, scope.strategy, scope.symbol, scope.side)
            )
        ),
    )


def _text(words: str) -> str:
    found = " ".join(words[: 2 * TEXT_MAX].encode("utf-8", "replace").decode().split())
    return found if len(found) <= TEXT_MAX else f"{found[: TEXT_MAX - 1]}…"


def _end(request: Request, now: int) -> tuple[int | None, str]:
    """Return when a pause ends, or ``None`` and why that cannot be."""
    until, for_s = request.until, request.for_s
    if until is None and for_s is None:
        return None, ""
    if until is None:
        assert for_s is not None, "one of the two is given"
        if not math.isfinite(for_s) or for_s <= 0:
            return None, f"for_s: found {for_s}, expected a number of seconds above 0"
        # Of what is too long in any case the exact length does not matter.
        until = now + round(min(for_s, 2 * PAUSE_S_MAX) * 1000)
    if until < 0:
        return None, f"until: found {until}, expected int ms UTC since 1970"
    if until - now > PAUSE_S_MAX * 1000:
        days = PAUSE_S_MAX // 86_400
        return None, f"a pause ends within {days} days; stop-new-orders has no end"
    return until, ""


def as_document(answer: Answer) -> dict[str, Any]:
    """Return an answer JSON-ready."""
    document: dict[str, Any] = msgspec.to_builtins(answer)
    return document
