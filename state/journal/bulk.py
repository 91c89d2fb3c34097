"""The SQLite file of a simulation, written in bulk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from state.atomic import sync_folder
from state.journal import schema
from state.journal.entry import Entry
from state.journal.limits import SETTLE_BYTES, SIMULATION_PAGE


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
        self._connection.execute(schema.INSERT, (first, lines, *schema.cut(lines, first)))
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
