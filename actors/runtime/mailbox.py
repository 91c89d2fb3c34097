"""
A bounded mailbox with lanes.

Theory of operation. A mailbox has four lanes; a message's class says which one it takes.
``put`` is synchronous: it enqueues or raises ``MailboxFull``, and never waits. ``pop`` takes
the first message of the first lane that has one, in the consumer's own step: cancelling a
consumer can therefore never lose a message. Only the OPEN lane can be held; a held message
stays where it is, in order, and the ones that no hold covers pass it.

Every message that was put is accounted for: put = taken + conflated + queued. What became of
what was taken is counted by the cell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors.runtime import limits
from messages import Lane, MarketData, Message, Overflow

Origin = int | str | MarketData | None
"""What a message follows from: a journal sequence number, an observation, or a word."""

Letter = tuple[Message, Any]

LANE_MAX = {
    Lane.SYSTEM: limits.SYSTEM_LANE_MAX,
    Lane.REDUCE: limits.REDUCE_LANE_MAX,
    Lane.OPEN: limits.OPEN_LANE_MAX,
    Lane.DATA: limits.DATA_LANE_MAX,
}


LANES = tuple(Lane)

OPEN_LANE = int(Lane.OPEN)
"""Looked up once: members of an enum are slow to reach in Python 3.11."""


class MailboxFull(Exception):
    """A lane is at its bound; says which actor, lane and class."""

    def __init__(self, actor: str, lane: Lane, message: Message) -> None:
        """Keep what was refused."""
        super().__init__(f"mailbox of {actor} is full: lane {lane.name}, {type(message).__name__}")
        self.actor = actor
        self.lane = lane
        self.refused = message


@dataclass(frozen=True, slots=True)
class MailboxStats:
    """Counts since the mailbox was made, and what is queued now per lane."""

    put: int
    taken: int
    conflated: int
    queued: tuple[int, int, int, int]

    @property
    def balanced(self) -> bool:
        """Return whether every message that was put is accounted for."""
        return self.put == self.taken + self.conflated + sum(self.queued)


class Mailbox:
    """One actor's bounded queue; see the module's theory of operation."""

    __slots__ = (
        "_bounds",
        "_lanes",
        "accepted",
        "actor",
        "conflated",
        "escalate",
        "taken",
    )

    def __init__(self, actor: str, bounds: dict[Lane, int] | None = None) -> None:
        """Make an empty mailbox of ``actor``; ``bounds`` override the standard ones per lane."""
        merged = {**LANE_MAX, **bounds} if bounds else LANE_MAX
        self.actor = actor
        self._bounds = tuple([merged[lane] for lane in LANES])
        self._lanes: tuple[deque[Letter], ...] = tuple(
            [deque(maxlen=None if lane is not Lane.DATA else merged[lane]) for lane in LANES]
        )
        self.accepted = 0
        self.taken = 0
        self.conflated = 0
        self.escalate = False

    def put(self, message: Message, origin: object = None) -> None:
        """
        Enqueue a message, or raise ``MailboxFull`` and leave the mailbox as it was.

        A full lane does what the message's class declares: CONFLATE replaces the oldest
        message of the same key (or, if there is none, the oldest of all); ESCALATE accepts
        up to four times the bound and sets ``escalate``; everything else raises.
        """
        lane = message.lane
        queue = self._lanes[lane]
        bound = self._bounds[lane]
        if len(queue) >= bound:
            self._overflow(message, queue, bound)
        queue.append((message, origin))
        self.accepted += 1

    def _overflow(self, message: Message, queue: deque[Letter], bound: int) -> None:
        if message.overflow is Overflow.CONFLATE:
            key = message.conflation_key
            older = next((item for item in queue if item[0].conflation_key == key), queue[0])
            queue.remove(older)
            self.conflated += 1
        elif (
            message.overflow is Overflow.ESCALATE
            and len(queue) < bound * limits.NEVER_DROPPED_FACTOR
        ):
            self.escalate = True
        else:
            raise MailboxFull(self.actor, message.lane, message)

    def pop(self, blocked: Callable[[Message], bool] | None = None) -> Letter | None:
        """
        Take the next message, or return ``None`` when nothing may be taken.

        ``blocked`` says of a message of the OPEN lane whether a hold keeps it where it is.
        """
        for lane, queue in enumerate(self._lanes):
            if not queue:
                continue
            if lane != OPEN_LANE or blocked is None:
                self.taken += 1
                return queue.popleft()
            for index, letter in enumerate(queue):
                if not blocked(letter[0]):
                    del queue[index]
                    self.taken += 1
                    return letter
        return None

    def letters(self) -> list[Letter]:
        """Return what is queued, in the order of its delivery, and leave it there."""
        return [letter for queue in self._lanes for letter in queue]

    def take_open(self, covered: Callable[[Message], bool]) -> list[Letter]:
        """Take every queued message of the OPEN lane that ``covered`` is true of, in order."""
        queue = self._lanes[Lane.OPEN]
        taken = [letter for letter in queue if covered(letter[0])]
        self.taken += len(taken)
        if taken:
            kept = [letter for letter in queue if not covered(letter[0])]
            queue.clear()
            queue.extend(kept)
        return taken

    def take_all(self) -> list[Letter]:
        """Take everything, in order of service."""
        taken = [letter for queue in self._lanes for letter in queue]
        for queue in self._lanes:
            queue.clear()
        self.taken += len(taken)
        return taken

    def __len__(self) -> int:
        """Return how many messages are queued."""
        system, reduce, open_, data = self._lanes
        return len(system) + len(reduce) + len(open_) + len(data)

    def stats(self) -> MailboxStats:
        """Return the counts."""
        system, reduce, open_, data = (len(queue) for queue in self._lanes)
        return MailboxStats(
            self.accepted,
            self.taken,
            self.conflated,
            (system, reduce, open_, data),
        )

    def __repr__(self) -> str:
        """Return the lanes with their fill, as a dashboard line."""
        lanes = ", ".join(
            f"{lane.name.lower()} {len(queue)}/{bound}"
            for lane, queue, bound in zip(Lane, self._lanes, self._bounds, strict=True)
        )
        return f"<Mailbox {self.actor} [{lanes}]>"
