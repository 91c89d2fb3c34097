"""A client's waiting: bounded, in real time, and no session's business."""

from __future__ import annotations

import time

LOOK_S = 0.05
"""A kill is over in milliseconds: looked at often, for as long as it takes."""


class Patience:
    """Waiting that comes to an end after ``for_s`` seconds."""

    def __init__(self, for_s: float) -> None:
        """Begin to wait."""
        self._until_s = time.monotonic() + for_s  # seam: a command line's time, no session's

    @property
    def over(self) -> bool:
        """Return whether it has been long enough."""
        return time.monotonic() >= self._until_s  # seam: a command line's time, no session's

    def rest(self) -> None:
        """Wait a moment before looking again."""
        time.sleep(LOOK_S)  # seam: a command line's waiting, no session's
