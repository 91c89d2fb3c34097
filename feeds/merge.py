"""Several streams of bars become one, grouped by timestamp."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter

from feeds.contract import Group
from messages import Bar

_timestamp = attrgetter("timestamp")


def merge(streams: Sequence[Iterator[list[Bar]]]) -> Iterator[Group]:
    """
    Yield the bars of all streams in groups of one timestamp.

    Each stream holds one symbol in increasing time, in lists that are never empty; within a
    group bars stand in the order of ``streams``. At most one list per stream is held.
    """
    if len(streams) == 1:
        # One symbol: every bar is a group of its own, made by zip at C speed.
        return chain.from_iterable(map(zip, streams[0]))
    return _merge_many(streams)


def _merge_many(streams: Sequence[Iterator[list[Bar]]]) -> Iterator[Group]:
    waiting: list[tuple[list[Bar], Iterator[list[Bar]]]] = []
    for stream in streams:
        first = next(stream, [])
        if first:
            waiting.append((first, stream))
    while waiting:
        # Up to the earliest end of the lists at hand nothing earlier can still come.
        horizon = min(bars[-1].timestamp for bars, _ in waiting)
        parts: list[list[Bar]] = []
        remaining: list[tuple[list[Bar], Iterator[list[Bar]]]] = []
        for bars, stream in waiting:
            cut = bisect_right(bars, horizon, key=_timestamp)
            parts.append(bars[:cut])
            rest = bars[cut:] or next(stream, [])
            if rest:
                remaining.append((rest, stream))
        waiting = remaining
        yield from group_by_time(parts)


def group_by_time(parts: Sequence[Sequence[Bar]]) -> list[tuple[Bar, ...]]:
    """Return the bars of ``parts`` in groups of one timestamp, in time, then in order of parts."""
    if len(parts) == 1:
        return list(zip(parts[0]))
    groups: dict[int, list[Bar]] = {}
    for part in parts:
        for bar in part:
            timestamp = bar.timestamp
            if timestamp in groups:
                groups[timestamp].append(bar)
            else:
                groups[timestamp] = [bar]
    return [tuple(groups[timestamp]) for timestamp in sorted(groups)]
