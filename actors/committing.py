"""
What a driver in real time does before anything leaves: settle, make durable, answer.

Orders leave only after the journal's commit: what waits for one waits for it, and so does the
next timer and the next turn. Only news of a venue elsewhere that no order follows from is not
waited for: it is on its way to the disk, and what a crash takes of it the venue has. A command is
answered once what came of it is durable, the holds in the account's register included.

It settles in slices. However much there is to do, commits and answers go on meanwhile, a kill
looks at what is left, and whoever asked for the end does not wait for a backlog without end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio
import anyio.lowlevel
import structlog

from actors.driving import fire, keep_killing, leave_behind
from actors.inbox import Inbox
from actors.runtime import Pacer
from actors.runtime.clock import monotonic_s
from actors.runtime.limits import LAST_PATIENCE_S, SETTLE_SLICE_S, STOP_PATIENCE_S
from actors.turns import Session
from messages import Hold
from state.precedence import Precedence
from state.register import Announcement, HoldRegister


class Committer:
    """Settle and commit for one session; ``stop`` tells whether its end was asked for."""

    def __init__(
        self,
        session: Session,
        pacer: Pacer,
        inbox: Inbox,
        *,
        stop: Callable[[], bool],
        precedence: Precedence,
    ) -> None:
        """Answer to ``inbox`` and keep its register; hand over what has ``precedence``."""
        self.session = session
        self.pacer = pacer
        self.inbox = inbox
        self.stop = stop
        self._kept = (-1, False)
        self._unwritten = False
        self._on_disk = False
        self._trouble: Exception | None = None
        self._slice_until_s = 0.0
        self._stopping_s: float | None = None
        self._looked_on = -1
        self._precedence = precedence
        self._witness = session.witness

    async def commit(self) -> None:
        """
        Settle, make everything durable, the holds included, and answer commands.

        Nothing is left that a venue elsewhere has said meanwhile.
        """
        await self._commit_once()
        dispatcher = self.session.assembly.dispatcher
        while self._witness is not None and dispatcher.busy and not self._is_ending():
            await self._commit_once()

    async def _commit_once(self) -> None:
        session = self.session
        dispatcher = session.assembly.dispatcher
        await self._settle()
        if self._witness is not None and dispatcher.pending and not dispatcher.commits_waiting:
            # What a venue elsewhere has told it tells again: the next bar does not stand behind it.
            self._precedence.when_clear(session.journal.hasten)
            dispatcher.pending = False
        while dispatcher.pending:
            # Only what was written before the commit was asked for may leave after it.
            written = dispatcher.commits_waiting
            await self._written()
            for _ in range(written):
                dispatcher.release_commit()
                await self._settle()
            dispatcher.pending = dispatcher.commits_waiting > 0
        if not self._precedence.is_held_only_by(self):
            # What was handed over leaves first; what is still to be done here can come after it.
            await anyio.lowlevel.checkpoint()
        if self._in_force != self._kept or self.inbox.owes:
            await self._acknowledge()
        self.inbox.pulse.beat(session.assembly.clock.now)

    async def _settle(self) -> None:
        """Settle in slices: however much there is to do, commits and answers go on meanwhile."""
        dispatcher = self.session.assembly.dispatcher
        if not dispatcher.busy:
            return
        self._slice_until_s = monotonic_s() + SETTLE_SLICE_S
        self.session.is_settling = True
        try:
            while not dispatcher.settle_for(self._slice_is_over):
                if self._is_ending():
                    leave_behind(self.session)
                    if self._witness is not None and self._is_ending(patience_s=LAST_PATIENCE_S):
                        return  # a venue elsewhere may have more and more to say
                if self.inbox.owes:
                    await self._acknowledge()
                else:
                    await anyio.lowlevel.checkpoint()
                # At a venue elsewhere it waits for answers: no need to look for them more often.
                if self._witness is None or self._slice_is_over():
                    self._keep_killing()
                self._slice_until_s = monotonic_s() + SETTLE_SLICE_S
        finally:
            self.session.is_settling = False

    def _is_ending(self, patience_s: float = 0.0) -> bool:
        """Return whether the end was asked for so long ago that nobody's backlog is waited for."""
        if not self.stop():
            return False
        if self._stopping_s is None:
            self._stopping_s = monotonic_s()
        return monotonic_s() - self._stopping_s > STOP_PATIENCE_S + patience_s

    def _slice_is_over(self) -> bool:
        return monotonic_s() > self._slice_until_s

    def _keep_killing(self) -> None:
        """Let a kill look at what is left, although a turn is not over yet."""
        assembly = self.session.assembly
        if not assembly.kill.running:
            return
        upto, seq = self.pacer.session_ms(assembly.clock.now), self.session.journal.seq
        if seq != self._looked_on or assembly.clock.next_timer_at <= upto:
            keep_killing(self.session, upto)
            self._looked_on = self.session.journal.seq

    def _fire(self, until: int) -> bool:
        """Fire the earliest timer not later than ``until``; what follows is still to be settled."""
        return fire(self.session, until)

    async def _written(self) -> None:
        self._on_disk = self.session.is_writing = True
        try:
            await self.session.journal.commit()
        finally:
            self._on_disk = self.session.is_writing = False
        if self._trouble is not None:
            raise self._trouble

    async def _acknowledge(self) -> None:
        """Make durable what is in force at this moment, and answer what was taken by now."""
        owed = self.inbox.owed()
        register = self.inbox.register
        changes = self._in_force
        in_force = self.session.assembly.kill.lasting()
        settled = () if register is None else register.taken()
        await self._written()
        durable = register is None or await self._keep(register, in_force, settled)
        if durable:
            self._kept = changes
        if owed:
            # Whoever reads the answer may ask at once what has come of it.
            self.session.journal.flush()
        self.inbox.answer(owed, durable=durable)

    @property
    def _in_force(self) -> tuple[int, bool]:
        """Return what is another where the register has to be."""
        assembly = self.session.assembly
        return (assembly.holds.changes, assembly.kill.flattens)

    async def _keep(
        self,
        register: HoldRegister,
        in_force: Mapping[str, Hold],
        settled: tuple[Announcement, ...],
    ) -> bool:
        self._on_disk = self.session.is_writing = True
        try:
            await anyio.to_thread.run_sync(register.replace, in_force, settled)
        except OSError as error:
            # In force in memory all the same; the next commit tries again.
            if not self._unwritten:
                structlog.get_logger("session").error("holds_not_durable", error=str(error))
            self._unwritten = True
            return False
        finally:
            self._on_disk = self.session.is_writing = False
        self._unwritten = False
        return True
