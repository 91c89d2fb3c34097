"""The SQLite file of a simulation, and the thread that keeps writing off the simulation's back."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

from state.atomic import sync_folder
from state.journal import schema
from state.journal.entry import Entry
from state.journal.errors import JournalClosed, JournalFailed
from state.journal.limits import BACKGROUND_BATCHES, SETTLE_BYTES, SIMULATION_PAGE
from state.journal.sink import LineSink


class SqliteSink:
    """
    Write every entry to a new ``journal.sqlite``; all of it is durable once closed.

    Until then no rollback journal is kept: a simulation that dies is run again. May be used by
    one thread after another.
    """

    def __init__(self, path: Path) -> None:
        """Make the file, which must not exist."""
        self._path = path
        self._connection = schema.create(path, page_size=SIMULATION_PAGE)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        schema.migrate(self._connection)
        # Closed after the connection: closing any descriptor of a file gives up the process's
        # locks on it, SQLite's among them.
        self._descriptor = os.open(path, os.O_RDONLY)
        self._unsettled = 0
        self._closed = False

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Add one batch."""
        self.write_lines(entries[0].seq, lines)

    def write_lines(self, first: int, lines: bytes) -> None:
        """Add one batch of lines."""
        self._connection.execute(schema.INSERT, (first, lines, schema.cut_points(lines)))
        self._unsettled += len(lines)
        if self._unsettled >= SETTLE_BYTES:
            self._unsettled = 0
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file and sync it; may be called again without effect."""
        if not self._closed:
            self._closed = True
            self._connection.close()
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            sync_folder(self._path.parent)


class Background:
    """
    Pass every batch of lines on to other sinks in one thread, in order, a bounded number behind.

    An error there is raised by the next call here. The thread leaves the interpreter to others
    for nearly all of its time (one SQLite step and one file write a batch), so a simulation
    keeps its core. ``close`` returns when the other sinks are closed.
    """

    def __init__(self, sinks: Sequence[LineSink], *, batches: int = BACKGROUND_BATCHES) -> None:
        self._sinks = tuple(sinks)
        self._work: queue.Queue[tuple[int, bytes] | None] = queue.Queue(maxsize=batches)
        self._failure: Exception | None = None
        self._closed = False
        # A daemon: a simulation that dies without closing its journal must not hang its process.
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """
        Hand one batch over; waits while too many are waiting.

        The entries themselves stay behind: memory that is freed by the thread that made it is
        used again while it is still in the cache (measured: 0.25 us an entry).
        """
        self._check()
        if self._closed:
            raise JournalClosed("the background writer is closed")
        self._work.put((entries[0].seq, lines))

    def close(self) -> None:
        """Wait until everything is written and every sink closed."""
        if not self._closed:
            self._closed = True
            self._work.put(None)
            self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise JournalFailed(f"writing in the background: {self._failure}") from self._failure

    def _run(self) -> None:
        while (batch := self._work.get()) is not None:
            # After a failure the queue is still emptied, or the other side would wait for ever.
            if self._failure is None:
                try:
                    for sink in self._sinks:
                        sink.write_lines(*batch)
                except Exception as error:  # noqa: BLE001 - kept, and raised on the other side
                    self._failure = error
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - kept, and raised on the other side
                self._failure = self._failure or error
