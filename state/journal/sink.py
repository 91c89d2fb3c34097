"""Where entries go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
