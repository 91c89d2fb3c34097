"""
One journal entry, and the one form in which it is written anywhere.

An entry's *line* is its JSON: ``type``, ``seq``, ``ts``, ``source``, ``correlation_id``,
``causation_id`` and ``data``, in that order, encoded once. ``events.ndjson`` holds the lines;
``journal.sqlite`` holds the same lines, one a row. So the two can be compared byte by byte,
and there is one decoder.

For each journaled message class there is one subclass of ``Entry`` whose tag is the message's
name: encoding then writes ``type`` at the top of the line, decoding picks the message class by
it, and the published schema is generated from the same classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union, cast

import msgspec

from messages import Message, message_types

_WIRE_NAMES = {
    "correlation": "correlation_id",
    "causation": "causation_id",
    "message": "data",
}


class Entry(msgspec.Struct, frozen=True, gc=False, rename=_WIRE_NAMES):
    """
    Hold one event with its place in the order of all events.

    Made by a journal or ``make_entry``, never directly. ``seq`` is the only order; ``ts`` (int ms
    UTC, session time) explains. ``correlation`` names the chain of events an entry belongs to,
    ``causation`` the event that led to it.
    """

    seq: int
    ts: int
    source: str
    correlation: str
    causation: str
    message: Message


def journaled_types() -> list[type[Message]]:
    """Return every message class that a journal accepts, in order of definition."""
    return [kind for kind in message_types() if kind.journaled]


def _entry_type(kind: type[Message]) -> type[Entry]:
    entry_type = msgspec.defstruct(
        f"{kind.__name__}Entry",
        [("message", kind)],
        bases=(Entry,),
        module=__name__,
        frozen=True,
        gc=False,
        tag=kind.__name__,
        tag_field="type",
        rename=_WIRE_NAMES,
    )
    return cast("type[Entry]", entry_type)


ENTRY_TYPES: dict[type[Message], type[Entry]] = {
    kind: _entry_type(kind) for kind in journaled_types()
}
"""The class of entry that carries each journaled message class."""

ANY_ENTRY = Union[tuple(ENTRY_TYPES.values())]  # type: ignore[valid-type]  # noqa: UP007
"""The tagged union of all entries: what a line is."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ANY_ENTRY)


def make_entry(
    seq: int, ts: int, source: str, correlation: str, causation: str, message: Message
) -> Entry:
    """Make the entry that a journal makes of these; raises ``TypeError`` if not journaled."""
    return entry_type(message)(seq, ts, source, correlation, causation, message)


def entry_type(message: Message) -> type[Entry]:
    """Return the entry class of a message; raises ``TypeError`` when it may not be journaled."""
    kind = type(message)
    try:
        return ENTRY_TYPES[kind]
    except KeyError:
        raise TypeError(
            f"{kind.__module__}.{kind.__name__} is not a journaled message: it must be exported by "
            "the package messages and say journaled = True"
        ) from None


def encode_lines(entries: Sequence[Entry]) -> bytes:
    """Return the lines of ``entries``, each ended by a newline."""
    return _encoder.encode_lines(entries)


def decode_line(line: bytes | str) -> Entry:
    """Return the entry of one line; raises ``msgspec.ValidationError`` or ``DecodeError``."""
    return cast("Entry", _decoder.decode(line))


def decode_lines(lines: bytes) -> list[Entry]:
    """Return the entries of whole lines; raises what ``decode_line`` raises."""
    return cast("list[Entry]", _decoder.decode_lines(lines))
