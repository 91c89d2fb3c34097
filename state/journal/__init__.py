"""
The journal: the one truth of a session, append-only. Everything else is a projection of it.

``Journal`` is the form of simulations; ``state.journal.durable`` has that of live sessions,
``state.journal.bulk`` the file of simulations, ``state.journal.reader`` the way back. Here is
only what needs neither event loops nor threads nor SQLite.
"""

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
from state.journal.sink import JournalWriter, Sink

__all__ = [
    "ENTRY_TYPES",
    "Entry",
    "Journal",
    "JournalClosed",
    "JournalDamaged",
    "JournalError",
    "JournalFailed",
    "JournalFull",
    "JournalWriter",
    "SchemaTooNew",
    "Sink",
    "decode_line",
    "encode_lines",
    "journaled_types",
    "make_entry",
]
