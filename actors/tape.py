"""What reached into a recorded session from outside, read from its journal."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from actors.outcomes import INTERRUPTED
from actors.places import Place
from actors.witness import CONNECTING
from brokers.contract import News, Word
from messages import (
    AccountRead,
    ActorFailed,
    ActorStopped,
    Bar,
    CallFailed,
    ClockRead,
    CommandRefused,
    Hold,
    HoldPlaced,
    JournalChecked,
    KillStep,
    MarketBefore,
    MarketSeen,
    Message,
    MinimumOrder,
    NewsMissing,
    OperatorCommand,
    Quote,
    SessionEnded,
    SessionStarted,
    Tick,
    ToolReport,
    VenueConnected,
    VenueOrder,
    VenuePayment,
    VenueReport,
    VenueSurveyed,
    VenueTrades,
)
from state.journal import Entry, JournalDamaged
from state.journal.entry import decode_line
from state.journal.reader import read_lines
from state.register import RECOVERING_HOLD

_INPUTS: Final = tuple(
    b'"type":"%s"' % kind.__name__.encode()
    for kind in (
        OperatorCommand,
        SessionStarted,
        SessionEnded,
        KillStep,
        VenueReport,
        VenueOrder,
        VenueTrades,
        VenuePayment,
        ToolReport,
        MinimumOrder,
        AccountRead,
        NewsMissing,
        CallFailed,
        ClockRead,
        JournalChecked,
        MarketSeen,
        ActorFailed,
        ActorStopped,
    )
)


@dataclass(frozen=True, slots=True)
class End:
    """The end of one process that ended in order; where and when it was asked for, if it was."""

    seq: int
    at: int
    place: Place | None


@dataclass(frozen=True, slots=True)
class Start:
    """
    One start of the session: the entry, where and when its last process was left, what was held.

    Where the venue is elsewhere: what it was like, what it held, and what it said by then. Where
    the feed was live: what it knew of the time before. Where its process ended in order: how.
    """

    seq: int
    at: int
    place: Place | None
    left_at: int
    held: tuple[Hold, ...] = ()
    connected: VenueConnected | None = None
    surveyed: tuple[VenueSurveyed, ...] = ()
    early: tuple[News | Word, ...] = ()
    before: MarketBefore | None = None
    end: End | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it was taken, and what was wrong with its words or stood in its way."""

    seq: int
    at: int
    place: Place
    command: OperatorCommand
    refusal: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """One thing that a venue elsewhere said, as it came in."""

    seq: int
    at: int
    place: Place
    said: News | Word


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that a live feed brought, as it was acted upon."""

    seq: int
    at: int
    place: Place
    seen: tuple[Bar | Quote | Tick, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A live feed failed: what was said of it, and its traceback."""

    seq: int
    at: int
    place: Place
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """A strategy that had not kept up was left behind."""

    seq: int
    place: Place
    actor: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the clock that nothing else in the journal tells of."""

    seq: int
    place: Place
    read: ClockRead


@dataclass(frozen=True, slots=True)
class Check:
    """When an earlier process's journal was known to be whole."""

    seq: int
    at: int
    place: Place


@dataclass(slots=True)
class Tape:
    """What reached into a recorded session from outside, in order, and when everything was."""

    starts: list[Start] = field(default_factory=list)
    commands: deque[Command] = field(default_factory=deque)
    steps: dict[int, KillStep] = field(default_factory=dict)
    arrivals: deque[Arrival] = field(default_factory=deque)
    market: deque[Seen] = field(default_factory=deque)
    failures: deque[Failure] = field(default_factory=deque)
    leavings: deque[Leaving] = field(default_factory=deque)
    readings: deque[Reading] = field(default_factory=deque)
    checks: deque[Check] = field(default_factory=deque)
    records: dict[int, Message] = field(default_factory=dict)
    """What a venue elsewhere answered in the middle of something, by entry."""
    times: array[int] = field(default_factory=lambda: array("q"))

    @property
    def last(self) -> int:
        """Return the number of the last entry."""
        return len(self.times)


class PlaceUnknown(Exception):
    """Something reached into a session and its journal does not say where; names the entry."""

    def __init__(self, seq: int, what: str) -> None:
        """Say so of entry ``seq``."""
        super().__init__(f"entry {seq} ({what}) does not say where in the session it was")
        self.seq = seq
        self.what = what


