"""A journal in memory, its entries found by number and by what they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from state.journal import Entry

NAMES: Final = ("intent_id", "order_id", "root_id", "client_order_id", "plan_id", "kill_id")
"""The fields of messages that name something."""


class JournalIndex:
    """All entries of one journal, for ``chain_of``; memory is that of the journal."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Take every entry, in order."""
        self._by_seq: dict[int, Entry] = {}
        self._about: dict[str, list[Entry]] = {}
        for entry in entries:
            self._by_seq[entry.seq] = entry
            message = entry.message
            for name in {entry.correlation, *(getattr(message, field, "") for field in NAMES)}:
                if name:
                    self._about.setdefault(name, []).append(entry)

    def by_seq(self, seq: int) -> Entry | None:
        """Return the entry of this number."""
        return self._by_seq.get(seq)

    def about(self, name: str) -> list[Entry]:
        """Return, in order, the entries that name this id."""
        return self._about.get(name, [])
