"""Half-open spans of time, ``(start, end)`` in int ms: what is there, and what is still lacking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Span = tuple[int, int]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same time in as few spans as possible, in order; empty spans vanish."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def lacking(wanted: Span, taken: Iterable[Span]) -> list[Span]:
    """Return the parts of ``wanted`` that no span of ``taken`` covers, in order."""
    start, end = wanted
    result: list[Span] = []
    for have_start, have_end in joined(taken):
        if have_end <= start:
            continue
        if have_start >= end:
            break
        if have_start > start:
            result.append((start, have_start))
        start = have_end
    if start < end:
        result.append((start, end))
    return result


def runs(timestamps: Iterable[int], step: int) -> Iterator[Span]:
    """Yield the spans that bars of ``step`` ms cover which open at increasing ``timestamps``."""
    start = end = None
    for timestamp in timestamps:
        if end is not None and start is not None and timestamp <= end:
            end = timestamp + step
            continue
        if start is not None and end is not None:
            yield start, end
        start, end = timestamp, timestamp + step
    if start is not None and end is not None:
        yield start, end
