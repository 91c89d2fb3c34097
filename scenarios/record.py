"""
What a scenario's sessions journaled, and what was done to them, in one order.

``Recorder`` is a sink of each session's journal; entries come one by one, so that a step that
waits for a message happens right after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from messages import (
    ActorFailed,
    ExecutionReport,
    HoldLifted,
    HoldPlaced,
    Intent,
    Message,
    OpenIntent,
    ReduceIntent,
    RiskDecision,
)
from scenarios.model.base import format_offset
from state.journal import Entry

SHOWN_MAX = 160
"""Characters of one line of a timeline."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the story: a journal's entry of the nth session, or a step of the scenario."""

    at: int
    session: int
    text: str
    entry: Entry | None = None


@dataclass(slots=True)
class Record:
    """The whole story of a scenario's run."""

    start_ms: int
    events: list[Event] = field(default_factory=list)
    intents: list[tuple[str, str]] = field(default_factory=list)
    """(intent id, tag) of every intent to open or reduce, in order."""
    goes_on: dict[int, int] = field(default_factory=dict)
    """Which process each one goes on after, by number; one that begins a session is not in it."""

    def note(self, at: int, session: int, text: str) -> None:
        """Add what the scenario did."""
        self.events.append(Event(at, session, text))

    def entries(self, session: int | None = None) -> list[Entry]:
        """Return the journaled entries, of one session if it is named."""
        return [
            event.entry
            for event in self.events
            if event.entry is not None and session in (None, event.session)
        ]

    def journal(self, session: int) -> list[Entry]:
        """Return the whole journal that the nth process wrote to, up to its own last entry."""
        before = self.goes_on.get(session)
        earlier = [] if before is None else self.journal(before)
        return earlier + self.entries(session)

    def lose(self, session: int, durable_seq: int) -> None:
        """
        Forget what the nth process journaled after entry ``durable_seq``: it died with it.

        The timeline still tells of it; nothing that is expected is found there.
        """
        lost = 0
        for place, event in enumerate(self.events):
            entry = event.entry
            if event.session == session and entry is not None and entry.seq > durable_seq:
                lost += isinstance(entry.message, OpenIntent | ReduceIntent)
                text = f"lost: {self.line(event).partition('  ')[2]}"
                self.events[place] = Event(event.at, session, text)
        # The last process is the one that loses, and what it lost came last.
        del self.intents[len(self.intents) - lost :]

    def failures(self) -> list[str]:
        """Return a line for each different failure of an actor: when first, whose, where, what."""
        found: dict[str, str] = {}
        for event in self.events:
            message = None if event.entry is None else event.entry.message
            if isinstance(message, ActorFailed):
                place = f"{message.place}: " if message.place else ""
                what = f"{message.actor}: {place}{message.error}"
                found.setdefault(what, f"{format_offset(event.at - self.start_ms)}  {what}")
        return list(found.values())

    def ids_of(self, tag: str) -> list[str]:
        """Return the ids of the intents of ``tag``."""
        return [intent_id for intent_id, own in self.intents if own == tag]

    def line(self, event: Event) -> str:
        """Return an event as a line of the timeline."""
        when = format_offset(event.at - self.start_ms)
        if event.entry is None:
            return f"{when}  -- {event.text}"
        entry = event.entry
        kind = type(entry.message).__name__
        facts = " | ".join(described(entry.message).splitlines())
        text = f"{when}  {entry.source:<12} {kind}: {facts}"
        return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


class Recorder:
    """A sink that keeps every entry of one session and tells who waits for one."""

    def __init__(self, record: Record, session: int, on_entry: Callable[[Entry], None]) -> None:
        """Write to ``record`` in the name of the ``session``-th session."""
        self._record = record
        self._session = session
        self._on_entry = on_entry
        self.full = False

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Keep the entries; on a full disk raise ``OSError``, as the operating system would."""
        del lines
        if self.full:
            raise OSError(28, "No space left on device")
        for entry in entries:
            message = entry.message
            self._record.events.append(Event(entry.ts, self._session, "", entry))
            if isinstance(message, OpenIntent | ReduceIntent):
                self._record.intents.append((message.intent_id, message.tag))
            self._on_entry(entry)

    def close(self) -> None:
        """Nothing to close."""


def described(message: Message) -> str:
    """Return the facts of a message in one line, what matters first."""
    match message:
        case Intent():
            price = message.policy.limit_price or message.policy.stop_price
            text = (
                f"{message.intent_id} {message.strategy} {message.side.value} {_size(message)} "
                f"{message.symbol} {message.policy.order_type.value}"
            )
            return text + (f" at {price}" if price else "") + _tag(message.tag)
        case RiskDecision():
            causes = " ".join(str(cause) for cause in message.causes)
            return f"{message.intent_id} {message.verdict.value} {causes}".rstrip()
        case ExecutionReport():
            text = f"{message.order_id} {message.event.value} -> {message.status.value}"
            if message.fill is not None:
                text += f" {message.fill.quantity} at {message.fill.price}"
            return text + (f" {message.cause}" if message.cause is not None else "")
        case HoldPlaced():
            hold = message.hold
            return f"{hold.hold_id} {hold.mode.value} {hold.scope}: {hold.cause} (by {hold.set_by})"
        case HoldLifted():
            return f"{message.hold.hold_id}: {message.reason} (by {message.lifted_by})"
        case _:
            return _fields(message)


def _size(intent: Intent) -> str:
    """Return how much an intent asks for: a quantity, a notional, or all that there is."""
    if intent.quantity is not None:
        return f"{intent.quantity}"
    return "all of" if intent.notional is None else f"{intent.notional} worth of"


def _tag(tag: str) -> str:
    return f" [{tag}]" if tag else ""


def _fields(message: Message) -> str:
    facts = msgspec.to_builtins(message, builtin_types=(), str_keys=True)
    return " ".join(
        f"{name}={value}" for name, value in facts.items() if name not in {"type", "at"}
    )
