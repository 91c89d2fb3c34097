"""
Actors' timers: one of each key of an actor, the newest.

A timer goes off as a message that is told, so no handler is entered by the clock. One that was
armed again is cancelled; should it go off all the same, its generation says that it is old.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.runtime.cell import Cell, SetTimer
from actors.runtime.clock import Clock
from actors.runtime.mailbox import Origin
from messages import Message, Wake


class Timers:
    """Arm timers by ``clock``; what goes off is for ``tell`` to hand over."""

    def __init__(self, clock: Clock, tell: Callable[[Cell, Message, Origin], None]) -> None:
        """Nothing is armed yet."""
        self.clock = clock
        self.tell = tell
        self._timers: dict[tuple[str, str], tuple[int, int]] = {}
        self._generation = 0

    def arm(self, cell: Cell, timer: SetTimer) -> None:
        """Have ``cell`` woken as ``timer`` says, in place of an older one of its key."""
        key = (cell.name, timer.key)
        older = self._timers.pop(key, None)
        if older is not None:
            self.clock.cancel(older[0])
        self._generation += 1
        generation = self._generation

        def fire(at: int) -> None:
            if not timer.counted:
                self.clock.fired -= 1
            if self._timers.get(key, (0, 0))[1] == generation:
                del self._timers[key]
                self.tell(cell, Wake(cell.name, timer.key, generation, at), "timer")

        name = f"{cell.name}|{timer.key}"
        self._timers[key] = (self.clock.call_at(timer.at, fire, name), generation)
