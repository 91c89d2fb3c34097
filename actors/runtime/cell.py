"""
An actor and the cell it lives in.

An actor is plain synchronous code: ``handlers`` maps message classes to methods that take a
message and return the messages (and runtime effects) that follow from it. The cell around it
has what outlives an incarnation: the mailbox, the counts, the state of its life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from actors.runtime.mailbox import Mailbox, MailboxStats, Origin
from messages import Cause, Lane, Message


class AfterCommit(msgspec.Struct, frozen=True, gc=False):
    """Effect: deliver ``message`` to the sender once all that is journaled so far is durable."""

    message: Message


class SetTimer(msgspec.Struct, frozen=True, gc=False):
    """
    Effect: send a ``Wake`` of ``key`` at session time ``at``; re-arming replaces the older.

    One that looks at the machine is not ``counted``: it is no part of what a session is told by.
    """

    key: str
    at: int
    counted: bool = True


Effect = Message | AfterCommit | SetTimer
Effects = Iterable[Effect] | None
Handler = Callable[[Any], Effects]


class Actor:
    """
    Base of every actor.

    A handler either returns its effects or raises; if it raises, the message is a dead
    letter, none of its effects happens, and the supervisor decides what becomes of the actor.
    An ``eager`` one is also told what matters to nobody else.
    """

    eager = False

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the method for each message class that the actor understands."""
        raise TypeError(f"{type(self).__name__} has no handlers")

    def on_start(self) -> Effects:
        """Return the effects of a new incarnation's start."""
        return None

    def lost(self, message: Message) -> Effects:
        """Return the answer to a message on which the handler failed; ``None`` if none is due."""
        del message
        return None

    def withdrawn(self, effects: Iterable[Effect]) -> None:
        """Take note that effects which were returned will not happen."""

    def refuse(self, message: Message, causes: tuple[Cause, ...]) -> Effects:
        """Answer an OPEN message that a hold or a full lane turned away; override to answer."""
        raise TypeError(f"{type(self).__name__} cannot refuse {type(message).__name__}: {causes}")


class CellState(StrEnum):
    """Where an actor is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    QUARANTINED = "quarantined"
    LEFT = "left"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class CellStats:
    """
    What the operator sees of one actor.

    ``accepted`` counts every message that was for it, however it was delivered.
    """

    name: str
    state: CellState
    incarnation: int
    failures: int
    handled: int
    refused: int
    dead: int
    mailbox: MailboxStats

    @property
    def accepted(self) -> int:
        """Return handled + refused + dead-lettered + conflated + queued: nothing vanishes."""
        queued = sum(self.mailbox.queued)
        return self.handled + self.refused + self.dead + self.mailbox.conflated + queued


class Cell:
    """
    One actor's place in the house.

    ``direct`` is true while the actor runs with an empty mailbox: then, and only then, a
    message may go straight to its handler (fused dispatch), because it could not have been
    overtaken by anything. A ``deferred`` actor is never called so: what is for it waits in its
    mailbox until everybody else is done.
    """

    __slots__ = (
        "abandoned",
        "actor",
        "check",
        "dead",
        "deferred",
        "direct",
        "eager",
        "factory",
        "failures",
        "handled",
        "handlers",
        "incarnation",
        "mailbox",
        "name",
        "place_of",
        "refused",
        "state",
    )

    def __init__(
        self,
        name: str,
        factory: Callable[[], Actor],
        bounds: dict[Lane, int] | None = None,
        check: Callable[[Iterable[Any]], tuple[Effect, ...]] | None = None,
        place_of: Callable[[Message | None, BaseException], str] | None = None,
    ) -> None:
        """
        Make the place; ``factory`` makes each incarnation's actor.

        ``check`` turns what a handler returned into its effects, or raises: it is where code
        that is not ours, a strategy, is kept to what it may say. ``place_of`` tells, of an error
        on a message, the line of that code which it came from.
        """
        self.name = name
        self.check = check
        self.place_of = place_of
        self.factory = factory
        self.mailbox = Mailbox(name, bounds)
        self.state = CellState.STARTING
        self.incarnation = 0
        self.failures = 0
        self.handled = 0
        self.refused = 0
        self.dead = 0
        self.direct = False
        self.deferred = False
        self.eager = False
        self.abandoned = False
        self.actor: Actor | None = None
        self.handlers: dict[type[Message], Handler] = {}

    def incarnate(self) -> Actor:
        """Make and install a new incarnation; raises what its factory raises."""
        actor = self.factory()
        self.actor = actor
        self.handlers = dict(actor.handlers())
        self.eager = actor.eager
        self.incarnation += 1
        self.become(CellState.RUNNING)
        return actor

    def become(self, state: CellState) -> None:
        """Enter ``state``."""
        self.state = state
        self.direct = state is CellState.RUNNING and not self.deferred and not len(self.mailbox)

    def defer(self, *, deferred: bool) -> None:
        """Let this actor come after all others from now on, or no longer."""
        self.deferred = deferred
        self.become(self.state)

    @property
    def runs(self) -> bool:
        """Return whether the actor handles messages."""
        return self.state is CellState.RUNNING

    @property
    def is_whole(self) -> bool:
        """Return whether its actor is what came of all that it was told: it runs, or is left."""
        return self.state in (CellState.RUNNING, CellState.LEFT)

    def stats(self) -> CellStats:
        """Return the counts."""
        return CellStats(
            self.name,
            self.state,
            self.incarnation,
            self.failures,
            self.handled,
            self.refused,
            self.dead,
            self.mailbox.stats(),
        )

    def __repr__(self) -> str:
        """Return state, incarnation and mailbox as one dashboard line."""
        return f"<Cell {self.name}#{self.incarnation} {self.state.value} {self.mailbox!r}>"


__all__ = [
    "Actor",
    "AfterCommit",
    "Cell",
    "CellState",
    "CellStats",
    "Effect",
    "Effects",
    "Handler",
    "Origin",
    "SetTimer",
]
