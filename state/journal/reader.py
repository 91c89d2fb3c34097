"""
Reading journals back: ``journal.sqlite`` and ``events.ndjson``, which hold the same lines.

A session that is running may be read at any time; nothing here writes to a journal.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from messages import SCHEMA_VERSION, Message
from state.atomic import last_newline
from state.journal import schema
from state.journal.entry import ENTRY_TYPES, Entry, decode_line
from state.journal.errors import JournalDamaged, JournalError

EVENTS = "events.ndjson"
_SQLITE_MAGIC = b"SQLite format 3\0"
M = TypeVar("M", bound=Message)
_TYPE_NAMES = frozenset(kind.__name__ for kind in ENTRY_TYPES)


class _Head(msgspec.Struct):
    """What every line of every schema has."""

    type: str
    seq: int


class Difference(msgspec.Struct, frozen=True):
    """The first entry in which two journals differ; None where one of them has ended."""

    seq: int
    first: str | None
    second: str | None

    def __str__(self) -> str:
        """Name the entry, its type and the first field that differs, with both values."""
        if self.first is None or self.second is None:
            longer, line = ("second", self.second) if self.first is None else ("first", self.first)
            return f"entry {self.seq} ({_type_of(line)}) is in the {longer} journal only"
        kind = _type_of(self.first)
        field, one, other = _first_field(_loosely(self.first), _loosely(self.second), "")
        return f"entry {self.seq} ({kind}) differs in {field or 'its form'}: {one} and {other}"


def read_journal(path: Path, *, after: int = 0) -> Generator[Entry]:
    """
    Yield every entry after number ``after``, in order, with its message as it was.

    ``JournalDamaged`` names the first entry that is missing, misnumbered or unreadable, and an
    event type that this Tidegate does not know; ``SchemaTooNew`` a file from a newer one.
    """
    expected = after
    for line in read_lines(path, after=after):
        expected += 1
        try:
            entry = decode_line(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(path, expected, line, error) from error
        if entry.seq != expected:
            raise JournalDamaged(f"{path}: expected entry {expected}, found {entry.seq}")
        yield entry


def newest_of(path: Path, kind: type[M]) -> M | None:
    """Return the newest message of a class in a live journal, found from its end; or ``None``."""
    mark = f'{{"type":"{kind.__name__}",%'
    query = "SELECT seq FROM journal WHERE line LIKE ? ORDER BY seq DESC LIMIT 1"
    try:
        with closing(open_to_read(path)) as connection:
            found = connection.execute(query, (mark,)).fetchone()
    except sqlite3.Error as error:
        raise schema.explained(error, path) from error
    line = None if found is None else line_at(path, found[0])
    if line is None:
        return None
    try:
        message = decode_line(line).message
    except (msgspec.DecodeError, UnicodeError) as error:
        raise JournalDamaged(f"{path}: the newest {kind.__name__} cannot be read") from error
    assert isinstance(message, kind), "its line begins with its class"
    return message


def is_unmade(path: Path) -> bool:
    """Return whether the making of a live journal was cut short before it could hold anything."""
    if not path.exists() or not path.stat().st_size:
        return True
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as file:
            return not file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.Error:
        return False  # it is something, and whoever reads it says what is wrong with it


def check_journal(path: Path) -> int:
    """
    Return the number of a live journal's last entry, 0 where it never had one.

    Checks its end, in a time that does not depend on its size (``schema.check_file`` checks the
    rest). Raises ``JournalDamaged`` for what breaks SQLite's rules or ours there, and for a journal
    that lacks entries, or is not there, although ``events.ndjson`` beside it has them: that gets
    only what is durable, so they were lost afterwards (a log that was cut short looks whole).
    """
    last = 0
    if not is_unmade(path):
        try:
            with closing(open_to_read(path)) as connection:
                last = schema.check_end(connection, path)
        except sqlite3.Error as error:
            raise schema.explained(error, path) from error
    shown = _last_shown(path.with_name(EVENTS))
    if shown > last:
        raise JournalDamaged(
            f"{path}: {f'ends with entry {last}' if last else 'has no entry'}, but {EVENTS} has "
            f"those up to {shown}: they were durable, and are lost"
        )
    return last


def _last_shown(events: Path) -> int:
    """Return the number of the last whole line of a file of events, 0 where it has none."""
    try:
        with events.open("rb") as file:
            end = last_newline(file, file.seek(0, os.SEEK_END))
            start = last_newline(file, end) + 1
            file.seek(start)
            line = file.read(max(end, 0) - start)
        return msgspec.json.decode(line, type=_Head).seq if line else 0
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return 0  # a projection proves what it says, and nothing by what it lacks


def line_at(path: Path, seq: int) -> bytes | None:
    """Return the line of entry ``seq``, ``None`` where there is none; leaves nothing open."""
    with closing(read_lines(path, after=seq - 1)) as lines:
        return next(lines, None)


def read_lines(path: Path, *, after: int = 0) -> Generator[bytes]:
    """
    Yield the line of every entry after number ``after``, as written, without its newline.

    ``JournalDamaged`` says where rows are missing or the last line of a file is cut off.
    """
    with path.open("rb") as file:
        magic = file.read(len(_SQLITE_MAGIC))
    return _sqlite_lines(path, after) if magic == _SQLITE_MAGIC else _file_lines(path, after)


def read_states(path: Path) -> tuple[int, dict[str, bytes]]:
    """
    Return the states that a live session kept, and the number of the entry after which they hold.

    ``(0, {})`` where it kept none. ``JournalDamaged`` if they are ahead of the entries.
    """
    try:
        with closing(open_to_read(path)) as connection:
            if schema.user_version(connection) < schema.VERSION_OF_STATES:
                return 0, {}
            # One statement is one moment of a session that goes on meanwhile.
            found: dict[str | None, tuple[int, bytes]] = {
                part: (seq, value)
                for part, seq, value in connection.execute(
                    "SELECT part, seq, value FROM state UNION ALL "
                    "SELECT NULL, coalesce(max(seq), 0), NULL FROM journal"
                )
            }
    except sqlite3.Error as error:
        raise schema.explained(error, path) from error
    last, _ = found.pop(None)
    holds_after, _ = found.pop(schema.ALL_PARTS, (0, b""))
    newest = max([holds_after, *(seq for seq, _ in found.values())])
    if newest > min(last, holds_after):
        raise JournalDamaged(
            f"{path}: states of after entry {newest}, but they are said to hold after entry "
            f"{holds_after} and the last entry is {last}"
        )
    return holds_after, {part: value for part, (_, value) in sorted(found.items()) if part}


def first_difference(first: Path, second: Path) -> Difference | None:
    """Return where two journals first differ, line by line, or None where they are the same."""
    pairs = zip_longest(_lines_as_they_are(first), _lines_as_they_are(second))
    for seq, (one, other) in enumerate(pairs, 1):
        if one != other:
            return Difference(seq, _text(one), _text(other))
    return None


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a journal file so that nothing can be written; refuse what is not or not yet known."""
    try:
        connection, application = _opened(path, "ro")
    except sqlite3.OperationalError:
        # A log beside the file needs a folder that can be written, even to read. Where that is
        # not so nobody writes either, and the file alone is all there is.
        connection, application = _opened(path, "ro&immutable=1")
    if application != schema.APPLICATION_ID:
        connection.close()
        raise JournalDamaged(f"{path}: not a Tidegate journal (application id {application:#x})")
    try:
        schema.refuse_newer(
            f"{path}: journal tables are of version",
            schema.user_version(connection),
            len(schema.MIGRATIONS),
        )
        schema.refuse_newer(
            f"{path}: events are of schema", schema.events_version(connection), SCHEMA_VERSION
        )
    except (JournalError, sqlite3.Error):
        connection.close()
        raise
    return connection


