"""Time frames: from ccxt's names (``1m``, ``4h``, ``1w``), back to them, and by measurement."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from feeds.errors import FeedSettingError

UNIT_MS = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
}
"""Milliseconds per unit, the largest unit first."""

_FORM = re.compile(r"([1-9][0-9]{0,8})([A-Za-z])", re.ASCII)


def parse_timeframe(text: str) -> int:
    """Return the length of a ccxt time frame in milliseconds, or raise ``FeedSettingError``."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise FeedSettingError(f"time frame {text!r} is not a count and a unit; expected {_FORMS}")
    count, unit = match.groups()
    if unit in "My":
        span = "month" if unit == "M" else "year"
        raise FeedSettingError(
            f"time frame {text!r}: a calendar {span} has no fixed length; expected {_FORMS}"
        )
    if unit not in UNIT_MS:
        raise FeedSettingError(f"time frame {text!r} has no known unit; expected {_FORMS}")
    return int(count) * UNIT_MS[unit]


_FORMS = "a form such as 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w"


def format_timeframe(timeframe_ms: int) -> str:
    """Return the ccxt name of a length, in the largest unit that divides it."""
    for unit, unit_ms in UNIT_MS.items():
        if timeframe_ms % unit_ms == 0:
            return f"{timeframe_ms // unit_ms}{unit}"
    return f"{timeframe_ms}ms"


def spacings(timestamps: Sequence[int]) -> Counter[int]:
    """Count the distances between neighbours that go forward in time."""
    return Counter(later - earlier for earlier, later in pairwise(timestamps) if later > earlier)


def commonest_spacing(counts: Counter[int]) -> int | None:
    """Return the most frequent distance, the smallest one on a tie, or None if there is none."""
    if not counts:
        return None
    return min(counts, key=lambda spacing: (-counts[spacing], spacing))
