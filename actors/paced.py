"""
The driver of a session in real time: turns, timers and commands, each at its moment.

Orders leave only after the journal's commit: what waits for one waits for it, and so does the
next timer and the next turn. Commands are taken between turns and, while a turn is long, between
its messages; time moves to the moment at which they came before they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anyio
import structlog

from actors.inbox import Inbox
from actors.runtime import Pacer
from actors.turns import Session
from feeds.contract import Group
from state.register import outliving


class PacedDriver:
    """Drive one session; ``stop`` is asked while nothing is due."""

    def __init__(
        self,
        session: Session,
        pacer: Pacer,
        inbox: Inbox,
        *,
        stop: Callable[[], bool],
        on_progress: Callable[[int], None],
    ) -> None:
        """Listen to ``inbox`` and keep its register."""
        self.session = session
        self.pacer = pacer
        self.inbox = inbox
        self.stop = stop
        self.on_progress = on_progress
        self._kept = -1
        self._unwritten = False

    async def run(self, groups: Iterator[Group]) -> bool:
        """Let every turn happen; return whether the feed came to its end."""
        session = self.session
        timeframe_ms = session.spec.feed.timeframe_ms
        for group in groups:
            at = group[0].timestamp + timeframe_ms
            if not await self._until(at):
                return False
            session.turn(group, at)
            session.turns += 1
            session.bars += len(group)
            await self.commit()
            self.on_progress(session.bars)
            if session.must_end():
                return False
        return True

    async def _until(self, at: int) -> bool:
        """Fire timers and take commands until ``at`` has come; return whether to go on."""
        session = self.session
        clock = session.assembly.clock
        errands = session.assembly.dispatcher.errands
        while True:
            due = min(clock.next_timer_at, at)
            if not errands:
                self.inbox.pulse.rest(self.pacer.delay_s(due))
                await self.pacer.wait_until(due, self._disturbed, self.inbox.rung)
            if self.stop():
                await self.commit()  # a kill that came with the order to stop is not lost
                return False
            if errands:
                clock.advance(min(self.pacer.session_ms(clock.now), due))
                await self.commit()
            elif due < at:
                session.fire_next(at - 1)
                await self.commit()
            elif self.pacer.delay_s(at) <= 0:
                return True
            if session.must_end():
                return False

    def _disturbed(self) -> bool:
        return bool(self.session.assembly.dispatcher.errands) or self.stop()

    async def commit(self) -> None:
        """Settle, make everything durable, the holds included, and answer commands."""
        session = self.session
        dispatcher = session.assembly.dispatcher
        dispatcher.settle()
        while dispatcher.pending:
            await session.journal.commit()
            dispatcher.release_commits()
        if session.assembly.holds.changes != self._kept or self.inbox.owes:
            await session.journal.commit()
            durable = await self._keep_holds()
            self.inbox.answer(durable=durable)
        self.inbox.pulse.beat(session.assembly.clock.now)

    async def _keep_holds(self) -> bool:
        register = self.inbox.register
        holds = self.session.assembly.holds
        changes = holds.changes
        if register is None:
            self._kept = changes
            return True
        in_force = outliving(holds.view().values())
        try:
            await anyio.to_thread.run_sync(register.replace, in_force)
        except OSError as error:
            # In force in memory all the same; the next commit tries again.
            if not self._unwritten:
                structlog.get_logger("session").error("holds_not_durable", error=str(error))
            self._unwritten = True
            return False
        self._unwritten = False
        self._kept = changes
        return True