def _opened(path: Path, mode: str) -> tuple[sqlite3.Connection, int]:
    connection = schema.connect(path, mode)
    try:
        return connection, connection.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.Error:
        connection.close()
        raise


def _sqlite_lines(path: Path, after: int) -> Generator[bytes]:
    expected = after
    try:
        with closing(open_to_read(path)) as connection:
            for seq, line in schema.lines_after(connection, path, after):
                expected += 1
                if seq != expected:
                    raise JournalDamaged(f"{path}: expected entry {expected}, found {seq}")
                yield line
    except sqlite3.Error as error:
        raise schema.explained(error, path) from error


def _file_lines(path: Path, after: int) -> Generator[bytes]:
    with path.open("rb") as file:
        for seq, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                raise JournalDamaged(f"{path}: entry {seq} is cut off: {_shorten(line)!r}")
            if seq > after:
                yield line[:-1]


def _lines_as_they_are(path: Path) -> Iterator[bytes]:
    """Yield lines to compare; a last one that is cut off is a line that differs."""
    with path.open("rb") as file:
        if file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC:
            yield from _sqlite_lines(path, 0)
        else:
            file.seek(0)
            for line in file:
                yield line.removesuffix(b"\n") if line.endswith(b"}\n") else line


def _unreadable(path: Path, seq: int, line: bytes, error: Exception) -> JournalDamaged:
    try:
        head = msgspec.json.decode(line, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return JournalDamaged(f"{path}: entry {seq} is not an event: {_shorten(line)!r}: {error}")
    if head.type not in _TYPE_NAMES:
        return JournalDamaged(
            f"{path}: entry {seq} is of unknown type {head.type!r}; "
            f"this Tidegate knows the events of schema {SCHEMA_VERSION}"
        )
    return JournalDamaged(f"{path}: entry {seq} ({head.type}): {error}")


def _shorten(line: bytes, at_most: int = 80) -> bytes:
    return line if len(line) <= at_most else line[:at_most] + b"..."


def _text(line: bytes | None) -> str | None:
    return None if line is None else line.decode("utf-8", "backslashreplace")


def _loosely(line: str) -> Any:
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:
        return line


def _type_of(line: str | None) -> str:
    event = _loosely(line or "")
    return str(event.get("type", "no event")) if isinstance(event, dict) else "no event"


def _first_field(one: Any, other: Any, name: str) -> tuple[str, str, str]:
    """Return the first field, depth first, in which two decoded lines differ, with both values."""
    pairs: list[tuple[str, Any, Any]] = []
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(f"{name}.{key}", one.get(key), other.get(key)) for key in {**one, **other}]
    elif isinstance(one, list) and isinstance(other, list):
        both = zip_longest(one, other)
        pairs = [(f"{name}[{i}]", left, right) for i, (left, right) in enumerate(both)]
    for inner, left, right in pairs:
        if left != right:
            return _first_field(left, right, inner)
    return name.lstrip("."), _shown(one), _shown(other)


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
