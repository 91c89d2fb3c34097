"""
A recorded live session, executed once more: same inputs at the same places, same journal.

Theory of operation. Decisions follow from configuration, data, seed, and from what reached into the
session from outside: commands, holds that were in force at its start, the end of a process, the end
of the check of its journal, the order to stop, and, while a kill is timed by the machine's clock,
that clock. The journal has each of these with its *place*: how many turns had begun, how many
messages had been handled, and whether the driver was waiting for a disk. The same turns are driven
here without waiting for anything, and what came from outside is handed in where its place is. A
venue elsewhere is outside, too: what it said has a place like a command, more exact by the timers
that had fired and the messages that waited; what it answered in the middle of something is found in
the journal just there (``actors.witness``, ``brokers.recorded``). A live feed is outside as well:
what it brought is in the journal, and what it knew before each start. A process that ended is a
session left behind: its parts' states are taken where the recorded ones were, and the next
incarnation of the session begins over them, as ``resume_paper`` begins one.

The journal that comes of it is compared line by line as it is written; nothing goes to a disk.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from actors.assembly import no_facts
from actors.feed import FeedActor
from actors.keeping import Recorded
from actors.opening import AccountUnexplained, explain
from actors.redriving import Redriver
from actors.spec import SessionSpec
from actors.tape import PlaceUnknown, Start, Tape, tape_of
from actors.turns import Session
from brokers.contract import SessionBroker, VenueUnreachable
from brokers.matching import MatchingEngine
from brokers.recorded import RecordedBroker, RecordedLister
from feeds.contract import Group, LiveFeed
from feeds.recorded import RecordedFeed
from messages import Adoption, Message
from state.journal import Entry, Journal
from state.journal.reader import Difference, line_at, read_journal, read_lines
from state.reconciliation_policy import ReconciliationPlan

T = TypeVar("T")


class Comparison:
    """A journal's sink that compares what it is given with a recorded journal, line by line."""

    def __init__(self, recorded: Path, last: int) -> None:
        """Compare with ``recorded`` up to entry ``last``: it may still be written."""
        self._journal = read_lines(recorded)
        self._lines = islice(self._journal, last)
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

    def shut(self) -> None:
        """Close the recorded journal; wherever the comparison has ended."""
        self._journal.close()


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
    try:
        _Reexecution(spec, session_id, journal, tape, again, comparison).run()
        again.close()
    finally:
        comparison.shut()
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
            driver = self._begun(left, start)
            adopted = self._explained(driver.session, start)
            if adopted is None:
                return
            driver.session.start(start.held, adopted)
            driver.run(start, until)
            if until is None or not driver.is_left:
                return
            left = Recorded(self._facts(until.seq - 1), driver.states())
            if until.place is not None and until.place.at is None:  # an older Tidegate's
                left.parts["session"]["place"] = str(until.place)

    def _begun(self, left: Recorded | None, start: Start) -> Redriver:
        spec = self._spec_of(start)
        feed = spec.feed
        first: Group = ()
        groups: Iterator[Group] = iter(())
        now = None
        if isinstance(feed, LiveFeed):
            now = start.at
        elif left is None:
            groups = iter(feed.groups())
            first = next(groups, ())
            groups = chain((first,), groups)
        else:
            groups = FeedActor(feed).groups(left.last_bar_at)
        session = Session(spec, self.session_id, self.journal, first, left, now=now)
        if left is not None:
            session.recovery.await_check()
        return Redriver(session, groups, self.tape, self.comparison)

    def _spec_of(self, start: Start) -> SessionSpec:
        """Return the session's specification with what a start of it went by."""
        spec = self.spec
        if isinstance(spec.feed, RecordedFeed) and start.before is not None:
            spec = replace(spec, feed=spec.feed.knowing(start.before.bars))
        connected = start.connected
        if connected is None:
            return spec
        kind = RecordedBroker if connected.trades_overlap is None else RecordedLister

        def broker(_engine: MatchingEngine) -> SessionBroker:
            return kind(connected, start.surveyed, start.early, self._next_record)

        return replace(
            spec,
            broker=broker,
            own_tags=frozenset(connected.own_tags),
            reconciliation=msgspec.json.decode(connected.reconciliation, type=ReconciliationPlan),
        )

    def _next_record(self) -> Message | None:
        return self.tape.records.get(self.journal.seq + 1)

    def _explained(self, session: Session, start: Start) -> tuple[Adoption, ...] | None:
        """Return what was adopted at the start; ``None`` where it would not be begun again."""
        witness = session.witness
        if witness is None:
            return ()
        try:
            _at_once(witness.remote.connect())
            return _at_once(explain(session, witness))
        except (AccountUnexplained, VenueUnreachable) as error:
            begun = (line_at(self.recorded, start.seq) or b"").decode()
            self.comparison.difference = Difference(start.seq, begun, f"it does not start: {error}")
            return None

    def _facts(self, last: int) -> Any:
        spec = self.spec
        facts = no_facts(spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash)
        with closing(read_journal(self.recorded)) as entries:
            return facts.fold_all(islice(entries, last))


def _at_once(doing: Coroutine[Any, Any, T]) -> T:
    """Return what comes of something that waits for nobody."""
    try:
        doing.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    raise AssertionError("a recorded venue lets nobody wait")


__all__ = ["PlaceUnknown", "Reexecuted", "reexecute"]
