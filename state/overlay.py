"""Tables of settings laid over each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def overlaid(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``own`` with what is ``given`` over it: a table over a table, key by key."""
    made = dict(own)
    for name, each in given.items():
        there = made.get(name)
        if isinstance(there, Mapping) and isinstance(each, Mapping):
            made[name] = overlaid(there, each)
        else:
            made[name] = each
    return made
