"""What the safety system did, added up as the journal goes by; every list is bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from messages import (
    CircuitClosed,
    CircuitHalfOpen,
    CircuitOpened,
    CommandRefused,
    DataFresh,
    DataStale,
    HoldLifted,
    HoldPlaced,
    KillReport,
    KillStep,
    Message,
    OperatorCommand,
    RiskBreached,
    ToolReport,
)
from state.projections.circuit_tally import CircuitTally, StaleTally
from state.projections.hold_tally import HoldTally
from state.projections.kill_tally import KillTally
from state.projections.limits import BREACH_KINDS_MAX, COMMANDS_MAX
from state.projections.safety_summary import BreachResult, CommandResult, SafetyResult
from state.projections.series import BothEnds

OTHER_GUARDS = "(others)"


class _Command:
    """One command; its refusal, if any, comes right after it."""

    __slots__ = ("command", "refused")

    def __init__(self, command: OperatorCommand) -> None:
        self.command = command
        self.refused = ""

    def result(self) -> CommandResult:
        command = self.command
        return CommandResult(
            command.at,
            command.command_id,
            command.verb,
            command.by,
            command.reason,
            command.scope,
            command.until,
            command.hold_id,
            command.flatten,
            command.unlatch,
            self.refused,
        )


class SafetyTally:
    """Follow holds, kills, commands, breaches, circuits and freshness."""

    def __init__(self) -> None:
        self.holds = HoldTally()
        self._kills = KillTally(self.holds.in_force)
        self._circuits = CircuitTally()
        self._stale = StaleTally()
        self._commands: BothEnds[_Command] = BothEnds(COMMANDS_MAX)
        self._command: _Command | None = None
        self._refused = 0
        self._breaches: dict[tuple[str, str], BreachResult] = {}
        self._breaches_total = 0

    def handlers(self) -> dict[type[Message], Callable[[Any], None]]:
        """Return what takes each class of message."""
        return {
            HoldPlaced: self.on_hold,
            HoldLifted: self.on_lift,
            KillStep: self._kills.on_step,
            KillReport: self._kills.on_report,
            OperatorCommand: self.on_command,
            CommandRefused: self.on_refusal,
            RiskBreached: self.on_breach,
            ToolReport: self._circuits.on_report,
            CircuitOpened: self._circuits.on_opened,
            CircuitHalfOpen: self._circuits.on_half_open,
            CircuitClosed: self._circuits.on_closed,
            DataStale: self._stale.on_stale,
            DataFresh: self._stale.on_fresh,
        }

    def on_hold(self, placed: HoldPlaced) -> None:
        """Note a hold, and what it means for a kill on its way."""
        self._kills.on_hold(self.holds.on_hold(placed))

    def on_lift(self, lifted: HoldLifted) -> None:
        """Note the end of a hold, and of a kill if it was its last."""
        self.holds.on_lift(lifted)
        self._kills.on_lift(lifted)

    def on_command(self, command: OperatorCommand) -> None:
        """Note a command as it was taken."""
        self._command = _Command(command)
        self._commands.append(self._command)
        self._kills.on_command(command)

    def on_refusal(self, refused: CommandRefused) -> None:
        """Note that a command was refused, and why."""
        self._refused += 1
        newest = self._command
        if newest is not None and newest.command.command_id == refused.command_id:
            newest.refused = refused.reason

    def on_breach(self, breach: RiskBreached) -> None:
        """Count a breached limit by what follows from it."""
        self._breaches_total += 1
        key = (breach.guard, breach.action.value)
        if key not in self._breaches and len(self._breaches) >= BREACH_KINDS_MAX:
            key = (OTHER_GUARDS, breach.action.value)
        known = self._breaches.get(key)
        cause, at, equity = breach.cause, breach.at, breach.equity
        if known is None:
            self._breaches[key] = BreachResult(
                key[0],
                breach.action,
                cause.code.value,
                1,
                at,
                cause.detail,
                equity,
                at,
                cause.detail,
                equity,
            )
            return
        self._breaches[key] = BreachResult(
            known.guard,
            known.action,
            known.code,
            known.count + 1,
            known.first_at,
            known.first_detail,
            known.first_equity,
            at,
            cause.detail,
            equity,
        )

    def result(self, ended_at: int | None) -> SafetyResult:
        """Return all of it but the holds; ``ended_at`` ends what is still going on."""
        return SafetyResult(
            kills=self._kills.results(),
            kills_total=self._kills.total,
            commands=tuple(command.result() for command in self._commands.items),
            commands_total=self._commands.count,
            commands_refused=self._refused,
            breaches=tuple(self._breaches.values()),
            breaches_total=self._breaches_total,
            circuits=self._circuits.tools(),
            openings=self._circuits.openings(),
            openings_total=self._circuits.openings_total,
            stale=self._stale.results(ended_at),
        )
