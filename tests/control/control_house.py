"""Sessions that run in a thread with their control plane beside them, and clients of both kinds."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from session_world import BTC, Script, flat, make_spec

from actors import pulse
from actors.commands import Request
from actors.inbox import Inbox, Question, Waiting
from actors.pulse import Pulse
from actors.session import run_paper
from actors.spec import SessionResult
from actors.turns import Session
from feeds.memory import MemoryFeed
from tidegate.control import limits
from tidegate.control.app import Plane
from tidegate.control.client import Client
from tidegate.control.daemon import read_daemon
from tidegate.control.patience import Patience
from tidegate.control.record import Record
from tidegate.control.server import ControlPlane, Listening
from tidegate.control.sight import Sight
from tidegate.control.systemd import Systemd
from tidegate.control.token import Token

SECRET = "tide-7f3a9c51d2e84b06"
AT_ONCE = 120.0
"""Longer than anything here takes on a loaded machine; a test that needs it has failed."""
ASK_S = limits.ASK_S
"""How long a read waits for the session in life."""
STALL_AFTER_S = pulse.STALL_AFTER_S
"""When work is late in life."""
BARS = 10_000
"""More than pass in a test at any speed of these: no session ends while it is still asked."""


@dataclass
class Running:
    """A paper session in a thread of its own, and the control plane that serves it."""

    folder: Path
    inbox: Inbox
    plane: Plane
    control: ControlPlane
    record: Record
    asked_to_stop: threading.Event = field(default_factory=threading.Event)
    results: list[SessionResult] = field(default_factory=list)

    @property
    def client(self) -> Client:
        """Return a client of the Unix socket."""
        return Client(self.control.listening.socket)

    def get(self, target: str) -> dict[str, Any]:
        """Return the answer to a read over the socket, which has to be 200."""
        status, document = self.client.get(target)
        assert status == 200, document
        return document

    def live(self) -> dict[str, Any]:
        """Return its first status that is of its moment."""
        shown: list[dict[str, Any]] = []

        def is_live() -> bool:
            shown[:] = [self.get("/v1/status")]
            return bool(shown[0]["live"])

        self.until(is_live)
        return shown[0]

    def until(self, reached: Callable[[], object]) -> None:
        """Return once something is so."""
        patience = Patience(AT_ONCE)
        while not reached():
            assert self.thread.is_alive(), "the session goes on"
            assert not patience.over, "it does not come"
            patience.rest()

    def command(self, name: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Return the answer to a command over the socket."""
        return self.client.post(f"/v1/commands/{name}", body)

    def over_http(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], str]:
        """Return (status, headers, text) of a request to the HTTP listener."""
        assert self.control.http_address is not None
        connection = http.client.HTTPConnection(*self.control.http_address, timeout=AT_ONCE)
        content = body if isinstance(body, str | bytes | None) else json.dumps(body)
        sent = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, target, content, {**sent, **(headers or {})})
        response = connection.getresponse()
        found = response.status, dict(response.headers), response.read().decode()
        connection.close()
        return found

    def plane_of_its_own(self) -> Plane:
        """Return one more plane before the session, for an event loop of the test's own."""
        return Plane(Sight(self.inbox), self.record, Token(SECRET), daemon={"folder": ""})

    def with_own_pulse(self) -> tuple[Plane, Pulse]:
        """Return a plane before the session whose heartbeat is the test's to make."""
        plane, pulse = self.plane_of_its_own(), Pulse()
        plane.sight.door = OwnPulse(self.inbox, pulse)
        return plane, pulse

    def end(self) -> SessionResult:
        """End the session and return its result."""
        self.asked_to_stop.set()
        self.thread.join(AT_ONCE)
        assert self.results, "the session has ended with a result"
        return self.results[0]

    thread: threading.Thread = field(default_factory=threading.Thread)


