"""
Vitals: the machine below the session. Its disk, its clock, its event loop.

``judge`` is pure: a reading, the thresholds and what was already wrong give what is wrong now.
What is wrong ends only when it is clearly over, so that a value at its threshold does not turn
a gate at every look.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from actors.runtime.clock import monotonic_s, wall_ms

DISK = "disk"
CLOCK = "clock"
LOOP = "loop"
VITALS = (DISK, CLOCK, LOOP)
"""The ids of the holds that vitals place."""

MB = 1_000_000

ROOM_REGAINED = 1.25
"""A disk is well again with this many times the least free space."""

STALL_WINDOW_S = 60.0
STALL_MARKS_MAX = 128
"""Looks at the stall count that are kept: one a second covers the window twice."""

STEADY_S = 60.0
"""A clock that was set, and then ran evenly for this long, is right again: somebody set it."""

JITTER_MS = 50
"""Differences below this between two looks are no step: slewing, and the looks themselves."""


class Vitals(Protocol):
    """What can be known about the machine; ``None`` means that nobody watches it."""

    def disk_free_bytes(self) -> int | None:
        """Return the free space where the session is written."""

    def clock_offset_ms(self) -> int | None:
        """Return how far the machine's clock is from where it should be."""

    def stalls(self) -> int | None:
        """Return how often the event loop has stalled within the last minute."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the vitals."""

    disk_free_bytes: int | None = None
    clock_offset_ms: int | None = None
    stalls: int | None = None


@dataclass(frozen=True, slots=True)
class VitalRules:
    """Least free disk space, farthest clock offset, most stalls a minute."""

    min_free_bytes: int = 200 * MB
    max_clock_offset_ms: int = 1_000
    stalls_per_minute: int = 10


def read(vitals: Vitals) -> Reading:
    """Look at everything once."""
    return Reading(vitals.disk_free_bytes(), vitals.clock_offset_ms(), vitals.stalls())


def judge(reading: Reading, rules: VitalRules, standing: Collection[str] = ()) -> dict[str, str]:
    """
    Return what is wrong, by hold id, with its cause in words and figures.

    ``standing`` are the ids of what was wrong before. Those stay wrong until the disk has a
    quarter more than the least free space, the clock is within half its bound, or there are at
    most half as many stalls as allowed. What cannot be known any more is as it was.
    """
    found: dict[str, str] = {}
    free = reading.disk_free_bytes
    least = rules.min_free_bytes * (ROOM_REGAINED if DISK in standing else 1)
    if free is not None and free < least:
        found[DISK] = f"free_mb={free // MB} min_free_mb={rules.min_free_bytes // MB}"
    offset_ms = reading.clock_offset_ms
    most_ms = rules.max_clock_offset_ms // (2 if CLOCK in standing else 1)
    if offset_ms is not None and abs(offset_ms) > most_ms:
        found[CLOCK] = (
            f"clock_offset_ms={offset_ms} max_clock_offset_ms={rules.max_clock_offset_ms}"
        )
    stalls = reading.stalls
    most = rules.stalls_per_minute // (2 if LOOP in standing else 1)
    if stalls is not None and stalls > most:
        found[LOOP] = f"stalls={stalls} stalls_per_minute={rules.stalls_per_minute}"
    unknown = {DISK: free is None, CLOCK: offset_ms is None, LOOP: stalls is None}
    for hold_id in VITALS:
        if hold_id in standing and unknown[hold_id]:
            found[hold_id] = "no longer measured"
    return found


class MachineVitals:
    """
    The machine that this process runs on.

    The clock is held against the monotonic one: what they differ by since the last time that
    both ran evenly is how far the clock was set. ``stalls`` counts within a real minute,
    whatever the session's pace.
    """

    def __init__(
        self,
        folder: Path,
        stall_count: Callable[[], int],
        *,
        wall: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = monotonic_s,
    ) -> None:
        """Watch the disk that ``folder`` is on, this machine's clock, and ``stall_count()``."""
        self._folder = folder
        self._stall_count = stall_count
        self._wall = wall
        self._monotonic = monotonic
        self._base_ms = self._difference_ms()
        self._seen_ms = self._base_ms
        self._steady_since_s = monotonic()
        self._marks: deque[tuple[float, int]] = deque(maxlen=STALL_MARKS_MAX)
        self._marks.append((monotonic(), stall_count()))

    def disk_free_bytes(self) -> int:
        """Return the free space; a disk that cannot be asked has none."""
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return 0  # a folder that is gone takes no order's record either

    def clock_offset_ms(self) -> int:
        """Return how far the clock was set within the last minute or since it ran evenly."""
        now_s = self._monotonic()
        difference_ms = self._difference_ms()
        if abs(difference_ms - self._seen_ms) > JITTER_MS:
            self._steady_since_s = now_s
        elif now_s - self._steady_since_s >= STEADY_S:
            self._base_ms = difference_ms
        self._seen_ms = difference_ms
        return difference_ms - self._base_ms

    def stalls(self) -> int:
        """Return the stalls since the newest look that is a minute old, or the oldest kept."""
        now_s, count = self._monotonic(), self._stall_count()
        marks = self._marks
        while len(marks) > 1 and now_s - marks[1][0] >= STALL_WINDOW_S:
            marks.popleft()
        before = marks[0][1]
        if now_s - marks[-1][0] >= STALL_WINDOW_S / (STALL_MARKS_MAX - 1):
            marks.append((now_s, count))
        return count - before

    def _difference_ms(self) -> int:
        return self._wall() - round(self._monotonic() * 1000)
