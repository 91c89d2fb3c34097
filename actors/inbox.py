"""
The door into a running session for other threads: commands in, answers and facts out.

Theory of operation. What comes in is an errand of the session's dispatcher: it is run in the
session's own thread where no handler is running, so nobody ever sees or changes a session in
the middle of something. A command is answered when all that it brought about is on the disk: its
events in the journal, its holds in the register. A kill is the exception that makes it sure: it
is latched in the register by the thread that brings it, at the same time as the session hears of
it, so that nothing the session is stuck in can keep it from being in force after the next start,
and no disk can keep it from being in force now.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from actors.commands import Answer, Request, cleaned
from actors.pulse import Pulse
from actors.runtime.clock import monotonic_s
from actors.runtime.limits import COMMANDS_WAITING_MAX
from messages import EVERYTHING, KILL_HOLD, CommandVerb, Hold, HoldMode
from state.register import Announcement, HoldRegister

if TYPE_CHECKING:
    from actors.turns import Session

Question = Callable[["Session"], dict[str, Any]]


class Closed(RuntimeError):
    """There is no session behind the door (any more)."""


class Waiting:
    """One command on its way, and since when."""

    __slots__ = ("announcement", "answer", "future", "latched", "request", "since_s")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.future: Future[Answer] = Future()
        self.since_s = monotonic_s()
        self.answer: Answer | None = None
        self.announcement: Announcement | None = None
        self.latched = False

    @property
    def is_kill(self) -> bool:
        """Return whether it asks for a kill."""
        return self.request.verb is CommandVerb.KILL

    @property
    def taken(self) -> bool:
        """Return whether the session has carried it out."""
        return self.answer is not None

    @property
    def waited_s(self) -> float:
        """Return how long ago it came."""
        return monotonic_s() - self.since_s


class Inbox:
    """
    Bring commands and questions to a session from any thread.

    ``session`` is set while there is one. Every future that ``submit`` and ``ask`` return comes
    to an end: with an answer, or with ``Closed`` when the session ends first.
    """

    def __init__(self, register: HoldRegister | None = None) -> None:
        """Stand before a session that is not there yet; kills are latched in ``register``."""
        self.register = register
        self.pulse = Pulse()
        self.session: Session | None = None
        self.closed = False
        self._lock = threading.Lock()  # never held while anything waits
        self._waiting: list[Waiting] = []
        self._questions: list[Future[dict[str, Any]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell: asyncio.Event | None = None

    # -- any thread

    def submit(self, request: Request) -> Future[Answer]:
        """
        Hand over a command; its answer comes when it is in force and durable.

        A kill is latched durably when this returns, or the session has it in force and is about to
        make it so. Raises ``Closed`` without a session.
        """
        waiting = self.hand_over(request)
        self.latch(waiting)
        return waiting.future

    def hand_over(self, request: Request) -> Waiting:
        """Do what ``submit`` does but for the disk: waits for nothing."""
        waiting = Waiting(cleaned(request))
        kill = waiting.is_kill
        with self._lock:
            session = self._open()
            alike = [each for each in self._waiting if each.is_kill is kill]
            if len(alike) >= COMMANDS_WAITING_MAX:
                if not kill:
                    raise Closed(f"{len(alike)} commands wait already: the session is stuck")
                # It is killed as often as that already; only what is new must not be lost.
                same = [each for each in alike if each.request.flatten or not request.flatten]
                if same:
                    return same[0]
            if kill and self.register is not None and request.scope == EVERYTHING:
                hold = latched(waiting.request, session.assembly.clock.now)
                waiting.announcement = self.register.announce(hold)
            self._waiting.append(waiting)
            # In here, so that nothing is handed over any more once the door is shut.
            session.assembly.dispatcher.errands.append(lambda: self._take(session, waiting))
        self.ring()
        return waiting

    def latch(self, waiting: Waiting) -> None:
        """Make a kill durable that was handed over, whatever the session is doing."""
        if waiting.announcement is None or self.register is None:
            return
        try:
            self.register.keep(waiting.announcement)
        except OSError as error:
            # It goes on in memory: what the disk cannot do must not keep it from being obeyed.
            structlog.get_logger("session").error("kill_not_durable", error=str(error))
            return
        waiting.latched = True

    def ask(self, question: Question) -> Future[dict[str, Any]]:
        """Have ``question`` asked of the session where no handler is running."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            session = self._open()
            if len(self._questions) >= COMMANDS_WAITING_MAX:
                raise Closed(f"{len(self._questions)} questions wait already: it is stuck")
            self._questions.append(future)
            session.assembly.dispatcher.errands.append(
                lambda: self._reply(session, question, future)
            )
        self.ring()
        return future

    def kills_waiting(self) -> list[Waiting]:
        """Return the kills that the session has not taken yet, oldest first."""
        with self._lock:
            return [waiting for waiting in self._waiting if waiting.is_kill and not waiting.taken]

    def _open(self) -> Session:
        if self.session is None or self.closed:
            raise Closed("no session is running")
        return self.session

    def ring(self) -> None:
        """Let the session's driver look up: there is something for it to do."""
        loop, bell = self._loop, self._bell
        if loop is None or bell is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended: so has the session
            loop.call_soon_threadsafe(bell.set)

    # -- the session's thread

    def open(self, session: Session) -> None:
        """
        Stand before ``session``, which runs in this thread's event loop.

        Whoever comes from now on is taken at a place that the journal names, be it in the middle
        of the start: a kill file waits for nobody.
        """
        session.assembly.desk.place = lambda: str(session.place)
        self._loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        self.session = session

    async def rung(self) -> None:
        """Return when somebody has come to the door since the last call."""
        assert self._bell is not None, "a session is behind the door"
        await self._bell.wait()
        self._bell.clear()

    def _take(self, session: Session, waiting: Waiting) -> None:
        with self._lock:
            if waiting not in self._waiting:
                return  # turned away
        answer = session.assembly.desk.take(waiting.request, round(waiting.waited_s * 1000))
        if waiting.announcement is not None:
            waiting.announcement.taken = True
        waiting.answer = answer

    def _reply(self, session: Session, question: Question, future: Future[dict[str, Any]]) -> None:
        with self._lock:
            if future not in self._questions:
                return  # turned away
            self._questions.remove(future)
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(question(session))
        except Exception as error:  # noqa: BLE001 - it is the asker's to handle
            future.set_exception(error)

    @property
    def owes(self) -> bool:
        """Return whether a command was carried out and is not answered yet."""
        return any(waiting.taken for waiting in self._waiting)

    def owed(self) -> list[Waiting]:
        """Return the commands that were carried out and are not answered yet."""
        with self._lock:
            return [waiting for waiting in self._waiting if waiting.taken]

    def answer(self, owed: Iterable[Waiting], *, durable: bool) -> None:
        """Answer commands that were carried out; ``durable`` says whether the disk knows."""
        for waiting in owed:
            with self._lock:
                self._waiting.remove(waiting)
            answer = waiting.answer
            assert answer is not None, "what was taken has an answer"
            if not (durable or waiting.latched):
                text = f"{answer.text}; NOT on the disk: a restart may not know of it"
                answer = msgspec.structs.replace(answer, text=text, durable=False)
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_result(answer)

    def shut(self) -> None:
        """Turn away everybody who comes from now on; who came before is still answered."""
        with self._lock:
            self.closed = True

    def close(self, why: str) -> None:
        """Turn away whoever still waits, and everybody who comes later."""
        with self._lock:
            self.closed = True
            commands, self._waiting = self._waiting, []
            questions, self._questions = self._questions, []
        futures: list[Future[Any]] = [waiting.future for waiting in commands]
        for future in futures + questions:
            if future.set_running_or_notify_cancel():
                future.set_exception(Closed(why))


def latched(request: Request, now: int) -> Hold:
    """Return the hold of a kill as its bringer latches it."""
    return Hold(
        KILL_HOLD,
        request.reason or "operator",
        HoldMode.DRAIN,
        request.by,
        now,
        latched=True,
        flatten=request.flatten,
    )
