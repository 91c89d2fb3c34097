"""Timestamps as people read them."""

from __future__ import annotations

from datetime import date, timedelta

from state.projections.limits import CACHED_TIMES_MAX

_EPOCH = date(1970, 1, 1)
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_MINUTES = tuple(f"T{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60))
_WHOLE_MINUTES = tuple(f"{minute}00.000Z" for minute in _MINUTES)
_SECONDS = tuple(f"{second:02d}." for second in range(60))
_MILLIS = tuple(f"{milli:03d}Z" for milli in range(1_000))

_texts: dict[int, str] = {}
_days: dict[int, str] = {}


def iso_ms(timestamp: int) -> str:
    """
    Return ``timestamp`` (int ms UTC) as ISO-8601 with milliseconds and ``Z``, exactly.

    Integers all the way: no rounding at any distance from 1970. Raises ``ValueError`` outside
    the years 1 to 9999.
    """
    text = _texts.get(timestamp)
    if text is not None:
        return text
    day, rest = divmod(timestamp, _DAY_MS)
    minute, milli = divmod(rest, _MINUTE_MS)
    text = _days.get(day) or _day_text(day, timestamp)
    if milli:
        second, milli = divmod(milli, 1_000)
        text += _MINUTES[minute] + _SECONDS[second] + _MILLIS[milli]
    else:
        text += _WHOLE_MINUTES[minute]
    if len(_texts) >= CACHED_TIMES_MAX:
        _texts.clear()
    _texts[timestamp] = text
    return text


def _day_text(day: int, timestamp: int) -> str:
    try:
        text = (_EPOCH + timedelta(days=day)).isoformat()
    except OverflowError:
        raise ValueError(
            f"timestamp {timestamp} is not within the years 1 to 9999 (int ms UTC expected)"
        ) from None
    if len(_days) >= CACHED_TIMES_MAX:
        _days.clear()
    _days[day] = text
    return text
