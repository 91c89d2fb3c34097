"""What reached into a recorded session from outside, read from its journal."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from actors.agreement import RECOVERING_HOLD
from actors.outcomes import INTERRUPTED
from actors.places import Place
from messages import (
    CommandRefused,
    Hold,
    HoldPlaced,
    KillStep,
    OperatorCommand,
    SessionEnded,
    SessionStarted,
)
from state.journal.entry import decode_line
from state.journal.reader import read_lines

_INPUTS: Final = tuple(
    b'"type":"%s"' % kind.__name__.encode()
    for kind in (OperatorCommand, SessionStarted, SessionEnded, KillStep)
)


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the session: the entry, where the process before it was left, what was held."""

    seq: int
    at: int
    place: Place | None
    held: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it was taken, and what was wrong with its words or stood in its way."""

    seq: int
    at: int
    place: Place
    command: OperatorCommand
    refusal: str


@dataclass(slots=True)
class Tape:
    """What reached into a recorded session from outside, in order, and when everything was."""

    starts: list[Start] = field(default_factory=list)
    commands: deque[Command] = field(default_factory=deque)
    steps: dict[int, KillStep] = field(default_factory=dict)
    ended: SessionEnded | None = None
    stopped_at: Place | None = None
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
    held: list[Hold] | None = None
    lines = read_lines(journal)
    for seq, line in enumerate(lines, 1):
        tape.times.append(_time_of(line))
        head = line[:64]
        if held is not None:
            entry = decode_line(line)
            if isinstance(entry.message, HoldPlaced) and not _is_ours(entry.message.hold):
                held.append(entry.message.hold)
                continue
            tape.starts[-1] = replace(tape.starts[-1], held=tuple(held))
            held = None
        if tape.commands and tape.commands[-1].seq == seq - 1 and b"CommandRefused" in head:
            refused = decode_line(line).message
            if isinstance(refused, CommandRefused):
                tape.commands[-1] = replace(tape.commands[-1], refusal=refused.reason)
        if not any(mark in head for mark in _INPUTS):
            continue
        entry = decode_line(line)
        message = entry.message
        place = Place.of(entry.causation)
        if isinstance(message, SessionStarted):
            if tape.starts and place is None:
                raise PlaceUnknown(seq, "SessionStarted")
            tape.starts.append(Start(seq, entry.ts, place, ()))
            held = []
        elif isinstance(message, OperatorCommand):
            if place is None:
                raise PlaceUnknown(seq, "OperatorCommand")
            tape.commands.append(Command(seq, entry.ts, place, message, ""))
        elif isinstance(message, KillStep):
            tape.steps[seq] = message
        elif isinstance(message, SessionEnded):
            if message.outcome == INTERRUPTED and place is None:
                raise PlaceUnknown(seq, "SessionEnded")
            tape.ended, tape.stopped_at = message, place
    return tape


def _is_ours(hold: Hold) -> bool:
    return hold.hold_id == RECOVERING_HOLD


def _time_of(line: bytes) -> int:
    start = line.index(b'"ts":') + 5
    return int(line[start : line.index(b",", start)])
