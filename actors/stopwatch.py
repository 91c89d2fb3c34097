"""
What the stages of a kill are timed by, from its trigger on.

Live it is the machine's clock, for what is promised is real time; elsewhere the session's own.
"""

from __future__ import annotations

from collections.abc import Callable


class Stopwatch:
    """Tells the milliseconds since a kill's trigger, by the clock ``now_ms``."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._since = 0

    def start(self, waited_ms: int) -> None:
        """Count from a trigger that was ``waited_ms`` ago."""
        self._since = self._now_ms() - waited_ms

    def elapsed_ms(self) -> int:
        """Return how long ago the trigger was."""
        return self._now_ms() - self._since
