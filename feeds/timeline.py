"""
The times of one file's bars: what comes next, what was left out, what was there before.

A bar that follows its predecessor by exactly one time frame never gets here (see ``rows``):
only gaps, short steps and steps back do. That is why the timestamps seen are known exactly,
as runs of evenly spaced bars, at no cost to the ordinary bar: a duplicate is told from a mere
step back even when a file holds a whole day twice.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from feeds.flaws import BadRow, Flaw
from feeds.timeframe import format_timeframe

TIMESTAMP_MIN = 10**11
TIMESTAMP_MAX = 10**13
"""Milliseconds from 1973 to 2286: seconds lie below this range, microseconds above it."""

RUNS_MAX = 8_192
"""Runs of evenly spaced bars remembered for telling duplicates; the older half is then let go."""

GAPS_LISTED_MAX = 100
"""Gaps whose position is kept for the report; all of them are counted."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Gap:
    """Intervals left out between the bars at ``after`` and ``before`` (int ms UTC)."""

    after: int
    before: int
    missing: int


class Timeline:
    """
    Place timestamps in strictly increasing order.

    ``due`` is the timestamp that the next bar should have, None before the first. Whoever
    accepts a bar exactly there moves ``due`` on by ``step`` and need not ask; every other
    timestamp goes through ``place``.
    """

    def __init__(self, step: int) -> None:
        """Start before the first bar of a file whose bars are ``step`` ms long."""
        assert step > 0, "a time frame is positive"
        self.step = step
        self.due: int | None = None
        self.first: int | None = None
        self.gaps = 0
        self.missing = 0
        self.gap_list: list[Gap] = []
        self.largest_gap: Gap | None = None
        self.short_steps = 0
        self.backward_jumps = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._last_refused: tuple[int | None, int] = (None, 0)  # where due stood then, and the time

    @property
    def last(self) -> int | None:
        """Return the timestamp of the newest bar, or None before there is one."""
        return None if self.due is None else self.due - self.step

    def place(self, timestamp: int) -> None:
        """Take ``timestamp`` as that of the newest bar, or raise ``BadRow`` and change no bar."""
        last = self.last
        if last is not None:
            if timestamp <= last:
                self._refuse(timestamp, last)
            distance = timestamp - last
            if distance > self.step:
                self._note_gap(last, timestamp)
            elif distance < self.step:
                self.short_steps += 1
            self._ends.append(last)
        else:
            self.first = timestamp
        self._starts.append(timestamp)
        self.due = timestamp + self.step
        if len(self._starts) > RUNS_MAX:
            del self._starts[: RUNS_MAX // 2]
            del self._ends[: RUNS_MAX // 2]

    def _note_gap(self, after: int, before: int) -> None:
        # How many whole bars fit in between: a day of 25 hours leaves none out.
        missing = (before - after) // self.step - 1
        gap = Gap(after, before, missing)
        self.gaps += 1
        self.missing += missing
        if len(self.gap_list) < GAPS_LISTED_MAX:
            self.gap_list.append(gap)
        if self.largest_gap is None or missing > self.largest_gap.missing:
            self.largest_gap = gap

    def _refuse(self, timestamp: int, last: int) -> None:
        due, neighbour = self._last_refused
        if timestamp < (neighbour if due == self.due else last):
            self.backward_jumps += 1
        self._last_refused = (self.due, timestamp)
        behind = "" if timestamp == last else f", {duration(last - timestamp)} back"
        expected = f"a time after {iso(last)}"
        if self._has_seen(timestamp, last):
            raise BadRow(
                Flaw.DUPLICATE_TIMESTAMP, f"duplicate timestamp {iso(timestamp)}{behind}", expected
            )
        raise BadRow(
            Flaw.BACKWARD_JUMP, f"timestamp {iso(timestamp)} goes backward{behind}", expected
        )

    def _has_seen(self, timestamp: int, last: int) -> bool:
        run = bisect_right(self._starts, timestamp) - 1
        if run < 0:
            return False
        end = self._ends[run] if run < len(self._ends) else last
        return timestamp <= end and (timestamp - self._starts[run]) % self.step == 0


TIMESTAMP_FORMS = "int milliseconds UTC, or ISO-8601 with a zone"

DIGITS_MAX = 20
"""Digits of an integer timestamp; nanoseconds have 19."""


def parse_timestamp(text: str) -> int:
    """Return int ms UTC from int ms or zoned ISO-8601 text, or raise ``BadRow``."""
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= DIGITS_MAX:
        return int(text)
    return parse_iso(text)


def parse_iso(text: str) -> int:
    """Return int ms UTC from zoned ISO-8601 text, or raise ``BadRow``."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRow(Flaw.BAD_TIMESTAMP, f"timestamp is {clip(text)}", TIMESTAMP_FORMS) from None
    if moment.tzinfo is None:
        raise BadRow(Flaw.NAIVE_TIMESTAMP, f"timestamp {clip(text)} has no zone", TIMESTAMP_FORMS)
    # Integers all the way: datetime.timestamp() is a float.
    since = moment - EPOCH
    if since.microseconds % 1_000:
        raise BadRow(
            Flaw.BAD_TIMESTAMP,
            f"timestamp {clip(text)} has a fraction of a millisecond",
            TIMESTAMP_FORMS,
        )
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def check_unit(timestamp: int) -> None:
    """Raise ``BadRow`` for an integer that cannot be milliseconds of our time."""
    if TIMESTAMP_MIN <= timestamp < TIMESTAMP_MAX:
        return
    found = f"timestamp {str(timestamp)[:DIGITS_MAX]}"
    for unit, per_ms in (("seconds", 1_000), ("microseconds", -1_000), ("nanoseconds", -1_000_000)):
        scaled = timestamp * per_ms if per_ms > 0 else timestamp // -per_ms
        if TIMESTAMP_MIN <= scaled < TIMESTAMP_MAX:
            found += f" looks like {unit} ({iso(scaled)})"
            break
    else:
        found += " is no time between 1973 and 2286"
    raise BadRow(Flaw.TIMESTAMP_UNIT, found, "int milliseconds UTC")


def iso(timestamp: int) -> str:
    """Return int ms UTC as ISO-8601 text, with milliseconds only where there are any."""
    moment = EPOCH + timedelta(milliseconds=timestamp)
    text = moment.isoformat(timespec="milliseconds" if timestamp % 1_000 else "seconds")
    return text.replace("+00:00", "Z")


def duration(length_ms: int) -> str:
    """Return a length of time as a time frame's name where short, else in hours or days."""
    if length_ms < 2 * 3_600_000:
        return format_timeframe(length_ms)
    if length_ms < 2 * 86_400_000:
        return f"{length_ms / 3_600_000:.1f}h"
    return f"{length_ms / 86_400_000:.1f}d"


def clip(text: str, limit: int = 60) -> str:
    """Return ``text`` quoted, in ASCII and short enough for one line of a message."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")
