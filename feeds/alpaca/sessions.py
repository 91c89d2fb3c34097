"""
When the exchange trades, before and after hours included; pure.

Between sessions there are no bars and it is of no use to ask for any. What the calendar does not
reach counts as open: a question too many is better than a bar too few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

DAY_MS: Final = 86_400_000
TRADED_MS: Final = 390 * 60_000
"""How long a regular session is: shares that trade little have bars in it, if anywhere."""

SLACK_DAYS: Final = 7
"""Days more that are gone back: holidays, and weeks that begin in their middle."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions as (open, close), int ms UTC, in order; known up to ``until``."""

    spans: tuple[tuple[int, int], ...] = ()
    until: int = 0

    def quiet_until(self, due: int, now: int) -> int | None:
        """Return when the next session opens if none has touched the time from ``due`` on."""
        if now >= self.until:
            return None
        for opens, closes in self.spans:
            if closes <= due:
                continue
            return None if opens <= now else opens
        return None


Localize = Callable[[datetime], datetime]


def sessions_of(days: Iterable[Mapping[str, Any]], localize: Localize, until: int) -> Sessions:
    """Return the sessions of a calendar whose times ``localize`` gives their zone."""
    spans = []
    for day in days:
        opens = str(day.get("session_open") or day["open"]).replace(":", "")
        closes = str(day.get("session_close") or day["close"]).replace(":", "")
        spans.append((_at(day["date"], opens, localize), _at(day["date"], closes, localize)))
    return Sessions(tuple(sorted(spans)), until)


def back(bars: int, timeframe_ms: int, now: int) -> int:
    """Return how early ``bars`` bars before ``now`` begin, at the latest: weekends are counted."""
    days = bars if timeframe_ms >= DAY_MS else -(-bars * timeframe_ms // TRADED_MS)
    return now - (-(-days * 7 // 5) + SLACK_DAYS) * DAY_MS if bars else now


def _at(date: str, clock: str, localize: Localize) -> int:
    moment = localize(datetime.strptime(f"{date} {clock}", "%Y-%m-%d %H%M"))  # noqa: DTZ007
    return int(moment.timestamp()) * 1000
