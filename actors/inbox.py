"""
The door into a running session for other threads: commands in, answers and facts out.

Theory of operation. What comes in is an errand of the session's dispatcher: it is run in the
session's own thread where no handler is running, so nobody ever sees or changes a session in
the middle of something. A command is answered when all that it brought about is on the disk: its
events in the journal, its holds in the register. A kill is the exception that makes it sure: it
is latched in the register by the thread that brings it, before the session has even heard of it,
so that nothing the session is stuck in can keep it from being in force after the next start.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from actors.commands import Answer, Request
from actors.kill import KILL_HOLD
from actors.pulse import Pulse
from actors.runtime.clock import monotonic_s
from actors.runtime.limits import COMMANDS_WAITING_MAX
from messages import CommandVerb, Hold, HoldMode
from state.register import HoldRegister

if TYPE_CHECKING:
    from actors.turns import Session

Question = Callable[["Session"], dict[str, Any]]


class Closed(RuntimeError):
    """There is no session behind the door (any more)."""


class Waiting:
    """One command on its way, and since when."""

    __slots__ = ("answer", "future", "request", "since_s", "taken")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.future: Future[Answer] = Future()
        self.since_s = monotonic_s()
        self.taken = False
        self.answer: Answer | None = None


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
        self.kills_waiting: deque[Waiting] = deque(maxlen=COMMANDS_WAITING_MAX)
        self._lock = threading.Lock()
        self._waiting: list[Waiting] = []
        self._questions: list[Future[dict[str, Any]]] = []
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell: asyncio.Event | None = None

    # -- any thread

    def submit(self, request: Request) -> Future[Answer]:
        """
        Hand over a command; its answer comes when it is in force and durable.

        A kill is latched durably before this returns. Raises ``Closed`` without a session.
        """
        waiting = Waiting(request)
        with self._lock:
            session = self._open()
            if len(self._waiting) >= COMMANDS_WAITING_MAX:
                raise Closed(f"{len(self._waiting)} commands wait already: the session is stuck")
            self._waiting.append(waiting)
        if request.verb is CommandVerb.KILL:
            self.kills_waiting.append(waiting)
            if self.register is not None:
                self.register.latch(latched(request, session.assembly.clock.now))
        session.assembly.dispatcher.errands.append(lambda: self._take(session, waiting))
        self._ring()
        return waiting.future

    def ask(self, question: Question) -> Future[dict[str, Any]]:
        """Have ``question`` asked of the session where no handler is running."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            session = self._open()
            if len(self._questions) >= COMMANDS_WAITING_MAX:
                raise Closed(f"{len(self._questions)} questions wait already: it is stuck")
            self._questions.append(future)
        session.assembly.dispatcher.errands.append(lambda: self._reply(session, question, future))
        self._ring()
        return future

    def _open(self) -> Session:
        if self.session is None or self._closed:
            raise Closed("no session is running")
        return self.session

    def _ring(self) -> None:
        loop, bell = self._loop, self._bell
        if loop is not None and bell is not None and not loop.is_closed():
            loop.call_soon_threadsafe(bell.set)

    # -- the session's thread

    def open(self, session: Session) -> None:
        """Stand before ``session``, which runs in this thread's event loop."""
        self._loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        self.session = session

    async def rung(self) -> None:
        """Return when somebody has come to the door since the last call."""
        assert self._bell is not None, "a session is behind the door"
        await self._bell.wait()
        self._bell.clear()

    def _take(self, session: Session, waiting: Waiting) -> None:
        waiting.answer = session.assembly.desk.take(waiting.request)
        waiting.taken = True

    def _reply(self, session: Session, question: Question, future: Future[dict[str, Any]]) -> None:
        with self._lock:
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

    def answer(self, *, durable: bool) -> None:
        """Answer every command that was carried out; ``durable`` says whether the disk knows."""
        with self._lock:
            done = [waiting for waiting in self._waiting if waiting.taken]
            self._waiting = [waiting for waiting in self._waiting if not waiting.taken]
        for waiting in done:
            if waiting in self.kills_waiting:
                self.kills_waiting.remove(waiting)
            answer = waiting.answer
            assert answer is not None, "what was taken has an answer"
            if not durable:
                text = f"{answer.text}; NOT on the disk: a restart may not know of it"
                answer = Answer(
                    ok=answer.ok,
                    text=text,
                    holds=answer.holds,
                    kill_id=answer.kill_id,
                    durable=False,
                )
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_result(answer)

    def close(self, why: str) -> None:
        """Turn away whoever still waits, and everybody who comes later."""
        with self._lock:
            self._closed = True
            left = [waiting.future for waiting in self._waiting]
            left += self._questions  # type: ignore[arg-type]
            self._waiting, self._questions = [], []
        self.kills_waiting.clear()
        for future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(Closed(why))


def latched(request: Request, now: int) -> Hold:
    """Return the hold of a kill as its bringer latches it."""
    return Hold(
        KILL_HOLD, request.reason or "operator", HoldMode.DRAIN, request.by, now, latched=True
    )
