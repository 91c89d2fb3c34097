"""
The heartbeat of a running session: tied to the work it does.

A loop that is alive while nothing is done is the failure that a heartbeat is for, so a beat is a
piece of work that was due and has been done: a turn, a timer, a command, each with its commit.
Between two beats the pulse knows when the next work is due, and is late from then on.
"""

from __future__ import annotations

from typing import Any

from actors.runtime.clock import monotonic_s
from actors.runtime.limits import STALL_AFTER_S


class Pulse:
    """Written by the session's driver, readable from any thread, even while that one is stuck."""

    __slots__ = ("_beat_s", "_due_s", "_started_s", "beats", "session_ms")

    def __init__(self) -> None:
        """Start with work due at once."""
        now_s = monotonic_s()
        self.beats = 0
        self.session_ms = 0
        self._started_s = now_s
        self._beat_s = now_s
        self._due_s = now_s

    def beat(self, session_ms: int) -> None:
        """Note that what was due has been done, at session time ``session_ms``."""
        self.beats += 1
        self.session_ms = session_ms
        self._beat_s = self._due_s = monotonic_s()

    def rest(self, for_s: float) -> None:
        """Note that nothing is due for ``for_s`` seconds."""
        self._due_s = monotonic_s() + for_s

    @property
    def late_s(self) -> float:
        """Return for how long work has been due and is not done, 0 when none is."""
        return max(0.0, monotonic_s() - self._due_s)

    @property
    def idle_s(self) -> float:
        """Return how long ago the last work was done."""
        return monotonic_s() - self._beat_s

    @property
    def stalled(self) -> bool:
        """Return whether work is later than a healthy loop ever is."""
        return self.late_s > STALL_AFTER_S

    def document(self) -> dict[str, Any]:
        """Return the pulse JSON-ready."""
        late_s = self.late_s
        return {
            "beats": self.beats,
            "uptime_s": round(monotonic_s() - self._started_s, 3),
            "last_work_s": round(self.idle_s, 3),
            "late_s": round(late_s, 3),
            "stalled": late_s > STALL_AFTER_S,
            "session_ms": self.session_ms,
        }
