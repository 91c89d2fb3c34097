"""What every driver of a session in real time does, the one that does it once more included."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

if TYPE_CHECKING:
    from actors.runtime import Cell
    from actors.turns import Session

T = TypeVar("T")

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


async def beside(
    run: Callable[[], Coroutine[Any, Any, None]], work: Callable[[], Coroutine[Any, Any, T]]
) -> T:
    """
    Have ``work`` done while ``run`` goes on, and return what comes of it.

    An error leaves as it is and not as a group's.
    """
    failed: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            found = await work()
        except Exception as error:  # noqa: BLE001 - raised below
            failed = error
        tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return found


def leave_behind(session: Session) -> None:
    """
    Stop, before the end, every strategy that has more to do than anybody waits for.

    How much that is depends on the machine, so where it was is on record. What it still had to hear
    the next process tells it, if there is one. One that is between two incarnations does nothing
    anyway, and what is queued for it is no backlog.
    """
    for cell in session.assembly.dispatcher.strangers():
        if cell.runs and len(cell.mailbox):
            leave(session, cell)


def leave(session: Session, cell: Cell) -> None:
    """Leave one strategy behind at this very place; what it remembers is kept."""
    supervisor = session.assembly.supervisor
    supervisor.leave(cell, "it has not kept up, and the session ends", str(session.place))
    supervisor.keep_state(cell)
