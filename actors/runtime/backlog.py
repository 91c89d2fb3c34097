"""
What is on its way between two handlers: for whoever keeps a session's state, and takes it back.

A message is either told, and in the dispatcher's inbox, or queued in its receiver's mailbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from actors.runtime.cell import Cell
from actors.runtime.mailbox import Origin
from actors.runtime.routes import Deep, origin_text
from messages import Message


class Backlog(NamedTuple):
    """Messages on their way, each as (actor, message, origin): told, and queued in mailboxes."""

    told: list[tuple[str, Message, str]]
    queued: list[tuple[str, Message, str]]


def on_their_way(told: Iterable[tuple[Cell, Message, Origin]], cells: Iterable[Cell]) -> Backlog:
    """Return what was ``told``, and what waits in the mailboxes of ``cells``."""
    on_record = [(cell.name, message, origin_text(origin)) for cell, message, origin in told]
    queued = []
    for cell in cells:
        for message, letter in cell.mailbox.letters() if len(cell.mailbox) else ():
            origin = letter.origin if isinstance(letter, Deep) else letter
            queued.append((cell.name, message, origin_text(origin)))
    return Backlog(on_record, queued)


def put_back(
    backlog: Backlog, cells: Mapping[str, Cell], tell: Callable[[Cell, Message, Origin], None]
) -> None:
    """Put each message of ``backlog`` where it was: into its mailbox, or it is told again."""
    for name, message, origin in backlog.queued:
        cell = cells[name]
        cell.mailbox.put(message, origin if cell.check is None else Deep(origin, 0))
    for name, message, origin in backlog.told:
        tell(cells[name], message, origin)
