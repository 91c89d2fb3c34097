"""
What the torture finds with a safeguard switched off, and at which moment.

If it did not, that it finds nothing else would mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LIMIT_S: Final = 20.0
"""Most that a process without a safeguard may take: some come to no end."""


AGAIN: Final = "reached the venue again|unresolved: order"
"""What is sent again is there twice, or is refused as too old and taken for one that never was."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """A safeguard, what happens to a workload without it, and the pattern of what is found."""

    without: str
    workload: str
    what: str
    at: str
    word: str

    @property
    def options(self) -> tuple[str, ...]:
        """Return the options that do it."""
        return ("--workload", self.workload, f"--{self.what}", self.at)


ABLATIONS: Final = (
    Ablation("sync-wait", "entries", "at", "venue.received:3", "lost: order"),
    Ablation("doubt", "entries", "at", "venue.received:3", "unresolved: order"),
    Ablation("no-resend", "entries", "at", "venue.received:3", AGAIN),
    Ablation("latch", "stopped", "at", "kill.latched:1", "opened while held: .* by kill"),
    Ablation("last-look", "entries", "stop", "order.recording:2", "opened while held: abc-1-2"),
    Ablation("lease", "entries", "beside", "order.left:2", "a second process was let in"),
    Ablation("dedupe", "cancelling", "at", "session.ending:1", "is booked already"),
)
"""The same at every venue."""
