"""The journal: the one truth of a session, append-only. Everything else is a projection of it."""

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
from state.journal.sink import Sink

__all__ = [
    "ENTRY_TYPES",
    "Entry",
    "Journal",
    "JournalClosed",
    "JournalDamaged",
    "JournalError",
    "JournalFailed",
    "JournalFull",
    "SchemaTooNew",
    "Sink",
    "decode_line",
    "encode_lines",
    "journaled_types",
    "make_entry",
]
