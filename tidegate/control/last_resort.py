"""
A kill from outside, for a daemon that does not answer.

Inside, a kill ends a strategy that never returns, and a session that does not take it. A call that
lets no other instruction of the process run is out of reach of both. So the command that was told
to kill does by itself what is left: it latches the kill in the account's register and ends the
process. A dead process sends nothing, and the next one starts held, goes on with the kill and
cancels what still rests at the venue.
"""

from __future__ import annotations

import getpass
import os
import signal

from actors.commands import Request
from actors.inbox import latched
from actors.runtime.clock import wall_ms
from messages import CommandVerb
from state.register import FILE, HoldRegister
from tidegate.control.asking import NOT_FLAT
from tidegate.control.client import Place
from tidegate.control.daemon import Daemon
from tidegate.control.patience import Patience

GONE_S = 2.0
"""A process that was ended is gone within this, or waits for a disk that hangs."""


def end_and_hold(place: Place, daemon: Daemon, *, reason: str, flatten: bool = False) -> str:
    """
    Latch a kill for the account of ``daemon``, end its process, and say what was done.

    Raises ``OSError`` when neither register nor marker could be written, or the process may not be
    ended: by then nobody has said that it was.
    """
    by = f"cli:{getpass.getuser()}"
    request = Request(verb=CommandVerb.KILL, by=by, reason=reason, flatten=flatten)
    hold = latched(request, wall_ms())
    path = place.folder / FILE
    HoldRegister(path).latch(hold)
    if daemon.runs():  # the very process, not one that has got its number since
        os.kill(daemon.pid, signal.SIGKILL)
    patience = Patience(GONE_S)
    while daemon.runs() and not patience.over:
        patience.rest()
    # Once more: it may have written its own holds between the first word and its end.
    HoldRegister(path).latch(hold)
    gone = (
        "was ended" if not daemon.runs() else f"was told to end (pid {daemon.pid} is still there)"
    )
    closes = f". {NOT_FLAT}" if flatten else ""
    return (
        f"the daemon did not answer and {gone}: a dead process sends nothing. The kill is latched "
        f"on the disk; started again it is held and cancels what rests at the venue{closes}"
    )
