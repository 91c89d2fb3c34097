"""
The journal's way to the process that writes the projections.

``ProjectionProcess`` is a sink: batches of lines go through a bounded queue and a thread into
the pipe of ``state.projections.worker``. It keeps one core of the machine for the session and
puts everything that people read afterwards on another.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from state.journal.entry import Entry
from state.journal.errors import JournalFailed
from state.projections.limits import FINISH_TIMEOUT_S, PIPE_BATCHES
from state.projections.worker import FACTS, LINES, PLAN, Answer, Plan, frame

ROOT = Path(__file__).resolve().parents[2]


class ProjectionProcess:
    """
    Start the process for the session in ``out`` and pass it every batch.

    ``write`` raises ``JournalFailed`` when the process is gone. ``close`` says that the journal
    has ended; ``finish`` hands over the facts and returns the answer; ``abandon`` gives up.
    """

    def __init__(self, out: Path, *, journal: bool, copies: Sequence[Path] = ()) -> None:
        """Start it; ``journal`` has it write ``journal.sqlite`` too (simulation)."""
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
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._pump, name="projections", daemon=True)
        self._thread.start()

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Hand one batch over; waits while too many are waiting."""
        del entries
        if self._failure is not None:
            raise JournalFailed(f"the projections' process is gone: {self._failure}")
        self._frames.put(frame(LINES, lines))

    def close(self) -> None:
        """Do nothing yet: the facts are still to come."""

    def finish(self, facts: Mapping[str, object]) -> Answer:
        """Hand over the facts, wait for the files and return the answer."""
        self._frames.put(frame(FACTS, msgspec.json.encode(facts)))
        self._end_input()
        assert self._process.stdout is not None, "the process was started with a pipe"
        content = self._process.stdout.read()
        self._process.stdout.close()
        status = self._process.wait(timeout=FINISH_TIMEOUT_S)
        try:
            answer = msgspec.json.decode(content, type=Answer)
        except msgspec.DecodeError as error:
            raise JournalFailed(
                f"the projections' process ended with status {status} and no answer"
            ) from error
        if answer.error:
            raise JournalFailed(f"writing the projections: {answer.error}")
        return answer

    def abandon(self) -> None:
        """Let the process close its files without facts, and wait for it; never raises."""
        self._end_input()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()

    def _end_input(self) -> None:
        self._frames.put(None)
        self._thread.join()

    def _pump(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None, "the process was started with a pipe"
        try:
            while (item := self._frames.get()) is not None:
                pipe.write(item)
            pipe.close()
        except OSError as error:
            self._failure = str(error)
            while self._frames.get() is not None:
                pass  # the other side must not wait for a queue that nobody empties
