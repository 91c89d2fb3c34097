"""
What every message has in common: a lane, an overflow policy, a wire form.

A message is an immutable value. Its *lane* is a property of its class, never of its
content: what can add exposure and what can only reduce it are two classes, so a gate
that shuts the OPEN lane can never hold back a cancel, a fill or a close.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import ClassVar

import msgspec

SCHEMA_VERSION = 3
"""Version of the ``events.ndjson`` schema; raised by any change of a journaled message."""


class Lane(IntEnum):
    """Order of service inside a mailbox: lower is served first, first in first out within one."""

    SYSTEM = 0  # stop, drain, hold, snapshot: a capability of the supervisor alone
    REDUCE = 1  # acks, fills, cancels, closes: must flow during a kill
    OPEN = 2  # whatever can add exposure: what a kill holds
    DATA = 3  # market data


class Overflow(StrEnum):
    """What a full lane does with one more message of a class."""

    FATAL = "fatal"  # a bug: the lane is sized so that it cannot happen
    REFUSE = "refuse"  # the sender is told, at once
    ESCALATE = "escalate"  # never dropped: OPEN is held everywhere and truth is reconciled
    CONFLATE = "conflate"  # the older message of the same key gives way, counted
    DROP_NEWEST = "drop_newest"  # counted, never blocks the trading path


class Message(
    msgspec.Struct, frozen=True, gc=False, tag=True, tag_field="type", omit_defaults=True
):
    """
    Base of everything that crosses a mailbox.

    Field values are immutable (numbers, strings, enums, tuples, other messages), which is
    why the cyclic garbage collector may ignore messages altogether (``gc=False``).
    """

    lane: ClassVar[Lane]
    overflow: ClassVar[Overflow]
    journaled: ClassVar[bool] = False
    abstract: ClassVar[bool] = True
    """Whether the class is a base only; said by each base of itself, never inherited."""

    @property
    def conflation_key(self) -> object:
        """Return the key under which a newer message replaces this one (CONFLATE only)."""
        return type(self)


def message_types(root: type[Message] = Message) -> list[type[Message]]:
    """Return every message class that is not just a base, in order of definition."""
    found: list[type[Message]] = []
    for child in root.__subclasses__():
        if not vars(child).get("abstract", False):
            found.append(child)
        found.extend(kind for kind in message_types(child) if kind not in found)
    return found