def tape_of(journal: Path) -> Tape:
    """Return what reached into a session; raises ``JournalError``, and ``PlaceUnknown``."""
    tape = Tape()
    try:
        _fill(tape, read_lines(journal))
    except (msgspec.DecodeError, ValueError) as error:  # of a line, and of its time or its bytes
        raise JournalDamaged(f"{journal}: entry {tape.last} cannot be read: {error}") from error
    return tape


def _fill(tape: Tape, lines: Iterator[bytes]) -> None:
    starting = False
    for seq, line in enumerate(lines, 1):
        tape.times.append(0)  # the entry is counted, whatever comes of it
        tape.times[-1] = _time_of(line)
        head = line[:64]
        if starting:
            begun = _begun_with(tape.starts[-1], decode_line(line))
            if begun is not None:
                tape.starts[-1] = begun
                continue
            starting = False
        if tape.commands and tape.commands[-1].seq == seq - 1 and b"CommandRefused" in head:
            refused = decode_line(line).message
            if isinstance(refused, CommandRefused):
                tape.commands[-1] = replace(tape.commands[-1], refusal=refused.reason)
        if not any(mark in head for mark in _INPUTS):
            continue
        entry = decode_line(line)
        _take(tape, entry)
        starting = isinstance(entry.message, SessionStarted)


def _take(tape: Tape, entry: Entry) -> None:
    seq, at, message = entry.seq, entry.ts, entry.message
    match message:
        case SessionStarted():
            left = _place_of(entry) if tape.starts else None
            tape.starts.append(Start(seq, at, left, _moment(left, at)))
        case OperatorCommand():
            tape.commands.append(Command(seq, at, _place_of(entry), message, ""))
        case JournalChecked():
            tape.checks.append(Check(seq, at, _place_of(entry)))
        case KillStep():
            tape.steps[seq] = message
        case MarketSeen():
            tape.market.append(Seen(seq, at, _place_of(entry), message.seen))
        case ActorFailed():
            place = Place.of(entry.causation)
            if place is not None:  # else a handler did, and does so again
                failure = Failure(seq, at, place, message.error, message.traceback)
                tape.failures.append(failure)
        case ActorStopped():
            place = Place.of(entry.causation)
            if place is not None:  # else it was stopped with everybody
                tape.leavings.append(Leaving(seq, place, message.actor))
        case SessionEnded():
            stopped = message.outcome == INTERRUPTED
            place = _place_of(entry) if stopped else Place.of(entry.causation)
            end = End(seq, _moment(place, message.at), place)
            tape.starts[-1] = replace(tape.starts[-1], end=end)
        case _:
            _take_of_venue(tape, entry)


def _moment(place: Place | None, otherwise: int) -> int:
    """Return what time it was at ``place``, where it says so."""
    return otherwise if place is None or place.at is None else place.at


def _place_of(entry: Entry) -> Place:
    """Return where it was; raises ``PlaceUnknown``."""
    place = Place.of(entry.causation)
    if place is None:
        raise PlaceUnknown(entry.seq, type(entry.message).__name__)
    return place


def _begun_with(start: Start, entry: Entry) -> Start | None:
    """Return a start with what follows right after it, ``None`` where that is no part of it."""
    message = entry.message
    match message:
        case HoldPlaced() if not _is_ours(message.hold, entry.ts):
            return replace(start, held=(*start.held, message.hold))
        case VenueConnected():
            return replace(start, connected=message)
        case MarketBefore():
            return replace(start, before=message)
        case VenueSurveyed():
            return replace(start, surveyed=(*start.surveyed, message))
    return None


def _take_of_venue(tape: Tape, entry: Entry) -> None:
    message = entry.message
    if isinstance(message, AccountRead | NewsMissing | CallFailed):
        tape.records[entry.seq] = message
    elif isinstance(message, ClockRead):
        tape.readings.append(Reading(entry.seq, _place_of(entry), message))
    elif isinstance(message, News | Word):
        if entry.causation == CONNECTING:
            early = (*tape.starts[-1].early, message)
            tape.starts[-1] = replace(tape.starts[-1], early=early)
        elif isinstance(message, Word) and Place.of(entry.causation) is None:
            return  # Health reports on tools by itself as well, and a scenario sets least orders
        else:
            tape.arrivals.append(Arrival(entry.seq, entry.ts, _place_of(entry), message))


def _is_ours(hold: Hold, now: int) -> bool:
    """Return whether a start has placed a hold itself: an earlier one's is older."""
    return hold.hold_id == RECOVERING_HOLD and hold.since == now


def _time_of(line: bytes) -> int:
    start = line.index(b'"ts":') + 5
    return int(line[start : line.index(b",", start)])
