"""
How much of one limit of a venue is used: so many of something in so long.

Pure. A venue counts a request when it arrives, by windows of its own, and nobody here knows when
that is: after it has left, and before its answer has come. So one that is under way counts, and
one that is over counts from its end on. Then no window of the venue's has more in it than is
counted here, however long the way was and wherever the window begins.

Only of a window that lasts a day does it matter where it begins: what was counted late on one day,
of ours or of somebody else's, would hold up orders all through the next one. Binance's begins at
00:00 UTC (its documents, "Rate limits are accounted by intervals"). What time it is there, an
answer's ``Date`` says; without one a day lasts as long as any other window. Zones, their summer
time and the lengths of months do not come into it: a day is 86,400 seconds, from one midnight UTC
to the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final

from brokers.ccxt.columns import OrderLimit

GRAINS: Final = 512
"""In how many steps the past of a window is remembered, so that a day of orders is no long list."""

LATE_S: Final = 60.0
"""
How long after a midnight the day before still counts.

An answer of these seconds may be to what was counted before it, and its ``Date`` has no fractions
and may be another machine's. In so short a time nobody comes near the limit of a day.
"""

UNIT_S: Final = {"SECOND": 1.0, "MINUTE": 60.0, "HOUR": 3_600.0, "DAY": 86_400.0}


@dataclass(slots=True)
class Window:
    """What is used of one limit; times are float s of one clock."""

    length_s: float
    under_way: int = 0
    """How much has left, or may have, and is not over."""
    _spent: deque[tuple[float, float, int]] = field(default_factory=deque)
    """From when, until when and how much: at most ``GRAINS`` and those that are late."""
    _told: deque[tuple[float, int]] = field(default_factory=deque)
    """What the venue has counted beside that, and until when it counts; at most ``GRAINS``."""
    _past: int = 0
    """What both of them come to."""
    _begins_s: float | None = None
    """When the venue's next window begins, where that is known; ``LATE_S`` after that it did."""

    def used(self, now_s: float) -> int:
        """Return how much is used at ``now_s``."""
        while self._begins_s is not None and now_s >= self._begins_s + LATE_S:
            self._forget(self._begins_s - LATE_S)
            self._begins_s += self.length_s
        self._forget(now_s - self.length_s)
        while self._told and self._told[0][0] <= now_s:
            self._past -= self._told.popleft()[1]
        return self._past + self.under_way

    def _forget(self, until_s: float) -> None:
        while self._spent and self._spent[0][1] <= until_s:
            self._past -= self._spent.popleft()[2]

    def spend(self, much: int, at_s: float) -> None:
        """Count so much as of ``at_s``, or a little later."""
        if self._spent and self._is_one(self._spent[-1][0], at_s):
            began_s, upto_s, before = self._spent.pop()
            self._spent.append((began_s, max(upto_s, at_s), before + much))
        else:
            self._spent.append((at_s, at_s, much))
        self._past += much

    def _is_one(self, began_s: float, at_s: float) -> bool:
        """Return whether what is spent at ``at_s`` may be forgotten with what began before it."""
        if at_s - began_s >= self.length_s / GRAINS:
            return False
        return self._begins_s is None or not began_s <= self._begins_s - LATE_S < at_s

    def told(self, used: int, now_s: float) -> None:
        """Take the venue's count of what is used, where it is higher than ours."""
        more = used - self.used(now_s)
        if more <= 0:
            return
        until_s = now_s + self.length_s if self._begins_s is None else self._begins_s + LATE_S
        self._past += more
        if self._told and until_s - self._told[-1][0] < self.length_s / GRAINS:
            before_s, before = self._told.pop()
            until_s, more = max(until_s, before_s), before + more
        self._told.append((until_s, more))

    def dated(self, venue_s: float, now_s: float) -> None:
        """Take that at the venue, where a window begins at midnight, it is ``venue_s`` UTC now."""
        self.used(now_s)
        passed_s = (venue_s - LATE_S) % self.length_s
        self._begins_s = now_s - LATE_S + self.length_s - passed_s


@dataclass(slots=True)
class OrderCounts:
    """How many orders may go, by each of a venue's limits; see the module."""

    limits: tuple[OrderLimit, ...]
    _windows: list[Window] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no order."""
        self._windows = [Window(each.window_s) for each in self.limits]

    def used(self, now_s: float) -> list[int]:
        """Return how many orders each limit has counted."""
        return [window.used(now_s) for window in self._windows]

    def has_room(self, orders: int, leaving_percent: int, now_s: float) -> bool:
        """Return whether so many may go, and leave their share of every limit to others."""
        return all(
            window.used(now_s) + orders <= max(1, most_of(limit, leaving_percent))
            for limit, window in zip(self.limits, self._windows, strict=True)
        )

    def leaves(self, orders: int) -> None:
        """Count what leaves now."""
        for window in self._windows:
            window.under_way += orders

    def over(self, orders: int, arrived_s: float | None) -> None:
        """Count what is over as having arrived by then; ``None``: it has not left."""
        for window in self._windows:
            assert window.under_way >= orders, "what is over has left"
            window.under_way -= orders
            if arrived_s is not None:
                window.spend(orders, arrived_s)

    def told(self, headers: Mapping[str, str], now_s: float) -> None:
        """Take the venue's own counts from the headers of an answer."""
        if not self.limits:
            return
        found = {name.lower(): value for name, value in headers.items()}
        for limit, window in zip(self.limits, self._windows, strict=True):
            if limit.from_midnight and (venue_s := _time_of(found.get("date", ""))) is not None:
                window.dated(venue_s, now_s)
            value = found.get(limit.used_header.lower(), "")
            if value.isdigit():
                window.told(int(value), now_s)

    def limited(self, limits: Sequence[OrderLimit]) -> None:
        """Take other figures of the same limits; what is used stays."""
        assert [each.window_s for each in limits] == [each.window_s for each in self.limits]
        self.limits = tuple(limits)


def _time_of(date: str) -> float | None:
    """Return what time the ``Date`` of an answer says, float s UTC."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def most_of(limit: OrderLimit, leaving_percent: int) -> int:
    """Return how many orders a limit has for whoever leaves others so much of it."""
    return limit.orders * (100 - leaving_percent) // 100


def limits_told(
    row: Sequence[OrderLimit], told: Iterable[Any], granted: float
) -> tuple[OrderLimit, ...]:
    """
    Return the limits of a row as the venue tells them, in ``rateLimits``, for this account.

    An account that is granted more than what is usual knows better than what is told to everybody.
    """
    found = {_length_s(each): each.get("limit") for each in told if _is_of_orders(each)}
    limits = []
    for limit in row:
        most = found.get(limit.window_s)
        if granted <= 1 and isinstance(most, int) and most > 0:
            limit = replace(limit, orders=most)  # noqa: PLW2901 - as the venue has it
        limits.append(limit.granted(granted))
    return tuple(limits)


def _is_of_orders(told: Any) -> bool:
    return isinstance(told, Mapping) and told.get("rateLimitType") == "ORDERS"


def _length_s(told: Mapping[str, Any]) -> float:
    number = told.get("intervalNum")
    unit_s = UNIT_S.get(str(told.get("interval")), 0.0)
    return unit_s * number if isinstance(number, int) else 0.0
