"""
The sentinel: what sees to it that a kill is obeyed, whatever the session is stuck in.

A thread of its own, because the session's may be the one that hangs. It looks at the kill file
and at the signals that came, brings each as a kill to the inbox, and then watches the kills on
their way: one that is not taken at once interrupts the strategy whose handler is running; one
that is still not taken after seconds ends the process, which is the last way to be sure that
nothing more leaves. The kill is latched on disk by then, and the next start is held.

Without any kill it interrupts a handler that has been running for longer than any may.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from actors.commands import Request
from actors.inbox import Closed, Inbox
from actors.runtime.clock import monotonic_s
from actors.runtime.interrupt import Interrupter
from actors.runtime.limits import KILL_GRACE_S, KILL_LAST_RESORT_S, SENTINEL_TICK_S
from messages import CommandVerb

KILL_SIGNAL = signal.SIGUSR1


def end_process() -> None:
    """End the process without another instruction of ours."""
    os.kill(os.getpid(), signal.SIGKILL)


class Sentinel:
    """
    Bring kills to ``inbox`` and see that they are taken; start and stop it around a session.

    ``signalled`` may be called from a signal's handler. ``handler_timeout_s`` bounds every
    handler of a strategy; ``None`` leaves them alone until a kill waits.
    """

    def __init__(
        self,
        inbox: Inbox,
        interrupter: Interrupter | None,
        *,
        kill_file: Path | None = None,
        handler_timeout_s: float | None = None,
        last_resort: Callable[[], object] = end_process,
    ) -> None:
        """Watch; nothing is started yet."""
        self.inbox = inbox
        self.interrupter = interrupter
        self.kill_file = kill_file
        self.handler_timeout_s = handler_timeout_s
        self.last_resort = last_resort
        self._signals: list[str] = []
        self._stopped = threading.Event()
        self._file_seen = False
        self._thread = threading.Thread(target=self._watch, name="sentinel", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        self._thread.join()

    def signalled(self, name: str) -> None:
        """Take note of a signal that asks for a kill."""
        self._signals.append(name)

    def obstacle(self) -> str | None:
        """Return why a kill may not be lifted now: its file is still there."""
        if self.kill_file is not None and self.kill_file.exists():
            return f"the kill file {self.kill_file} is still there; remove it first"
        return None

    def _watch(self) -> None:
        while not self._stopped.wait(SENTINEL_TICK_S):
            self._look_for_triggers()
            self._look_after_kills()

    def _look_for_triggers(self) -> None:
        while self._signals:
            self._kill(f"signal:{self._signals[0]}", "signal")
            self._signals.pop(0)
        if self.kill_file is None:
            return
        there = self.kill_file.exists()
        if there and not self._file_seen:
            self._file_seen = self._kill("kill_file", f"the file {self.kill_file} appeared")
        elif not there:
            self._file_seen = False

    def _kill(self, by: str, reason: str) -> bool:
        try:
            self.inbox.submit(Request(verb=CommandVerb.KILL, by=by, reason=reason))
        except Closed:
            return False
        return True

    def _look_after_kills(self) -> None:
        now_s = monotonic_s()
        late_s = max(
            (
                now_s - waiting.since_s
                for waiting in list(self.inbox.kills_waiting)
                if not waiting.taken
            ),
            default=0.0,
        )
        if late_s > KILL_LAST_RESORT_S:
            self.last_resort()
            return
        stuck = late_s > KILL_GRACE_S or (
            self.handler_timeout_s is not None and self.inbox.pulse.late_s > self.handler_timeout_s
        )
        if stuck and self.interrupter is not None:
            self.interrupter.interrupt()
