"""The journal of a live session: what it calls durable is on the disk, and an error is the end."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import uvloop
from journal_makers import DEAD, T0, Failing, Remembering, append, fill_journal, stored

from messages import Bar, DeadLetter
from state.journal import Entry, Journal, JournalClosed, JournalFailed, JournalFull, durable, schema
from state.journal.durable import DurableJournal
from state.journal.reader import read_journal


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let every write beyond ``size`` fail as on a full disk, in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_what_is_committed_is_in_the_file(path: Path) -> None:
    """``commit`` returns the last durable number, and others can read up to it."""
    journal = await DurableJournal.open(path)
    append(journal, 3)

    assert await journal.commit() == 3
    assert [1, 2, 3] == stored(path)
    assert journal.durable_seq == 3

    await journal.close()


async def test_nothing_counts_as_durable_before_its_commit(path: Path) -> None:
    """``append`` returns at once and promises nothing."""
    journal = await DurableJournal.open(path)
    append(journal)

    assert journal.durable_seq == 0
    assert stored(path) == []

    await journal.close()


async def test_every_commit_is_synced(path: Path) -> None:
    """The file is in the mode in which SQLite waits for the disk at each commit."""
    journal = await DurableJournal.open(path)
    settings = [
        (await journal._connection.execute_fetchall(f"PRAGMA {name}"))
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
    ]
    await journal.close()

    assert [[("wal",)], [(2,)], [(0,)]] == [list(rows) for rows in settings]


async def test_commits_at_one_time_share_one_transaction(path: Path) -> None:
    """Sixty-four writers wait for two syncs: the first one's, and one for all the others."""
    sink = Remembering()
    journal = await DurableJournal.open(path, sinks=[sink])

    async def writer() -> int:
        number = append(journal)
        return await journal.commit() - number

    behind = await asyncio.gather(*(writer() for _ in range(64)))
    await journal.close()

    assert min(behind) >= 0
    assert len(sink.batches) <= 2
    assert list(range(1, 65)) == stored(path) == [entry.seq for entry in sink.entries]


async def test_sinks_see_an_entry_only_when_it_is_durable(path: Path) -> None:
    """The log never tells of an event that a crash could take back."""
    seen: list[bool] = []

    class Suspicious(Remembering):
        def write(self, entries: Sequence[Entry], lines: bytes) -> None:
            seen.append(stored(path)[-1] >= entries[-1].seq)

    journal = await DurableJournal.open(path, sinks=[Suspicious()])
    for _ in range(5):
        append(journal, 2)
        await journal.commit()
    await journal.close()

    assert seen == [True] * 5


async def test_a_cancelled_waiter_does_not_cancel_the_commit(path: Path) -> None:
    """Whoever stops waiting harms nobody: the entry is written all the same."""
    journal = await DurableJournal.open(path)
    append(journal)
    impatient = asyncio.ensure_future(journal.commit())
    append(journal)
    patient = asyncio.ensure_future(journal.commit())
    await asyncio.wait([impatient], timeout=0)
    impatient.cancel()

    assert await patient == 2
    assert impatient.cancelled()
    assert [1, 2] == stored(path)

    await journal.close()


async def test_an_entry_that_nobody_asks_for_reaches_the_disk_all_the_same(path: Path) -> None:
    """``append`` alone is enough, a moment later."""
    written = asyncio.Event()

    class Telling(Remembering):
        def write(self, entries: Sequence[Entry], lines: bytes) -> None:
            written.set()

    journal = await DurableJournal.open(path, sinks=[Telling()])
    append(journal)
    await written.wait()

    assert journal.durable_seq == 1
    assert [1] == stored(path)

    await journal.close()


async def test_a_full_disk_is_the_end(path: Path) -> None:
    """The waiter gets the error, and everybody after it: nothing more is taken or tried."""
    told: list[JournalFailed] = []
    sink = Remembering()
    journal = await DurableJournal.open(path, sinks=[sink], on_failure=told.append)
    append(journal)
    await journal.commit()
    size = path.with_name("journal.sqlite-wal").stat().st_size

    with files_no_larger_than(size + 4096):
        for _ in range(300):
            journal.append(T0, "execution", "", "", DeadLetter("a", T0, "b", "c", "d" * 1000))
        with pytest.raises(
            JournalFailed, match=r"entries 2 to 301 are not durable: disk I/O error|full"
        ):
            await journal.commit()

    for _ in range(2):  # the disk has room again; the journal does not ask
        with pytest.raises(JournalFailed):
            append(journal)
        with pytest.raises(JournalFailed):
            await journal.commit()
    with pytest.raises(JournalFailed):
        await journal.close()
    assert len(told) == 1
    assert [1] == [entry.seq for entry in sink.entries] == stored(path)
    assert sink.closed == 1


async def test_a_second_writer_is_the_end_of_the_first(path: Path) -> None:
    """If another process took the next number, nothing of ours may be called durable."""
    journal = await DurableJournal.open(path)
    append(journal)
    await journal.commit()
    with closing(schema.connect(path)) as intruder:
        intruder.execute("INSERT INTO journal VALUES (2, '{}', x'00')")
    append(journal)

    with pytest.raises(JournalFailed, match="UNIQUE constraint failed"):
        await journal.commit()
    assert journal.durable_seq == 1
    with pytest.raises(JournalFailed):
        await journal.close()


