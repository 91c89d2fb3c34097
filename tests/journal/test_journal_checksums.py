"""A byte of an entry that is another one on the disk is found, and the entry is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_makers import fill_journal, write_session

from state.journal import JournalDamaged, schema
from state.journal.durable import DurableJournal
from state.journal.entry import decode_line
from state.journal.reader import line_at, read_journal, read_lines

ENTRIES = 400
"""More than fit on one page, in either kind of file."""

SOUND = "ok"


@pytest.fixture(params=["live", "simulated"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a closed journal of many entries."""
    if request.param == "simulated":
        return write_session(tmp_path, ENTRIES)[0]
    path = tmp_path / "journal.sqlite"
    live = await DurableJournal.open(path)
    fill_journal(live, ENTRIES)
    await live.commit()
    await live.close()
    return path


def place_of(path: Path, seq: int) -> tuple[int, bytes]:
    """Return where in the file the line of an entry begins, and the line."""
    line = line_at(path, seq)
    assert line is not None
    content = path.read_bytes()
    assert 1 == content.count(line)
    return content.index(line), line


def change(path: Path, at: int, into: bytes) -> None:
    """Let bytes of a file be others."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(into)


def integrity(path: Path) -> str:
    """Return what SQLite itself says of a file."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


@pytest.mark.parametrize("seq", [1, 7, 200, ENTRIES - 1, ENTRIES])
@pytest.mark.parametrize("what", [b'"missing":', b'"after":', b'"ts":1', b'"source":"'])
def test_a_digit_that_has_become_another_is_found_in_any_entry(
    journal: Path, seq: int, what: bytes
) -> None:
    """The line is still an entry, and SQLite sees nothing: only the checksum tells."""
    at, line = place_of(journal, seq)
    within = line.index(what) + len(what)
    change(journal, at + within, bytes([line[within] ^ 1]))
    assert SOUND == integrity(journal)

    with pytest.raises(JournalDamaged, match=rf"entry {seq} is not what was written"):
        schema.check_file(journal)
    with pytest.raises(JournalDamaged, match=rf"entry {seq} is not what was written"):
        list(read_journal(journal))


@pytest.mark.parametrize("seq", [7, ENTRIES])
@pytest.mark.parametrize("place", range(4))
def test_a_checksum_that_has_become_another_is_found_too(
    journal: Path, seq: int, place: int
) -> None:
    """It lies right after its line."""
    at, line = place_of(journal, seq)
    found = at + len(line) + place
    change(journal, found, bytes([journal.read_bytes()[found] ^ 0x10]))

    with pytest.raises(JournalDamaged, match=rf"entry {seq} is not what was written"):
        schema.check_file(journal)


def test_a_line_that_is_no_text_any_more_is_found(journal: Path) -> None:
    """Whatever SQLite would make of it."""
    at, _ = place_of(journal, 7)
    change(journal, at + 20, b"\xff")

    with pytest.raises(JournalDamaged, match="entry 7 is not what was written"):
        list(read_lines(journal))


def test_two_lines_that_have_changed_places_are_found(journal: Path) -> None:
    """Each is whole, with its checksum; but the number of its row is part of that."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER journal_refuses_update")
        line, found = connection.execute("SELECT line, sum FROM journal WHERE seq = 8").fetchone()
        connection.execute("UPDATE journal SET line = ?, sum = ? WHERE seq = 7", (line, found))

    with pytest.raises(JournalDamaged, match="entry 7 is not what was written"):
        list(read_lines(journal))


def test_without_the_checksum_nobody_would_know(journal: Path) -> None:
    """Ablation: with a checksum of the changed line all checks pass, and the entry is another."""
    at, line = place_of(journal, 7)
    within = line.index(b'"missing":') + len(b'"missing":')
    changed = bytes([*line[:within], line[within] ^ 1, *line[within + 1 :]])
    change(journal, at, changed + schema.sum_of(7, changed))

    assert ENTRIES == schema.check_file(journal)
    assert decode_line(line) != list(read_journal(journal))[6]


async def test_a_journal_of_before_has_checksums_from_here_on(tmp_path: Path) -> None:
    """Its entries are read as ever, since nobody can say any more what was written."""
    path = tmp_path / "journal.sqlite"
    _, events = write_session(tmp_path / "other", 3)
    with closing(schema.create(path, page_size=4096)) as connection:
        schema.use_write_ahead_log(connection, path)
        schema.migrate(connection, schema.MIGRATIONS[: schema.VERSION_OF_SUMS - 1])
        lines = enumerate(events.read_text().splitlines(), 1)
        connection.executemany("INSERT INTO journal VALUES (?, ?)", lines)
    assert 3 == len(list(read_journal(path)))

    live = await DurableJournal.open(path)
    fill_journal(live, 3)
    await live.commit()
    await live.close()

    assert 6 == schema.check_file(path)
    at, line = place_of(path, 5)
    change(path, at + len(line) - 4, b"7")
    with pytest.raises(JournalDamaged, match="entry 5 is not what was written"):
        list(read_journal(path))


async def test_an_entry_that_has_lost_its_checksum_is_damaged(journal: Path) -> None:
    """None at all is for entries of before."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER journal_refuses_update")
        connection.execute("UPDATE journal SET sum = NULL WHERE seq = 7")

    with pytest.raises(JournalDamaged, match="entry 7 is not what was written"):
        list(read_journal(journal))