@contextmanager
def running(
    folder: Path,
    *scripts: Script,
    speed: float = 1.0,
    bars: int = BARS,
    before: Callable[[Inbox], object] = lambda _inbox: None,
    at_open: Callable[[Inbox], object] = lambda _inbox: None,
    **settings: Any,
) -> Iterator[Running]:
    """
    Run a session of ``scripts`` in ``folder`` with its control plane, until the block ends.

    ``before`` it the inbox is given out, and ``at_open`` in its own thread when it has started.
    """
    inbox = Inbox()
    record = Record()
    plane = Plane(Sight(inbox), record, Token(SECRET), daemon={"folder": ""}, **settings)
    listening = Listening(folder / "control" / "control.sock", ("127.0.0.1", 0))
    control = ControlPlane(plane, listening, systemd=Systemd({}))
    found = Running(folder, inbox, plane, control, record)
    before(inbox)
    control.start()
    names = ["one", "two", "three"]
    made = [script.spec(name) for script, name in zip(scripts or (Script(),), names, strict=False)]
    spec = make_spec(MemoryFeed({BTC: flat(BTC, bars)}), *made)
    spec = replace(spec, mode="paper", runs_dir=folder / "runs", sinks=(record,))
    opened = threading.Event()

    def open_up(_session: Session) -> None:
        at_open(inbox)
        opened.set()

    def session() -> None:
        async def run() -> SessionResult:
            return await run_paper(
                spec,
                speed=speed,
                stop=found.asked_to_stop.is_set,
                inbox=inbox,
                on_open=open_up,
            )

        found.results.append(anyio.run(run))

    found.thread = threading.Thread(target=session, name="session")
    found.thread.start()
    assert opened.wait(AT_ONCE), "the session has started"
    try:
        yield found
    finally:
        found.asked_to_stop.set()
        inbox.ring()  # so that it looks up at once
        found.thread.join(AT_ONCE)
        control.stop()


@dataclass
class OwnPulse:
    """The way to a session, with another heartbeat than the session's own."""

    inbox: Inbox
    pulse: Pulse

    @property
    def session(self) -> Session | None:
        """Return the session."""
        return self.inbox.session

    def hand_over(self, request: Request) -> Waiting:
        """Hand over a command."""
        return self.inbox.hand_over(request)

    def latch(self, waiting: Waiting) -> None:
        """Make a kill durable."""
        self.inbox.latch(waiting)

    def ask(self, question: Question) -> Future[dict[str, Any]]:
        """Have a question asked."""
        return self.inbox.ask(question)


class Stuck:
    """Makes what a script does on a bar, once asked for, not return until it is released."""

    def __init__(self, script: Script) -> None:
        """Be what ``script`` does on bars."""
        self._asked_for = threading.Event()
        self._entered = threading.Event()
        self._released = threading.Event()
        script.on_bar = self._on_bar

    def _on_bar(self, _strategy: object, _bar: object) -> None:
        if not self._asked_for.is_set():
            return
        self._entered.set()
        assert self._released.wait(AT_ONCE), "somebody releases it"

    def wait_for(self, house: Running) -> None:
        """Return once the session is stuck in it, from its next bar on, and its work is late."""
        self._asked_for.set()
        assert self._entered.wait(AT_ONCE), "a bar has come"
        while not house.inbox.pulse.stalled:
            self._released.wait(0.01)

    def release(self) -> None:
        """Let the handler return, now and ever after."""
        self._released.set()


def keep_first(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every kill on the disk before its answer is waited for, however slow the disk is."""
    hand_over = inbox.hand_over

    def kept(request: Request) -> Waiting:
        waiting = hand_over(request)
        inbox.latch(waiting)
        return waiting

    monkeypatch.setattr(inbox, "hand_over", kept)


def clear_away(runs_dir: Path) -> None:
    """Remove the sockets that daemons left which were killed: paths of tests are long ones."""
    for path in runs_dir.glob("*/accounts/*/daemon.json"):
        daemon = read_daemon(path.parent)
        if daemon is not None and not daemon.runs():
            shutil.rmtree(Path(daemon.socket).parent, ignore_errors=True)