async def test_a_failed_sink_is_the_end(path: Path) -> None:
    """A log that silently lacks events is worse than a session that stops."""
    failed = asyncio.Event()
    journal = await DurableJournal.open(
        path, sinks=[Failing(good=1)], on_failure=lambda _: failed.set()
    )
    append(journal)
    await journal.commit()
    append(journal)
    await journal.commit()
    await failed.wait()

    with pytest.raises(JournalFailed, match="No space left on device"):
        append(journal)
    with pytest.raises(JournalFailed):
        await journal.close()


async def test_a_message_that_cannot_be_written_is_the_end(path: Path) -> None:
    """There is no entry to leave out: numbers have no gap."""
    journal = await DurableJournal.open(path)
    journal.append(T0, "\ud800", "", "", DEAD)

    with pytest.raises(JournalFailed, match="entries 1 to 1 are not durable"):
        await journal.commit()
    with pytest.raises(JournalFailed):
        await journal.close()


async def test_a_message_that_is_not_journaled_is_refused_and_takes_no_number(path: Path) -> None:
    """That is the sender's error, not the journal's: it goes on."""
    journal = await DurableJournal.open(path)
    with pytest.raises(TypeError, match=r"Bar is not a journaled message"):
        journal.append(T0, "feed", "", "", Bar("X", T0, 1.0, 1.0, 1.0, 1.0, 1.0, 60_000))

    assert append(journal) == 1

    await journal.close()


async def test_too_much_waiting_for_the_disk_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refused entry is not in the journal; once the disk has caught up, entries are taken."""
    monkeypatch.setattr(durable, "UNCOMMITTED", 10)
    journal = await DurableJournal.open(path)
    append(journal, 10)

    with pytest.raises(JournalFull, match="10 entries wait for the disk"):
        append(journal)
    await journal.commit()

    assert append(journal, 10) == 20

    await journal.close()
    assert list(range(1, 21)) == stored(path)


async def test_a_large_backlog_is_committed_in_bounded_steps(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No single commit grows without bound; the waiter gets all it asked for."""
    monkeypatch.setattr(durable, "COMMIT_ENTRIES", 8)
    sink = Remembering()
    journal = await DurableJournal.open(path, sinks=[sink])
    append(journal, 20)

    assert await journal.commit() == 20

    await journal.close()
    assert [8, 8, 4] == [len(batch) for batch in sink.batches]


async def test_closing_commits_what_is_left(path: Path) -> None:
    """Closing twice is no error; appending after it is."""
    sink = Remembering()
    journal = await DurableJournal.open(path, sinks=[sink])
    append(journal, 5)
    await journal.close()
    await journal.close()

    with pytest.raises(JournalClosed):
        append(journal)
    assert [1, 2, 3, 4, 5] == stored(path) == [entry.seq for entry in sink.entries]
    assert sink.closed == 1


@pytest.mark.parametrize("is_read", [False, True])
async def test_a_closed_journal_is_one_plain_file(path: Path, is_read: bool) -> None:
    """
    Whoever archives a session copies one file, and reading it leaves nothing beside it. A reader
    at the wrong moment keeps its log there, and hinders nothing.
    """
    journal = await DurableJournal.open(path)
    append(journal, 5)
    await journal.commit()
    reader = read_journal(path)
    if is_read:
        next(reader)
    await journal.close()
    reader.close()

    assert [1, 2, 3, 4, 5] == stored(path)
    left = {found.name for found in path.parent.iterdir()}
    assert left == {"journal.sqlite"} or is_read


async def test_a_cancelled_close_can_be_repeated(path: Path) -> None:
    """The last commit is not lost when whoever closes is cancelled."""
    journal = await DurableJournal.open(path)
    append(journal, 5)
    closing_it = asyncio.ensure_future(journal.close())
    await asyncio.wait([closing_it], timeout=0)
    closing_it.cancel()
    await asyncio.wait([closing_it])
    await journal.close()

    assert [1, 2, 3, 4, 5] == stored(path)


async def test_giving_up_keeps_nobody_waiting(path: Path) -> None:
    """``abort`` is synchronous, may be repeated, and answers every waiter."""
    journal = await DurableJournal.open(path)
    append(journal)
    waiter = asyncio.ensure_future(journal.commit())
    await asyncio.wait([waiter], timeout=0)
    journal.abort()
    journal.abort()

    with pytest.raises(JournalFailed, match="aborted"):
        await waiter
    with pytest.raises(JournalFailed, match="aborted"):
        append(journal)
    with pytest.raises(JournalFailed):
        await journal.close()


async def test_giving_up_after_a_clean_end_changes_nothing(path: Path) -> None:
    """The way out of a process may call ``abort`` without knowing how far it got."""
    told: list[JournalFailed] = []
    journal = await DurableJournal.open(path, on_failure=told.append)
    await journal.close()
    journal.abort()

    assert told == []


def test_it_runs_on_uvloop_as_well(path: Path) -> None:
    """The loop of live sessions changes nothing."""

    async def session() -> int:
        journal = await DurableJournal.open(path)
        append(journal, 3)
        durable_seq = await journal.commit()
        append(journal, 2)
        await journal.close()
        return durable_seq

    assert uvloop.run(session()) == 3
    assert [1, 2, 3, 4, 5] == stored(path)


async def test_both_journals_write_the_same_lines(path: Path) -> None:
    """What a simulation rehearses is what a live session does."""
    live, simulated = Remembering(), Remembering()
    simulation = Journal([simulated])
    journal = await DurableJournal.open(path, sinks=[live])
    for each in (simulation, journal):
        fill_journal(each, 10)
    simulation.close()
    await journal.close()

    assert simulated.lines == live.lines
    assert simulated.entries == list(read_journal(path))
