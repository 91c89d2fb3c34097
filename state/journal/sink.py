"""Where entries go, and what actors need of a journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from messages import Message
from state.journal.entry import Entry


class Sink(Protocol):
    """
    Receives every entry once, in order, in batches.

    ``lines`` is the same batch encoded: one JSON line an entry, newline included. A sink that
    raises ends the journal.
    """

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Take one batch; ``entries`` is not kept or changed by the journal afterwards."""

    def close(self) -> None:
        """Finish: everything written is durable when this returns."""


class JournalWriter(Protocol):
    """What the runtime and its actors need of a journal, be it of a simulation or live."""

    @property
    def seq(self) -> int:
        """Return the last sequence number given."""

    @property
    def durable_seq(self) -> int:
        """Return the number up to which everything survives a crash."""

    def append(
        self, ts: int, source: str, correlation: str, causation: str, message: Message
    ) -> int:
        """Give the next number to ``message`` and return it; ``ts`` is int ms UTC."""

    def hasten(self) -> None:
        """Begin to bring what was appended to the disk; to know that it is there is to wait."""

    async def commit(self) -> int:
        """Return ``durable_seq`` once it covers everything appended before the call."""

    def flush(self) -> None:
        """Hand everything that is durable to the sinks at once, and not when it is quiet."""
