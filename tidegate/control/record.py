"""
What the journal told: counts, circuits, stale data and kills, readable while nobody answers.

A sink of the journal, so everything here is durable. It is written in the session's thread and
read in others: readers take copies, which Python makes in one step, and never see a session in
the middle of something.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

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
    ExecutionReport,
    KillReport,
    KillStage,
    KillStep,
    Message,
    OperatorCommand,
    RiskBreached,
    RiskDecision,
    SessionStarted,
    Verdict,
)
from state.journal import Entry
from tidegate.control import limits
from tidegate.control.wish_record import WishRecord

CLOSED = "closed"
OPEN = "open"
HALF_OPEN = "half_open"

Listener = Callable[[Message], object]


class Record:
    """
    Counts since the session started, and the newest of what has a state.

    ``on_message`` is called for every journaled message, in the session's thread: it must be
    quick and must not raise.
    """

    def __init__(self, on_message: Listener | None = None) -> None:
        """Begin empty."""
        self.on_message = on_message
        self.session_id = ""
        self.entries = 0
        self.fills = 0
        self.order_events: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.restarts: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.commands_refused: Counter[str] = Counter()
        self.breaches: Counter[str] = Counter()
        self.circuits: dict[str, str] = {}
        self.stale: dict[str, int] = {}
        self.kills = 0
        self.wishes = WishRecord()
        self._steps: OrderedDict[str, list[KillStep]] = OrderedDict()
        self._reports: dict[str, KillReport] = {}
        self._tellers: dict[type[Message], Callable[[Any], None]] = {
            ActorFailed: self._failed,
            ActorRestarting: self._restarting,
            CircuitClosed: self._circuit_closed,
            CircuitHalfOpen: self._circuit_half_open,
            CircuitOpened: self._circuit_opened,
            CommandRefused: self._refused_command,
            DataFresh: self._fresh,
            DataStale: self._went_stale,
            DeadLetter: self._dead_letter,
            ExecutionReport: self._report,
            KillReport: self._kill_report,
            KillStep: self._kill_step,
            OperatorCommand: self._command,
            RiskBreached: self._breached,
            RiskDecision: self._decision,
            SessionStarted: self._started,
            **self.wishes.tellers(),
        }

    # -- the sink

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Take a batch of entries."""
        tellers = self._tellers
        tell = self.on_message
        self.entries += len(entries)
        for entry in entries:
            message = entry.message
            teller = tellers.get(message.__class__)
            if teller is not None:
                teller(message)
            if tell is not None:
                tell(message)

    def close(self) -> None:
        """Nothing to finish: nothing is written."""

    # -- what is read from other threads

    def kill(self, kill_id: str) -> dict[str, Any] | None:
        """Return the steps and the report so far of a kill, ``None`` if it is not known."""
        steps = self._steps.get(kill_id)
        if steps is None:
            return None
        report = self._reports.get(kill_id)
        return {
            "kill_id": kill_id,
            "steps": [msgspec.to_builtins(step) for step in list(steps)],
            "report": None if report is None else msgspec.to_builtins(report),
            "done": report is not None and report.confirmed,
        }

    def newest_kill(self) -> str | None:
        """Return the id of the newest kill, ``None`` if there was none."""
        return next(reversed(list(self._steps)), None)

    # -- one teller a class

    def _started(self, message: SessionStarted) -> None:
        self.session_id = message.session_id

    def _report(self, report: ExecutionReport) -> None:
        self.order_events[report.event.value] += 1
        if report.fill is not None:
            self.fills += 1
        elif report.cause is not None:
            self.refusals[report.cause.code.value] += 1

    def _decision(self, decision: RiskDecision) -> None:
        if decision.verdict is Verdict.DENIED:
            for cause in decision.causes:
                self.refusals[cause.code.value] += 1
            self.wishes.on_decision(decision)

    def _failed(self, message: ActorFailed) -> None:
        self.failures[message.actor] += 1

    def _restarting(self, message: ActorRestarting) -> None:
        self.restarts[message.actor] += 1

    def _dead_letter(self, message: DeadLetter) -> None:
        self.dead_letters[message.reason] += 1

    def _command(self, message: OperatorCommand) -> None:
        self.commands[message.verb.value] += 1

    def _refused_command(self, message: CommandRefused) -> None:
        self.commands_refused[message.verb.value] += 1

    def _breached(self, message: RiskBreached) -> None:
        self.breaches[message.guard] += 1

    def _circuit_opened(self, message: CircuitOpened) -> None:
        self.circuits[message.tool] = OPEN

    def _circuit_half_open(self, message: CircuitHalfOpen) -> None:
        self.circuits[message.tool] = HALF_OPEN

    def _circuit_closed(self, message: CircuitClosed) -> None:
        self.circuits[message.tool] = CLOSED

    def _went_stale(self, message: DataStale) -> None:
        self.stale[message.symbol] = message.at

    def _fresh(self, message: DataFresh) -> None:
        self.stale.pop(message.symbol, None)

    def _kill_step(self, step: KillStep) -> None:
        steps = self._steps.get(step.kill_id)
        if steps is None:
            self.kills += 1
            while len(self._steps) >= limits.KILLS_KEPT:
                forgotten, _ = self._steps.popitem(last=False)
                self._reports.pop(forgotten, None)
            steps = self._steps[step.kill_id] = []
        steps.append(step)
        if step.stage is KillStage.CANCELLING:  # also once more, where flattening was added
            self._reports.pop(step.kill_id, None)

    def _kill_report(self, report: KillReport) -> None:
        self._reports[report.kill_id] = report
