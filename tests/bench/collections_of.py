"""How long the collections are that hang on an object: what grows shows here before in bytes."""

from __future__ import annotations

import types
from collections import deque
from enum import Enum
from typing import Any

import msgspec

LEAST = 8
"""Collections shorter than this are no news."""

DEEP_MOST = 400_000
"""Objects looked at: a session has some tens of thousands."""

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type, Enum, msgspec.Struct)
_OPAQUE = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.CodeType)
_COLLECTIONS = (dict, list, set, frozenset, deque, tuple)


def sizes_of(root: object) -> dict[str, int]:
    """
    Return the lengths of the collections that can be reached, by where they hang.

    The path goes through attributes; what lies in a collection is looked at as ``[]``, the lengths
    of all that share a path being added up.
    """
    found: dict[str, int] = {}
    seen = {id(root)}
    waiting: deque[tuple[str, Any]] = deque([("", root)])
    while waiting and len(seen) < DEEP_MOST:
        path, item = waiting.popleft()
        for name, part in _parts(item):
            if isinstance(part, (*_PLAIN, *_OPAQUE)) or id(part) in seen:
                continue
            seen.add(id(part))
            where = f"{path}{name}"
            if isinstance(part, _COLLECTIONS):
                found[where] = found.get(where, 0) + len(part)
            waiting.append((where, part))
    return {path: size for path, size in found.items() if size >= LEAST}


def _parts(item: object) -> list[tuple[str, Any]]:
    if isinstance(item, dict):
        return [("[]", value) for value in item.values()]
    if isinstance(item, _COLLECTIONS):
        return [("[]", value) for value in item]
    if isinstance(item, types.MethodType):
        return [("", item.__self__)]
    names = list(getattr(item, "__dict__", ()))
    for kind in type(item).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [(f".{name}", getattr(item, name)) for name in names if hasattr(item, name)]
