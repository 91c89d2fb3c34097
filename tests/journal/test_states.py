"""States of a session's parts: on the disk together with the entries after which they hold."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from journal_makers import T0, Failing, Remembering, gap

from state.journal import JournalClosed, JournalDamaged, JournalFailed, durable, schema
from state.journal.durable import DurableJournal
from state.journal.limits import COMMIT_ENTRIES, LIVE_PAGE
from state.journal.reader import read_journal, read_states

CHILD = Path(__file__).with_name("crashing_child.py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def append(journal: DurableJournal, count: int = 1) -> None:
    for _ in range(count):
        journal.append(T0, "execution", "order-1", "bar", gap(journal.seq))


def last_of(path: Path) -> int:
    return max((entry.seq for entry in read_journal(path)), default=0)


def after(journal: DurableJournal) -> Callable[[], Mapping[str, bytes | None]]:
    """Return states that say after which entry they hold."""
    return lambda: {"strategy": b"%d" % journal.seq, "venue": b"%d" % journal.seq * 900}


def old_file(path: Path, count: int) -> None:
    """Make a journal as the first version of the tables had it."""
    with closing(schema.create(path, page_size=4096)) as connection:
        schema.use_write_ahead_log(connection, path)
        schema.migrate(connection, schema.MIGRATIONS[:1])
        lines = b"".join(
            b'{"type":"FeedGap","seq":%d,"ts":1,"source":"f","correlation_id":"c","causation_id":'
            b'"b","data":{"actor":"feed","at":1,"symbol":"BTC/USDT","after":0,"before":1,'
            b'"missing":1}}\n' % seq
            for seq in range(1, count + 1)
        )
        connection.executemany(
            "INSERT INTO journal VALUES (?, ?)", enumerate(lines.decode().splitlines(), 1)
        )


async def test_states_are_on_the_disk_with_the_entries_after_which_they_hold(path: Path) -> None:
    """What a commit acknowledges, the states on the disk know of; none is ahead of the entries."""
    journal = await DurableJournal.open(path)
    journal.keep(after(journal))
    for count in (1, 3, 2):
        append(journal, count)
        durable = await journal.commit()
        seq, states = read_states(path)

        assert seq == durable == last_of(path)
        assert {"strategy": b"%d" % durable, "venue": b"%d" % durable * 900} == states

    await journal.close()


async def test_a_journal_without_states_has_none(path: Path) -> None:
    """Whoever keeps nothing pays nothing, and a reader is told so."""
    journal = await DurableJournal.open(path)
    append(journal)
    await journal.commit()
    await journal.close()

    assert (0, {}) == read_states(path)


async def test_only_what_changed_is_written(path: Path) -> None:
    """A part keeps the number of its last change while others go on; ``None`` removes one."""
    given: dict[str, bytes | None] = {"plan": b"a", "hold": b"h", "empty": b""}
    journal = await DurableJournal.open(path)
    journal.keep(lambda: given)
    append(journal)
    await journal.commit()
    given = {"plan": b"b", "hold": b"h"}
    append(journal)
    await journal.commit()
    given = {"hold": None, "never": None}
    append(journal)
    await journal.commit()
    with closing(sqlite3.connect(path)) as reader:
        rows = reader.execute("SELECT part, seq, value FROM state ORDER BY part").fetchall()
    await journal.close()

    assert [("", 3, b""), ("empty", 1, b""), ("plan", 2, b"b")] == rows
    assert (3, {"empty": b"", "plan": b"b"}) == read_states(path)


async def test_a_new_keeper_replaces_what_an_earlier_session_kept(path: Path) -> None:
    """A part that nobody has any more does not live on as if it held."""
    journal = await DurableJournal.open(path)
    journal.keep(lambda: {"old": b"1", "both": b"1"})
    append(journal)
    await journal.close()
    journal = await DurableJournal.open(path)
    append(journal)
    await journal.commit()
    without = read_states(path)
    journal.keep(lambda: {"both": b"2"})
    append(journal)
    await journal.close()

    assert (1, {"both": b"1", "old": b"1"}) == without
    assert (3, {"both": b"2"}) == read_states(path)


async def test_a_backlog_and_its_states_are_one_transaction(path: Path) -> None:
    """States are those after the last entry appended, so no batch may end before it."""
    sink = Remembering()
    journal = await DurableJournal.open(path, sinks=[sink])
    journal.keep(after(journal))
    append(journal, COMMIT_ENTRIES + 10)
    await journal.commit()
    found = read_states(path)
    await journal.close()

    assert found[0] == COMMIT_ENTRIES + 10
    assert [COMMIT_ENTRIES + 10] == [len(batch) for batch in sink.batches]


async def test_states_without_an_entry_are_kept_when_asked_for_and_at_the_end(path: Path) -> None:
    """``keep_now`` waits for the states of this moment; ``close`` writes the last ones."""
    state = b"1"
    journal = await DurableJournal.open(path)
    journal.keep(lambda: {"bars": state})
    append(journal)
    await journal.commit()
    state = b"2"
    assert await journal.keep_now() == 1
    asked = read_states(path)
    state = b"3"
    await journal.close()

    assert (1, {"bars": b"2"}) == asked
    assert (1, {"bars": b"3"}) == read_states(path)
    with pytest.raises(JournalClosed):
        await journal.keep_now()


async def test_a_moment_asked_for_during_a_commit_is_the_later_one(path: Path) -> None:
    """The commit that is on its way does not answer for states that changed after it began."""
    state = b"1"
    taken = asyncio.Event()

    def states() -> dict[str, bytes]:
        taken.set()
        return {"bars": state}

    journal = await DurableJournal.open(path)
    journal.keep(states)
    append(journal)
    commit = asyncio.ensure_future(journal.commit())
    await taken.wait()
    state = b"2"
    await journal.keep_now()

    assert (1, {"bars": b"2"}) == read_states(path)
    await commit
    await journal.close()


async def test_states_that_cannot_be_given_end_the_journal(path: Path) -> None:
    """An error of a part is a failure of the journal: everybody who waits hears of it."""

    def states() -> dict[str, bytes]:
        raise RuntimeError("no state")

    journal = await DurableJournal.open(path)
    journal.keep(states)
    append(journal)
    waiting = [asyncio.ensure_future(each) for each in (journal.commit(), journal.keep_now())]
    await asyncio.wait(waiting)

    assert ["no state"] * 2 == [str(each.exception()).split(": ")[-1] for each in waiting]
    assert all(isinstance(each.exception(), JournalFailed) for each in waiting)
    with pytest.raises(JournalFailed):
        await journal.close()
    assert last_of(path) == 0


async def test_sinks_get_the_last_batch_before_they_are_closed(path: Path) -> None:
    """What is appended right before ``close`` is in the log of events too."""
    sink = Remembering()
    closed_with: list[int] = []
    close = sink.close
    sink.close = lambda: (closed_with.append(len(sink.entries)), close())[1]  # type: ignore[method-assign]
    journal = await DurableJournal.open(path, sinks=[sink])
    append(journal, 2)
    await journal.close()

    assert closed_with == [2]


async def test_a_sink_that_fails_on_the_last_batch_is_heard_of(path: Path) -> None:
    """``close`` does not report success over a log that lacks events."""
    journal = await DurableJournal.open(path, sinks=[Failing()])
    append(journal)

    with pytest.raises(JournalFailed, match="No space left"):
        await journal.close()


async def test_a_file_of_the_first_version_goes_on_with_states(path: Path) -> None:
    """An old file is read as it is, and gets the table of states once a session opens it."""
    old_file(path, 5)
    before = read_states(path)
    with closing(schema.connect(path, "ro")) as connection:
        version = schema.user_version(connection)
    journal = await DurableJournal.open(path)
    journal.keep(after(journal))
    append(journal)
    await journal.close()

    assert ((0, {}), 1) == (before, version)
    assert (6, b"6") == (read_states(path)[0], read_states(path)[1]["strategy"])
    assert last_of(path) == 6


async def test_entries_stay_append_only_and_states_never_go_back(path: Path) -> None:
    """The view that writes batches is no way round the triggers."""
    journal = await DurableJournal.open(path)
    journal.keep(after(journal))
    append(journal, 3)
    await journal.close()
    lines = b'{"seq":2}\n'
    batch = (2, lines, *schema.cut(lines, 2), False, *schema.pack_states({}))
    with closing(schema.connect(path)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            connection.execute(schema.INSERT_WITH_STATES, batch)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM journal")
        with pytest.raises(sqlite3.IntegrityError, match="never goes back"):
            connection.execute("UPDATE state SET seq = 1")

    assert (3, last_of(path)) == (read_states(path)[0], 3)


async def test_states_ahead_of_the_entries_are_not_believed(path: Path) -> None:
    """A file in which a state knows more than the journal is damaged, and says so."""
    journal = await DurableJournal.open(path)
    journal.keep(after(journal))
    append(journal, 3)
    await journal.close()
    with closing(schema.connect(path)) as connection:
        connection.execute("UPDATE state SET seq = 4 WHERE part = 'strategy'")

    with pytest.raises(JournalDamaged, match=r"states of after entry 4"):
        read_states(path)


async def _write_ahead(path: Path, commits: int) -> list[int]:
    """Write a session and leave it as a crash would; return what each commit acknowledged."""
    journal = await DurableJournal.open(path)
    journal.keep(after(journal))
    durable = []
    choice = random.Random(3)
    for _ in range(commits):
        append(journal, choice.randrange(1, 8))
        durable.append(await journal.commit())
    shutil.copytree(path.parent, path.parent.with_name("crashed"))
    await journal.close()
    return durable


@pytest.mark.parametrize("how", ["cut off", "garbled"])
async def test_whatever_is_left_of_the_log_states_and_entries_agree(
    tmp_path: Path, how: str
) -> None:
    """
    The write-ahead log, cut off or garbled at any byte, holds a prefix of the commits: the last
    entry is one that a commit ended with, and the states are exactly those after it.
    """
    folder = tmp_path / "session"
    folder.mkdir()
    durable = await _write_ahead(folder / "journal.sqlite", 25)
    crashed = tmp_path / "crashed"
    log = (crashed / "journal.sqlite-wal").read_bytes()
    choice = random.Random(11)
    found = set()
    for number in range(150):
        place = choice.randrange(len(log))
        here = tmp_path / f"{number}"
        here.mkdir()
        shutil.copy(crashed / "journal.sqlite", here)
        left = log[:place] + (b"" if how == "cut off" else os.urandom(9) + log[place + 9 :])
        (here / "journal.sqlite-wal").write_bytes(left)
        path = here / "journal.sqlite"
        journal = await DurableJournal.open(path)
        await journal.close()
        last = last_of(path)
        seq, states = read_states(path)
        found.add(last)

        assert last in {0, *durable}, f"cut at {place}"
        assert (seq, states.get("strategy", b"0")) == (last, b"%d" % last), f"cut at {place}"
        shutil.rmtree(here)

    assert len(found) > 15


def test_a_killed_process_leaves_states_that_equal_its_entries(tmp_path: Path) -> None:
    """Whenever ``kill -9`` lands, the states are those after the last entry, no other."""
    path = tmp_path / "journal.sqlite"
    choice = random.Random(5)
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(path), "keep"], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        promised = 0
        for _ in range(1 + choice.randrange(1, 60)):
            promised = int(child.stdout.readline().split()[-1])
        os.kill(child.pid, signal.SIGKILL)
        rest, _ = child.communicate()
        promised = max([promised, *map(int, rest.rpartition(b"\n")[0].split())])
        last = last_of(path)
        seq, states = read_states(path)

        assert seq == last >= promised > 0
        now = b"%d" % last
        hold = {"hold": now} if last % 3 else {}
        assert {"strategy": now, "venue": now * 700, **hold} == states


async def test_the_log_stays_bounded_however_large_the_states_are(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States are counted with the lines: a log of them too is moved into the file in time."""
    pages = 500
    monkeypatch.setattr(durable, "CHECKPOINT_PAGES_LATEST", pages)
    journal = await DurableJournal.open(path)
    count = [0]

    def states() -> Mapping[str, bytes | None]:
        count[0] += 1
        return {"large": b"%8d" % count[0] * 5_000, "small": b"%d" % count[0]}

    journal.keep(states)
    most = 0
    for _ in range(300):  # 40 kB each: 12 MB in all
        append(journal)
        await journal.commit()
        most = max(most, path.with_name("journal.sqlite-wal").stat().st_size)
    await journal.close()

    assert most < 1.5 * pages * LIVE_PAGE
