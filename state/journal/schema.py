"""
The tables of ``journal.sqlite``, how they came to be, and what must hold in them.

``journal`` has one row an entry: its number and its line, verbatim. The view ``events`` shows
the parts of the lines as columns; nothing is stored twice, and an insert parses no JSON.
Beside it is the line's checksum (``sum_of``), for SQLite has none: a digit that has become another
one breaks no rule of a database, and would be a price. Whoever reads a line checks it.
Rows are only ever added: triggers refuse the rest, on every connection that does not drop them.

``state`` has the newest state of each part of a live session, written in the transaction of the
entries after which it holds; ``seq`` is that of the part's last change. The row with the empty
name says up to which entry all parts are as they are here. A part never goes back.

A change of the tables is one more element of ``MIGRATIONS``; ``user_version`` counts those that
a file has been through. They run in one transaction, so a file is never between two versions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from struct import pack
from zlib import crc32

import msgspec

from messages import SCHEMA_VERSION
from state.atomic import sync_folder
from state.journal.entry import decode_line
from state.journal.errors import JournalDamaged, JournalError, SchemaTooNew
from state.journal.limits import BUSY_TIMEOUT_S, LIVE_PAGE

APPLICATION_ID = 0x54674A31
"""Marks an SQLite file as one of our journals (``TgJ1``); ``file`` and SQLite show it."""

SQLITE_NEEDED = (3, 38, 0)
"""STRICT tables (3.37) and the JSON functions built in (3.38)."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

    CREATE TABLE journal (seq INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT;

    CREATE TRIGGER journal_refuses_update BEFORE UPDATE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

    CREATE TRIGGER journal_refuses_delete BEFORE DELETE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

    CREATE VIEW events (seq, ts, type, source, correlation_id, causation_id, data) AS
    SELECT
        seq,
        json_extract(line, '$.ts'),
        json_extract(line, '$.type'),
        json_extract(line, '$.source'),
        json_extract(line, '$.correlation_id'),
        json_extract(line, '$.causation_id'),
        json_extract(line, '$.data')
    FROM journal;
    """,
    """
    CREATE TABLE state (part TEXT PRIMARY KEY, seq INTEGER NOT NULL, value BLOB NOT NULL) STRICT;

    CREATE TRIGGER state_refuses_going_back BEFORE UPDATE ON state WHEN NEW.seq < OLD.seq
    BEGIN SELECT RAISE(ABORT, 'a state never goes back'); END;

    CREATE VIEW batch (first, lines, points, anew, parts, states) AS
    SELECT 0, x'', x'', 0, x'', x'' WHERE 0;

    CREATE TRIGGER batch_is_written INSTEAD OF INSERT ON batch
    BEGIN
        INSERT INTO journal (seq, line)
        SELECT
            NEW.first + key,
            CAST(
                substr(NEW.lines, (value >> 32) + 1, (value & 4294967295) - (value >> 32)) AS TEXT
            )
        FROM json_each(CAST(NEW.points AS TEXT));

        DELETE FROM state WHERE NEW.anew;

        INSERT INTO state (part, seq, value)
        SELECT
            value ->> 0,
            (SELECT coalesce(max(seq), 0) FROM journal),
            coalesce(substr(NEW.states, (value ->> 1) + 1, value ->> 2), x'')
        FROM json_each(CAST(NEW.parts AS TEXT))
        WHERE value ->> 2 >= 0
        ON CONFLICT (part) DO UPDATE SET seq = excluded.seq, value = excluded.value;

        DELETE FROM state WHERE part IN (
            SELECT value ->> 0 FROM json_each(CAST(NEW.parts AS TEXT)) WHERE value ->> 2 < 0
        );
    END;
    """,
    """
    ALTER TABLE journal ADD COLUMN sum BLOB;

    INSERT INTO meta SELECT 'sums_after', CAST(coalesce(max(seq), 0) AS TEXT) FROM journal;

    DROP TRIGGER batch_is_written;

    DROP VIEW batch;

    CREATE VIEW batch (first, lines, points, sums, anew, parts, states) AS
    SELECT 0, x'', x'', x'', 0, x'', x'' WHERE 0;

    CREATE TRIGGER batch_is_written INSTEAD OF INSERT ON batch
    BEGIN
        INSERT INTO journal (seq, line, sum)
        SELECT
            NEW.first + key,
            CAST(
                substr(NEW.lines, (value >> 32) + 1, (value & 4294967295) - (value >> 32)) AS TEXT
            ),
            substr(NEW.sums, 4 * key + 1, 4)
        FROM json_each(CAST(NEW.points AS TEXT));

        DELETE FROM state WHERE NEW.anew;

        INSERT INTO state (part, seq, value)
        SELECT
            value ->> 0,
            (SELECT coalesce(max(seq), 0) FROM journal),
            coalesce(substr(NEW.states, (value ->> 1) + 1, value ->> 2), x'')
        FROM json_each(CAST(NEW.parts AS TEXT))
        WHERE value ->> 2 >= 0
        ON CONFLICT (part) DO UPDATE SET seq = excluded.seq, value = excluded.value;

        DELETE FROM state WHERE part IN (
            SELECT value ->> 0 FROM json_each(CAST(NEW.parts AS TEXT)) WHERE value ->> 2 < 0
        );
    END;
    """,
)

VERSION_OF_STATES = 2
"""The version of the tables since which there are states."""

VERSION_OF_SUMS = 3
"""The version since which entries have checksums; ``sums_after`` says which one had none yet."""

INSERT = """
    INSERT INTO journal (seq, line, sum)
    SELECT
        ? + key,
        CAST(substr(?, (value >> 32) + 1, (value & 4294967295) - (value >> 32)) AS TEXT),
        substr(?, 4 * key + 1, 4)
    FROM json_each(CAST(? AS TEXT))
"""
"""
Add one batch: number of its first line, its lines, and what ``cut`` returns of them.

One statement for a whole batch is one transaction without a BEGIN, one hop to a writer thread,
and one long step that leaves the interpreter free. Measured against ``executemany``, many-row
VALUES and ``json_each`` over the lines themselves: a third to half of their processor time.
"""

INSERT_WITH_STATES = """
    INSERT INTO batch (first, lines, sums, points, anew, parts, states)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
"""
Add one batch and the states after it: as ``INSERT``, then whether all older states are dropped,
and what ``pack_states`` returns. Still one statement, by the trigger of a view: one transaction,
one hop. Measured (3 entries, no sync): 33 us without states, 50 with none changed, 56 with three
of 500 bytes; a sync costs 200 to 800.
"""

ALL_PARTS = ""
"""The part that is none: its row says after which entry all the others hold."""

GONE = -1
"""The length of a part that is no more."""

_encode = msgspec.json.Encoder().encode


def pack_states(changed: Mapping[str, bytes | None]) -> tuple[bytes, bytes]:
    """Return the last two of ``INSERT_WITH_STATES``: names with start and length, and values."""
    parts: list[tuple[str, int, int]] = [(ALL_PARTS, 0, 0)]
    start = 0
    for part, value in changed.items():
        assert part != ALL_PARTS, "a part has a name"
        length = GONE if value is None else len(value)
        parts.append((part, start, length))
        start += max(length, 0)
    return _encode(parts), b"".join(value for value in changed.values() if value)


def cut(lines: bytes, first: int) -> tuple[bytes, bytes]:
    """
    Return the last two of ``INSERT``: the checksum of each of ``lines``, and where each is.

    Where it starts is the upper half of a number, where it ends the lower one.
    """
    points: list[int] = []
    sums: list[int] = []
    add, add_sum = points.append, sums.append
    find, view = lines.find, memoryview(lines)
    start, seq = 0, first
    while (end := find(b"\n", start)) >= 0:
        add(start << 32 | end)
        add_sum(crc32(view[start:end], seq))
        start = end + 1
        seq += 1
    assert start == len(lines), "every line ends with a newline"
    return pack(f">{len(sums)}I", *sums), _encode(points)


def sum_of(seq: int, line: bytes) -> bytes:
    """Return the checksum of an entry: of its line, and of the number that its row has."""
    return crc32(line, seq).to_bytes(4)


def lines_after(
    connection: sqlite3.Connection, path: Path, after: int
) -> Generator[tuple[int, bytes]]:
    """
    Yield number and line of every entry after number ``after``, in order.

    Raises ``JournalDamaged`` for the first whose line is not what was written.
    """
    bare = bare_until(connection)
    column = "NULL" if bare is None else "sum"
    # As bytes: what is no text any more is damaged, and no trouble of SQLite's.
    query = (
        f"SELECT seq, CAST(line AS BLOB), {column} FROM journal "  # noqa: S608 - a name of ours
        "WHERE seq > ? ORDER BY seq"
    )
    for seq, line, found in connection.execute(query, (after,)):
        if found is None and (bare is None or seq <= bare):
            yield seq, line
            continue
        if found != sum_of(seq, line):
            raise JournalDamaged(
                f"{path}: entry {seq} is not what was written: its checksum differs"
            )
        yield seq, line


def bare_until(connection: sqlite3.Connection) -> int | None:
    """Return the last entry without a checksum, 0 for none; ``None`` where no entry has one."""
    if user_version(connection) < VERSION_OF_SUMS:
        return None
    found = connection.execute("SELECT value FROM meta WHERE key = 'sums_after'").fetchone()
    return 0 if found is None else int(found[0])


def create(path: Path, *, page_size: int) -> sqlite3.Connection:
    """
    Open a new journal file, which must not exist or must be empty, without its tables yet.

    The connection may be used by one thread after another.
    """
    if sqlite3.sqlite_version_info < SQLITE_NEEDED:
        needed = ".".join(map(str, SQLITE_NEEDED))
        raise JournalError(f"sqlite {sqlite3.sqlite_version} is too old: {needed} is needed")
    if path.exists() and path.stat().st_size:
        raise JournalError(f"{path}: there is a journal already")
    path.touch()
    connection = connect(path)
    connection.execute(f"PRAGMA page_size = {page_size:d}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
    return connection


def connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open an existing file; each statement is a transaction unless one is begun."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_S,
    )
    # Or INSERT OR REPLACE would delete without the trigger that refuses it.
    connection.execute("PRAGMA recursive_triggers = ON")
    return connection


def open_live(path: Path) -> tuple[sqlite3.Connection, int]:
    """
    Open or create a journal whose every commit is synced; return it with its last number.

    The end of an existing one is checked (see ``check_end``). A file whose making was cut
    short by a crash is made anew.
    """
    created = not path.exists() or not path.stat().st_size
    connection = create(path, page_size=LIVE_PAGE) if created else connect(path)
    last = 0
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # where fsync alone leaves data in the drive
        if not created:
            last = check_end(connection, path)
        use_write_ahead_log(connection, path)
        migrate(connection)
        sync_folder(path.parent)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise explained(error, path) from error
        raise
    return connection, last


def explained(error: sqlite3.Error, path: Path) -> JournalError:
    """Return our error for one of SQLite: damage, or trouble with the machine."""
    if isinstance(error, sqlite3.OperationalError):  # locked, full, not permitted
        return JournalError(f"{path}: {error}")
    return JournalDamaged(f"{path}: {error}")


def use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    """Make commits append to a log; moving it into the file is left to explicit checkpoints."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalError(f"{path}: no write-ahead log here (journal mode {mode})")
    connection.execute("PRAGMA wal_autocheckpoint = 0")


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> int:
    """
    Bring the tables to the newest version in one transaction; return the version found.

    A file of newer tables, or with events of a newer schema, is refused and left as it is.
    """
    found = user_version(connection)
    events = events_version(connection)
    refuse_newer("journal tables are of version", found, len(migrations))
    refuse_newer("events are of schema", events, SCHEMA_VERSION)
    if found < len(migrations) or events < SCHEMA_VERSION:
        steps = "".join(migrations[found:])
        script = (  # integers of our own; PRAGMA takes no parameters
            f"BEGIN IMMEDIATE; {steps}; PRAGMA user_version = {len(migrations):d};"  # noqa: S608
            f"REPLACE INTO meta VALUES ('events_schema_version', '{SCHEMA_VERSION:d}'); COMMIT;"
        )
        try:
            connection.executescript(script)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return found


def refuse_newer(what: str, found: int, known: int) -> None:
    """Raise ``SchemaTooNew`` for a version that this Tidegate cannot know."""
    if found > known:
        raise SchemaTooNew(f"{what} {found}, this Tidegate knows up to {known}")


def user_version(connection: sqlite3.Connection) -> int:
    """Return how many migrations the file has been through."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def events_version(connection: sqlite3.Connection) -> int:
    """Return the newest schema of the events that the file may hold; 0 before it has tables."""
    if not user_version(connection):
        return 0
    query = "SELECT value FROM meta WHERE key = 'events_schema_version'"
    (version,) = connection.execute(query).fetchone()
    return int(version)


def check_file(path: Path) -> int:
    """
    Return what ``check`` returns, for a journal that may be written to meanwhile.

    Takes 3 s for a million entries (590 MB) in memory, as long as the disk takes to read the file
    otherwise; hence not for a start to wait for before it protects anything. From any thread.
    """
    try:
        with closing(connect(path, "ro")) as connection:
            return check(connection, path)
    except sqlite3.Error as error:
        raise explained(error, path) from error


def check(connection: sqlite3.Connection, path: Path) -> int:
    """
    Return the last sequence number after checking the file; raise ``JournalDamaged`` otherwise.

    Checked: that it is a journal, SQLite's own integrity, that numbers run from 1 without a
    gap, and that every line is whole and carries its row's number.
    """
    last = check_end(connection, path)
    # Not the quick one: measured, the full one takes as long where tables have no indexes.
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise JournalDamaged(f"{path}: integrity_check: {' '.join(verdict.split())}")
    if not last:
        return 0
    rows, first, last = connection.execute(
        "SELECT count(*), coalesce(min(seq), 1), coalesce(max(seq), 0) FROM journal"
    ).fetchone()
    if first != 1 or rows != last:
        raise JournalDamaged(
            f"{path}: {rows} entries are numbered from {first} to {last}; expected 1 to {rows}"
        )
    # SQLite's own rules are kept by a line that is another one, or no entry any more, and a start
    # that folds only what came after a snapshot would open over it.
    bare = bare_until(connection)
    broken = connection.execute(_FIRST_BROKEN, (last if bare is None else bare,)).fetchone()
    if broken is not None:
        check_line(path, *broken)
        raise JournalDamaged(f"{path}: entry {broken[0]} is no whole entry")
    for _ in lines_after(connection, path, last if bare is None else bare):
        pass
    return int(last)


_FIRST_BROKEN = """
SELECT seq, line FROM journal
WHERE seq <= ? AND CASE
    WHEN json_valid(line) THEN json_extract(line, '$.seq') IS NOT seq ELSE 1 END
LIMIT 1
"""
"""The first of the entries without a checksum that is broken."""


def check_end(connection: sqlite3.Connection, path: Path) -> int:
    """
    Return the last sequence number; raise ``JournalDamaged`` where nothing can go on after it.

    Checked, in a time that does not depend on the file's size: that it is a journal, and that its
    last line is whole and carries its row's number.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise JournalDamaged(f"{path}: not a Tidegate journal (application id {application:#x})")
    if user_version(connection) == 0:
        return 0  # made, but not yet given its tables when its process died
    found = connection.execute("SELECT seq, line FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    if found is None:
        return 0
    last, line = found
    check_line(path, last, line)
    for _ in lines_after(connection, path, last - 1):
        pass
    return int(last)


def check_line(path: Path, seq: int, line: str) -> None:
    """Raise ``JournalDamaged`` unless ``line`` is a whole entry numbered ``seq``."""
    try:
        entry = decode_line(line)
    except msgspec.DecodeError as error:
        raise JournalDamaged(f"{path}: entry {seq}: {error}") from error
    if entry.seq != seq:
        raise JournalDamaged(f"{path}: row {seq} holds the line of entry {entry.seq}")
