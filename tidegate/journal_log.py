"""
What a session's log says: one line for each journal entry that an operator would want to see.

The journal has everything; the log is for a person watching. Trouble with actors is always told.
Fills are told only where somebody can follow them, in a session that runs at a human pace, and
only there is a refusal a warning: in a replay it is one more result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from messages import (
    ActorFailed,
    ActorRestarting,
    CircuitClosed,
    CircuitHalfOpen,
    CircuitOpened,
    CommandRefused,
    DataFresh,
    DataStale,
    DeadLetter,
    Escalated,
    ExecutionReport,
    FeedGap,
    HoldLifted,
    HoldPlaced,
    KillReport,
    KillStep,
    Message,
    OperatorCommand,
    OrderEvent,
    Reconciled,
    RiskBreached,
    RiskDecision,
    SessionEnded,
    SessionStarted,
    StrategyQuarantined,
    Verdict,
)
from state.journal import Entry
from state.money import plain
from state.projections import iso_ms

LIVE_LINES_MAX = 10_000
REPLAY_LINES_MAX = 200
"""
Lines about one session's orders; past them one line says how many were left out.

A line costs some 80 us: a replay with thousands of refusals would spend its time on them.
"""

INTERRUPTED = 130

GAPS_MAX = 20
"""Gaps told one by one; the summary counts them all."""

Told = tuple[str, str, dict[str, Any]]


class JournalLog:
    """
    A sink of the journal that logs what an operator would want to see.

    ``open_log`` is called once, with the session's id, when the session has started: then its
    folder exists.
    """

    def __init__(self, open_log: Callable[[str], None], *, live: bool) -> None:
        self._open_log = open_log
        self._live = live
        self._lines_max = LIVE_LINES_MAX if live else REPLAY_LINES_MAX
        self._logger = structlog.get_logger("session")
        self._order_lines = 0
        self._gaps = 0
        self._tellers: dict[type[Message], Callable[[Any], Told | None]] = {
            ActorFailed: _failed,
            ActorRestarting: _restarting,
            CircuitClosed: _circuit_closed,
            CircuitHalfOpen: _circuit_half_open,
            CircuitOpened: _circuit_opened,
            CommandRefused: _command_refused,
            DataFresh: _data_fresh,
            DataStale: _data_stale,
            DeadLetter: _dead_letter,
            Escalated: _escalated,
            ExecutionReport: self._report,
            FeedGap: self._gap,
            HoldLifted: _lifted,
            HoldPlaced: _placed,
            KillReport: _kill_reported,
            KillStep: _kill_step,
            OperatorCommand: _command,
            Reconciled: _reconciled,
            RiskBreached: _breached,
            RiskDecision: self._decision,
            SessionEnded: _ended,
            SessionStarted: self._started,
            StrategyQuarantined: _quarantined,
        }

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Log what of a batch is worth a line."""
        tellers = self._tellers
        for entry in entries:
            teller = tellers.get(entry.message.__class__)
            if teller is not None and (told := teller(entry.message)) is not None:
                level, event, fields = told
                log = getattr(self._logger, level)
                log(event, seq=entry.seq, session_time=iso_ms(entry.ts), **fields)

    def close(self) -> None:
        """Say how many lines about orders were left out."""
        if self._order_lines > self._lines_max:
            self._logger.info("order_lines_left_out", lines=self._order_lines - self._lines_max)
        if self._gaps > GAPS_MAX:
            self._logger.info("feed_gap_lines_left_out", lines=self._gaps - GAPS_MAX)

    def _started(self, message: SessionStarted) -> Told:
        self._open_log(message.session_id)
        fields = {"session_id": message.session_id, "mode": message.mode, "seed": message.seed}
        return "info", "session_started", fields

    def _within_bounds(self) -> bool:
        self._order_lines += 1
        return self._order_lines <= self._lines_max

    def _gap(self, message: FeedGap) -> Told | None:
        self._gaps += 1
        if self._gaps > GAPS_MAX:
            return None
        after, before = iso_ms(message.after), iso_ms(message.before)
        fields = {"missing": message.missing, "after": after, "before": before}
        return "info", "feed_gap", {"symbol": message.symbol, **fields}

    def _decision(self, decision: RiskDecision) -> Told | None:
        if decision.verdict is not Verdict.DENIED or not self._within_bounds():
            return None
        causes = "; ".join(str(cause) for cause in decision.causes)
        fields = {"strategy": decision.strategy, "symbol": decision.symbol, "causes": causes}
        return self._trouble, "intent_refused", {"order_id": decision.intent_id, **fields}

    def _report(self, report: ExecutionReport) -> Told | None:
        fill = report.fill
        fields: dict[str, Any] = {"order_id": report.order_id, "strategy": report.strategy}
        if fill is not None:
            if not self._live or not self._within_bounds():
                return None
            fields |= {"symbol": fill.symbol, "side": fill.side.value}
            fields |= {"quantity": plain(fill.quantity), "price": plain(fill.price)}
            return "info", "order_filled", fields
        if report.event not in _TROUBLE or not self._within_bounds():
            return None
        fields |= {"symbol": report.symbol, "cause": str(report.cause or "")}
        return self._trouble, _TROUBLE[report.event], fields

    @property
    def _trouble(self) -> str:
        return "warning" if self._live else "info"


