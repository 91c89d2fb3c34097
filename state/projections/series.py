"""Series for charts that stay small however long the session is, the same on every run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import Generic, TypeVar

from state.projections.limits import SERIES_POINTS_MAX

T = TypeVar("T")


class BoundedSeries(Generic[T]):
    """
    Keep the last value of each stretch of time, in at most ``points_max`` stretches.

    When there are more, stretches become twice as long, and neighbours are merged. Stretches
    begin at multiples of their length since 1970, so what is kept depends on the values alone.
    Times must not decrease.
    """

    __slots__ = ("_points_max", "_stretch", "points", "width_ms")

    def __init__(self, points_max: int = SERIES_POINTS_MAX) -> None:
        assert points_max > 1, "a line has two points"
        self.points: list[tuple[int, T]] = []
        self.width_ms = 1
        self._points_max = points_max
        self._stretch: int | None = None  # the number of the newest one

    def opens(self, at: int) -> bool:
        """Return whether a value at ``at`` would begin a new stretch: is it worth computing."""
        return at // self.width_ms != self._stretch

    def put(self, at: int, value: T) -> None:
        """Add a value, or replace the one of the same stretch."""
        stretch = at // self.width_ms
        if stretch == self._stretch:
            self.points[-1] = (at, value)
            return
        self._stretch = stretch
        self.points.append((at, value))
        if len(self.points) > self._points_max:
            self._widen()

    def extend(self, points: Iterable[tuple[int, T]]) -> None:
        """Add points that continue the series, or replace it by points that begin it anew."""
        for index, (at, value) in enumerate(points):
            if index == 0 and self.points and at <= self.points[-1][0]:
                self.points.clear()
                self.width_ms = 1
                self._stretch = None
            self.put(at, value)

    def _widen(self) -> None:
        # Down to three quarters at least: sparse points must not bring us back here at once.
        while len(self.points) > self._points_max * 3 // 4:
            self.width_ms *= 2
            width = self.width_ms
            self.points = [*{at // width: (at, value) for at, value in self.points}.values()]
        self._stretch = self.points[-1][0] // self.width_ms


class ThinnedList(Generic[T]):
    """Keep every ``stride``-th item, the first included; it doubles when there are too many."""

    __slots__ = ("_items_max", "count", "items", "stride")

    def __init__(self, items_max: int) -> None:
        assert items_max > 1, "half of the items must be some"
        self.items: list[T] = []
        self.count = 0  # of all items
        self.stride = 1
        self._items_max = items_max

    def wants_next(self) -> bool:
        """Count the next item and return whether to ``append`` it: is it worth making."""
        wanted = self.count % self.stride == 0
        self.count += 1
        return wanted

    def append(self, item: T) -> None:
        """Keep an item that was wanted."""
        self.items.append(item)
        if len(self.items) > self._items_max:
            del self.items[1::2]
            self.stride *= 2


class BothEnds(Generic[T]):
    """Keep the first half and the newest half of a list's items: how it began, how it ended."""

    __slots__ = ("_first", "_half", "_newest", "count")

    def __init__(self, items_max: int) -> None:
        assert items_max > 1, "each half holds something"
        self.count = 0  # of all items
        self._half = items_max // 2
        self._first: list[T] = []
        self._newest: deque[T] = deque(maxlen=self._half)

    def append(self, item: T) -> None:
        """Add an item; the oldest of the newest half gives way."""
        self.count += 1
        if len(self._first) < self._half:
            self._first.append(item)
        else:
            self._newest.append(item)

    @property
    def items(self) -> list[T]:
        """Return what is kept, in order."""
        return list(chain(self._first, self._newest))
