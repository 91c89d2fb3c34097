"""
The journal of a live session: nothing counts until it is on the disk.

Theory of operation. ``append`` numbers an entry and keeps it; ``commit`` returns when it, and
everything before it, is written and synced. One task owns the file. It takes whatever has been
appended, encodes it, and hands it to SQLite's thread as one statement, which is one transaction,
one sync and one hop between threads. Whatever is appended meanwhile is the next batch: under
load commits grow instead of queueing (group commit). Whoever waits for a commit may be cancelled
at any time; the task is not theirs, so the entry is written all the same.

An error of a write, commit or sync is final. After a failed sync nobody knows what the disk
holds, and a second attempt may report success over lost data, so nothing is tried again:
everybody who waits, and every later call, gets ``JournalFailed``. The session must end, and the
next one starts from what the disk really has.

States (``keep``) are asked for in the very step in which a batch is taken, which is never within
a handler, and are part of the batch's transaction: whatever the disk holds after a crash, the
states are those after its last entry. Therefore a batch then takes everything that was appended.

Checkpoints move the write-ahead log into the file. They cost milliseconds, so they are put off
until nobody has waited for a while, unless the log has grown very long.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiosqlite

from messages import Message
from state.crashpoints import passing
from state.journal import schema
from state.journal.entry import ENTRY_TYPES, Entry, encode_lines, entry_type
from state.journal.errors import JournalClosed, JournalError, JournalFailed, JournalFull
from state.journal.limits import (
    CHECKPOINT_PAGES,
    CHECKPOINT_PAGES_LATEST,
    COMMIT_ENTRIES,
    LINGER_S,
    LIVE_PAGE,
    UNCOMMITTED,
)
from state.journal.sink import Sink
from state.limits import ASIDE_S
from state.precedence import Precedence

_NOTHING_MORE = -1

States = Callable[[], Mapping[str, bytes | None]]
"""Returns every part that may have changed since the last call; ``None``: there is no such part."""


class DurableJournal:
    """
    Number entries, and say truthfully which of them survive a crash or a power cut.

    Sinks get entries only after these are durable. Begin with ``open``; end with ``close``, or
    with ``abort`` where nothing may be waited for. For one event loop, in its own thread.
    """

    def __init__(
        self,
        path: Path,
        connection: aiosqlite.Connection,
        seq: int,
        sinks: Sequence[Sink],
        on_failure: Callable[[JournalFailed], object] | None,
        precedence: Precedence,
    ) -> None:
        """Go on after entry ``seq``; ``open`` is the way in."""
        self.path = path
        self.seq = seq  # the last sequence number given
        self.durable_seq = seq  # the last one that is on the disk
        self._connection = connection
        self._sinks = tuple(sinks)
        self._on_failure = on_failure
        self._precedence = precedence
        self._loop = asyncio.get_running_loop()
        self._pending: list[Entry] = []
        self._accept_to = seq + UNCOMMITTED  # the last number that may be given
        self._commit_to = seq  # the last number that somebody wants on the disk
        self._waiters: list[tuple[int, asyncio.Future[int]]] = []  # by number, rising
        self._states: States | None = None
        self._kept: dict[str, bytes] = {}  # what the disk has of each part
        self._anew = False  # whether older states are to be dropped
        self._keepers: list[asyncio.Future[int]] = []  # who wait for the states of now
        self._linger: asyncio.TimerHandle | None = None
        self._unseen: list[tuple[Sequence[Entry], bytes]] = []  # durable, not yet with the sinks
        self._wake: asyncio.Future[None] | None = None
        self._log_pages = 0  # written to the write-ahead log since the last checkpoint
        self._quiet = False
        self._failure: JournalFailed | None = None
        self._closed = False
        self._began: asyncio.Future[None] = self._loop.create_future()
        self._told_to_close: asyncio.Future[None] = self._loop.create_future()
        self._closing_file = False
        self._thread_ended: asyncio.Future[None] | None = None
        self._task = self._loop.create_task(self._run())  # seam: owned; its end is seen by _fail

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        sinks: Sequence[Sink] = (),
        on_failure: Callable[[JournalFailed], object] | None = None,
        precedence: Precedence | None = None,
    ) -> DurableJournal:
        """
        Open or create the journal at ``path`` and go on after its last entry.

        The end of an existing file is checked first: ``JournalDamaged``, ``SchemaTooNew``. All of
        it is checked by ``schema.check_file``, which takes as long as the file is.
        ``on_failure`` is told, once, when the journal fails; it must not raise. Sinks step aside
        for whoever has ``precedence``.
        """
        found: list[int | Exception] = []

        def open_file() -> sqlite3.Connection:
            try:
                file, last = schema.open_live(path)
            except Exception as error:  # noqa: BLE001 - kept, and raised below
                found.append(error)
                return sqlite3.connect(":memory:")
            found.append(last)
            return file

        # The class, not aiosqlite.connect: a file is then opened and checked in its own thread.
        # And if that fails, the thread is ended in order: aiosqlite would not wait for it.
        connection = await aiosqlite.Connection(open_file, iter_chunk_size=64)
        (last,) = found
        if isinstance(last, Exception):
            await connection.close()
            raise last
        journal = cls(path, connection, last, sinks, on_failure, precedence or Precedence())
        # A task that is cancelled before its first step never runs, not even to clean up.
        await journal._began
        return journal

    def append(
        self, ts: int, source: str, correlation: str, causation: str, message: Message
    ) -> int:
        """
        Give the next number to ``message`` and return it; ``ts`` is int ms UTC.

        It is on its way to the disk within ``LINGER_S`` even if nobody asks. Raises
        ``JournalFull`` when too many wait, ``JournalFailed`` or ``JournalClosed`` for ever.
        """
        seq = self.seq + 1
        if seq > self._accept_to:
            raise self._refusal()
        try:
            kind = ENTRY_TYPES[message.__class__]
        except KeyError:
            kind = entry_type(message)  # raises, naming the class
        self._pending.append(kind(seq, ts, source, correlation, causation, message))
        self.seq = seq
        self._linger_on()
        return seq

    def hasten(self) -> None:
        """Begin to commit everything appended before the call; waits for nothing, never raises."""
        if self.durable_seq < self.seq:
            self._want(self.seq)

    async def commit(self) -> int:
        """
        Return ``durable_seq`` once it covers everything appended before the call.

        Cancelling the caller cancels its waiting, not the commit.
        """
        if self._failure is not None:
            raise self._refusal()
        if self.durable_seq >= self.seq:
            return self.durable_seq
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._waiters.append((self.seq, waiter))
        self._want(self.seq)
        return await waiter

    def keep(self, states: States) -> None:
        """
        From now on write what ``states`` returns together with every batch of entries.

        It is called between two handlers, must not block, and what it raises ends the journal.
        Its first answer replaces all that the file has; after that, parts that it leaves out, or
        returns as they were, are not written again. A part's name is not empty.
        """
        self._states = states
        self._kept = {}
        self._anew = True

    def flush(self) -> None:
        """Hand all that is durable to the sinks at once; what they raise ends the journal."""
        unseen, self._unseen = self._unseen, []
        try:
            for entries, lines in unseen:
                for sink in self._sinks:
                    sink.write(entries, lines)
                passing("journal.projected")
        except Exception as error:  # noqa: BLE001 - a log that silently lacks events is worse
            self._fail(error)
            self._want(self.seq)

    async def keep_now(self) -> int:
        """
        Return ``durable_seq`` once the states of this moment, and all entries, are on the disk.

        For states that change without an entry; ``close`` does it too.
        """
        assert self._states is not None, "there are no states before keep"
        if self._closed or self._failure is not None:
            raise self._refusal()
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._keepers.append(waiter)
        self._want(self.seq)
        return await waiter

    async def close(self) -> None:
        """
        Commit everything, close the sinks and the file; may be called again, cancelled or not.

        Raises ``JournalFailed`` if the journal failed, now or earlier; the file is closed even so.
        """
        self._closed = True
        self._accept_to = _NOTHING_MORE
        self._want(self.seq)
        if not self._told_to_close.done():
            self._told_to_close.set_result(None)
        # Waited for, not awaited: cancelling this call must not cancel the last commit.
        await asyncio.wait([self._task])
        if self._failure is not None:
            raise self._refusal()

    def abort(self) -> None:
        """
        Give up at once: what is not yet durable never will be, and nobody is kept waiting.

        For the way out after something fatal. SQLite's thread ends by itself after the statement
        it is in; the sinks are left as they are. May be called at any time, and again.
        """
        self._closed = True
        if not self._task.done():
            self._fail(JournalError("aborted"))
            self._stop_thread()
            self._task.cancel()

    async def gone(self) -> None:
        """Return, after ``abort`` or ``close``, once nothing holds the file any more."""
        await asyncio.wait([self._task])

    def _refusal(self) -> JournalError:
        if self._failure is not None:
            refusal = JournalFailed(str(self._failure))
            refusal.__cause__ = self._failure.__cause__
            return refusal
        if self._closed:
            return JournalClosed(f"{self.path}: the journal is closed")
        waiting = self.seq - self.durable_seq
        return JournalFull(f"{self.path}: {waiting} entries wait for the disk")

    def _linger_on(self) -> None:
        if self._linger is None:
            # The session's clock has no say in how far the disk may lag behind.
            # An order on its way takes what is there along: then it need not wait for this first.
            after_s = LINGER_S - ASIDE_S
            self._linger = self._loop.call_later(after_s, self._step_aside)  # seam: the disk's time

    def _step_aside(self) -> None:
        self._linger = None
        if self._precedence.is_clear:
            self._lingered()
        else:
            self._precedence.when_clear(self._lingered)

    def _lingered(self) -> None:
        # A moment after the last append was met, and nobody waits: a quiet one.
        self._quiet = not self._waiters
        if self._waiters:
            self._linger_on()  # for a disk that takes longer than that: it comes afterwards
        self._want(self.seq)

    def _want(self, seq: int) -> None:
        self._commit_to = seq
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _run(self) -> None:
        """Own the file and its thread to their end, however that comes."""
        self._began.set_result(None)
        try:
            try:
                await self._commit_as_wanted()
            except Exception as error:  # noqa: BLE001 - kept, and raised to everybody
                self._fail(error)
                await self._told_to_close
            self._close_sinks()
            await self._close_file()
        except BaseException as error:  # cancelled, by ``abort`` or with the whole loop
            self._fail(error)
            self._stop_thread()
            raise
        finally:
            if self._linger is not None:
                self._linger.cancel()
            await self._outlive_thread()

    async def _commit_as_wanted(self) -> None:
        while True:
            while self._failure is None and (self.durable_seq < self._commit_to or self._keepers):
                await self._commit_batch()
                if self._log_pages >= CHECKPOINT_PAGES_LATEST:
                    await self._checkpoint()
            if self._quiet and self._log_pages >= CHECKPOINT_PAGES:
                await self._checkpoint()
            self._quiet = False
            if self._failure is not None:
                raise self._failure
            if self.durable_seq < self._commit_to or self._keepers:
                continue  # asked for during the checkpoint, when nobody waited to be woken
            if self._closed:
                if self._states is not None:
                    await self._commit_batch()  # what changed since without an entry
                return
            self._wake = self._loop.create_future()
            await self._wake

    def _stop_thread(self) -> None:
        # Once the file is being closed the thread ends by that; a second order would find nobody.
        if self._thread_ended is None and not self._closing_file:
            self._thread_ended = self._connection.stop()

    async def _outlive_thread(self) -> None:
        """Keep the loop open until SQLite's thread, which reports to it, has ended."""
        while self._thread_ended is not None and not self._thread_ended.done():
            try:
                await asyncio.wait([self._thread_ended])
            except asyncio.CancelledError:
                # The end of the loop is what this waits through. The thread has one statement
                # to finish at most, and the process could not end before it anyway.
                continue

    async def _commit_batch(self) -> None:
        # With states everything: they are those after the last entry that was appended.
        most = COMMIT_ENTRIES if self._states is None else len(self._pending)
        entries, self._pending = self._pending[:most], self._pending[most:]
        lines = encode_lines(entries)
        sums, points = schema.cut(lines, self.durable_seq + 1)
        passing("journal.encoded")
        batch: tuple[object, ...] = (self.durable_seq + 1, lines, sums, points)
        statement = schema.INSERT
        answered = len(self._keepers)
        written = len(lines)
        if self._states is not None:
            statement = schema.INSERT_WITH_STATES
            changed = self._changed(self._states())
            names, values = schema.pack_states(changed)
            batch = (*batch, self._anew, names, values)
            # Each is in pages of its own where it is long, and shares one where it is not.
            written += len(values) + len(changed) * LIVE_PAGE
            self._anew = False
            passing("journal.states_taken")
        passing("journal.committing")
        # In one hop; an awaited cursor would have to be closed in a second one.
        await self._connection.execute_fetchall(statement, batch)
        passing("journal.committed")
        durable = self.durable_seq = self.durable_seq + len(entries)
        if self._accept_to != _NOTHING_MORE:
            self._accept_to = durable + UNCOMMITTED
        self._log_pages += 2 + written // LIVE_PAGE
        self._answer(durable)
        for keeper in self._keepers[:answered]:
            if not keeper.done():
                keeper.set_result(durable)
        del self._keepers[:answered]
        passing("journal.answered")
        if entries:
            # After those who waited have run: what they hold back is an order, until it has left.
            self._unseen.append((entries, lines))
            self._precedence.when_clear(self.flush)

    def _changed(self, given: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        """Return the parts that the disk has otherwise, and take them as written."""
        kept = self._kept
        changed = {part: value for part, value in given.items() if kept.get(part) != value}
        for part, value in changed.items():
            if value is None:
                del kept[part]
            else:
                kept[part] = value
        return changed

    def _answer(self, durable: int) -> None:
        waiters = self._waiters
        answered = 0
        for seq, waiter in waiters:
            if seq > durable:
                break
            answered += 1
            if not waiter.done():
                waiter.set_result(durable)
        del waiters[:answered]

    async def _checkpoint(self) -> None:
        self._log_pages = 0
        await self._connection.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
        passing("journal.checkpointed")

    def _close_sinks(self) -> None:
        self.flush()  # the last batch's turn may not have come yet
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - kept, and raised by close
                self._fail(error)

    async def _close_file(self) -> None:
        try:
            if self._failure is None:
                # One plain file, for archives and read-only places. A reader may prevent it, and
                # is not waited for: what is in the log is durable too.
                await self._connection.execute_fetchall("PRAGMA busy_timeout = 0")
                await self._connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
                with contextlib.suppress(sqlite3.OperationalError):
                    await self._connection.execute_fetchall("PRAGMA journal_mode = DELETE")
        except Exception as error:  # noqa: BLE001 - kept, and raised by close
            self._fail(error)
        self._closing_file = True
        await self._connection.close()

    def _fail(self, error: BaseException) -> None:
        if self._failure is not None:
            return
        first, last = self.durable_seq + 1, self.seq
        what = str(error) or type(error).__name__
        which = f"entries {first} to {last} are not durable: " if first <= last else ""
        self._failure = JournalFailed(f"{self.path}: {which}{what}")
        self._failure.__cause__ = error
        self._accept_to = _NOTHING_MORE
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._refusal())
        self._waiters.clear()
        for keeper in self._keepers:
            if not keeper.done():
                keeper.set_exception(self._refusal())
        self._keepers.clear()
        if self._on_failure is not None:
            self._on_failure(self._failure)
