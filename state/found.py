"""What was found where something else was expected, in words: for errors about input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN_MAX = 60


def shown(value: Any) -> str:
    """Return a value and its kind, shortened: ``'abc' (text)``."""
    text = repr(value)
    short = text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."
    return f"{short} ({kind_of(value)})"


def kind_of(value: Any) -> str:
    """Return what kind of value it is, as people call it."""
    match value:
        case bool():
            return "a boolean"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case None:
            return "nothing"
        case _:
            return type(value).__name__
