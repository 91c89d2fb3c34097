"""
Circuits: which tools may be used, which are given a rest, and how they come back.

Theory of operation. A tool is whatever can fail us and is asked often: a venue
(``venue:NAME``), the feed. Each has a circuit, which is closed (use it), open (leave it alone
until the pause is over) or half-open (ask once, the answer decides):

    closed ── failure_streak failures in a row ──▶ open ── pause over ──▶ half-open
       ▲                                            ▲                        │
       │                                            └──── a failure ─────────┤
       └──────────────── success_streak good answers in a row ───────────────┘

The first pause is ``pause_s``; each opening that follows another makes it ``pause_growth``
times longer, up to ``pause_max_s``, until the circuit has stayed closed for a quiet period. A
rate limit is no failure: the tool works and has said when it may be asked again, which is
honoured to the millisecond, however long that is.

There is no clock in here. Every call is told the time, so the same calls in the same order give
the same circuits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from messages import CircuitClosed, CircuitHalfOpen, CircuitOpened

HEALTH = "health"
"""The actor in whose name circuits speak."""

VENUE = "venue:"
"""How the tool of a venue begins."""

Change = CircuitOpened | CircuitHalfOpen | CircuitClosed


def venue_tool(venue: str) -> str:
    """Return the tool that a venue is."""
    return VENUE + venue


class CircuitState(StrEnum):
    """Whether a tool may be used."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """
    When circuits open and for how long; times in ms.

    ``probe_every_ms`` lies between a probe's good answer and the next probe; a circuit that has
    stayed closed for ``quiet_ms`` starts with its first pause again.
    """

    failure_streak: int = 5
    success_streak: int = 2
    pause_ms: int = 30_000
    pause_growth: float = 2.0
    pause_max_ms: int = 900_000
    rate_limit_pause_ms: int = 10_000
    probe_every_ms: int = 5_000
    quiet_ms: int = 900_000

    def pause_of(self, opening: int) -> int:
        """Return the pause of the nth opening in a row, from 1."""
        assert opening >= 1, f"openings are counted from 1, not {opening}"
        try:
            grown = self.pause_ms * self.pause_growth ** (opening - 1)
        except OverflowError:
            return self.pause_max_ms
        return round(min(grown, self.pause_max_ms))


@dataclass(slots=True)
class Circuit:
    """
    One tool's circuit; times are session time in ms.

    ``openings`` counts since the last quiet period. ``until`` ends the pause of an open circuit,
    ``limited_until`` a rate limit. While half-open, ``asked_until`` is when the answer to the
    outstanding probe is due, and ``ask_at`` when the next probe may be asked if none is.
    """

    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    successes: int = 0
    openings: int = 0
    until: int = 0
    limited_until: int = 0
    closed_at: int = 0
    asked_until: int | None = None
    ask_at: int = 0

    @property
    def resting_until(self) -> int:
        """Return when the tool may be asked again, whatever it rests for."""
        return max(self.until, self.limited_until)


@dataclass(frozen=True, slots=True)
class Advance:
    """What the passing of time brought about: changes in order, and the tools to ask now."""

    changes: tuple[Change, ...] = ()
    probes: tuple[str, ...] = ()


@dataclass(slots=True)
class Circuits:
    """
    The circuits of all tools; one that was never reported on is closed.

    ``askable`` holds the tools that can be probed, each with how long (ms) its answer may take.
    Of any other, the next call that somebody makes for his own purposes is the probe, however
    late it comes.
    """

    rules: CircuitRules
    askable: Mapping[str, int] = field(default_factory=dict)
    _circuits: dict[str, Circuit] = field(default_factory=dict)

    # -- what is asked

    def should_pause(self, tool: str, now: int) -> bool:
        """Return whether ``tool`` must not be used now, its probe excepted."""
        circuit = self._circuits.get(tool)
        if circuit is None:
            return False
        if now < circuit.limited_until or circuit.state is CircuitState.OPEN:
            return True
        return circuit.state is CircuitState.HALF_OPEN and tool in self.askable

    def get_pause_until(self, tool: str, now: int) -> int | None:
        """
        Return when ``tool`` may be asked again; ``None`` when it may be now.

        Of a half-open circuit nobody knows: that is up to the probe, which is due now.
        """
        circuit = self._circuits.get(tool)
        if circuit is None or not self.should_pause(tool, now):
            return None
        return max(now, circuit.resting_until)

    def circuit(self, tool: str) -> Circuit:
        """Return a tool's circuit, to be read only."""
        return self._circuits.get(tool) or Circuit()

    def tools(self) -> tuple[str, ...]:
        """Return the tools that have ever failed or asked for a rest, sorted."""
        return tuple(sorted(self._circuits))

    def troubled(self, tool: str) -> bool:
        """Return whether a good answer of ``tool`` would be news."""
        circuit = self._circuits.get(tool)
        return circuit is not None and (
            circuit.state is not CircuitState.CLOSED or circuit.failures > 0
        )

    # -- what is reported

    def record_exchange_failure(self, venue: str, now: int, reason: str = "") -> Change | None:
        """Count a failure of a venue."""
        return self.record_tool_failure(venue_tool(venue), now, reason)

    def record_tool_failure(
        self, tool: str, now: int, reason: str = "", *, probe: bool = False
    ) -> Change | None:
        """
        Count a failure and return the opening that it brought about, if it did.

        A failure of a half-open circuit opens it again, whoever called. One that is open stays
        so for as long as it was going to.
        """
        del probe  # a failure is a failure
        circuit = self._of(tool)
        circuit.failures += 1
        circuit.successes = 0
        if circuit.state is CircuitState.OPEN:
            return None
        if circuit.state is CircuitState.CLOSED:
            if circuit.failures < self.rules.failure_streak:
                return None
            if circuit.openings and now - circuit.closed_at >= self.rules.quiet_ms:
                circuit.openings = 0
        return self._open(tool, circuit, now, reason)

    def record_tool_success(self, tool: str, now: int, *, probe: bool = False) -> Change | None:
        """
        Count a good answer and return the closing that it brought about, if it did.

        During a pause it only ends the streak of failures: a pause is a rest, not a vote.
        """
        circuit = self._circuits.get(tool)
        if circuit is None:
            return None  # the only news of a tool that never failed is that it does not
        circuit.failures = 0
        circuit.successes += 1
        if circuit.state is not CircuitState.HALF_OPEN:
            return None
        if circuit.successes >= self.rules.success_streak:
            return self._close(tool, circuit, now)
        if probe:
            circuit.asked_until = None
            circuit.ask_at = now + self.rules.probe_every_ms
        return None

    def record_rate_limit(self, tool: str, now: int, retry_after_ms: int | None = None) -> int:
        """
        Pause a tool that asked for it, exactly that long, and return until when.

        Neither failure nor success. Without a time of its own (``None``, or not positive) the
        configured one applies; a limit never shortens an earlier one. A probe that is answered
        with one is asked again when it ends.
        """
        circuit = self._of(tool)
        given = retry_after_ms is not None and retry_after_ms > 0
        pause_ms = retry_after_ms if given and retry_after_ms else self.rules.rate_limit_pause_ms
        circuit.limited_until = max(circuit.limited_until, now + pause_ms)
        if circuit.state is CircuitState.HALF_OPEN:
            circuit.asked_until = None
            circuit.ask_at = circuit.limited_until
        return circuit.limited_until

    def reopen(self, tool: str, now: int) -> None:
        """Take over a circuit that was open in an earlier session: its probe is due at once."""
        circuit = self._of(tool)
        if circuit.state is CircuitState.CLOSED:
            circuit.state = CircuitState.OPEN
            circuit.failures = max(circuit.failures, self.rules.failure_streak)
            circuit.openings = max(circuit.openings, 1)
            circuit.until = now

    # -- what time brings about

    def advance(self, now: int) -> Advance:
        """Let the time be ``now``: pauses end, probes are due, answers have not come."""
        changes: list[Change] = []
        probes: list[str] = []
        for tool in sorted(self._circuits):
            circuit = self._circuits[tool]
            if circuit.state is CircuitState.OPEN and circuit.resting_until <= now:
                circuit.state = CircuitState.HALF_OPEN
                circuit.successes = 0
                circuit.asked_until = None
                circuit.ask_at = now
                changes.append(CircuitHalfOpen(HEALTH, now, tool))
            if circuit.state is not CircuitState.HALF_OPEN or tool not in self.askable:
                continue
            if circuit.asked_until is not None and circuit.asked_until <= now:
                lost = self.record_tool_failure(tool, now, "the probe was not answered")
                assert lost is not None, "a failure opens what is half-open"
                changes.append(lost)
            elif circuit.asked_until is None and max(circuit.ask_at, circuit.limited_until) <= now:
                circuit.asked_until = now + self.askable[tool]
                probes.append(tool)
        return Advance(tuple(changes), tuple(probes))

    def next_due(self) -> int | None:
        """Return when ``advance`` will next have something to do, if ever by itself."""
        dues = [
            due
            for tool in sorted(self._circuits)
            if (due := self._due(tool, self._circuits[tool])) is not None
        ]
        return min(dues, default=None)

    # -- what survives

    def export(self) -> dict[str, Any]:
        """Return all circuits, JSON-ready."""
        return {tool: asdict(self._circuits[tool]) for tool in sorted(self._circuits)}

    def restore(self, exported: Mapping[str, Mapping[str, Any]]) -> None:
        """Take back what ``export`` gave."""
        self._circuits = {
            tool: Circuit(**{**fields, "state": CircuitState(fields["state"])})
            for tool, fields in exported.items()
        }

    # -- inside

    def _of(self, tool: str) -> Circuit:
        return self._circuits.setdefault(tool, Circuit())

    def _open(self, tool: str, circuit: Circuit, now: int, reason: str) -> CircuitOpened:
        circuit.state = CircuitState.OPEN
        circuit.openings += 1
        circuit.asked_until = None
        circuit.until = now + self.rules.pause_of(circuit.openings)
        until = circuit.resting_until
        return CircuitOpened(HEALTH, now, tool, reason, circuit.failures, circuit.openings, until)

    def _close(self, tool: str, circuit: Circuit, now: int) -> CircuitClosed:
        circuit.state = CircuitState.CLOSED
        circuit.closed_at = now
        circuit.asked_until = None
        return CircuitClosed(HEALTH, now, tool, circuit.successes)

    def _due(self, tool: str, circuit: Circuit) -> int | None:
        if circuit.state is CircuitState.OPEN:
            return circuit.resting_until
        if circuit.state is CircuitState.CLOSED or tool not in self.askable:
            return None
        if circuit.asked_until is not None:
            return circuit.asked_until
        return max(circuit.ask_at, circuit.limited_until)
