"""
``events.ndjson``: every event in order, one JSON line each, for people and other programs.

A projection of the journal that holds the journal's own lines, so it can always be made again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from state.atomic import sync_folder
from state.journal.entry import Entry
from state.journal.limits import SETTLE_BYTES


class NdjsonSink:
    """
    Write every entry's line to a file; all of it is durable once closed.

    Every ``settle_bytes`` it waits for the disk, so that closing is quick; 0 is for event loops,
    which must not wait.
    """

    def __init__(
        self, path: Path, *, append: bool = False, settle_bytes: int = SETTLE_BYTES
    ) -> None:
        """Make ``path`` anew, or go on at its end (see ``catch_up``)."""
        self._path = path
        self._file = path.open("ab" if append else "wb", buffering=0)
        self._settle_bytes = settle_bytes
        self._unsettled = 0

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Add one batch."""
        self.write_lines(entries[0].seq, lines)

    def write_lines(self, first: int, lines: bytes) -> None:
        """Add one batch of lines."""
        rest = memoryview(lines)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._unsettled += len(lines)
        if 0 < self._settle_bytes <= self._unsettled:
            self._unsettled = 0
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Sync and close the file; may be called again without effect."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()
            sync_folder(self._path.parent)
