"""
The journal: the one truth of a session, append-only. Everything else is a projection of it.

``Journal`` is the form of simulations; ``DurableJournal``, that of live sessions, is in
``state.journal.durable``, files and threads that write them in ``state.journal.bulk``, reading
in ``state.journal.reader``: whoever needs none of them does not import SQLite.
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
from state.journal.sink import JournalWriter, LineSink, Sink

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
    "LineSink",
    "SchemaTooNew",
    "Sink",
    "decode_line",
    "encode_lines",
    "journaled_types",
    "make_entry",
]
