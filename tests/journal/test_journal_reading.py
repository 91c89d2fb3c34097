"""Journals read back: whole, in order, or one clear error that names the entry."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_makers import DEAD, MESSAGES, T0, fill_journal, gap, write_session

from messages import SCHEMA_VERSION, Message
from state.journal import Journal, JournalDamaged, JournalError, make_entry
from state.journal.bulk import SqliteSink
from state.journal.durable import DurableJournal
from state.journal.reader import first_difference, read_journal, read_lines
from state.ndjson import NdjsonSink


@settings(max_examples=30)
@given(messages=st.lists(MESSAGES, max_size=5))
def test_a_journal_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Message]
) -> None:
    """Either file gives back every entry with its message."""
    folder = tmp_path_factory.mktemp("session")
    rows, log = folder / "journal.sqlite", folder / "events.ndjson"
    journal = Journal([SqliteSink(rows), NdjsonSink(log)], batch=2)
    for message in messages:
        journal.append(T0, "source", "order", "bar", message)
    journal.close()

    expected = [
        make_entry(number, T0, "source", "order", "bar", message)
        for number, message in enumerate(messages, 1)
    ]
    assert expected == list(read_journal(rows)) == list(read_journal(log))


@pytest.mark.parametrize("form", [0, 1], ids=["sqlite", "ndjson"])
def test_reading_starts_where_it_is_asked_to(tmp_path: Path, form: int) -> None:
    """What comes after a snapshot's number is all that has to be read."""
    path = write_session(tmp_path, 10)[form]

    assert [8, 9, 10] == [entry.seq for entry in read_journal(path, after=7)]
    assert [] == list(read_lines(path, after=10))


def test_reading_disturbs_no_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A journal in a place that nobody can write to is read as any other."""
    path, _ = write_session(tmp_path, 5)
    path.chmod(0o400)
    before = sorted(path.parent.iterdir())

    assert len(list(read_journal(path))) == 5
    assert before == sorted(path.parent.iterdir())


def test_a_line_that_is_cut_off_is_named(tmp_path: Path) -> None:
    """A crash may tear the log's last line; reading it is an error, not a shorter log."""
    _, log = write_session(tmp_path, 5)
    os.truncate(log, log.stat().st_size - 10)

    with pytest.raises(JournalDamaged, match=r"events\.ndjson: entry 5 is cut off: b'\{\"type\""):
        list(read_journal(log))


def test_an_event_of_unknown_type_is_named(tmp_path: Path) -> None:
    """Better no projection than one that skips what it does not understand."""
    _, log = write_session(tmp_path, 3)
    log.write_bytes(
        log.read_bytes().replace(b'{"type":"FeedGap","seq":2', b'{"type":"New","seq":2')
    )

    schema = f"schema {SCHEMA_VERSION}"
    with pytest.raises(JournalDamaged, match=rf"entry 2 is of unknown type 'New'; .* {schema}"):
        list(read_journal(log))


def test_a_field_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """The error says which entry, which type, which field, what was expected and found."""
    _, log = write_session(tmp_path, 3)
    log.write_bytes(log.read_bytes().replace(b'"after":2', b'"after":"2"'))

    with pytest.raises(
        JournalDamaged,
        match=r"entry 2 \(FeedGap\): Expected `int`, got `str` - at `\$\.data\.after`",
    ):
        list(read_journal(log))


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    """Whatever stands there is shown, shortened."""
    _, log = write_session(tmp_path, 3)
    log.write_bytes(log.read_bytes() + b"x" * 500 + b"\n")

    with pytest.raises(JournalDamaged, match=r"entry 4 is not an event: b'x{80}\.\.\.'"):
        list(read_journal(log))


def test_lines_out_of_order_are_found(tmp_path: Path) -> None:
    """The number in the line is the order, not the line's place."""
    _, log = write_session(tmp_path, 3)
    first, second, third = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first + third + second)

    with pytest.raises(JournalDamaged, match=r"expected entry 2, found 3"):
        list(read_journal(log))


def test_a_missing_row_is_found_while_reading(tmp_path: Path) -> None:
    """A gap is found where it is, even by who did not check the whole file first."""
    path, _ = write_session(tmp_path, 5)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER journal_refuses_delete")
        connection.execute("DELETE FROM journal WHERE seq = 3")

    with pytest.raises(JournalDamaged, match=r"expected entry 3, found 4"):
        list(read_journal(path))


def test_a_file_without_tables_is_an_error_of_ours(tmp_path: Path) -> None:
    """SQLite's errors reach the caller as a JournalError with the file's name."""
    path, _ = write_session(tmp_path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("DROP VIEW events; DROP TABLE journal;")

    with pytest.raises(JournalError, match=r"journal\.sqlite: no such table: journal"):
        list(read_journal(path))


def test_two_runs_of_one_session_do_not_differ(tmp_path: Path) -> None:
    """Rows and lines compare, in either form and across them."""
    one, one_log = write_session(tmp_path / "one", 30)
    two, two_log = write_session(tmp_path / "two", 30)

    for first, second in ((one, two), (one_log, two_log), (one, two_log)):
        assert first_difference(first, second) is None


def test_the_first_difference_is_named_with_its_field(tmp_path: Path) -> None:
    """The entry, its type, the field and both values: what an operator needs to look there."""
    one, _ = write_session(tmp_path / "one", 30)
    _, two = write_session(tmp_path / "two", 30, changed={17: gap(99), 20: DEAD})

    difference = first_difference(one, two)

    assert difference is not None
    assert difference.seq == 17
    assert '"after":17' in str(difference.first)
    assert '"after":99' in str(difference.second)
    assert str(difference) == "entry 17 (FeedGap) differs in data.after: 17 and 99"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (3, "entry 4 (FeedGap) is in the second journal only"),
        (7, "entry 6 (FeedGap) is in the first journal only"),
    ],
)
def test_a_run_that_ended_earlier_differs_where_it_ended(
    tmp_path: Path, count: int, text: str
) -> None:
    """A beginning of a journal is not the same journal."""
    one, _ = write_session(tmp_path / "one", count)
    two, _ = write_session(tmp_path / "two", 5)

    assert text == str(first_difference(one, two))


def test_a_torn_line_differs_from_the_whole_one(tmp_path: Path) -> None:
    """Comparing needs no line to be readable."""
    one, log = write_session(tmp_path, 3)
    os.truncate(log, log.stat().st_size - 5)

    difference = first_difference(one, log)

    assert difference is not None
    assert difference.seq == 3


async def test_a_journal_that_is_being_written_can_be_read(tmp_path: Path) -> None:
    """Whoever reads sees what is committed, and the writer does not notice."""
    path = tmp_path / "journal.sqlite"
    journal = await DurableJournal.open(path)
    fill_journal(journal, 3)
    await journal.commit()
    reader = read_journal(path)
    first = next(reader)
    fill_journal(journal, 3)
    await journal.commit()
    rest = list(reader)
    await journal.close()

    assert [1, 2, 3] == [entry.seq for entry in (first, *rest)]
    assert len(list(read_journal(path))) == 6
