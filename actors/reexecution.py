"""
A recorded paper session, executed once more: same inputs at the same places, same journal.

Theory of operation. Decisions follow from configuration, data, seed, and from what reached into
the session from outside: commands, holds that were in force at its start, the end of a process,
the order to stop, and, while a kill is timed by the machine's clock, that clock. The journal has
each of these with its *place*: how many turns had begun, how many messages had been handled, and
whether the driver was waiting for a disk. The same turns are driven here without waiting for
anything, and what came from outside is handed in where its place is. A process that ended is a
session left behind: its parts' states are taken where the recorded ones were, and the next
incarnation of the session begins over them, as ``resume_paper`` begins one.

The journal that comes of it is compared line by line as it is written; nothing goes to a disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from actors.assembly import no_facts
from actors.feed import FeedActor
from actors.keeping import Keeper, Recorded
from actors.outcomes import COMPLETED, INPUT_REFUSED, INTERRUPTED
from actors.places import Place
from actors.runtime.clock import NEVER
from actors.spec import SessionSpec
from actors.tape import Command, PlaceUnknown, Start, Tape, tape_of
from actors.turns import Session
from feeds.contract import Group
from feeds.errors import FeedError
from state.journal import Entry, Journal
from state.journal.reader import Difference, read_journal, read_lines

WORDS_OF_A_REQUEST: Final = ("for_s:", "until:", "a pause ends within")
"""How refusals begin of what was wrong with a request before it was a command."""


class Comparison:
    """A journal's sink that compares what it is given with a recorded journal, line by line."""

    def __init__(self, recorded: Path, last: int) -> None:
        """Compare with ``recorded`` up to entry ``last``: it may still be written."""
        self._lines = islice(read_lines(recorded), last)
        self._seq = 0
        self.difference: Difference | None = None

    @property
    def same(self) -> int:
        """Return how many entries were the same."""
        return self._seq

    def write(self, _entries: Sequence[Entry], lines: bytes) -> None:
        """Compare one batch."""
        for line in lines.splitlines():
            if self.difference is not None:
                return
            self._compare(line, next(self._lines, None))

    def _compare(self, found: bytes | None, recorded: bytes | None) -> None:
        if found == recorded:
            self._seq += 1
            return
        first, second = (None if line is None else line.decode() for line in (recorded, found))
        self.difference = Difference(self._seq + 1, first, second)

    def close(self) -> None:
        """See whether the recorded journal goes on."""
        if self.difference is None and (rest := next(self._lines, None)) is not None:
            self._compare(None, rest)


@dataclass(frozen=True, slots=True)
class Reexecuted:
    """How far the two journals are the same, and where they first differ."""

    same: int
    difference: Difference | None


def reexecute(spec: SessionSpec, session_id: str, journal: Path) -> Reexecuted:
    """
    Execute the session of ``journal`` once more and return how the two compare.

    Raises ``JournalError`` for a journal that cannot be read, ``PlaceUnknown`` for one of an older
    Tidegate that reached into by somebody, and what the session's feed raises as it is opened.
    """
    tape = tape_of(journal)
    comparison = Comparison(journal, tape.last)
    again = Journal([comparison])
    _Reexecution(spec, session_id, journal, tape, again, comparison).run()
    again.close()
    return Reexecuted(comparison.same, comparison.difference)


class _Reexecution:
    """One session, start after start."""

    def __init__(
        self,
        spec: SessionSpec,
        session_id: str,
        recorded: Path,
        tape: Tape,
        journal: Journal,
        comparison: Comparison,
    ) -> None:
        self.spec = spec
        self.session_id = session_id
        self.recorded = recorded
        self.tape = tape
        self.journal = journal
        self.comparison = comparison

    def run(self) -> None:
        left: Recorded | None = None
        starts = self.tape.starts
        for number, start in enumerate(starts):
            until = starts[number + 1] if number + 1 < len(starts) else None
            driver = self._begun(left)
            driver.session.start(start.held)
            driver.run(until)
            if until is None or not driver.is_left:
                return
            left = Recorded(self._facts(until.seq - 1), driver.states())

    def _begun(self, left: Recorded | None) -> _Driver:
        feed = self.spec.feed
        first: Group = ()
        groups: Iterator[Group]
        if left is None:
            groups = iter(feed.groups())
            first = next(groups, ())
            groups = chain((first,), groups)
        else:
            groups = FeedActor(feed).groups(left.last_bar_at)
        session = Session(self.spec, self.session_id, self.journal, first, left)
        return _Driver(session, groups, self.tape, self.comparison)

    def _facts(self, last: int) -> Any:
        spec = self.spec
        facts = no_facts(spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash)
        return facts.fold_all(islice(read_journal(self.recorded), last))


