"""Messages of every class, drawn from their declarations, and sinks that remember."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from messages import DeadLetter, FeedGap, Message
from state.journal import Entry, Journal, JournalWriter, Sink, decode_line, journaled_types
from state.journal.bulk import SqliteSink
from state.journal.durable import DurableJournal
from state.journal.reader import read_journal
from state.ndjson import NdjsonSink

T0 = 1_700_000_000_000

_decimals = st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [Decimal("0E-8"), Decimal("1E+5"), Decimal("-0.00"), Decimal("42123.45")]
)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_integers = st.integers(-(2**53), 2**53)


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Return a strategy for every value that a field of this type can hold."""
    match kind:
        case inspect.StructType():
            return structs_of(kind.cls)
        case inspect.EnumType():
            return st.sampled_from(list(kind.cls))
        case inspect.UnionType():
            return st.one_of([values_of(each) for each in kind.types])
        case inspect.VarTupleType():
            return st.lists(values_of(kind.item_type), max_size=3).map(tuple)
        case inspect.TupleType():
            return st.tuples(*map(values_of, kind.item_types))
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.DictType():
            return st.dictionaries(values_of(kind.key_type), values_of(kind.value_type), max_size=3)
    plain: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
        inspect.StrType: _texts,
        inspect.IntType: _integers,
        inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
        inspect.DecimalType: _decimals,
        inspect.BoolType: st.booleans(),
        inspect.NoneType: st.none(),
    }
    return plain[type(kind)]


def structs_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return a strategy for instances of a struct, every field drawn."""
    declared = inspect.type_info(kind)
    assert isinstance(declared, inspect.StructType)
    return st.builds(kind, **{field.name: values_of(field.type) for field in declared.fields})


MESSAGES: st.SearchStrategy[Message] = st.sampled_from(journaled_types()).flatmap(structs_of)
"""Any message that a journal accepts."""


def gap(number: int) -> FeedGap:
    """Return one small event that differs by number."""
    return FeedGap("feed", T0, "BTC/USDT", number, number + 1, 1)


def fill_journal(journal: JournalWriter, count: int, message: Message | None = None) -> None:
    """Append ``count`` events, all of them different unless a message is given."""
    for number in range(count):
        journal.append(T0 + number, "feed", f"c{number}", "bar", message or gap(number))


def write_session(
    folder: Path, count: int, *, changed: dict[int, Message] | None = None
) -> tuple[Path, Path]:
    """Write a session's two files with ``count`` events; return journal.sqlite, events.ndjson."""
    folder.mkdir(exist_ok=True)
    journal_path, events_path = folder / "journal.sqlite", folder / "events.ndjson"
    journal = Journal([SqliteSink(journal_path), NdjsonSink(events_path)], batch=7)
    for number in range(1, count + 1):
        message = (changed or {}).get(number, gap(number))
        journal.append(T0 + number, "feed", f"c{number}", "bar", message)
    journal.close()
    return journal_path, events_path


DEAD = DeadLetter("risk", T0, "Bar", "mailbox_full")


class Remembering(Sink):
    """A sink that keeps all it was given."""

    def __init__(self) -> None:
        self.batches: list[list[Entry]] = []
        self.lines = b""
        self.closed = 0

    @property
    def entries(self) -> list[Entry]:
        """Return every entry, in the order of arrival."""
        return [entry for batch in self.batches for entry in batch]

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        self.batches.append(list(entries))
        self.lines += lines

    def write_lines(self, first: int, lines: bytes) -> None:
        self.write([decode_line(line) for line in lines.splitlines()], lines)

    def close(self) -> None:
        self.closed += 1


class Failing(Remembering):
    """A sink whose disk is full from its ``good``-th batch on."""

    def __init__(self, good: int = 0) -> None:
        super().__init__()
        self.good = good

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        if len(self.batches) >= self.good:
            raise OSError(28, "No space left on device")
        super().write(entries, lines)


def stored(path: Path) -> list[int]:
    """Return the numbers that another process would find in the file now."""
    return [entry.seq for entry in read_journal(path)]


def size_of(path: Path) -> int:
    return path.stat().st_size


def append(journal: DurableJournal, count: int = 1) -> int:
    for _ in range(count):
        journal.append(T0, "execution", "order-1", "bar", gap(journal.seq))
    return journal.seq
