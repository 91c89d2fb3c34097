"""The journal of a live session: what it calls durable is on the disk, and an error is the end."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvloop
from journal_makers import DEAD, T0, Failing, Remembering, fill_journal, gap, write_session

from messages import Bar, DeadLetter
from state.journal import (
    Entry,
    Journal,
    JournalClosed,
    JournalDamaged,
    JournalFailed,
    JournalFull,
    SchemaTooNew,
    durable,
    schema,
)
from state.journal.durable import DurableJournal
from state.journal.reader import read_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def stored(path: Path) -> list[int]:
    """Return the numbers that another process would find in the file now."""
    return [entry.seq for entry in read_journal(path)]


def size_of(path: Path) -> int:
    return path.stat().st_size


def append(journal: DurableJournal, count: int = 1) -> int:
    for _ in range(count):
        journal.append(T0, "execution", "order-1", "bar", gap(journal.seq))
    return journal.seq


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


async def test_the_write_ahead_log_is_moved_into_the_file_in_a_quiet_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment after the last commit; the next ones then use the same log from its start."""
    monkeypatch.setattr(durable, "CHECKPOINT_PAGES", 20)
    journal = await DurableJournal.open(path)
    log = path.with_name("journal.sqlite-wal")
    checkpointed = asyncio.Event()
    original = journal._checkpoint

    async def checkpoint() -> None:
        await original()
        checkpointed.set()

    monkeypatch.setattr(journal, "_checkpoint", checkpoint)
    for _ in range(30):
        append(journal, 5)
        await journal.commit()
    busy = size_of(log)
    await checkpointed.wait()
    in_file = size_of(path)
    for _ in range(5):
        append(journal, 1)
        await journal.commit()
    after = size_of(log)
    await journal.close()

    assert busy == after
    assert in_file >= 150 * 100
    assert len(stored(path)) == 155


async def test_a_quiet_moment_comes_after_a_commit_that_outlasted_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the disk is, the log is moved once nobody waits for it."""
    monkeypatch.setattr(durable, "CHECKPOINT_PAGES", 1)
    journal = await DurableJournal.open(path)
    checkpointed, lingered = asyncio.Event(), asyncio.Event()
    move, linger = journal._checkpoint, journal._lingered
    execute = journal._connection.execute_fetchall

    async def checkpoint() -> None:
        await move()
        checkpointed.set()

    def met() -> None:
        linger()
        lingered.set()

    async def slowly(*given: Any) -> Any:
        await lingered.wait()
        return await execute(*given)

    monkeypatch.setattr(journal, "_checkpoint", checkpoint)
    monkeypatch.setattr(journal, "_lingered", met)
    monkeypatch.setattr(journal._connection, "execute_fetchall", slowly)
    append(journal, 5)
    await journal.commit()
    with anyio.fail_after(10):
        await checkpointed.wait()
    await journal.close()

    assert len(stored(path)) == 5


async def test_a_very_long_log_waits_for_no_quiet_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy a session is, its write-ahead log is bounded."""
    monkeypatch.setattr(durable, "CHECKPOINT_PAGES_LATEST", 20)
    journal = await DurableJournal.open(path)
    log = path.with_name("journal.sqlite-wal")
    sizes = []
    for _ in range(60):
        append(journal, 5)
        await journal.commit()
        sizes.append(log.stat().st_size)
    await journal.close()

    assert max(sizes) < 60 * 4096
    assert len(stored(path)) == 300


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


@pytest.mark.parametrize("closes", [False, True])
async def test_what_is_asked_for_during_a_checkpoint_is_committed(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, closes: bool
) -> None:
    """Nobody waits for ever because a commit, or the end, fell into a quiet moment's work."""
    monkeypatch.setattr(durable, "CHECKPOINT_PAGES", 1)
    journal = await DurableJournal.open(path)
    original = journal._checkpoint
    tasks: list[asyncio.Task[object]] = []
    asked = asyncio.Event()

    def let_a_moment_pass() -> None:
        assert journal._linger is not None
        journal._linger.cancel()
        journal._lingered()

    async def checkpoint() -> None:
        if not tasks:
            append(journal)
            tasks.append(asyncio.ensure_future(journal.close() if closes else journal.commit()))
            await asyncio.sleep(0)  # so that it asks while this is going on
            let_a_moment_pass()
            asked.set()
        await original()

    monkeypatch.setattr(journal, "_checkpoint", checkpoint)
    append(journal)
    await journal.commit()
    let_a_moment_pass()
    await asked.wait()

    async with asyncio.timeout(30):
        await tasks[0]
    assert [1, 2] == stored(path)
    await journal.close()