class _Driver:
    """Drive one incarnation of a session as ``PacedDriver`` did, without its waiting."""

    def __init__(
        self, session: Session, groups: Iterator[Group], tape: Tape, comparison: Comparison
    ) -> None:
        self.session = session
        self.tape = tape
        self.comparison = comparison
        self.is_left = False
        """Whether the end of this process was come to."""
        self._groups = groups
        self._until_start: Start | None = None
        self._states: dict[str, bytes] = {}
        self._charts: bytes | None = None
        self._stopwatch = _Stopwatch(session, tape)
        assembly = session.assembly
        assembly.dispatcher.errands = _Errands(self._due_errand)
        assembly.desk.place = lambda: str(session.place)
        assembly.kill.stopwatch = self._stopwatch
        session.listen()

    # -- the turns

    def run(self, until: Start | None) -> None:
        """Drive to the end of the process, or of the session, which is journaled."""
        self._until_start = until
        session = self.session
        stopped_at: Place | None = None
        try:
            otherwise = self._drive()
        except FeedError:
            otherwise = INPUT_REFUSED
        if self.is_left or self._is_over:
            return
        if otherwise == INTERRUPTED:
            stopped_at = self.tape.stopped_at
        self.commit()
        self._wind_down()
        outcome, exit_code = session.outcome(otherwise)
        session.finish(outcome, exit_code, stopped_at)
        self.commit()

    def _drive(self) -> str:
        session = self.session
        timeframe_ms = session.spec.feed.timeframe_ms
        for group in session.groups(self._groups):
            at = group[0].timestamp + timeframe_ms
            if not self._until(at):
                return INTERRUPTED
            session.begun += 1
            session.turn(group, at)
            session.turns += 1
            session.bars += len(group)
            self._chart()
            self.commit()
            if session.must_end() or self.is_left or self._is_over:
                return INTERRUPTED
        return COMPLETED

    def _until(self, at: int) -> bool:
        """Fire timers and hand in commands until ``at`` has come; return whether to go on."""
        session = self.session
        clock = session.assembly.clock
        dispatcher = session.assembly.dispatcher
        while True:
            due = min(clock.next_timer_at, at)
            self._chart()
            if dispatcher.busy or dispatcher.pending:  # what followed while the disk was written
                clock.advance(min(self._next_time(), max(clock.now, due)))
                self.commit()
                due = min(clock.next_timer_at, at)
            if session.assembly.kill.running and self._command_due(until=NEVER) is not None:
                self._keep_killing()  # which may let time run ahead of the data
                due = min(clock.next_timer_at, at)
            command = self._command_due(until=max(due, clock.now))
            if command is not None:
                clock.advance(max(clock.now, command.at))
                self.commit()
            elif self._leaves():
                return False
            elif self._stops():
                self.commit()
                return False
            elif due >= at:
                return True
            else:
                self._fire(at - 1)
                self.commit()
            if session.must_end() or self.is_left or self._is_over:
                return False

    def commit(self) -> None:
        """Settle and let everything leave that waits for a commit, as the paced driver does."""
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
        return False

    def _settle(self) -> bool:
        """Settle; return whether the process lived on."""
        dispatcher = self.session.assembly.dispatcher
        if not dispatcher.busy:
            return True
        while not dispatcher.settle_for(self._time_has_moved):
            if self._leaves_while_writing():  # what came in between is acknowledged at once
                return False
            self._keep_killing()
        return True

    def _time_has_moved(self) -> bool:
        """Return whether time went on here, in the middle of things: only a kill lets it."""
        assembly = self.session.assembly
        return assembly.kill.running and self._next_time() > assembly.clock.now

    def _keep_killing(self) -> None:
        assembly = self.session.assembly
        assembly.kill.look_on()
        while assembly.kill.running:
            if not self._fire(self._next_time()):
                return

    def _wind_down(self) -> None:
        assembly = self.session.assembly
        for cell in assembly.dispatcher.strangers():
            if len(cell.mailbox):
                assembly.supervisor.retire(cell, "it has not kept up, and the session ends")
        self.commit()

    def _fire(self, until: int) -> bool:
        clock = self.session.assembly.clock
        due = clock.pop_due(until)
        if due is None:
            return False
        at, callback = due
        clock.advance(at)
        callback(at)
        return True

    @property
    def _is_over(self) -> bool:
        """Return whether there is nothing left to compare with."""
        if self.comparison.difference is not None:
            return True
        return self.session.journal.seq >= self.tape.last

    def _next_time(self) -> int:
        """Return when the next entry was journaled."""
        seq, times = self.session.journal.seq, self.tape.times
        now = self.session.assembly.clock.now
        return max(now, times[seq]) if seq < len(times) else now

    # -- what came from outside

    def _is_at(self, place: Place) -> bool:
        now = self.session.place
        return (now.begun, now.handled, now.on_disk) == (
            place.begun,
            place.handled,
            place.on_disk,
        )

    def _command_due(self, until: int) -> Command | None:
        """Return the next command if it came here, not later than ``until``."""
        commands = self.tape.commands
        if not commands:
            return None
        command = commands[0]
        if command.seq != self.session.journal.seq + 1 or command.at > until:
            return None
        return command if self._is_at(command.place) else None

    def _due_errand(self) -> Callable[[], object] | None:
        now = self.session.assembly.clock.now
        command = self._command_due(until=now)
        if command is None or command.at != now:
            return None
        return lambda: self._take(command)

    def _take(self, command: Command) -> None:
        self.tape.commands.popleft()
        desk = self.session.assembly.desk
        refusal = command.refusal
        trouble = refusal if refusal.startswith(WORDS_OF_A_REQUEST) else ""
        # What stands in the way of a resume is outside: the kill file.
        desk.obstacle = lambda: refusal or None
        desk.take_again(command.command, trouble)

    def _leaves(self) -> bool:
        """Return whether the process ended here; then the states of its parts are taken."""
        start = self._until_start
        if start is None or start.place is None or self.is_left:
            return self.is_left
        if start.seq != self.session.journal.seq + 1 or not self._is_at(start.place):
            return False
        clock = self.session.assembly.clock
        if clock.now < clock.next_timer_at <= start.at:
            return False  # a timer brought time to where it was left
        clock.advance(max(clock.now, start.at))
        charted = start.place.charted
        if charted is None or self._charts is None:
            charted = -1
        found = Keeper(self.session, charted=charted).states()
        self._states = {part: text for part, text in found.items() if text is not None}
        if self._charts is not None:
            self._states["charts"] = self._charts
        self.is_left = True
        return True

    def states(self) -> dict[str, bytes]:
        """Return the states that were left."""
        return self._states

    def _chart(self) -> None:
        """Keep the charts of the turn after which the process kept them last."""
        start = self._until_start
        if start is None or start.place is None or self._charts is not None:
            return
        if self.session.turns == start.place.charted:
            self._charts = Keeper(self.session).states()["charts"]

    def _stops(self) -> bool:
        """Return whether somebody asked for the end here."""
        tape = self.tape
        if tape.ended is None or tape.stopped_at is None or self._until_start is not None:
            return False
        if tape.commands or not self._is_at(tape.stopped_at):
            return False
        clock = self.session.assembly.clock
        return not clock.now < clock.next_timer_at <= tape.ended.at


class _Errands(deque[Callable[[], object]]):
    """A dispatcher's errands, among them what came from outside at just this moment."""

    def __init__(self, due: Callable[[], Callable[[], object] | None]) -> None:
        super().__init__()
        self._due = due

    def __bool__(self) -> bool:
        return len(self) > 0 or self._due() is not None

    def popleft(self) -> Callable[[], object]:
        if len(self):
            return super().popleft()
        errand = self._due()
        assert errand is not None, "somebody has seen it"
        return errand


class _Stopwatch:
    """Tells what the recorded session's stopwatch told where it was journaled."""

    def __init__(self, session: Session, tape: Tape) -> None:
        self._session = session
        self._steps = tape.steps
        self._kill_id = ""
        self._base = 0
        self._told = 0

    def __call__(self) -> int:
        step = self._steps.get(self._session.journal.seq + 1)
        if step is not None and step.at == self._session.assembly.clock.now:
            if step.kill_id != self._kill_id:
                self._kill_id, self._base = step.kill_id, self._told
            self._told = self._base + step.elapsed_ms
        return self._told


__all__ = ["PlaceUnknown", "Reexecuted", "reexecute"]
