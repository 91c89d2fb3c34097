"""
``events.ndjson``: every event in order, one JSON line each, for people and other programs.

A projection of the journal that holds the journal's own lines, so it can always be made again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from state.atomic import cut_torn_line, last_newline, naming, sync_folder
from state.journal.entry import Entry, decode_line
from state.journal.limits import SETTLE_BYTES
from state.journal.reader import line_at, read_lines


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
        with naming(self._path):
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


def write_events(path: Path, journal: Path) -> int:
    """Make ``path`` anew from a journal, whole or not at all; return the number of its lines."""
    beside = path.with_name(f".{path.name}.new")
    sink = NdjsonSink(beside)
    try:
        count = _copy(read_lines(journal), sink)
    finally:
        sink.close()
    beside.replace(path)
    sync_folder(path.parent)
    return count


def catch_up(path: Path, journal: Path) -> int:
    """
    Make ``path`` hold exactly the lines of ``journal`` and return how many were added.

    For a session that goes on after a crash: a torn last line is cut off, missing ones are
    added. A file that is not a beginning of the journal is written anew.
    """
    last = _cut_to_whole_lines(path) if path.exists() else b""
    kept = _number_of(last)
    if kept is None or line_at(journal, kept) != last:
        return write_events(path, journal)
    sink = NdjsonSink(path, append=True)
    try:
        return _copy(read_lines(journal, after=kept), sink)
    finally:
        sink.close()


def _copy(lines: Iterable[bytes], sink: NdjsonSink) -> int:
    count = 0
    remaining = iter(lines)
    while batch := list(islice(remaining, 1024)):
        sink.write_lines(count + 1, b"\n".join(batch) + b"\n")
        count += len(batch)
    return count


def _cut_to_whole_lines(path: Path) -> bytes:
    """Cut off what follows the last newline and return the last line, empty if there is none."""
    with path.open("r+b") as file:
        end = cut_torn_line(file)
        start = last_newline(file, end - 1) + 1
        file.seek(start)
        return file.read(end - start).removesuffix(b"\n")


def _number_of(line: bytes) -> int | None:
    """Return the number of a line's entry, None if it is not one."""
    try:
        return decode_line(line).seq
    except msgspec.DecodeError:
        return None
