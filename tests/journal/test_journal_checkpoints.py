"""The write-ahead log of a live session's journal: when it is moved into the file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest
from journal_makers import append, size_of, stored

from state.journal import durable
from state.journal.durable import DurableJournal


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