_TROUBLE = {
    OrderEvent.REJECTED: "order_rejected",
    OrderEvent.SILENCE: "order_in_doubt",
    OrderEvent.PROVEN_ABSENT: "order_never_arrived",
    OrderEvent.SUPPRESSED: "order_suppressed",
}


def _ended(message: SessionEnded) -> Told:
    fields = {"outcome": message.outcome, "exit_code": message.exit_code}
    levels = {0: "info", INTERRUPTED: "warning"}
    return levels.get(message.exit_code, "error"), "session_ended", fields


def _failed(message: ActorFailed) -> Told:
    fields = {"actor": message.actor}
    if message.place:
        fields["place"] = message.place
    fields |= {"error": message.error, "on": message.message_type}
    return "error", "actor_failed", {**fields, "exception": message.traceback.rstrip()}


def _restarting(message: ActorRestarting) -> Told:
    fields = {"incarnation": message.incarnation, "delay_s": message.delay_s}
    return "warning", "actor_restarting", {"actor": message.actor, **fields}


def _quarantined(message: StrategyQuarantined) -> Told:
    fields = {"strategy": message.strategy, "reason": message.reason}
    return "error", "strategy_quarantined", fields


def _escalated(message: Escalated) -> Told:
    return "error", "escalated", {"rung": message.rung, "reason": message.reason}


def _dead_letter(message: DeadLetter) -> Told:
    fields = {"message_type": message.message_type, "reason": message.reason}
    return "warning", "dead_letter", {"actor": message.actor, **fields, "detail": message.detail}


def _placed(message: HoldPlaced) -> Told:
    hold = message.hold
    fields = {"hold": hold.hold_id, "cause": hold.cause, "mode": hold.mode.value}
    if hold.flatten:
        fields["flatten"] = "yes"
    level = "info" if hold.hold_id.startswith("stopping:") else "warning"
    return level, "hold_placed", {**fields, "set_by": hold.set_by}


def _lifted(message: HoldLifted) -> Told:
    fields = {"hold": message.hold.hold_id, "lifted_by": message.lifted_by}
    return "info", "hold_lifted", {**fields, "reason": message.reason}


def _reconciled(message: Reconciled) -> Told | None:
    if not message.differences:
        return None
    fields = {"occasion": message.occasion, "differences": list(message.differences)}
    return "error", "books_differ", fields


def _command(message: OperatorCommand) -> Told:
    fields: dict[str, Any] = {"verb": message.verb.value, "by": message.by}
    fields |= {"reason": message.reason, "scope": str(message.scope)}
    if message.flatten:
        fields["flatten"] = True
    return "warning", "command_taken", {**fields, "command_id": message.command_id}


def _command_refused(message: CommandRefused) -> Told:
    fields = {"verb": message.verb.value, "by": message.by, "reason": message.reason}
    return "warning", "command_refused", {**fields, "command_id": message.command_id}


def _kill_step(message: KillStep) -> Told:
    fields = {"stage": message.stage.value, "elapsed_ms": message.elapsed_ms}
    return "warning", "kill_stage", {"kill_id": message.kill_id, **fields, "count": message.count}


def _kill_reported(message: KillReport) -> Told:
    fields: dict[str, Any] = {"kill_id": message.kill_id, "cause": message.cause}
    fields |= {"by": message.by, "flatten": message.flatten, "detail": message.detail}
    fields |= {"open_orders": list(message.open_orders), "positions": list(message.positions)}
    if message.confirmed:
        return "warning", "kill_confirmed", fields
    return "error", "kill_unconfirmed", fields


def _breached(message: RiskBreached) -> Told:
    fields = {"limit": message.guard, "action": message.action.value}
    return "error", "limit_breached", {**fields, "cause": str(message.cause)}


def _circuit_opened(message: CircuitOpened) -> Told:
    fields = {"tool": message.tool, "reason": message.reason, "failures": message.failures}
    return "warning", "circuit_opened", {**fields, "until": iso_ms(message.until)}


def _circuit_half_open(message: CircuitHalfOpen) -> Told:
    return "info", "circuit_half_open", {"tool": message.tool}


def _circuit_closed(message: CircuitClosed) -> Told:
    return "info", "circuit_closed", {"tool": message.tool, "successes": message.successes}


def _data_stale(message: DataStale) -> Told:
    fields = {"overdue_ms": message.overdue_ms, "silent": message.silent}
    return "warning", "data_stale", {"symbol": message.symbol, **fields}


def _data_fresh(message: DataFresh) -> Told:
    return "info", "data_fresh", {"symbol": message.symbol, "stale_ms": message.stale_ms}
