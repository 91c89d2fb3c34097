"""
The driver of a session in real time: turns, timers and commands, each at its moment.

Commands are taken between turns and, while a turn is long, between its messages; time moves to the
moment at which they came before they are. While the driver waits for a disk (see
``actors.committing``) they are taken too: a slow one must not keep a kill from being in force.

While the driver is at work it has precedence: readings of the account, projections and the
collector step aside until it rests, and what it has handed over has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel

from actors.committing import Committer
from actors.driving import AT_THE_END, beside
from actors.inbox import Inbox
from actors.places import Place
from actors.reconciler import ReconcilerActor
from actors.runtime import Pacer
from actors.runtime.clock import LOOK_UP_S, NEVER, monotonic_s, rung_within
from actors.runtime.garbage import Rests
from actors.runtime.limits import CHECK_PATIENCE_S, LAST_READINGS, REMOTE_PATIENCE_S
from actors.turns import Session
from brokers.contract import RemoteBroker, TradeLister, VenueSilent
from feeds.contract import Arrival, Group, LiveFeed
from messages import Quote, Tick
from state.journal import JournalError, schema
from state.precedence import Precedence


class PacedDriver(Committer):
    """Drive one session; ``stop`` is asked while nothing is due."""

    def __init__(
        self,
        session: Session,
        pacer: Pacer,
        inbox: Inbox,
        *,
        stop: Callable[[], bool],
        on_progress: Callable[[int], None],
        precedence: Precedence | None = None,
    ) -> None:
        """Listen to ``inbox`` and keep its register; others step aside where they share it."""
        super().__init__(session, pacer, inbox, stop=stop, precedence=precedence or Precedence())
        self.on_progress = on_progress
        self.stopped_at: Place | None = None
        """Where ``stop`` ended it."""
        self._arrival: Arrival | None = None
        self._stirred = asyncio.Event()
        self._is_sound = False
        self._is_answered = False
        self._due: int | None = None
        self._rests = Rests()
        if self._witness is not None:
            self._witness.reading = self._reading
            self._witness.moment = self._moment
            self._witness.failed = self._failed

    def _failed(self, error: Exception) -> None:
        """Raise ``error`` as soon as the driver looks up."""
        self._trouble = self._trouble or error
        self._stirred.set()

    def _reading(self) -> int:
        """Return what time it is for a venue that speaks now: while something is done it stands."""
        now = self.session.assembly.clock.now
        return now if self._due is None else min(self.pacer.session_ms(now), self._due)

    def _moment(self) -> int:
        """
        Return what time it would be for the session if it were not in the middle of a step.

        In a rehearsal that is faster than life a request takes longer than it would: there it
        waits for nobody.
        """
        if self.pacer.speed > 1:
            return self._reading()
        now = self.session.assembly.clock.now
        return max(now, self.pacer.session_ms(now))

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

    async def check_journal(self, path: Path) -> None:
        """Check an earlier process's journal whole: for a task beside ``run``, which opens then."""
        try:
            await anyio.to_thread.run_sync(schema.check_file, path, abandon_on_cancel=True)
            self._is_sound = True
        except JournalError as error:
            self._trouble = error
        self._stirred.set()

    async def begin(self) -> None:
        """
        Hear commands until an earlier process's journal is checked.

        For as long as it takes where session time waits for nobody: it must not pass meanwhile.
        Else for ``CHECK_PATIENCE_S``, so that a session with a short journal opens before its first
        turn; then turns go on, held, and what they have to close is closed.
        """
        await self._await_check(CHECK_PATIENCE_S if self.pacer.speed > 0 else None)

    async def hear_verdict(self) -> None:
        """
        Hear commands until that check is over: for a feed that ended before it was.

        A session must not end as if all were well over a journal that is damaged. Who asks for the
        end is not kept waiting.
        """
        await self._await_check(None)
        self._look_at_check()

    async def _await_check(self, patience_s: float | None) -> None:
        recovery = self.session.recovery
        until_s = None if patience_s is None else monotonic_s() + patience_s
        while recovery.is_checking and not self.stop():
            if until_s is not None and monotonic_s() >= until_s:
                return
            if self.session.assembly.dispatcher.errands or self._unanswered():
                await self.commit()
            if not self._has_verdict():
                self.inbox.pulse.rest(LOOK_UP_S)  # nobody's work is due: a disk is waited for
                await self._rest(LOOK_UP_S)
            self._look_at_check()

    def _look_at_check(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        if self._is_sound and self.session.recovery.is_checking:
            self.session.recovery.journal_is_sound(str(self.session.place))

    def stir(self) -> None:
        """Look up, for there is something to do: in the event loop's own thread."""
        self._precedence.hold(self)
        self._stirred.set()

    async def _rest(self, for_s: float) -> None:
        """
        Return when there may be something to do, or after ``for_s`` real seconds.

        Who has stepped aside goes on meanwhile.
        """
        with self._at_rest():
            await rung_within(for_s, self._stirred)

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        self._precedence.release(self)
        try:
            yield
        finally:
            self._precedence.hold(self)

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

    async def run_live(self, feed: LiveFeed) -> bool:
        """Let what ``feed`` brings happen as it comes, until somebody ends it; return false."""
        session = self.session
        clock = session.assembly.clock
        while await self._until(NEVER, lambda: self._brings(feed)):
            arrival, self._arrival = self._arrival, None
            assert arrival is not None, "it was waited for"
            # What is due by now is due before this: it has only just come.
            now = self.pacer.session_ms(clock.now)
            while self._fire(now):
                await self.commit()
            clock.advance(now)
            if not isinstance(arrival, Quote | Tick):
                self.pacer.catch_up(arrival[0].timestamp + feed.timeframe_ms)
            session.take_in(arrival)
            await self.commit()
            self.on_progress(session.bars)
            if session.must_end():
                break
        return False

    def _brings(self, feed: LiveFeed) -> bool:
        if self._arrival is None:
            self._arrival = feed.take()
        return self._arrival is not None

    async def _until(self, at: int, come: Callable[[], bool] = lambda: False) -> bool:
        """
        Fire timers and take commands until ``at`` has come, or ``come`` says that something has.

        Return whether to go on.
        """

        def disturbed() -> bool:
            return self._disturbed() or come()

        session = self.session
        clock = session.assembly.clock
        errands = session.assembly.dispatcher.errands
        while True:
            due = min(clock.next_timer_at, at)
            self._due = due
            if disturbed():
                await anyio.lowlevel.checkpoint()
            else:
                self.inbox.pulse.rest(self.pacer.delay_s(due))
                if self._precedence.is_held_only_by(self):
                    self._rests.take()
                await self.pacer.wait_until(due, disturbed, self._rest)
            self._due = None
            if self._trouble is not None:
                raise self._trouble
            self._look_at_check()
            if self.stop():
                await self.commit()  # a kill that came with the order to stop is not lost
                self.stopped_at = session.place.timed(clock.now)
                return False
            if errands or self._unanswered():
                # What a venue elsewhere has said is handled at the time at which it came.
                if self._witness is None or (errands and not session.assembly.dispatcher.told):
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
            if come():
                return True

    def _disturbed(self) -> bool:
        errands = self.session.assembly.dispatcher.errands
        return bool(errands) or self._unanswered() or self._has_verdict() or self.stop()

    def _has_verdict(self) -> bool:
        """Return whether the journal's check is over, and nobody has acted on it yet."""
        return self._trouble is not None or (self._is_sound and self.session.recovery.is_checking)

    def _unanswered(self) -> bool:
        return self.inbox.owes or self.session.assembly.dispatcher.pending

    async def hear_out(self) -> None:
        """Take what a venue elsewhere has to say until it has said it all, or for a while."""
        remote = self.session.remote
        if remote is None:
            return
        dispatcher = self.session.assembly.dispatcher
        until_s = monotonic_s() + REMOTE_PATIENCE_S
        while not (remote.is_quiet and not dispatcher.busy) and monotonic_s() < until_s:
            await self._rest(LOOK_UP_S)
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
        start = session.assembly.clock.now
        began_s = monotonic_s()
        while session.is_unaccounted and (spent_s := monotonic_s() - began_s) < REMOTE_PATIENCE_S:
            until = start + int(spent_s * 1000)
            await self._let_pass(until)
            await self._rest(LOOK_UP_S)
            if self._trouble is not None:
                raise self._trouble
            await self.commit()

    async def ask_for_the_rest(self) -> None:
        """
        Ask a venue elsewhere for what its account shows and no news has told, before the end.

        A look would do so, and there is no later one. What is not told now, the next start is.
        """
        session = self.session
        remote, cell = session.remote, session.assembly.reconciler_cell
        if remote is None:
            return
        self._is_answered = await self._read_account(remote)
        if not self._is_answered or not (cell.runs and isinstance(cell.actor, ReconcilerActor)):
            return
        trades, orders = cell.actor.unheard(remote.account())
        now = session.assembly.clock.now
        for name in orders:
            remote.query(name, now)
        if trades and isinstance(remote, TradeLister):
            since = session.assembly.books.trades_upto - remote.trades_overlap
            remote.list_trades(max(0, since), now)
        if orders or trades:
            await self.hear_out()
            self._is_answered = await self._read_account(remote)

    async def _read_account(self, remote: RemoteBroker) -> bool:
        """
        Have the account read with no news after it; so often, if news comes in the middle.

        Return whether there is an answer.
        """
        for _ in range(LAST_READINGS):
            with self._at_rest():
                await remote.refresh()
            await self.hear_out()
            if _answers(remote):
                return True
            await self._rest(LOOK_UP_S)
        return False

    async def _let_pass(self, until: int) -> None:
        """Let the time ``until`` come, and put it on record if anything is due by then."""
        clock = self.session.assembly.clock
        if clock.next_timer_at <= until:
            self.session.read_clock(until, AT_THE_END)
            while self._fire(until):
                await self.commit()
        clock.advance(until)

    async def _account_here(self) -> None:
        session = self.session
        if self.stopped_at is not None:
            return  # time stands until the next process goes on, and asks
        until = session.assembly.clock.now + session.spec.doubts.budget_ms
        while session.is_unaccounted and self._fire(until):
            await self.commit()

    async def wind_down(self) -> None:
        """
        Do what there is to do before the end.

        Where a strategy was left behind it is no end: somebody has stopped it before.
        """
        await self.commit()
        await self._hear_the_last()
        if self.stopped_at is None and self.session.leaves_behind:
            self.stopped_at = self.session.place.timed(self.session.assembly.clock.now)

    async def _hear_the_last(self) -> None:
        """
        Ask a venue elsewhere again for as long as it has said something since, so often.

        It tells, and its stream comes up, whether anybody listens or not: what the account was read
        to hold is from before that. Nothing is awaited once it answers, so it does at the end too.
        """
        remote = self.session.remote
        for _ in range(LAST_READINGS):
            if remote is None or not self._is_answered or _answers(remote):
                return
            await beside(remote.run, self.ask_for_the_rest)
            await self.commit()


def _answers(remote: RemoteBroker) -> bool:
    try:
        remote.account()
    except VenueSilent:
        return False
    return True
