"""
The journal of a simulation: in process, synchronous, written in batches.

Simulated time stands still while the journal writes, so every entry counts as durable as soon
as it is appended, and a crash of the process is a crash of the whole simulated world: there is
nothing to recover, only a run to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

from messages import Message
from state.journal.entry import ENTRY_TYPES, Entry, encode_lines, entry_type
from state.journal.errors import JournalClosed, JournalFailed
from state.journal.limits import BATCH
from state.journal.sink import Sink


class Journal:
    """
    Number every entry and hand it to every sink, in order, once.

    Memory is bounded: ``batch`` entries at most wait to be written. An error of a sink is
    final: it is raised as ``JournalFailed``, then and by every later call.
    """

    __slots__ = ("_batch", "_buffer", "_closed", "_failure", "_flush_at", "_sinks", "seq")

    def __init__(self, sinks: Sequence[Sink], *, batch: int = BATCH, after: int = 0) -> None:
        """Go on with numbers after ``after``, the last one that an earlier process gave."""
        assert batch > 0, "a batch holds at least one entry"
        self.seq = after  # the last sequence number given
        self._sinks = tuple(sinks)
        self._batch = batch
        self._buffer: list[Entry] = []
        self._flush_at = after + batch
        self._failure: BaseException | None = None
        self._closed = False

    def append(
        self, ts: int, source: str, correlation: str, causation: str, message: Message
    ) -> int:
        """Give the next number to ``message`` and return it; ``ts`` is int ms UTC."""
        self.seq = seq = self.seq + 1
        try:
            kind = ENTRY_TYPES[message.__class__]
        except KeyError:
            self.seq -= 1
            kind = entry_type(message)  # raises, naming the class
        self._buffer.append(kind(seq, ts, source, correlation, causation, message))
        if seq >= self._flush_at:
            self.flush()
        return seq

    @property
    def durable_seq(self) -> int:
        """Return the last number given: see the module's note on simulated time."""
        return self.seq

    def hasten(self) -> None:
        """Do nothing: nobody waits for a disk in simulated time."""

    async def commit(self) -> int:
        """Return ``durable_seq``; the same call makes entries durable in a live session."""
        return self.seq

    def flush(self) -> None:
        """Hand everything appended so far to the sinks."""
        self._check_open()
        entries = self._buffer
        if entries:
            self._buffer = []
            self._flush_at = self.seq + self._batch
            try:
                lines = encode_lines(entries)
                for sink in self._sinks:
                    sink.write(entries, lines)
            except BaseException as error:
                self._failure = error
                raise JournalFailed(f"entries {entries[0].seq} to {self.seq}: {error}") from error

    def close(self) -> None:
        """Flush, then close every sink; may be called again without effect."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            for sink in self._sinks:
                sink.close()

    def _check_open(self) -> None:
        if self._failure is not None:
            raise JournalFailed(f"the journal failed earlier: {self._failure}") from self._failure
        if self._closed:
            raise JournalClosed("the journal is closed")
