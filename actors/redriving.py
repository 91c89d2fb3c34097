"""
The driver of a session that is executed once more: turns, timers and what came from outside.

It drives as ``PacedDriver`` does and waits for nothing. What came from outside is handed in at the
very place at which it came: see ``actors.outside`` and ``actors.reexecution``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from actors.driving import AT_THE_END, fire
from actors.outcomes import COMPLETED, INPUT_REFUSED, INTERRUPTED
from actors.outside import Outside
from actors.playback import Errands, ToldAgain, as_brought
from actors.runtime.clock import NEVER
from actors.tape import Reading, Start, Tape
from actors.turns import Session
from feeds.contract import Group, LiveFeed
from feeds.errors import FeedError

if TYPE_CHECKING:
    from actors.reexecution import Comparison


class Redriver(Outside):
    """Drive one incarnation of a session as ``PacedDriver`` did, without its waiting."""

    def __init__(
        self, session: Session, groups: Iterator[Group], tape: Tape, comparison: Comparison
    ) -> None:
        super().__init__(session, tape)
        self.comparison = comparison
        self._groups = groups
        self._is_stopped = False
        """Whether somebody asked for the end."""
        self._has_stopped = False
        """Whether the turns are over."""
        assembly = session.assembly
        assembly.dispatcher.errands = Errands(self._due_errand)
        assembly.desk.place = lambda: str(session.place)
        assembly.kill.stopwatch = ToldAgain(session, tape)
        session.listen()

    # -- the turns

    def run(self, start: Start, until: Start | None) -> None:
        """
        Drive from ``start`` to the end of the process, which is journaled if it was an orderly one.

        Else the next start, if there is one, says where it was.
        """
        self._end = start.end
        self._until_start = until if start.end is None else None
        session = self.session
        self._within = False
        try:
            self._hear_verdict()
            is_live = isinstance(self.session.spec.feed, LiveFeed)
            otherwise = self._drive_live() if is_live else self._drive()
            self._has_stopped = True
            self._hear_verdict()
            self._hear_out()
            self._account_for()
        except FeedError:
            otherwise = INPUT_REFUSED
        if self.is_left or self._is_over:
            return
        self.commit()
        if otherwise == COMPLETED and session.leaves_behind:
            self._is_stopped, otherwise = True, INTERRUPTED
        outcome, exit_code = session.outcome(otherwise)
        end = self._end if self._is_stopped else None
        session.finish(outcome, exit_code, None if end is None else end.place)
        self.commit()
        if session.left is not None:
            self._states = session.left
            self.is_left = True

    def _drive(self) -> str:
        session = self.session
        timeframe_ms = session.spec.feed.timeframe_ms
        for group in session.groups(self._groups):
            at = group[0].timestamp + timeframe_ms
            if not self._until(at):
                return INTERRUPTED
            session.begun += 1
            self._within = True
            session.turn(group, at)
            self._within = False
            session.turns += 1
            session.bars += len(group)
            self._chart()
            self.commit()
            self._hear_out()
            if self._has_ended:
                return INTERRUPTED
        return COMPLETED

    def _drive_live(self) -> str:
        session = self.session
        while self._until(NEVER) and self._has_brought():
            seen = self.tape.market.popleft()
            session.assembly.clock.advance(seen.at)
            self._within = True
            session.take_in(as_brought(seen.seen))
            self._within = False
            self._chart()
            self.commit()
            if self._has_ended:
                break
        return INTERRUPTED

    def _has_brought(self) -> bool:
        """Return whether a live feed brought something here."""
        market = self.tape.market
        if not market or self.is_left or market[0].seq != self.session.journal.seq + 1:
            return False
        return self._is_at(market[0].place)

    def _until(self, at: int) -> bool:
        """
        Fire timers and hand in commands until ``at`` has come; return whether to go on.

        Or until a live feed has brought something.
        """
        session = self.session
        clock = session.assembly.clock
        while True:
            due = min(clock.next_timer_at, at)
            self._chart()
            if self._has_brought():
                return True
            if self._is_checked(until=max(due, clock.now)):
                continue
            happened = self._what_followed if session.witness is None else self._has_come
            if self._leaves() or happened(at):
                if self._has_ended:
                    return False
                continue
            latest = max(due, clock.now)
            come = self._command_waits(latest) or self._failure_waits(latest)
            if come is not None:
                clock.advance(max(clock.now, come.at))
                self.commit()
            elif self._leaves_while_writing():
                return False
            elif session.assembly.dispatcher.busy:
                self.commit()
            elif self._stops():
                self._is_stopped = True
                assert self._end is not None, "it was asked for"
                clock.advance(self._end.at)  # it went on while nothing happened
                self.commit()
                return False
            elif due >= at:
                return True
            else:
                self._fire(at - 1)
                self.commit()
            if self._has_ended:
                return False

    def _hear_verdict(self) -> None:
        """Take what came while nothing was waited for but the check of the journal."""
        session = self.session
        clock = session.assembly.clock
        while session.recovery.is_checking and not (self._has_ended or self._leaves()):
            if self._is_checked(until=clock.now):
                return
            if session.witness is not None and self._has_come():
                continue
            if self._command_waits(until=clock.now) is None:
                return
            self.commit()

    def _is_checked(self, until: int) -> bool:
        """Let it be heard here that the journal is sound, if it was by ``until``."""
        checks = self.tape.checks
        if not checks or self.is_left:
            return False
        check = checks[0]
        if check.seq != self.session.journal.seq + 1 or check.at > until:
            return False
        if not self._is_at(check.place):
            return False
        checks.popleft()
        clock = self.session.assembly.clock
        clock.advance(max(clock.now, check.at))
        self.session.recovery.journal_is_sound(str(self.session.place))
        return True

    def _what_followed(self, at: int) -> bool:
        """Settle what followed while the disk was written; return whether anything did."""
        assembly = self.session.assembly
        clock, dispatcher = assembly.clock, assembly.dispatcher
        if not (dispatcher.busy or dispatcher.pending):
            return False
        due = min(clock.next_timer_at, at)
        clock.advance(min(self._next_time(), max(clock.now, due)))
        self.commit()
        return True

    def _has_come(self, _at: int = NEVER) -> bool:
        """Let in what a venue elsewhere said next, or settle what it has said; return whether."""
        if not self._has_stopped and self._stops():
            return False  # what was said at this very place came after: else it had been handled
        dispatcher = self.session.assembly.dispatcher
        arrival = self._arrival_due()
        if arrival is not None:
            self._let_in(arrival)
        elif dispatcher.busy or dispatcher.pending:
            self.commit()
        else:
            return False
        return True

    @property
    def _has_ended(self) -> bool:
        return self.session.must_end() or self.is_left or self._is_over

    def commit(self) -> None:
        """Settle and let everything leave that waits for a commit, as the paced driver does."""
        self._commit_once()
        dispatcher = self.session.assembly.dispatcher
        while self.session.witness is not None and dispatcher.busy and not self.is_left:
            self._commit_once()

    def _commit_once(self) -> None:
        session = self.session
        dispatcher = session.assembly.dispatcher
        if not self._settle():
            return
        while dispatcher.pending:
            written = dispatcher.commits_waiting
            if self._leaves_while_writing():
                return
            for _ in range(written):
                dispatcher.release_commit()
                if not self._settle():
                    return
            dispatcher.pending = dispatcher.commits_waiting > 0
        self._leaves_while_writing()  # an acknowledgement

    def _leaves_while_writing(self) -> bool:
        """Let happen what happened while the disk was written; return whether it was the last."""
        session = self.session
        session.is_writing = True
        if self._leaves():
            return True
        if session.assembly.dispatcher.errands:
            session.assembly.dispatcher.run_errands()
        session.is_writing = False
        return self.is_left  # right after something had come in

    def _settle(self) -> bool:
        """Settle; return whether the process lived on."""
        dispatcher = self.session.assembly.dispatcher
        self.session.is_settling = True
        try:
            if not dispatcher.busy:
                return True
            while not dispatcher.settle_for(self._is_enough):
                # What came in between is acknowledged at once.
                if self.is_left or self._leaves_while_writing():
                    return False
            return not self.is_left
        finally:
            self.session.is_settling = False

    def _is_enough(self) -> bool:
        """Return whether something happened here, in the middle of things."""
        return self.session.witness is not None and self._leaves()

    def _fire(self, until: int) -> bool:
        return fire(self.session, until)

    # -- after the last turn

    def _hear_out(self) -> None:
        """Take what a venue elsewhere said while it was waited for."""
        if self.session.witness is None:
            return
        while not (self.is_left or self._is_over or self._leaves()):
            if not self._has_come():
                return

    def _account_for(self) -> None:
        """Let time pass in which a venue elsewhere was asked about what was in doubt."""
        session = self.session
        clock = session.assembly.clock
        if session.witness is None:
            self._account_here()
            return
        while not (self.is_left or self._is_over or self._leaves()):
            reading = self._reading_due(AT_THE_END)
            if reading is not None:
                self._read_again(reading)
            elif self._has_come():
                continue
            elif (command := self._command_waits(until=NEVER)) is not None:
                clock.advance(max(clock.now, command.at))
                self.commit()
            else:
                clock.advance(self._next_time())
                return

    def _account_here(self) -> None:
        session = self.session
        if self._is_stopped:
            return
        until = session.assembly.clock.now + session.spec.doubts.budget_ms
        while session.is_unaccounted and not (self.is_left or self._is_over or self._leaves()):
            if not self._fire(until):
                return
            self.commit()

    def _read_again(self, reading: Reading) -> None:
        session = self.session
        clock = session.assembly.clock
        self.tape.readings.popleft()
        clock.advance(reading.read.at)
        session.read_clock(reading.read.upto, AT_THE_END)
        while not self.is_left and self._fire(reading.read.upto):
            self.commit()
        if not self.is_left:
            clock.advance(reading.read.upto)

    @property
    def _is_over(self) -> bool:
        """Return whether there is nothing left to compare with."""
        if self.comparison.difference is not None:
            return True
        return self.session.journal.seq >= self.tape.last

    def _next_time(self) -> int:
        """Return when the next entry was journaled, or the process left before it."""
        seq, times = self.session.journal.seq, self.tape.times
        now, start = self.session.assembly.clock.now, self._until_start
        if start is not None and start.seq == seq + 1:
            return max(now, start.left_at)
        return max(now, times[seq]) if seq < len(times) else now
