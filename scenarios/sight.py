"""Whether a journaled message is what a scenario looks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from messages import CancelIntent
from scenarios.model.base import parse_offset
from scenarios.model.expect import Sight
from scenarios.record import Event, Record
from state.journal import Entry


def matches(sight: Sight, entry: Entry, record: Record, session: int) -> bool:
    """Return whether ``entry`` of the nth session is what ``sight`` describes."""
    message = entry.message
    if type(message).__name__ != sight.message:
        return False
    if sight.session is not None and sight.session != session:
        return False
    if sight.tag is not None:
        order_id = getattr(message, "order_id", None) or getattr(message, "intent_id", "")
        about = message.order_id if isinstance(message, CancelIntent) else order_id
        if about not in record.ids_of(sight.tag):
            return False
    return is_part(resolved(sight.where, record.start_ms), message) and all(
        says(text_of(at_path(message, path)), text) for path, text in sight.contains.items()
    )


def find(sight: Sight, record: Record) -> Iterable[Event]:
    """Yield the events that ``sight`` describes, in order."""
    for event in record.events:
        if event.entry is not None and matches(sight, event.entry, record, event.session):
            yield event


def is_part(wanted: Any, found: Any) -> bool:
    """
    Return whether ``wanted``, plain data of a document, is a part of the value ``found``.

    Tables match field by field, lists item by item, numbers by value, everything else as text.
    """
    if isinstance(wanted, Mapping):
        if isinstance(found, Mapping):
            return all(key in found and is_part(value, found[key]) for key, value in wanted.items())
        return all(
            hasattr(found, key) and is_part(value, getattr(found, key))
            for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return (
            isinstance(found, Sequence)
            and len(found) == len(wanted)
            and all(is_part(a, b) for a, b in zip(wanted, found, strict=True))
        )
    if wanted is None or found is None or isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(found, Decimal | int | float):
        number = as_number(wanted)
        return number is not None and number == as_number(found)
    return str(wanted) == text_of(found)


def resolved(value: Any, start_ms: int) -> Any:
    """Return plain data with every ``"@5m"`` in it as that session time, int ms UTC."""
    if isinstance(value, str) and value.startswith("@"):
        try:
            return start_ms + parse_offset(value[1:])
        except ValueError:
            return value
    if isinstance(value, Mapping):
        return {key: resolved(item, start_ms) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(item, start_ms) for item in value]
    return value


def as_number(value: object) -> Decimal | None:
    """Return the decimal that a number, or a text, stands for."""
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def at_path(message: Any, path: str) -> Any:
    """Return the field at a dotted path, ``None`` where there is none."""
    for name in path.split("."):
        message = getattr(message, name, None)
    return message


def text_of(value: Any) -> str:
    """Return a value as a document writes it."""
    if isinstance(value, tuple | list):
        return ", ".join(text_of(item) for item in value)
    return str(value)


def same(text: str, wanted: str) -> bool:
    """Return whether two texts are the same: of numbers the value counts, 105.0 is 105."""
    if text == wanted:
        return True
    number = as_number(wanted)
    return number is not None and number == as_number(text)


_TRAILING = re.compile(r"(?<=[0-9])\.0+(?![0-9])|(?<=\.)([0-9]*[1-9])0+(?![0-9])")


def says(text: str, wanted: str) -> bool:
    """Return whether ``text`` contains ``wanted``; numbers by value: 501.00 says 501, not 50."""
    shorter = _TRAILING.sub(r"\1", wanted)
    end = r"(?![0-9]|\.[0-9])" if shorter[-1:].isdigit() else ""
    return re.search(re.escape(shorter) + end, _TRAILING.sub(r"\1", text)) is not None
