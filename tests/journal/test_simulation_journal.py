"""The journal of a simulation: numbers, batches, sinks, and one end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_makers import DEAD, T0, Failing, Remembering, fill_journal, gap, write_session

from messages import Bar
from state.journal import Journal, JournalClosed, JournalError, JournalFailed
from state.journal.bulk import SqliteSink
from state.journal.reader import read_journal, read_lines


@given(st.integers(0, 40), st.integers(1, 15))
def test_every_sink_gets_every_entry_once_in_order(count: int, batch: int) -> None:
    """Numbers start at 1 and have no gap, whatever the batch; closing delivers the rest."""
    sinks = [Remembering(), Remembering()]
    journal = Journal(sinks, batch=batch)

    given_numbers = [journal.append(T0, "feed", "", "", gap(n)) for n in range(count)]
    journal.close()

    assert list(range(1, count + 1)) == given_numbers
    for sink in sinks:
        assert given_numbers == [entry.seq for entry in sink.entries]
        assert count == sink.lines.count(b"\n")
        assert sink.closed == 1


def test_memory_is_bounded_by_the_batch() -> None:
    """No more than one batch waits, and none is larger."""
    sink = Remembering()
    journal = Journal([sink], batch=10)

    fill_journal(journal, 25)

    assert [10, 10] == [len(batch) for batch in sink.batches]


async def test_everything_is_durable_at_once() -> None:
    """Simulated time does not pass while the journal writes."""
    journal = Journal([])
    fill_journal(journal, 3)

    assert await journal.commit() == 3
    assert journal.durable_seq == 3


def test_a_refused_message_takes_no_number() -> None:
    """After a message that may not be journaled the numbers go on without a gap."""
    journal = Journal([])
    fill_journal(journal, 2)

    with pytest.raises(TypeError):
        journal.append(T0, "feed", "", "", Bar("X", T0, 1.0, 1.0, 1.0, 1.0, 1.0, 60_000))

    assert journal.append(T0, "feed", "", "", DEAD) == 3


def test_a_failed_sink_is_final() -> None:
    """The entry that met the error, and every later call, raise; nothing is tried again."""
    sink = Failing(good=1)
    journal = Journal([sink], batch=2)
    fill_journal(journal, 2)
    journal.append(T0, "feed", "", "", DEAD)

    with pytest.raises(JournalFailed, match=r"entries 3 to 4: .*No space left"):
        journal.append(T0, "feed", "", "", DEAD)
    with pytest.raises(JournalFailed, match="failed earlier"):
        journal.flush()
    with pytest.raises(JournalFailed):
        journal.close()

    assert [1, 2] == [entry.seq for entry in sink.entries]
    assert sink.closed == 1


def test_a_closed_journal_takes_nothing_more() -> None:
    """Closing twice is no error; writing after it is."""
    sink = Remembering()
    journal = Journal([sink], batch=1)
    journal.close()
    journal.close()

    with pytest.raises(JournalClosed):
        journal.append(T0, "feed", "", "", DEAD)

    assert sink.closed == 1


def test_the_file_and_the_log_hold_the_same_lines(tmp_path: Path) -> None:
    """journal.sqlite and events.ndjson are two forms of one thing."""
    journal, events = write_session(tmp_path, 100)

    lines = list(read_lines(journal))

    assert events.read_bytes() == b"".join(line + b"\n" for line in lines)
    assert list(range(1, 101)) == [entry.seq for entry in read_journal(journal)]


def test_lines_of_any_length_and_alphabet_are_cut_apart_exactly(tmp_path: Path) -> None:
    """Cutting lines counts bytes, not characters."""
    texts = ["", "ü", "日本" * 5000, 'quote " and \\ and \n newline', "x" * 100_000]
    sink, log = SqliteSink(tmp_path / "journal.sqlite"), Remembering()
    journal = Journal([sink, log])
    for text in texts:
        journal.append(T0, text, text, text, DEAD)
    journal.close()

    assert log.entries == list(read_journal(tmp_path / "journal.sqlite"))


def test_an_existing_journal_is_never_written_over(tmp_path: Path) -> None:
    """The one truth of a session is not replaced by a second simulation."""
    journal, _ = write_session(tmp_path, 3)

    with pytest.raises(JournalError, match="there is a journal already"):
        SqliteSink(journal)

    assert len(list(read_journal(journal))) == 3


def test_other_programs_see_the_parts_of_a_line_as_columns(tmp_path: Path) -> None:
    """The view ``events`` serves whoever has SQLite and nothing else."""
    journal, _ = write_session(tmp_path, 2)
    with sqlite3.connect(journal) as connection:
        row = connection.execute("SELECT * FROM events WHERE type = 'FeedGap'").fetchone()
    connection.close()

    assert (1, T0 + 1, "FeedGap", "feed", "c1", "bar") == row[:6]
    assert '"missing":1' in row[6]
