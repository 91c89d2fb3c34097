"""How often something happened within the last minute."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_MS: Final = 60_000


class RateWindow:
    """
    The times of the newest events, ``size`` at most: whether so many lie within one minute.

    A window is half open: what happened exactly a minute ago is outside.
    """

    __slots__ = ("_times", "size")

    def __init__(self, size: int) -> None:
        """Remember ``size`` events, at least one."""
        assert size > 0, "a window of no events is always full"
        self.size = size
        self._times: deque[int] = deque(maxlen=size)

    def note(self, now: int, count: int = 1) -> None:
        """Take note of ``count`` events at ``now`` (int ms UTC); forget those too long ago."""
        times = self._times
        # Or every commit of an hour would carry the times of its busiest minute.
        while times and now - times[0] >= WINDOW_MS:
            times.popleft()
        for _ in range(min(count, self.size)):
            times.append(now)

    def full(self, now: int) -> bool:
        """Return whether ``size`` events happened in the minute that ends at ``now``."""
        times = self._times
        return len(times) == self.size and now - times[0] < WINDOW_MS

    def snapshot(self) -> list[int]:
        """Return the times, oldest first, JSON-ready."""
        return list(self._times)

    def restore(self, times: list[int]) -> None:
        """Take over the times of ``snapshot``; of more than ``size`` the newest."""
        self._times.clear()
        self._times.extend(times)
