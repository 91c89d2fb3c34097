"""
How much of one limit of a venue is used: so many of something in so long.

Pure. A venue counts a request when it arrives, by windows of its own, and nobody here knows when
that is: after it has left, and before its answer has come. So one that is under way counts, and
one that is over counts from its end on. Then no window of the venue's has more in it than is
counted here, however long the way was and wherever the window begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from brokers.ccxt.columns import OrderLimit

GRAINS: Final = 512
"""In how many steps the past of a window is remembered, so that a day of orders is no long list."""

UNIT_S: Final = {"SECOND": 1.0, "MINUTE": 60.0, "HOUR": 3_600.0, "DAY": 86_400.0}


@dataclass(slots=True)
class Window:
    """What is used of one limit; times are float s of one clock."""

    length_s: float
    under_way: int = 0
    """How much has left, or may have, and is not over."""
    _spent: deque[tuple[float, float, int]] = field(default_factory=deque)
    """From when, until when and how much: at most ``GRAINS`` and those that are late."""
    _past: int = 0

    def used(self, now_s: float) -> int:
        """Return how much is used at ``now_s``."""
        while self._spent and self._spent[0][1] <= now_s - self.length_s:
            self._past -= self._spent.popleft()[2]
        return self._past + self.under_way

    def spend(self, much: int, at_s: float) -> None:
        """Count so much as of ``at_s``, or a little later."""
        if self._spent and at_s - self._spent[-1][0] < self.length_s / GRAINS:
            began_s, upto_s, before = self._spent.pop()
            self._spent.append((began_s, max(upto_s, at_s), before + much))
        else:
            self._spent.append((at_s, at_s, much))
        self._past += much

    def told(self, used: int, now_s: float) -> None:
        """Take the venue's count of what is used, where it is higher than ours."""
        own = self.used(now_s)
        if used > own:
            self.spend(used - own, now_s)


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
            value = found.get(limit.used_header.lower(), "")
            if value.isdigit():
                window.told(int(value), now_s)

    def limited(self, limits: Sequence[OrderLimit]) -> None:
        """Take other figures of the same limits; what is used stays."""
        assert [each.window_s for each in limits] == [each.window_s for each in self.limits]
        self.limits = tuple(limits)


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
