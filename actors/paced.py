"""
The driver of a session in real time: turns, timers and commands, each at its moment.

Orders leave only after the journal's commit: what waits for one waits for it, and so does the
next timer and the next turn. Commands are taken between turns and, while a turn is long, between
its messages; time moves to the moment at which they came before they are. While the driver waits
for a disk they are taken too: a slow one must not keep a kill from being in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import anyio
import anyio.lowlevel
import structlog

from actors.inbox import Inbox
from actors.places import Place
from actors.runtime import Pacer
from actors.runtime.clock import LOOK_UP_S, monotonic_s, within
from actors.runtime.limits import REMOTE_PATIENCE_S, SETTLE_SLICE_S, STOP_PATIENCE_S
from actors.turns import Session
from feeds.contract import Group
from messages import Hold
from state.register import Announcement, HoldRegister, outliving


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
        self.stopped_at: Place | None = None
        """Where ``stop`` ended it."""
        session.assembly.desk.place = lambda: str(session.place)
        self._kept = -1
        self._unwritten = False
        self._stirred = asyncio.Event()
        self._on_disk = False
        self._trouble: Exception | None = None
        self._slice_until_s = 0.0
        self._stopping_s: float | None = None

    async def listen(self) -> None:
        """Hear who comes to the door, until cancelled: for a task beside ``run``."""
        dispatcher = self.session.assembly.dispatcher
        while self._trouble is None:
            await self.inbox.rung()
            if self._on_disk:  # nobody else runs errands now, and no handler is running
                try:
                    dispatcher.run_errands()
                except Exception as error:  # noqa: BLE001 - raised by the driver, whose it is
                    self._trouble = error
            self._stirred.set()

    async def _heard(self) -> None:
        await self._stirred.wait()
        self._stirred.clear()

    async def run(self, groups: Iterator[Group]) -> bool:
        """Let every turn happen; return whether the feed came to its end."""
        session = self.session
        timeframe_ms = session.spec.feed.timeframe_ms
        for group in groups:
            at = group[0].timestamp + timeframe_ms
            if not await self._until(at):
                return False
            session.begun += 1
            session.turn(group, at)
            session.turns += 1
            session.bars += len(group)
            await self.commit()
            if self.pacer.speed <= 0:
                await self.hear_out()  # no time passes in which the venue could answer
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
            if self._disturbed():
                await anyio.lowlevel.checkpoint()
            else:
                self.inbox.pulse.rest(self.pacer.delay_s(due))
                await self.pacer.wait_until(due, self._disturbed, self._heard)
            if self._trouble is not None:
                raise self._trouble
            if self.stop():
                await self.commit()  # a kill that came with the order to stop is not lost
                self.stopped_at = session.place
                return False
            if errands or self._unanswered():
                clock.advance(min(self.pacer.session_ms(clock.now), due))
                await self.commit()
                due = min(clock.next_timer_at, at)
            # Not instead: whoever asks without end must not keep time from passing.
            if self.pacer.delay_s(due) <= 0:
                if due >= at:
                    return True
                self._fire(at - 1)
                await self.commit()
            if session.must_end():
                return False

    def _disturbed(self) -> bool:
        return bool(self.session.assembly.dispatcher.errands) or self._unanswered() or self.stop()

    def _unanswered(self) -> bool:
        return self.inbox.owes or self.session.assembly.dispatcher.pending

    async def commit(self) -> None:
        """Settle, make everything durable, the holds included, and answer commands."""
        session = self.session
        dispatcher = session.assembly.dispatcher
        await self._settle()
        while dispatcher.pending:
            # Only what was written before the commit was asked for may leave after it.
            written = dispatcher.commits_waiting
            await self._written()
            for _ in range(written):
                dispatcher.release_commit()
                await self._settle()
            dispatcher.pending = dispatcher.commits_waiting > 0
        if session.assembly.holds.changes != self._kept or self.inbox.owes:
            await self._acknowledge()
        self.inbox.pulse.beat(session.assembly.clock.now)

    async def _settle(self) -> None:
        """Settle in slices: however much there is to do, commits and answers go on meanwhile."""
        dispatcher = self.session.assembly.dispatcher
        if not dispatcher.busy:
            return
        self._slice_until_s = monotonic_s() + SETTLE_SLICE_S
        while not dispatcher.settle_for(self._slice_is_over):
            if self._is_ending():
                return
            if self.inbox.owes:
                await self._acknowledge()
            else:
                await anyio.lowlevel.checkpoint()
            self._keep_killing()
            self._slice_until_s = monotonic_s() + SETTLE_SLICE_S

    def _is_ending(self) -> bool:
        """Return whether the end was asked for so long ago that nobody's backlog is waited for."""
        if not self.stop():
            return False
        if self._stopping_s is None:
            self._stopping_s = monotonic_s()
        return monotonic_s() - self._stopping_s > STOP_PATIENCE_S

    async def hear_out(self) -> None:
        """Take what a venue elsewhere has to say until it has said it all, or for a while."""
        remote = self.session.remote
        if remote is None:
            return
        dispatcher = self.session.assembly.dispatcher
        until_s = monotonic_s() + REMOTE_PATIENCE_S
        while not (remote.is_quiet and not dispatcher.busy) and monotonic_s() < until_s:
            await within(LOOK_UP_S, self._heard)
            if self._trouble is not None:
                raise self._trouble
            await self.commit()

    async def account_for(self) -> None:
        """
        Go on asking the venue about what is in doubt, before the end, for a while.

        The feed is over, so time passes as it really does; but nobody waits for a venue in this
        process.
        """
        session = self.session
        if session.remote is None:
            await self._account_here()
            return
        clock, start = session.assembly.clock, session.assembly.clock.now
        began_s = monotonic_s()
        while session.is_unaccounted and (spent_s := monotonic_s() - began_s) < REMOTE_PATIENCE_S:
            until = start + int(spent_s * 1000)
            while self._fire(until):
                await self.commit()
            clock.advance(max(clock.now, until))
            await within(LOOK_UP_S, self._heard)
            if self._trouble is not None:
                raise self._trouble
            await self.commit()

    async def _account_here(self) -> None:
        session = self.session
        until = session.assembly.clock.now + session.spec.doubts.budget_ms
        while session.is_unaccounted and self._fire(until):
            await self.commit()

    async def wind_down(self) -> None:
        """Do what there is to do before the end, for a while; stop a strategy that has more."""
        await self.commit()
        assembly = self.session.assembly
        for cell in assembly.dispatcher.strangers():
            if len(cell.mailbox):
                assembly.supervisor.retire(cell, "it has not kept up, and the session ends")
        await self.commit()

    def _slice_is_over(self) -> bool:
        return monotonic_s() > self._slice_until_s

    def _keep_killing(self) -> None:
        """Let a kill look at what is left, although a turn is not over yet."""
        assembly = self.session.assembly
        assembly.kill.look_on()
        while assembly.kill.running:
            if not self._fire(self.pacer.session_ms(assembly.clock.now)):
                return

    def _fire(self, until: int) -> bool:
        """Fire the earliest timer not later than ``until``; what follows is still to be settled."""
        clock = self.session.assembly.clock
        due = clock.pop_due(until)
        if due is None:
            return False
        at, callback = due
        clock.advance(at)
        callback(at)
        return True

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
        holds = self.session.assembly.holds
        changes = holds.changes
        in_force = outliving(holds.view().values())
        settled = () if register is None else register.taken()
        await self._written()
        durable = register is None or await self._keep(register, in_force, settled)
        if durable:
            self._kept = changes
        self.inbox.answer(owed, durable=durable)

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
