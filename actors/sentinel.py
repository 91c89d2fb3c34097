"""
The sentinel: what sees to it that a kill is obeyed, whatever the session is stuck in.

A thread of its own, because the session's may be the one that hangs. It looks at the kill file
and at the signals that came, brings each as a kill to the inbox, and then watches the kills on
their way: one that is not taken at once interrupts the strategy whose handler is running; one
that is still not taken after seconds ends the process, which is the last way to be sure that
nothing more leaves. The kill is latched on disk by then, and the next start is held; as long as
it is not, the process goes on, for in its memory the kill comes before anything that may leave.

Without any kill it interrupts a handler that has been running for longer than any may. It waits
for nothing but its tick: disks hang too, and are left to other threads.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from actors.commands import Request
from actors.inbox import Closed, Inbox
from actors.runtime.clock import monotonic_s
from actors.runtime.interrupt import Interrupter
from actors.runtime.limits import KILL_GRACE_S, KILL_HANDLER_S, KILL_LAST_RESORT_S, SENTINEL_TICK_S
from messages import CommandVerb

KILL_SIGNAL = signal.SIGUSR1

LATCHING_MAX = 8
"""Threads that may wait for a hanging disk, each to latch a kill: one more would latch no more."""


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
        self._looking = threading.Lock()
        self._stopped = threading.Event()
        self._file_seen: tuple[int, ...] | None = None
        self._handled = -1
        self._handled_s = monotonic_s()
        self._latching: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._watch, name="sentinel", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, if it was started, and wait for it."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def signalled(self, name: str) -> None:
        """Take note of a signal that asks for a kill."""
        self._signals.append(name)

    def obstacle(self) -> str | None:
        """Return why a kill may not be lifted now: its file is still there."""
        if self.kill_file is not None and os.path.lexists(self.kill_file):
            return f"the kill file {self.kill_file} is still there; remove it first"
        return None

    def look(self) -> None:
        """Bring what asks for a kill at this moment: to be called when the session opens too."""
        with self._looking:
            while self._signals and not self.inbox.closed:
                if not self._kill(f"signal:{self._signals[0]}", "signal"):
                    return  # the session is not there yet: the signal waits for it
                self._signals.pop(0)
            if self.kill_file is None:
                return
            found = _signature(self.kill_file)
            appeared = found is not None and found != self._file_seen
            if not appeared or self._kill("kill_file", f"the file {self.kill_file} appeared"):
                self._file_seen = found

    def _watch(self) -> None:
        duties = (self.look, self._look_after_kills)
        failing: set[Callable[[], None]] = set()
        while not self._stopped.wait(SENTINEL_TICK_S):
            for duty in duties:  # the one does not depend on the other's luck
                try:
                    duty()
                    failing.discard(duty)
                except Exception:  # noqa: BLE001 - whatever it is, the next tick comes
                    if duty not in failing:  # said once, not fifty times a second
                        structlog.get_logger("sentinel").exception("sentinel_failed")
                    failing.add(duty)

    def _kill(self, by: str, reason: str) -> bool:
        try:
            waiting = self.inbox.hand_over(Request(verb=CommandVerb.KILL, by=by, reason=reason))
        except Closed:
            return False
        self._latching = [thread for thread in self._latching if thread.is_alive()]
        if len(self._latching) < LATCHING_MAX:
            thread = threading.Thread(
                target=self.inbox.latch, args=(waiting,), name="kill-latch", daemon=True
            )
            self._latching.append(thread)
            thread.start()
        return True

    def _look_after_kills(self) -> None:
        kills = self.inbox.kills_waiting()
        late_s = max((waiting.waited_s for waiting in kills), default=0.0)
        # One is as good as all of them: what is written has every kill that was announced.
        if late_s > KILL_LAST_RESORT_S and any(waiting.latched for waiting in kills):
            self.last_resort()
            return
        if self.interrupter is not None and (late_s > KILL_GRACE_S or self._handler_is_late()):
            self.interrupter.interrupt()

    def _handler_is_late(self) -> bool:
        """Return whether work is late and no handler has returned for too long."""
        limit_s, session = self.handler_timeout_s, self.inbox.session
        if session is not None and session.assembly.kill.running:
            # What hung once hangs again when it is restarted, and the kill has more to do.
            limit_s = KILL_HANDLER_S if limit_s is None else min(limit_s, KILL_HANDLER_S)
        if limit_s is None or session is None:
            return False
        now_s = monotonic_s()
        handled = sum(
            cell.handled + cell.dead for cell in session.assembly.dispatcher.cells.values()
        )
        if handled != self._handled:
            self._handled, self._handled_s = handled, now_s
        return self.inbox.pulse.late_s > limit_s and now_s - self._handled_s > limit_s


def _signature(path: Path) -> tuple[int, ...] | None:
    """Return what tells this file from one of the same name that comes later, ``None`` for none."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
