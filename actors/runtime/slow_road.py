"""
The slow road: what becomes of a message that is not handled at once.

Theory of operation. It waits in its receiver's mailbox while that does not run, has others to
handle first, or a hold keeps it; where a hold or a full lane turns it away it is refused, and
answered; on which a handler failed, or for which there is none, it is a dead letter. Nothing
vanishes: what was accepted is handled, refused, dead, conflated or still queued, and the counts
of its receiver's cell say which.

Whatever waits is looked into again at the next ``settle``: when its receiver is told, woken or
started, or when a hold is lifted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from actors.runtime.cell import Cell, CellState, Effect
from actors.runtime.holds import HoldSet
from actors.runtime.mailbox import MailboxFull, Origin
from actors.runtime.routes import Deep, Guardian
from messages import Cause, HoldMode, Lane, Message, Overflow, ReasonCode

OPEN_LANE = Lane.OPEN
"""Looked up once: members of an enum are slow to reach in Python 3.11."""


class SlowRoad(ABC):
    """Mailboxes, holds and failures; see the module's theory of operation."""

    def __init__(self, holds: HoldSet) -> None:
        """Mind ``holds``."""
        self.holds = holds
        self.guardian: Guardian | None = None
        self.cells: dict[str, Cell] = {}
        self._ready: dict[str, Cell] = {}
        self._depth = 0
        self.pending = False
        """Whether anything is left to settle or to commit: all that a turn has to look at."""

    @abstractmethod
    def _handle(self, cell: Cell, message: Message, origin: Origin) -> None:
        """Have ``cell``'s handler called, and its effects happen."""

    @abstractmethod
    def emit_now(self, cell: Cell, effects: Iterable[Effect], origin: Origin) -> None:
        """Make effects happen in the middle of something else, which waits for them."""

    # -- mailboxes and holds

    def _blocked(self, message: Message) -> bool:
        return self.holds.mode(message) is HoldMode.BLOCK

    def _queue(self, cell: Cell, message: Message, origin: Origin) -> None:
        assert self.guardian is not None, "a dispatcher runs under a supervisor"
        if cell.state in (CellState.QUARANTINED, CellState.STOPPED):
            cell.dead += 1
            # Market data and what an abandoned actor missed is counted, not journaled each time.
            if message.lane is not Lane.DATA and not cell.abandoned:
                self.guardian.dead_letter(cell, message, cell.state.value)
            return
        if message.lane is OPEN_LANE and self.holds.active:
            mode = self.holds.mode(message)
            if mode is not None and mode is not HoldMode.BLOCK:
                self._refuse(cell, message, self.holds.causes(message), origin)
                return
            if mode is None and cell.direct:
                self._handle(cell, message, origin)
                return
        try:
            # Of what is not ours alone a chain of answers can come that has no end.
            letter = origin if cell.check is None else Deep(origin, self._nesting)
            cell.mailbox.put(message, letter)
        except MailboxFull:
            self._full(cell, message, origin)
            return
        cell.direct = False
        self._ready[cell.name] = cell
        self.pending = True
        if cell.mailbox.escalate:
            cell.mailbox.escalate = False
            self.guardian.lane_overflowed(cell, message)

    def _full(self, cell: Cell, message: Message, origin: Origin) -> None:
        assert self.guardian is not None, "a dispatcher runs under a supervisor"
        if message.overflow is Overflow.DROP_NEWEST:
            cell.dead += 1  # counted; an observation is not worth a journal entry
            return
        if message.overflow is Overflow.REFUSE:
            cause = Cause(ReasonCode.MAILBOX_FULL, f"actor={cell.name} lane={message.lane.name}")
            self._refuse(cell, message, (cause,), origin)
            return
        cell.dead += 1
        self.guardian.dead_letter(cell, message, "mailbox_full")
        self.guardian.lane_overflowed(cell, message)

    def _refuse(
        self, cell: Cell, message: Message, causes: tuple[Cause, ...], origin: Origin
    ) -> None:
        assert cell.actor is not None, "only an actor that has lived can be asked"
        try:
            effects = tuple(cell.actor.refuse(message, causes) or ())
        except Exception as error:  # noqa: BLE001 - the supervisor's business, never lost
            self._failed(cell, message, error)
            return
        cell.refused += 1
        if effects:
            self.emit_now(cell, effects, origin)

    def step(self, cell: Cell) -> bool:
        """Handle one queued message of ``cell``; return whether there was one it may handle."""
        if cell.state is not CellState.RUNNING:
            return False
        letter = cell.mailbox.pop(self._blocked if self.holds.active else None)
        if letter is None:
            return False
        if not len(cell.mailbox):
            cell.direct = not cell.deferred
        message, origin = letter
        if isinstance(origin, Deep):
            self._handle_deep(cell, message, origin)
        else:
            self._handle(cell, message, origin)
        return True

    def _handle_deep(self, cell: Cell, message: Message, deep: Deep) -> None:
        before, self._depth = self._depth, deep.depth
        try:
            self._handle(cell, message, deep.origin)
        finally:
            self._depth = before

    @property
    def _nesting(self) -> int:
        """Return how deep in a chain of causes a message is put."""
        return self._depth

    def wake(self, cell: Cell) -> None:
        """Look into ``cell``'s mailbox at the next ``settle``."""
        if len(cell.mailbox):
            self._ready[cell.name] = cell
            self.pending = True

    def drain(self, mode: HoldMode) -> int:
        """
        Answer every queued OPEN message that a hold of ``mode`` covers; return how many.

        Called when a hold is placed: what was already waiting is treated like what comes.
        Strategies hear of it once all is answered: a thousand answers must not wait for what each
        of them brings about.
        """
        count = 0
        talking = [each for each in self.strangers() if not each.deferred]
        for stranger in talking:
            stranger.defer(deferred=True)
        try:
            for cell in self.cells.values():
                taken = cell.mailbox.take_open(lambda message: self.holds.mode(message) is mode)
                for message, origin in taken:
                    self._refuse(cell, message, self.holds.causes(message), origin)
                    count += 1
                if taken:
                    cell.become(cell.state)
        finally:
            for stranger in talking:
                stranger.defer(deferred=False)
        return count

    def strangers(self) -> list[Cell]:
        """Return the actors whose code is not ours: strategies."""
        return [cell for cell in self.cells.values() if cell.check is not None]

    def defer_strangers(self, *, deferred: bool) -> None:
        """Let everybody else go before strategies from now on, or no longer."""
        for cell in self.strangers():
            cell.defer(deferred=deferred)

    def release(self) -> None:
        """Look into every mailbox again: a hold was lifted or an actor came back."""
        for cell in self.cells.values():
            self.wake(cell)

    # -- failures

    def _failed(self, cell: Cell, message: Message | None, error: BaseException) -> None:
        assert self.guardian is not None, "a dispatcher runs under a supervisor"
        if message is not None:
            cell.dead += 1
        cell.failures += 1
        self.guardian.actor_failed(cell, message, error)
        if message is not None and cell.actor is not None:
            self._answer_for(cell, message)

    def _answer_for(self, cell: Cell, message: Message) -> None:
        assert self.guardian is not None, "a dispatcher runs under a supervisor"
        assert cell.actor is not None, "only an actor that has lived can fail"
        try:
            effects = tuple(cell.actor.lost(message) or ())
        except Exception as error:  # noqa: BLE001 - journaled: nobody can be told any more
            self.guardian.dead_letter(cell, message, "unanswered", repr(error))
            return
        if effects:
            self.emit_now(cell, effects, "failure")

    def _undeliverable(self, cell: Cell, message: Message) -> None:
        assert self.guardian is not None, "a dispatcher runs under a supervisor"
        cell.dead += 1
        self.guardian.dead_letter(cell, message, "no_handler")
