"""A dispatcher with a few actors of its own: what the runtime promises, without trading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from session_world import Keep

from actors.runtime import (
    Actor,
    Cell,
    ChildSpec,
    Dispatcher,
    Effects,
    HoldSet,
    Intensity,
    SimulatedClock,
    Supervisor,
)
from actors.runtime.cell import Handler
from messages import (
    Bar,
    CancelIntent,
    Cause,
    EquitySampled,
    Lane,
    Message,
    OpenIntent,
    OrderCommitted,
    OrderEvent,
    Side,
    VenueReport,
    Wake,
)
from state.journal import Entry, Journal, decode_line

BOUNDS = {Lane.SYSTEM: 2, Lane.REDUCE: 3, Lane.OPEN: 3, Lane.DATA: 3}
FOREVER = Intensity(10**6, 1.0, 10**6, 1.0)

MAKERS: dict[str, Callable[[str], Message]] = {
    "committed": OrderCommitted,  # SYSTEM, FATAL
    "report": lambda name: VenueReport(name, OrderEvent.ACCEPTED, 0),  # REDUCE, ESCALATE
    "cancel": lambda name: CancelIntent(name, "one", name, 0),  # REDUCE, REFUSE
    "open": lambda name: OpenIntent(name, "one", name, Side.BUY, Decimal(1), 0),  # OPEN, REFUSE
    "bar": lambda name: Bar(name, 0, 1.0, 1.0, 1.0, 1.0, 1.0, 60_000),  # DATA, CONFLATE
    "sample": lambda name: EquitySampled(((1, 1.0),), 0.0, 0.0),  # DATA, DROP_NEWEST
}


class Listener(Actor):
    """An actor that remembers, refuses, and fails when it is told to."""

    def __init__(self, house: House) -> None:
        self.house = house

    def handlers(self) -> Mapping[type[Message], Handler]:
        return dict.fromkeys(
            (OrderCommitted, VenueReport, CancelIntent, OpenIntent, Bar, EquitySampled, Wake),
            self.hear,
        )

    def hear(self, message: Message) -> Effects:
        self.house.seen.append(message)
        if self.house.failures:
            self.house.failures -= 1
            raise RuntimeError("told to fail")
        return self.house.effects_of(message)

    def refuse(self, message: Message, causes: tuple[Cause, ...]) -> Effects:
        self.house.refused.append((message, causes))
        return None


class House:
    """One listener under a supervisor, with small lanes."""

    def __init__(self, dispatcher: Callable[..., Dispatcher] = Dispatcher) -> None:
        """Start the listener."""
        self.clock = SimulatedClock()
        self.sink = Keep()
        self.journal = Journal([self.sink])
        self.holds = HoldSet("paper")
        self.dispatcher = dispatcher(self.journal, self.clock, self.holds)
        self.supervisor = Supervisor(self.dispatcher)
        self.seen: list[Message] = []
        self.refused: list[tuple[Message, tuple[Cause, ...]]] = []
        self.failures = 0
        self.told = 0
        self.effects_of: Callable[[Message], Effects] = lambda _message: None
        self.cell = Cell("listener", lambda: Listener(self), BOUNDS)
        self.supervisor.declare(ChildSpec("listener", intensity=FOREVER), self.cell)
        self.supervisor.start()

    def tell(self, what: str, name: str = "A") -> Message:
        """Hand the listener one message and settle."""
        message = MAKERS[what](name)
        self.told += 1
        self.dispatcher.tell(self.cell, message)
        self.dispatcher.settle_all()
        return message

    def go_down(self) -> None:
        """Let the listener fail on a message; it stays down until time passes."""
        self.failures = 1
        self.tell("committed")

    def come_back(self) -> None:
        """Let the restart's time come."""
        self.let_pass(100_000)

    def let_pass(self, duration_ms: int) -> None:
        """Fire every timer of the next so many milliseconds."""
        until = self.clock.now + duration_ms
        while (due := self.clock.pop_due(until)) is not None:
            at, callback = due
            self.clock.advance(at)
            callback(at)
            self.dispatcher.settle_all()

    def entries(self) -> list[Entry]:
        """Return the journal so far."""
        self.journal.flush()
        return [decode_line(line) for line in self.sink.lines]

    def all(self, kind: type[Message]) -> list[Any]:
        """Return every journaled message of a class."""
        return [entry.message for entry in self.entries() if isinstance(entry.message, kind)]
