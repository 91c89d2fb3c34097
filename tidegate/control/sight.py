"""
What can be known of a session from outside its thread, and how old it is.

A session that answers within ``ASK_S`` is live, and what it says is of this moment. One that does
not is shown by what it last said, with the age of that: stale is never shown as live.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from actors import inspection
from actors.commands import Request
from actors.inbox import Closed, Question, Waiting
from actors.pulse import Pulse
from actors.runtime.clock import monotonic_s
from actors.turns import Session
from tidegate.control import limits


class Door(Protocol):
    """The way to a session: ``actors.inbox.Inbox``."""

    @property
    def pulse(self) -> Pulse:
        """Return the heartbeat, readable while the session is stuck."""

    @property
    def session(self) -> Session | None:
        """Return the session, ``None`` before there is one."""

    def hand_over(self, request: Request) -> Waiting:
        """Hand over a command; waits for nothing."""

    def latch(self, waiting: Waiting) -> None:
        """Make a kill that was handed over durable; waits for the disk."""

    def ask(self, question: Question) -> Future[dict[str, Any]]:
        """Have a question asked in the session's thread."""


class NotLive(Exception):
    """The session did not answer in time; the message says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What a look came to.

    ``facts`` are the session's own words, ``age_s`` old; both ``None`` when it has never spoken.
    ``live`` means that they are of this moment. ``why`` says why they are not.
    """

    live: bool
    facts: dict[str, Any] | None
    age_s: float | None
    pulse: dict[str, Any]
    why: str = ""


class Sight:
    """Looks at one session; for one event loop, in its own thread."""

    def __init__(self, door: Door) -> None:
        """Look through ``door``."""
        self.door = door
        self._facts: dict[str, Any] | None = None
        self._facts_at_s = 0.0
        self._flying: asyncio.Future[dict[str, Any]] | None = None

    async def look(self) -> Seen:
        """Return what the session says now, or what it said last; within ``ASK_S``."""
        try:
            self._facts = await self._shared()
        except NotLive as dead:
            age_s = None if self._facts is None else round(monotonic_s() - self._facts_at_s, 3)
            return Seen(False, self._facts, age_s, self.door.pulse.document(), str(dead))
        self._facts_at_s = monotonic_s()
        return Seen(True, self._facts, 0.0, self.door.pulse.document())

    async def ask(self, question: Question) -> dict[str, Any]:
        """Return the session's answer; raises ``NotLive``, or what the question raises."""
        return await self._answer(self._send(question))

    async def _shared(self) -> dict[str, Any]:
        """Ask for the facts, with everybody else who does at this moment."""
        self._check_pulse()  # also where a question of before is on its way already
        if self._flying is None or self._flying.done():
            self._flying = self._send(measured)
        return await self._answer(self._flying)

    def _check_pulse(self) -> None:
        pulse = self.door.pulse
        if pulse.stalled:
            raise NotLive(f"its work is {pulse.late_s:.1f} s late")

    def _send(self, question: Question) -> asyncio.Future[dict[str, Any]]:
        self._check_pulse()
        try:
            return asyncio.wrap_future(self.door.ask(question))
        except Closed as closed:
            raise NotLive(str(closed)) from None

    async def _answer(self, future: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
        done, _ = await asyncio.wait({future}, timeout=limits.ASK_S)
        if not done or future.cancelled():  # by somebody who has waited for the same answer
            future.cancel()
            raise NotLive(f"it has not answered for {limits.ASK_S} s")
        try:
            return future.result()
        except Closed as closed:
            raise NotLive(str(closed)) from None


def measured(session: Session) -> dict[str, Any]:
    """Return the session's status and what metrics add to it; asked in the session's thread."""
    status = inspection.status(session)
    track = session.assembly.track
    journal = session.journal
    equity = status["equity"]
    fall = 0.0 if equity is None or track.peak <= 0 else 1.0 - float(equity) / track.peak
    return {
        "status": status,
        "drawdown": max(0.0, fall),
        "max_drawdown": track.max_drawdown,
        "journal_seq": journal.seq,
        "journal_lag": journal.seq - journal.durable_seq,
        "recovery": dict(session.recovery.times),
    }
