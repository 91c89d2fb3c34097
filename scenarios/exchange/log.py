"""
The truth log: facts on the disk before anybody hears of them.

One writer. Facts are written as they are made and synced in groups: whoever waits while a sync is
under way is served by the next one, whatever their number. A sync that fails is never tried again:
what the disk then holds is unknown, so the log is over, and with it the venue.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

import anyio.to_thread
import msgspec

from scenarios.exchange.facts import VERSION, Fact
from scenarios.exchange.venue import line_of
from state.atomic import cut_torn_line, sync_folder


class TruthUnreadable(Exception):
    """A truth log that cannot be read; the message says where."""


class TruthLogOver(Exception):
    """The disk has failed the log: nothing more is true, and nobody may be answered."""


class TruthLog:
    """
    The writer of one truth log, which is its own for as long as it is open.

    ``write`` is synchronous and keeps the order of its calls; ``synced`` returns when everything
    that was written before it was called is durable.
    """

    def __init__(self, path: Path) -> None:
        """Go on at the end of ``path``, made if need be; raises ``BlockingIOError`` in use."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise
        cut_torn_line(self._file)
        sync_folder(path.parent)
        self.failure: OSError | None = None
        self._written = 0
        self._durable = 0
        self._lock = asyncio.Lock()

    def write(self, facts: Iterable[Fact]) -> None:
        """Write facts; durable only after ``synced``."""
        self._refuse_failed()
        rest = memoryview(b"".join(line_of(fact) for fact in facts))
        try:
            while rest:
                taken = self._file.write(rest)
                self._written += taken
                rest = rest[taken:]
        except OSError as error:
            self.failure = error
            raise TruthLogOver(str(error)) from error

    async def synced(self) -> None:
        """Wait for the disk; raises ``TruthLogOver`` when it fails."""
        target = self._written
        async with self._lock:
            self._refuse_failed()
            if self._durable >= target:
                return
            covered = self._written
            try:
                await anyio.to_thread.run_sync(os.fdatasync, self._file.fileno())
            except OSError as error:
                self.failure = error
                raise TruthLogOver(str(error)) from error
            self._durable = covered

    def _refuse_failed(self) -> None:
        if self.failure is not None:
            raise TruthLogOver(str(self.failure)) from self.failure

    def close(self) -> None:
        """Sync what was written and let another venue have the log."""
        if not self._file.closed:
            if self.failure is None:
                os.fsync(self._file.fileno())
            self._file.close()


def read_truth(path: Path) -> list[Fact]:
    """
    Return the facts of a truth log; a torn last line, which nobody was told of, is left out.

    Raises ``TruthUnreadable`` for anything else that is no fact, and for a missing line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    facts: list[Fact] = []
    for n, line in enumerate(lines, start=1):
        try:
            fact = _decoder.decode(line)
        except msgspec.DecodeError as error:
            raise TruthUnreadable(f"{path}: line {n}: {error}") from None
        if fact.n != n:
            raise TruthUnreadable(f"{path}: line {n}: found number {fact.n}, expected {n}")
        facts.append(fact)
    if facts and facts[0].terms is not None and facts[0].terms.version != VERSION:
        found = facts[0].terms.version
        raise TruthUnreadable(f"{path}: found version {found}, expected {VERSION}")
    return facts


_decoder = msgspec.json.Decoder(Fact)
