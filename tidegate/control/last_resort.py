"""
A kill from outside, for a daemon that does not answer.

Inside, a kill ends a strategy that never returns, and a session that does not take it. A call that
lets no other instruction of the process run is out of reach of both. So the command that was told
to kill does by itself what is left: it latches the kill in the account's register and ends the
process, even where the disk takes no word: one that nobody reaches may be sending all the time. A
dead process sends nothing, and the next one starts held, goes on with the kill and cancels what
still rests at the venue.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from actors.commands import Request
from actors.inbox import latched
from actors.runtime.clock import wall_ms
from messages import CommandVerb, Hold
from state.register import FILE, HoldRegister
from tidegate.control.asking import NOT_FLAT
from tidegate.control.client import Place, operator
from tidegate.control.daemon import Daemon
from tidegate.control.patience import Patience
from tidegate.exits import Wanting

LATCH_S = 2.0
"""A disk that has not taken the kill by then hangs, and holds nothing up."""

GONE_S = 2.0
"""A process that was ended is gone within this, or waits for a disk that hangs."""


def end_and_hold(place: Place, daemon: Daemon, *, reason: str, flatten: bool = False) -> str:
    """
    Latch a kill for the account of ``daemon``, end its process, and say what was done.

    A disk that takes no word keeps it from nothing: the process is ended all the same, and where
    not even then anything could be written ``Wanting`` says that the next start is not held.
    Raises ``OSError`` when the process may not be ended.
    """
    request = Request(verb=CommandVerb.KILL, by=operator(), reason=reason, flatten=flatten)
    hold = latched(request, wall_ms())
    path = place.folder / FILE
    latching = _Latching(path, hold)
    if daemon.runs():  # the very process, not one that has got its number since
        os.kill(daemon.pid, signal.SIGKILL)
    patience = Patience(GONE_S)
    while daemon.runs() and not patience.over:
        patience.rest()
    # Once more: it may have written its own holds between the first word and its end.
    if not latching.hangs:
        latching = _Latching(path, hold)
    trouble = latching.trouble
    gone = (
        "was ended" if not daemon.runs() else f"was told to end (pid {daemon.pid} is still there)"
    )
    closes = f". {NOT_FLAT}" if flatten else ""
    ended = f"the daemon did not answer and {gone}: a dead process sends nothing"
    if trouble:
        raise Wanting(
            f"{ended}{closes}",
            f"NOT LATCHED: {trouble}; while the disk is so nothing starts, and then it is not "
            "killed: put the kill file in place (touch KILL) before anything starts it again",
        )
    return (
        f"{ended}. The kill is latched on the disk; started again it is held and cancels what "
        f"rests at the venue{closes}"
    )


class _Latching:
    """Latches a kill in a thread that nobody waits for longer than a moment."""

    def __init__(self, path: Path, hold: Hold) -> None:
        self._path = path
        self._hold = hold
        self.trouble = f"{path}: the disk has not answered for {LATCH_S:g} s"
        self._thread = threading.Thread(target=self._latch, name="kill-latch", daemon=True)
        self._thread.start()
        self._thread.join(LATCH_S)

    @property
    def hangs(self) -> bool:
        """Return whether it is still at it."""
        return self._thread.is_alive()

    def _latch(self) -> None:
        try:
            HoldRegister(self._path).latch(self._hold)
            self.trouble = ""
        except OSError as error:
            self.trouble = str(error)
