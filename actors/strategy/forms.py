"""
Whether a policy or a plan has the form that its class says, and if not, which field has not.

Nothing checks a struct's fields when it is made. Its wire form does: what is written and read back
comes back as it was, or some field was not what it has to be.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

WORDS: Final = {"array": "a tuple", "object": "a struct of its own kind", "null": "None"}
"""What the reader of wire forms says, as it is said in Python."""

_PLACE: Final = re.compile(
    r"^Expected `?(?P<expected>[^`]+?)`?(?:, got .*?)?(?: - at `\$(?P<at>.*)`)?$"
)


class Misfit(NamedTuple):
    """A field that is not what it must be: where it is, what was found, what is needed."""

    at: str
    found: object
    expected: str


def misfit_of(value: Any, kind: type[msgspec.Struct]) -> Misfit | None:
    """Return the first field of ``value`` that is not of its type, ``None`` if all are."""
    if type(value) is not kind:
        return Misfit("", value, kind.__name__)
    try:
        line = msgspec.json.encode(value)
    except (msgspec.EncodeError, TypeError, ValueError, OverflowError) as error:
        return Misfit("", value, f"fields of their own types: {error}")
    try:
        again = msgspec.json.decode(line, type=kind)
    except msgspec.ValidationError as error:
        return _from_text(str(error), msgspec.json.decode(line))
    written = msgspec.json.encode(again)
    if written == line:
        return None
    # A float where a Decimal belongs is read as the right value, and written otherwise.
    return _difference("", msgspec.json.decode(line), msgspec.json.decode(written))


def _from_text(text: str, written: Any) -> Misfit:
    match = _PLACE.match(text)
    if match is None:
        return Misfit("", written, f"fields of their own types: {text}")
    at = (match["at"] or "").lstrip(".")
    words = [WORDS.get(word, word) for word in match["expected"].split(" | ")]
    return Misfit(at, _found(written, at), " or ".join(words))


def _found(written: Any, at: str) -> Any:
    found = written
    for name in re.findall(r"[^.\[\]]+", at):
        if isinstance(found, list) and name.isdigit():
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            return written
    return found


def _difference(at: str, found: Any, again: Any) -> Misfit:
    """Return the first place at which two readings of a struct differ."""
    if isinstance(found, dict) and isinstance(again, dict):
        for name in found:
            if found[name] != again.get(name):
                return _difference(f"{at}.{name}".lstrip("."), found[name], again.get(name))
    if isinstance(found, list) and isinstance(again, list):
        for place, (one, other) in enumerate(zip(found, again, strict=False)):
            if one != other:
                return _difference(f"{at}[{place}]", one, other)
    return Misfit(at, found, "a Decimal" if isinstance(again, str) else f"{again!r}")
