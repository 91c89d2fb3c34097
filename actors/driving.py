"""What every driver of a session in real time does, the one that does it once more included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.turns import Session

IN_A_TURN: Final = "kill"
"""Why the clock is read in the middle of a turn: a kill looks on."""

AT_THE_END: Final = "end"
"""Why it is read after the last turn: what is in doubt is asked about."""


def fire(session: Session, until: int) -> bool:
    """Fire the earliest timer not later than ``until``; what follows is still to be settled."""
    clock = session.assembly.clock
    due = clock.pop_due(until)
    if due is None:
        return False
    at, callback = due
    clock.advance(at)
    callback(at)
    return True


def keep_killing(session: Session, upto: int) -> None:
    """
    Let a kill look at what is left, although a turn is not over yet.

    It is put on record: nothing else in the journal says that time went on here.
    """
    kill = session.assembly.kill
    session.read_clock(upto, IN_A_TURN)
    kill.look_on()
    while kill.running and fire(session, upto):
        pass


def leave_behind(session: Session) -> None:
    """
    Stop, before the end, every strategy that has more to do than anybody waits for.

    What it remembers is kept first: that is what it goes on from, should the session go on. One
    that is between two incarnations does nothing anyway, and what is queued for it is no backlog.
    """
    supervisor = session.assembly.supervisor
    for cell in session.assembly.dispatcher.strangers():
        if cell.runs and len(cell.mailbox):
            supervisor.keep_state(cell)
            supervisor.retire(cell, "it has not kept up, and the session ends")
