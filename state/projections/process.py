"""
The journal's way to the process that writes the projections.

``ProjectionProcess`` is a sink: batches of lines go through a bounded queue and a thread into
the pipe of ``state.projections.worker``. It keeps one core of the machine for the session and
puts everything that people read afterwards on another.

A simulation waits where the queue is full: nothing of it is on a disk, and it has time. A live
session waits for nobody who only writes down: what finds no room is in its journal already, and as
soon as there is room again one order stands for all of it: to read it there. So a process that is
slow, or does not move at all, costs neither time nor memory, and no line is ever missing.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from state.journal.entry import Entry
from state.journal.errors import JournalDamaged, JournalFailed
from state.projections.limits import (
    ABANDON_S,
    BEHIND_ENTRIES_TOLD,
    FINISH_TIMEOUT_S,
    PIPE_BATCHES,
)
from state.projections.worker import (
    CATCH_UP,
    FACTS,
    LINES,
    PLAN,
    Answer,
    CatchUp,
    Plan,
    frame,
)

ROOT = Path(__file__).resolve().parents[2]


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
        self._answered: bytes | None = None
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
        """Hand over the facts, wait for the files and return the answer."""
        if self._durable is not None and self._given_to is not None:
            self._frames.put(self._order(self._durable, self._given_to))
            self._goes_on()
        self._frames.put(frame(FACTS, msgspec.json.encode(facts)))
        self._end_input()
        content = self._answer()
        status = self._process.wait(timeout=FINISH_TIMEOUT_S)
        try:
            answer = msgspec.json.decode(content, type=Answer)
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

        One that does not move is ended. May be called after a ``finish`` that failed.
        """
        patience = threading.Timer(ABANDON_S, self._process.kill)  # seam: a process of ours
        patience.daemon = True
        patience.start()
        try:
            self._let_go()
        finally:
            patience.cancel()

    def _let_go(self) -> None:
        self._end_input()
        self._answer()
        self._process.wait()

    def _end_input(self) -> None:
        if self._thread.is_alive():
            self._frames.put(None)
            self._thread.join()

    def _answer(self) -> bytes:
        """Wait for the process's one answer, or its end without one."""
        if self._answered is None:
            assert self._process.stdout is not None, "the process was started with a pipe"
            self._answered = self._process.stdout.read()
            self._process.stdout.close()
        return self._answered

    def _pump(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None, "the process was started with a pipe"
        is_over = False
        try:
            while (item := self._frames.get()) is not None:
                pipe.write(item)
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
        try:
            answer = msgspec.json.decode(self._answer(), type=Answer)
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
