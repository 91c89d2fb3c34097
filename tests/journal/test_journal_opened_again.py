"""A live session's journal that is opened again: gone on with, made anew, or refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from journal_makers import append, stored, write_session

from state.journal import JournalDamaged, SchemaTooNew, schema
from state.journal.durable import DurableJournal


async def test_a_journal_that_is_opened_again_goes_on(path: Path) -> None:
    """Numbers continue after the last one; what was there stays."""
    for expected in (2, 4, 6):
        journal = await DurableJournal.open(path)
        append(journal, 2)
        await journal.close()

        assert list(range(1, expected + 1)) == stored(path)


async def test_the_file_of_a_dead_session_goes_on(path: Path) -> None:
    """What was committed before the process died is there, and numbering goes on after it."""
    journal = await DurableJournal.open(path)
    append(journal, 3)
    await journal.commit()
    append(journal, 2)
    journal.abort()

    again = await DurableJournal.open(path)
    found = again.seq
    append(again)
    await again.close()

    assert found == 3
    assert [1, 2, 3, 4] == stored(path)


@pytest.mark.parametrize("made", ["empty", "named", "logged"])
async def test_a_file_whose_making_was_cut_short_is_made_anew(path: Path, made: str) -> None:
    """A crash while a journal is being created leaves nothing that blocks the next start."""
    with closing(schema.create(path, page_size=4096)) as connection:
        if made == "logged":
            connection.execute("PRAGMA journal_mode = WAL")
    if made == "empty":
        os.truncate(path, 0)

    journal = await DurableJournal.open(path)
    append(journal)
    await journal.close()

    assert [1] == stored(path)


async def test_a_journal_whose_end_is_damaged_is_refused(path: Path) -> None:
    """Nothing is appended to what cannot be believed, and no thread stays behind."""
    write_session(path.parent, 9)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER journal_refuses_update")
        connection.execute('UPDATE journal SET line = \'{"type":"FeedG\' WHERE seq = 9')
    threads = threading.active_count()

    with pytest.raises(JournalDamaged, match=r"entry 9: "):
        await DurableJournal.open(path)
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(5)

    assert threading.active_count() <= threads


async def test_a_journal_in_use_is_checked_whole_and_damage_is_named(path: Path) -> None:
    """A missing entry far from the end is found while the session already writes."""
    write_session(path.parent, 9)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER journal_refuses_delete")
        connection.execute("DELETE FROM journal WHERE seq = 4")
    journal = await DurableJournal.open(path)
    append(journal)
    await journal.commit()

    with pytest.raises(JournalDamaged, match=r"9 entries are numbered from 1 to 10"):
        schema.check_file(path)

    await journal.close()


def test_pages_that_are_not_what_they_were_are_found(path: Path) -> None:
    """A page of zeros in the middle of the file is damage, whatever it had held."""
    write_session(path.parent, 900)
    assert schema.check_file(path) == 900
    content = bytearray(path.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    middle = len(content) // page // 2 * page
    content[middle : middle + page] = bytes(page)
    path.write_bytes(content)

    with pytest.raises(JournalDamaged, match=r"integrity_check"):
        schema.check_file(path)


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """The error names the file."""
    shutil.copy(__file__, path)

    with pytest.raises(JournalDamaged, match=r"journal\.sqlite: file is not a database"):
        await DurableJournal.open(path)


async def test_a_journal_of_a_newer_tidegate_is_refused(path: Path) -> None:
    """An older program does not write into tables that it does not know."""
    await (await DurableJournal.open(path)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(SchemaTooNew, match=r"version 99"):
        await DurableJournal.open(path)
