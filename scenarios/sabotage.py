"""Actors that fail when they are told to: the next message, so many times, over incarnations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from actors.runtime import Actor, Cell
from actors.runtime.cell import Handler
from feeds.contract import Group
from messages import Message

NEXT = "next"


class ScriptedCrash(Exception):
    """An actor fails because the scenario says so."""


@dataclass(slots=True)
class Charge:
    """On what an actor fails, how often still, and with which words."""

    on: str
    left: int
    error: str


class Sabotage:
    """
    Make one cell's handlers raise as it is told.

    It stands around the factory, so that what is left of a charge strikes the next incarnation.
    """

    def __init__(self, cell: Cell) -> None:
        """Stand around ``cell``'s factory, before anything starts."""
        self.charges: list[Charge] = []
        make = cell.factory

        def sabotaged() -> Actor:
            actor = make()
            own = actor.handlers

            def handlers() -> Mapping[type[Message], Handler]:
                return {kind: self._around(handle) for kind, handle in own().items()}

            setattr(actor, "handlers", handlers)  # noqa: B010 - a method of one instance
            return actor

        cell.factory = sabotaged

    def _around(self, handle: Handler) -> Handler:
        def handled(message: Any) -> Any:
            if self.charges:
                self.strike(type(message).__name__)
            return handle(message)

        return handled

    def strike(self, name: str) -> None:
        """Raise if a message of the class ``name`` is one to fail on."""
        for charge in self.charges:
            if charge.left > 0 and charge.on in (NEXT, name):
                charge.left -= 1
                raise ScriptedCrash(charge.error)

    def groups(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Yield a feed's groups, or raise where the feed is to fail."""
        for group in groups:
            if self.charges:
                self.strike("Bar")
            yield group
