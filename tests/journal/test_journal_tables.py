"""The journal's file: append-only, versioned, checked before it is believed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from journal_makers import T0, write_session
from message_examples import example

from messages import SCHEMA_VERSION
from state.journal import (
    Journal,
    JournalDamaged,
    JournalError,
    SchemaTooNew,
    journaled_types,
    schema,
)
from state.journal.bulk import SqliteSink
from state.journal.limits import SIMULATION_PAGE
from state.journal.reader import read_journal

NEXT = "CREATE TABLE note (text TEXT NOT NULL) STRICT;"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path, _ = write_session(tmp_path, 20)
    return path


def damage(path: Path, *statements: str) -> None:
    """Change rows behind the journal's back, as nothing but a broken disk or a hand would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER journal_refuses_update")
        connection.execute("DROP TRIGGER journal_refuses_delete")
        for statement in statements:
            connection.execute(statement)


def check(path: Path) -> int:
    with closing(schema.connect(path)) as connection:
        return schema.check(connection, path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET line = '{}' WHERE seq = 3",
        "UPDATE journal SET seq = 99 WHERE seq = 3",
        "DELETE FROM journal WHERE seq = 20",
        "DELETE FROM journal",
        "REPLACE INTO journal VALUES (3, '{}', x'00')",
    ],
)
def test_rows_are_only_ever_added(journal: Path, statement: str) -> None:
    """What was written can be neither changed nor removed nor replaced."""
    before = list(read_journal(journal))
    with (
        closing(schema.connect(journal)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(statement)

    assert before == list(read_journal(journal))


def test_columns_refuse_values_of_another_type(journal: Path) -> None:
    """Tables are STRICT: no text where a number belongs, no bytes where text does."""
    with (
        closing(schema.connect(journal)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="cannot store BLOB value in TEXT column"),
    ):
        connection.execute("INSERT INTO journal VALUES (21, x'00', x'00')")


def test_an_older_file_is_brought_up_to_date_with_its_rows(journal: Path) -> None:
    """Only the migrations that it has not been through run; the rows stay as they are."""
    rows = list(read_journal(journal))
    with closing(schema.connect(journal)) as connection:
        found = schema.migrate(connection, (*schema.MIGRATIONS, NEXT))
        now = schema.user_version(connection)
        notes = connection.execute("SELECT count(*) FROM note").fetchone()

    assert (len(schema.MIGRATIONS), len(schema.MIGRATIONS) + 1, (0,)) == (found, now, notes)
    with pytest.raises(SchemaTooNew, match=r"tables are of version 4, this Tidegate knows up to 3"):
        list(read_journal(journal))
    assert len(rows) == 20


def test_a_failed_migration_leaves_the_file_as_it_was(journal: Path) -> None:
    """All steps are one transaction: a file is never between two versions."""
    broken = (*schema.MIGRATIONS, NEXT, "CREATE TABLE broken (")
    with closing(schema.connect(journal)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection, broken)
        version = schema.user_version(connection)
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE name = 'note'").fetchall()

    assert (len(schema.MIGRATIONS), []) == (version, tables)
    assert len(list(read_journal(journal))) == 20


def test_events_of_an_older_schema_are_marked_as_continued(journal: Path) -> None:
    """A file that goes on with newer events says so, so that an older Tidegate refuses it."""
    with closing(schema.connect(journal)) as connection:
        connection.execute("UPDATE meta SET value = '0'")
        schema.migrate(connection)
        continued = schema.events_version(connection)
        connection.execute("UPDATE meta SET value = '999'")

    assert continued == SCHEMA_VERSION
    with pytest.raises(SchemaTooNew, match=r"events are of schema 999"):
        list(read_journal(journal))


def test_every_class_of_event_is_a_row_of_the_view_with_its_fields(tmp_path: Path) -> None:
    """Commands, kills and circuits can be asked for by SQL like orders: by type, by field."""
    path = tmp_path / "journal.sqlite"
    journal = Journal([SqliteSink(path)])
    found = [example(kind) for kind in journaled_types()]
    for message in found:
        journal.append(T0, "test", "c", "", message)
    journal.close()
    with closing(schema.connect(path)) as connection:
        rows = connection.execute(
            "SELECT type, json_extract(data, '$.type'), data FROM events ORDER BY seq"
        ).fetchall()

    names = [kind.__name__ for kind in journaled_types()]
    assert names == [row[0] for row in rows] == [row[1] for row in rows]
    assert found == [
        msgspec.json.decode(row[2], type=type(m)) for row, m in zip(rows, found, strict=True)
    ]
    assert {"OperatorCommand", "KillReport", "CircuitOpened", "OperatorReduce"} <= set(names)


def test_a_sound_file_tells_its_last_number(journal: Path) -> None:
    """The check of a whole file returns where numbering goes on."""
    assert check(journal) == 20


def test_a_missing_row_is_found(journal: Path) -> None:
    """Numbers run from 1 without a gap, or the file is not believed."""
    damage(journal, "DELETE FROM journal WHERE seq = 7")

    with pytest.raises(JournalDamaged, match=r"19 entries are numbered from 1 to 20"):
        check(journal)


def test_a_missing_beginning_is_found(journal: Path) -> None:
    """A journal without its first entry explains nothing."""
    damage(journal, "DELETE FROM journal WHERE seq = 1")

    with pytest.raises(JournalDamaged, match=r"19 entries are numbered from 2 to 20"):
        check(journal)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('\'{"type":"FeedGap","se\'', "entry 20: "),
        ("(SELECT line FROM journal WHERE seq = 19)", "row 20 holds the line of entry 19"),
    ],
)
def test_a_damaged_last_line_is_found(journal: Path, line: str, complaint: str) -> None:
    """The last row is whole and carries its own number."""
    damage(journal, f"UPDATE journal SET line = {line} WHERE seq = 20")

    with pytest.raises(JournalDamaged, match=complaint):
        check(journal)


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    """SQLite's own check runs before a file is believed."""
    path, _ = write_session(tmp_path, 3000)
    content = bytearray(path.read_bytes())
    content[5 * SIMULATION_PAGE : 5 * SIMULATION_PAGE + 64] = bytes(64)
    path.write_bytes(content)

    with pytest.raises((JournalDamaged, sqlite3.DatabaseError)):
        check(path)


def test_a_stranger_among_the_files_is_refused(tmp_path: Path) -> None:
    """Another program's database is not read as a journal, whatever its tables."""
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, line TEXT)")

    with pytest.raises(JournalDamaged, match=r"not a Tidegate journal"):
        check(path)
    with pytest.raises(JournalDamaged, match=r"not a Tidegate journal"):
        list(read_journal(path))


def test_an_sqlite_without_strict_tables_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names both versions, before any file is made."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.31.1")
    path = tmp_path / "journal.sqlite"

    with pytest.raises(JournalError, match=r"sqlite 3\.31\.1 is too old: 3\.38\.0 is needed"):
        schema.create(path, page_size=4096)
    assert not path.exists()
