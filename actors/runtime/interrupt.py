"""
The way out of a handler that does not return.

A handler runs in the event loop's own thread: while it loops for ever nothing else happens, and
no timer, task or command can stop it. A signal can: Python runs a signal's handler between two
instructions of the main thread, whatever that is doing, and what it raises goes up through the
code that is stuck into the dispatcher, to which it is a failed handler like any other.

It may be raised in code that is not ours only, a strategy's, because that is the only code whose
state nobody else depends on: the handler looks at the stack and lets everything else go on. What
is stuck inside one call of a C library is out of reach; whoever waits for it has to end the
process.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

HOUSE = str(Path(__file__).resolve().parents[1]) + os.sep
"""Frames of files below are the actors' own code."""

RUNTIME = str(Path(__file__).resolve().parent) + os.sep
_STRATEGIES = Path(__file__).resolve().parents[2] / "strategies"
OUTLIVING = (
    *(str(_STRATEGIES / name) for name in ("contract.py", "affairs.py", "desk.py", "backoff.py")),
    str(_STRATEGIES / "plans") + os.sep,
)
"""Desk, plans and backoff outlive a strategy's incarnation: they are never left half changed."""

SIGNAL = signal.SIGUSR2


class HandlerStuck(BaseException):
    """A handler was stopped from outside. No ``Exception``: a strategy must not swallow it."""


class Interrupter:
    """
    Stop a strategy's handler from any thread.

    For the main thread only, where signals are handled: ``install`` raises ``RuntimeError``
    elsewhere. ``entries`` are the code objects that call handlers; in their frames the local
    ``cell`` says whose. ``passages`` are those of the runtime that may lie between the two.
    """

    def __init__(self, entries: tuple[CodeType, ...], passages: tuple[CodeType, ...] = ()) -> None:
        """Know the calls of handlers by ``entries``."""
        self._entries = entries
        self._passages = passages
        self._asking = threading.Lock()  # a signal that comes after `remove` ends the process
        self._thread: int | None = None
        self._before: Any = None
        self.raised = 0

    def install(self) -> None:
        """Take over the signal."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("handlers can be stopped in the main thread only")
        self._thread = threading.get_ident()
        self._before = signal.signal(SIGNAL, self._on_signal)

    def remove(self) -> None:
        """Give the signal back."""
        with self._asking:
            if self._thread is not None:
                self._thread = None
                signal.signal(SIGNAL, self._before)

    def interrupt(self) -> bool:
        """Ask for it, from any thread; return whether anybody can be asked."""
        with self._asking:
            if self._thread is None:
                return False
            signal.pthread_kill(self._thread, SIGNAL)
            return True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        name = self.stuck_in(frame)
        if name is not None:
            self.raised += 1
            raise HandlerStuck(f"{name} did not return and was stopped")

    def stuck_in(self, frame: FrameType | None) -> str | None:
        """Return whose foreign code ``frame`` runs in, ``None`` when it is our own."""
        foreign = False
        while frame is not None:
            code = frame.f_code
            if code in self._entries:
                cell = frame.f_locals.get("cell")
                if not foreign or cell is None or cell.check is None:
                    return None
                return str(cell.name)
            file = code.co_filename
            ours = file.startswith(RUNTIME) and code not in self._passages
            if ours or file.startswith(OUTLIVING):
                return None  # in the middle of something that must be whole
            foreign = foreign or not file.startswith(HOUSE)
            frame = frame.f_back
        return None
