"""Which bars Yahoo has, how much of them one question may ask for, and how far they go back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from feeds.errors import FeedSettingError
from feeds.timeframe import format_timeframe

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS

TRADED_SHARE: Final = 7 * 24 / (5 * 6.5)
"""How much longer than its bars a time is on an exchange of 5 days a week and 6.5 hours a day."""

HOLIDAYS_MS: Final = 5 * DAY_MS
"""The longest that an exchange is usually closed on end."""


@dataclass(frozen=True, slots=True)
class Interval:
    """
    One of Yahoo's intervals, by yfinance's ``name``.

    ``span_ms`` is the longest time that one question asks for, ``reach_ms`` how far back there is
    anything (0: for ever). Both are less than Yahoo's own limits, for clocks differ.
    """

    name: str
    timeframe_ms: int
    span_ms: int
    reach_ms: int

    @property
    def is_intraday(self) -> bool:
        """Return whether its bars are parts of a day."""
        return self.timeframe_ms < DAY_MS

    def oldest(self, now: int) -> int:
        """Return the earliest time that may be asked for."""
        return now - self.reach_ms if self.reach_ms else 0

    def back(self, bars: int, now: int) -> int:
        """Return where to begin for ``bars`` bars, with the closed hours that lie between."""
        share = TRADED_SHARE if self.is_intraday else 7 / 5
        start = now - int(bars * self.timeframe_ms * share) - HOLIDAYS_MS
        return max(start - start % MINUTE_MS, self.oldest(now))


INTERVALS: Final[Mapping[int, Interval]] = {
    each.timeframe_ms: each
    for each in (
        Interval("1m", MINUTE_MS, 7 * DAY_MS, 29 * DAY_MS),
        Interval("2m", 2 * MINUTE_MS, 30 * DAY_MS, 59 * DAY_MS),
        Interval("5m", 5 * MINUTE_MS, 59 * DAY_MS, 59 * DAY_MS),
        Interval("15m", 15 * MINUTE_MS, 59 * DAY_MS, 59 * DAY_MS),
        Interval("30m", 30 * MINUTE_MS, 59 * DAY_MS, 59 * DAY_MS),
        Interval("1h", HOUR_MS, 365 * DAY_MS, 729 * DAY_MS),
        Interval("90m", 90 * MINUTE_MS, 59 * DAY_MS, 59 * DAY_MS),
        Interval("1d", DAY_MS, 5_000 * DAY_MS, 0),
        Interval("1wk", WEEK_MS, 5_000 * WEEK_MS, 0),
    )
}


def interval_of(timeframe_ms: int) -> Interval:
    """Return the interval of a time frame, or raise ``FeedSettingError`` for what Yahoo lacks."""
    found = INTERVALS.get(timeframe_ms)
    if found is None:
        names = " ".join(format_timeframe(each) for each in INTERVALS)
        raise FeedSettingError(
            f"Yahoo has no bars of {format_timeframe(timeframe_ms)}; expected one of {names}"
        )
    return found
