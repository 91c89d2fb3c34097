"""
What came from outside a session, at the very place at which it came.

A journal says of everything that no handler brought about where it came in: commands, what a venue
elsewhere said, a feed's failures, readings of the clock, strategies left behind, the order to stop
and the end of a process. When the session is executed once more each is due where nothing else is
left to happen before it: at its place, with the next entry being the one that it was journaled
with, and not later than the time at which it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from actors.driving import IN_A_TURN, keep_killing, leave
from actors.keeping import Keeper
from actors.places import Place
from actors.tape import Arrival, Command, End, Failure, Leaving, Reading, Start, Tape
from actors.turns import Session
from brokers.recorded import RecordedBroker

WORDS_OF_A_REQUEST: Final = ("for_s:", "until:", "a pause ends within")
"""How refusals begin of what was wrong with a request before it was a command."""


class Outside:
    """Tell what came from outside here, by what is on ``tape``, and let it come again."""

    def __init__(self, session: Session, tape: Tape) -> None:
        self.session = session
        self.tape = tape
        self.is_left = False
        """Whether the end of this process was come to."""
        self._until_start: Start | None = None
        self._end: End | None = None
        self._states: Mapping[str, bytes] = {}
        self._charts: bytes | None = None
        self._within = True
        """Whether it is somewhere that nothing from a venue elsewhere can come to."""

    def _is_at(self, place: Place) -> bool:
        return self.session.place.is_at(place)

    def _arrival_due(self) -> Arrival | None:
        """Return what the venue said next if it came here."""
        arrivals = self.tape.arrivals
        if not arrivals or self._within or self.is_left:
            return None
        arrival = arrivals[0]
        if arrival.seq != self.session.journal.seq + 1:
            return None
        return arrival if self._is_at(arrival.place) else None

    def _let_in(self, arrival: Arrival) -> None:
        """Let the venue say here what it said."""
        self.tape.arrivals.popleft()
        clock, remote = self.session.assembly.clock, self.session.remote
        assert isinstance(remote, RecordedBroker), "what was said is said again by one"
        clock.advance(arrival.at)
        remote.say(arrival.said)
        self._leaves()

    def _reading_due(self, occasion: str) -> Reading | None:
        readings = self.tape.readings
        if not readings or self._within or self.is_left:
            return None
        reading = readings[0]
        if reading.seq != self.session.journal.seq + 1 or reading.read.occasion != occasion:
            return None
        return reading if self._is_at(reading.place) else None

    def _look_on(self, reading: Reading) -> None:
        self.tape.readings.popleft()
        keep_killing(self.session, reading.read.upto)

    def _leaving_due(self) -> Leaving | None:
        """Return the strategy that was left behind here, if one was."""
        leavings = self.tape.leavings
        if not leavings or self._within or leavings[0].seq != self.session.journal.seq + 1:
            return None
        return leavings[0] if self._is_at(leavings[0].place) else None

    def _leave_behind(self, leaving: Leaving) -> None:
        self.tape.leavings.popleft()
        leave(self.session, self.session.assembly.dispatcher.cells[leaving.actor])

    def _failure_waits(self, until: int) -> Failure | None:
        """Return the next failure of a live feed, if what is settled here hears of it."""
        return self._next_failure(until, *self._places())

    def _next_failure(self, until: int, *places: Place) -> Failure | None:
        failures = self.tape.failures
        if not failures or self.is_left or failures[0].seq != self.session.journal.seq + 1:
            return None
        failure = failures[0]
        if failure.at > until or not any(place.is_at(failure.place) for place in places):
            return None
        return failure

    def _fail(self, failure: Failure) -> None:
        self.tape.failures.popleft()
        assembly, place = self.session.assembly, str(self.session.place)
        assembly.supervisor.source_failed(assembly.feed_cell, failure.where, failure.text, place)

    def _command_waits(self, until: int) -> Command | None:
        """Return the next command, not later than ``until``, if what is settled here takes it."""
        return self._next_command(until, *self._places())

    def _places(self) -> tuple[Place, ...]:
        """
        Return where somebody may come who comes while nothing happens.

        What is settled next lets them in, or the disk is waited for: what is in force is made
        durable at the next occasion, and nothing in the journal tells of that.
        """
        place = self.session.place
        return place, place.amidst(), place.on_its_way()

    def _command_due(self, until: int) -> Command | None:
        """Return the next command if it was taken just here, not later than ``until``."""
        return self._next_command(until, self.session.place)

    def _next_command(self, until: int, *places: Place) -> Command | None:
        commands = self.tape.commands
        if not commands:
            return None
        command = commands[0]
        if command.seq != self.session.journal.seq + 1 or command.at > until:
            return None
        return command if any(place.is_at(command.place) for place in places) else None

    def _due_errand(self) -> Callable[[], object] | None:
        now = self.session.assembly.clock.now
        session = self.session
        if session.is_settling or session.is_writing:  # else the driver looks for it
            arrival = self._arrival_due()
            if arrival is not None and arrival.at == now:
                return lambda: self._let_in(arrival)
        reading = self._reading_due(IN_A_TURN)
        if reading is not None:
            return lambda: self._look_on(reading)
        if self.is_left:
            return None
        leaving = self._leaving_due()
        if leaving is not None:
            return lambda: self._leave_behind(leaving)
        failure = self._next_failure(now, session.place)
        if failure is not None and failure.at == now:
            return lambda: self._fail(failure)
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
        if start.place.fired is None and clock.now < clock.next_timer_at <= start.left_at:
            return False  # a timer brought time to where it was left
        clock.advance(max(clock.now, start.left_at))
        charted = start.place.charted
        if charted is None or self._charts is None:
            charted = -1
        # How long its process put them off depends on what else it had to do.
        kept = start.place.kept
        found = Keeper(self.session, charted=charted, charts=self._charts, kept=kept).states()
        self._states = {part: text for part, text in found.items() if text is not None}
        self.is_left = True
        return True

    def states(self) -> Mapping[str, bytes]:
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
        end, commands = self._end, self.tape.commands
        if end is None or end.place is None or not self._is_at(end.place):
            return False
        if commands and commands[0].seq < end.seq:
            return False
        clock = self.session.assembly.clock
        if end.place.fired is not None:
            return True
        return not clock.now < clock.next_timer_at <= end.at
