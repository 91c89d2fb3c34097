"""When the steps and looks of a scenario happen: before, at and after the bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from actors.runtime.clock import NEVER

MOMENT_MS = 1
"""How long before a bar closes is ``before`` it."""


@dataclass(order=True, slots=True)
class Act:
    """Something to do at a session time (int ms UTC); ``rank`` orders what is at the same."""

    at: int
    rank: int
    order: int
    do: Callable[[], None] = field(compare=False)
    commit: bool = field(default=False, compare=False)
    starts: int | None = field(default=None, compare=False)
    """Which step it is, if it starts the daemon."""


STEP = 0
LOOK = 1


class Agenda:
    """The acts that are still to come, in order of time, steps before looks, then as written."""

    def __init__(self) -> None:
        """Start empty."""
        self._acts: list[Act] = []
        self._order = count()
        self.last_at = -NEVER

    def add(
        self,
        at: int,
        do: Callable[[], None],
        *,
        rank: int = STEP,
        commit: bool = False,
        starts: int | None = None,
    ) -> None:
        """Put ``do`` on the agenda at session time ``at``."""
        self._acts.append(Act(at, rank, next(self._order), do, commit, starts))
        self._acts.sort()
        self.last_at = max(self.last_at, at)

    @property
    def next_at(self) -> int:
        """Return when the next act is due, ``NEVER`` if there is none."""
        return self._acts[0].at if self._acts else NEVER

    def take(self) -> Act:
        """Take the next act."""
        return self._acts.pop(0)

    def take_start(self) -> Act | None:
        """Take the next start of the daemon, ``None`` if there is none."""
        for place, act in enumerate(self._acts):
            if act.starts is not None:
                return self._acts.pop(place)
        return None
