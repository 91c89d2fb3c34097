"""
Where a series of bars lies: ``<root>/<venue>/<symbol>/<time frame>/<part>.parquet``.

A symbol's folder is its name percent-encoded, as a URL would have it, so that the way back from
the folder to the symbol is exact. A part is a month of bars, or a year of bars of a day or more:
small enough to be written anew whole, which is how every change is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

from feeds.errors import FeedSettingError
from feeds.timeframe import UNIT_MS, format_timeframe, parse_timeframe
from feeds.timeline import EPOCH

_VENUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_PART = re.compile(r"\d{4}(-\d{2})?\.parquet", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """The bars of one symbol and time frame at one venue."""

    venue: str
    symbol: str
    timeframe_ms: int

    def __post_init__(self) -> None:
        if _VENUE.fullmatch(self.venue) is None:
            raise FeedSettingError(
                f"venue {self.venue!r}; expected letters, digits, - and _, such as binanceusdm"
            )
        if not self.symbol or self.symbol in (".", ".."):
            raise FeedSettingError(f"symbol {self.symbol!r}; expected a form such as BTC/USDT")

    @property
    def timeframe(self) -> str:
        """Return the ccxt name of the time frame."""
        return format_timeframe(self.timeframe_ms)

    def folder(self, root: Path) -> Path:
        """Return where it lies below ``root``."""
        return root / self.venue / quote(self.symbol, safe="") / self.timeframe

    def part_of(self, timestamp: int) -> str:
        """Return the name of the file that has the bar which opens at ``timestamp``."""
        moment = EPOCH + timedelta(milliseconds=timestamp)
        form = "%Y-%m" if self.timeframe_ms < UNIT_MS["d"] else "%Y"
        return f"{moment.strftime(form)}.parquet"

    def __str__(self) -> str:
        return f"{self.venue} {self.symbol} {self.timeframe}"


def series_of(folder: Path) -> Series | None:
    """Return the series whose folder this is by its name, or None."""
    folder = folder.absolute()
    try:
        timeframe_ms = parse_timeframe(folder.name)
        return Series(folder.parent.parent.name, unquote(folder.parent.name), timeframe_ms)
    except FeedSettingError:
        return None


def parts_in(folder: Path) -> list[Path]:
    """Return the files of bars in ``folder``, the oldest first."""
    return sorted(path for path in folder.iterdir() if _PART.fullmatch(path.name))


def part_span(part: Path) -> tuple[int, int]:
    """Return the month or year that ``part`` is named after: its start, and the next one's."""
    year, _, month = part.stem.partition("-")
    start = datetime(int(year), int(month or 1), 1, tzinfo=UTC)
    longer = start + timedelta(days=31 if month else 366)
    end = longer.replace(day=1) if month else longer.replace(month=1, day=1)
    return _ms(start), _ms(end)


def _ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)
