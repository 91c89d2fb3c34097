"""Paper sessions in the main thread, where signals are, with somebody at the door in another."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
from safety_world import FAR_BELOW, UnrulyVenue
from session_world import BTC, Script, flat, make_spec

from actors.commands import Answer, Request
from actors.inbox import Inbox
from actors.runtime import Dispatcher
from actors.runtime.interrupt import Interrupter
from actors.sentinel import KILL_SIGNAL, Sentinel
from actors.session import run_paper
from actors.spec import SessionResult, SessionSpec
from actors.turns import Session
from feeds.memory import MemoryFeed
from messages import CommandVerb, Message, Side
from state.journal import decode_line
from state.register import HoldRegister, register_of

AT_ONCE_S = 20.0
"""Longer than anything here takes; a test that needs it has failed."""


@dataclass
class House:
    """A running session, its door, and what watches over it."""

    folder: Path
    spec: SessionSpec
    inbox: Inbox = field(default_factory=Inbox)
    sentinel: Sentinel = field(init=False)
    interrupter: Interrupter | None = None
    over: threading.Event = field(default_factory=threading.Event)
    result: SessionResult | None = None
    trouble: list[BaseException] = field(default_factory=list)

    @property
    def session(self) -> Session:
        """Return the session, which runs."""
        assert self.inbox.session is not None
        return self.inbox.session

    @property
    def register(self) -> HoldRegister:
        """Return what a new process has of the account's register."""
        return register_of(self.spec.runs_dir, self.spec.mode, self.spec.account)

    def held(self) -> list[str]:
        """Return what is held on the disk."""
        return [hold.hold_id for hold in self.register.load()]

    def in_force(self) -> list[str]:
        """Return what is held in the session, seen from outside."""
        return list(self.session.assembly.holds.view())

    def take(self, verb: CommandVerb, **terms: Any) -> Answer:
        """Submit a command and return its answer."""
        request = Request(verb=verb, **{"by": "test", **terms})
        return self.inbox.submit(request).result(AT_ONCE_S)

    def ask(self, question: Callable[[Session], dict[str, Any]]) -> dict[str, Any]:
        """Ask the session."""
        return self.inbox.ask(question).result(AT_ONCE_S)

    def until(self, seen: Callable[[], Any]) -> Any:
        """Return what ``seen`` returns once it is true."""
        end = time.monotonic() + AT_ONCE_S
        while not (found := seen()):
            assert time.monotonic() < end, "it does not happen"
            time.sleep(0.001)
        return found

    def messages(self) -> list[Message]:
        """Return everything that was journaled, after the end."""
        assert self.result is not None
        lines = (self.result.out / "events.ndjson").read_bytes().splitlines()
        return [decode_line(line).message for line in lines]

    def all(self, kind: type[Any]) -> list[Any]:
        """Return every message of a class, after the end."""
        return [message for message in self.messages() if isinstance(message, kind)]


Act = Callable[[House], Any]


def live_in(
    folder: Path,
    *scripts: Script,
    act: Act,
    speed: float = 600.0,
    bars: int = 10_000,
    kill_file: Path | None = None,
    handler_timeout_s: float | None = None,
    last_resort: Callable[[], object] | None = None,
    before: Callable[[House], object] = lambda _house: None,
    opened: Callable[[House], object] = lambda _house: None,
    uvloop: bool = False,
    **settings: Any,
) -> House:
    """
    Run a session in this thread while ``act`` is at its door in another; return when both ended.

    The session is asked to end when ``act`` returns. ``before`` is called before it starts,
    ``opened`` in its own thread when its door opens.
    """
    names = ("one", "two", "three")
    made = [script.spec(name) for script, name in zip(scripts, names, strict=False)]
    spec = make_spec(MemoryFeed({BTC: flat(BTC, bars)}), *made, **settings)
    spec = replace(spec, mode="paper", runs_dir=folder / "runs", broker=UnrulyVenue)
    house = House(folder, spec)
    house.interrupter = Interrupter(Dispatcher.handler_calls(), Dispatcher.handler_passages())
    resort = {} if last_resort is None else {"last_resort": last_resort}
    house.sentinel = Sentinel(
        house.inbox,
        house.interrupter,
        kill_file=kill_file,
        handler_timeout_s=handler_timeout_s,
        **resort,
    )
    visitor = threading.Thread(target=_visit, args=(house, act), name="visitor", daemon=True)

    def on_open(session: Session) -> None:
        session.assembly.desk.obstacle = house.sentinel.obstacle
        house.sentinel.look()
        opened(house)
        visitor.start()

    async def main() -> None:
        house.result = await run_paper(
            house.spec, speed=speed, stop=house.over.is_set, inbox=house.inbox, on_open=on_open
        )

    before(house)
    with _watched(house):
        anyio.run(main, backend_options={"use_uvloop": uvloop})
    visitor.join(AT_ONCE_S)
    if house.trouble:
        raise house.trouble[0]
    return house


def _visit(house: House, act: Act) -> None:
    try:
        act(house)
    except BaseException as error:  # noqa: BLE001 - raised in the main thread
        house.trouble.append(error)
    finally:
        house.over.set()
    end = time.monotonic() + AT_ONCE_S
    while house.trouble and house.result is None and time.monotonic() < end:
        assert house.interrupter is not None
        house.interrupter.interrupt()  # a test that failed does not hang as well
        time.sleep(0.05)


@contextmanager
def _watched(house: House) -> Iterator[None]:
    def on_signal(number: int, _frame: FrameType | None) -> None:
        house.sentinel.signalled(signal.Signals(number).name)

    interrupter = house.interrupter
    assert interrupter is not None
    before = signal.signal(KILL_SIGNAL, on_signal)
    interrupter.install()
    house.sentinel.start()
    try:
        yield
    finally:
        house.sentinel.stop()
        interrupter.remove()
        signal.signal(KILL_SIGNAL, before)


def keeps_buying() -> Script:
    """Return a script that rests one more order at every bar."""
    script = Script()
    script.on_bar = lambda strategy, _bar: [
        strategy.desk.open(BTC, Side.BUY, Decimal(1), policy=FAR_BELOW)
    ]
    return script
