"""
The journal: the one truth of a session, append-only. Everything else is a projection of it.

``Journal`` is the form of simulations, ``DurableJournal`` that of live sessions; the files and
the thread that writes them are in ``state.journal.bulk``, reading is in ``state.journal.reader``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from state.journal.entry import (
    ENTRY_TYPES,
    Entry,
    decode_line,
    encode_lines,
    journaled_types,
    make_entry,
)
from state.journal.errors import (
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalFailed,
    JournalFull,
    SchemaTooNew,
)
from state.journal.memory import Journal
from state.journal.sink import JournalWriter, LineSink, Sink

if TYPE_CHECKING:
    from state.journal.durable import DurableJournal

__all__ = [
    "ENTRY_TYPES",
    "DurableJournal",
    "Entry",
    "Journal",
    "JournalClosed",
    "JournalDamaged",
    "JournalError",
    "JournalFailed",
    "JournalFull",
    "JournalWriter",
    "LineSink",
    "SchemaTooNew",
    "Sink",
    "decode_line",
    "encode_lines",
    "journaled_types",
    "make_entry",
]


def __getattr__(name: str) -> type[DurableJournal]:
    """Import ``DurableJournal`` when it is first asked for: only live sessions need aiosqlite."""
    if name != "DurableJournal":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from state.journal.durable import DurableJournal

    return DurableJournal
