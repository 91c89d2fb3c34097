"""
The journal's way to the process that writes the projections.

``ProjectionProcess`` is a sink: batches of lines go through a bounded queue and a thread into
the pipe of ``state.projections.worker``. It keeps one core of the machine for the session and
puts everything that people read afterwards on another.

A simulation waits where the queue is full: nothing of it is on a disk, and it has time. A live
session waits for nobody who only writes down: what finds no room is in its journal already, and as
soon as there is room again one order stands for all of it: to read it there. So a process that is
slow, or does not move at all, costs neither time nor memory, and no line is ever missing.

At the end everybody waits for the files, for as long as the process works on them: that may be long
after a fast session, or where it was behind. It says so itself, every few seconds in which it did
work. One that has stopped saying so is ended, or left where not even that helps: a disk has it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import structlog

from state.journal.entry import Entry
from state.journal.errors import JournalDamaged, JournalFailed
from state.projections.limits import (
    ABANDON_S,
    BEHIND_ENTRIES_TOLD,
    KILLED_S,
    LOOK_S,
    PIPE_BATCHES,
    STILL_S,
)
from state.projections.worker import (
    CATCH_UP,
    FACTS,
    LINES,
    PLAN,
    WORKS,
    Answer,
    CatchUp,
    Plan,
    frame,
)

Step = Callable[[float], bool]
"""Wait for something for so many seconds at most; return whether it has come."""

ROOT = Path(__file__).resolve().parents[2]
HEARD_BYTES = 1 << 16


class ProjectionProcess:
    """
    Start the process for the session in ``out`` and pass it every batch.

    ``write`` raises ``JournalFailed`` when the process is gone. ``close`` says that the journal
    has ended; ``finish`` hands over the facts and returns the answer; ``abandon`` gives up.
    """

    def __init__(
        self,
        out: Path,
        *,
        journal: bool,
        copies: Sequence[Path] = (),
        durable: Path | None = None,
    ) -> None:
        """
        Start it; ``journal`` has it write ``journal.sqlite`` too (simulation).

        ``durable`` is the journal that has every entry before ``write`` is given it (live): then
        ``write`` never waits.
        """
        assert not (journal and durable), "what it writes itself it cannot read instead"
        environment = dict(os.environ)
        paths = [str(ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "state.projections.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # an interrupt from the terminal is the session's to handle
        )
        plan = Plan(str(out.absolute()), journal, tuple(str(copy.absolute()) for copy in copies))
        self._frames: queue.Queue[bytes | None] = queue.Queue(maxsize=PIPE_BATCHES)
        self._frames.put(frame(PLAN, msgspec.json.encode(plan)))
        self._durable = durable
        self._given_to: int | None = None  # where it is behind: the last number handed over ...
        self._known_to = 0  # ... and the last one that it should have
        self._told = False
        self._failure: JournalFailed | None = None
        self._moves = 0
        """Counts what the process took and what it said: while it grows the process works."""
        self._heard = bytearray()
        self._hearing = threading.Thread(target=self._hear, name="projections-say", daemon=True)
        self._hearing.start()
        self._thread = threading.Thread(target=self._pump, name="projections", daemon=True)
        self._thread.start()

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Hand one batch over; while too many are waiting, wait, or have it read later: live."""
        if self._failure is not None:
            raise self._failure
        if self._durable is None:
            self._frames.put(frame(LINES, lines))
            return
        self._known_to = entries[-1].seq
        if self._given_to is None:
            if not self._fits(frame(LINES, lines)):
                self._given_to = entries[0].seq - 1
        elif self._fits(self._order(self._durable, self._given_to)):
            self._goes_on()
        elif self._known_to - self._given_to >= BEHIND_ENTRIES_TOLD and not self._told:
            self._told = True
            log = structlog.get_logger("journal")
            log.warning("projections_behind", entries=self._known_to - self._given_to)

    def _fits(self, item: bytes) -> bool:
        try:
            self._frames.put_nowait(item)
        except queue.Full:
            return False
        return True

    def _order(self, journal: Path, after: int) -> bytes:
        order = CatchUp(str(journal.absolute()), self._known_to, after)
        return frame(CATCH_UP, msgspec.json.encode(order))

    def _goes_on(self) -> None:
        if self._told:
            log = structlog.get_logger("journal")
            log.info("projections_go_on", after=self._given_to, read_upto=self._known_to)
        self._given_to, self._told = None, False

    def catch_up(self, journal: Path, upto: int) -> None:
        """Have it begin with the entries of ``journal`` up to ``upto``; returns at once."""
        order = CatchUp(str(journal.absolute()), upto)
        self._frames.put(frame(CATCH_UP, msgspec.json.encode(order)))

    def close(self) -> None:
        """Do nothing yet: the facts are still to come."""

    def finish(self, facts: Mapping[str, object]) -> Answer:
        """
        Hand over the facts, wait for the files and return the answer.

        Waits for as long as the process works; one that has not for ``STILL_S`` is ended, and
        that is ``JournalFailed`` like everything that keeps the files from being written.
        """
        steps: list[Step] = []
        if self._durable is not None and self._given_to is not None:
            steps.append(partial(self._takes, self._order(self._durable, self._given_to)))
            self._goes_on()
        steps.append(partial(self._takes, frame(FACTS, msgspec.json.encode(facts))))
        if not self._in_time(steps + self._end(), STILL_S, while_it_moves=True):
            self._process.kill()
            raise JournalFailed(
                "the process that writes events, tables and reports did nothing for "
                f"{STILL_S:g} s, and was ended"
            )
        status = self._process.wait()
        try:
            answer = msgspec.json.decode(self._heard, type=Answer)
        except msgspec.DecodeError as error:
            raise JournalFailed(
                f"the projections' process ended with status {status} and no answer"
            ) from error
        if answer.error:
            raise _failure(answer)
        return answer

    def abandon(self) -> None:
        """
        Let the process close its files without facts, and wait for it; never raises.

        One that takes too long is ended, and one that cannot even be ended is left alone. May be
        called after a ``finish`` that failed.
        """
        if self._in_time(self._end(), ABANDON_S):
            return
        self._process.kill()
        if not self._in_time(self._end(), KILLED_S):
            structlog.get_logger("journal").warning("projections_left", pid=self._process.pid)

    # -- waiting for it

    def _in_time(
        self, steps: Sequence[Step], most_s: float, *, while_it_moves: bool = False
    ) -> bool:
        """
        Take the steps; return whether all were over within ``most_s``, or since it last moved.

        What was waited is counted, not read off a clock: a machine that slept has not waited.
        """
        waited_s, seen = 0.0, self._moves
        for is_over in steps:
            while not is_over(LOOK_S):
                waited_s += LOOK_S
                if while_it_moves and self._moves != seen:
                    waited_s, seen = 0.0, self._moves
                if waited_s >= most_s:
                    return False
        return True

    def _end(self) -> list[Step]:
        """Return the steps to its end: no more input, its answer or none, and its exit."""
        return [self._has_read, self._has_said, self._has_ended]

    def _takes(self, item: bytes | None, within_s: float) -> bool:
        try:
            self._frames.put(item, timeout=within_s)
        except queue.Full:
            return False
        return True

    def _has_read(self, within_s: float) -> bool:
        if self._thread.is_alive() and self._takes(None, within_s):
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def _has_said(self, within_s: float) -> bool:
        self._hearing.join(within_s)
        return not self._hearing.is_alive()

    def _has_ended(self, within_s: float) -> bool:
        try:
            self._process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    # -- the two ends of the pipes

    def _hear(self) -> None:
        """Take what it says: now and then that it works, and at the end its one answer."""
        pipe = self._process.stdout
        assert pipe is not None, "the process was started with a pipe"
        while said := os.read(pipe.fileno(), HEARD_BYTES):
            self._heard += said.lstrip(WORKS) if not self._heard else said
            self._moves += 1
        pipe.close()

    def _pump(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None, "the process was started with a pipe"
        is_over = False
        try:
            while (item := self._frames.get()) is not None:
                pipe.write(item)
                self._moves += 1
            is_over = True
            pipe.close()  # what it had room for is written only now
        except OSError as error:
            self._failure = self._why(error)
            with contextlib.suppress(OSError):  # what it could not write it cannot flush either
                pipe.close()
            while not is_over and self._frames.get() is not None:
                pass  # the other side must not wait for a queue that nobody empties

    def _why(self, error: OSError) -> JournalFailed:
        """Return what the process said before it went; of a pipe that broke nobody learns it."""
        self._hearing.join()
        try:
            answer = msgspec.json.decode(self._heard, type=Answer)
        except msgspec.DecodeError:
            return JournalFailed(f"the projections' process is gone: {error}")
        return _failure(answer)


def _failure(answer: Answer) -> JournalFailed:
    failed = JournalFailed(f"the projections cannot be written: {answer.error}")
    if answer.damaged:
        failed.__cause__ = JournalDamaged(answer.error)
    elif answer.errno:
        failed.__cause__ = OSError(answer.errno, os.strerror(answer.errno))
    return failed
