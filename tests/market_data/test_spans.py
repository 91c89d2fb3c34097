"""Spans of time: what is here and what is lacking always make up the whole."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from feeds.store.spans import Span, joined, lacking, runs

times = st.integers(0, 60)
spans = st.lists(st.tuples(times, times), max_size=8)


def covered(parts: list[Span]) -> set[int]:
    return {moment for start, end in parts for moment in range(start, end)}


@given(spans)
def test_joined_spans_cover_the_same_time_and_never_touch(parts: list[Span]) -> None:
    """Joining changes no moment, and leaves nothing that could be joined further."""
    result = joined(parts)

    assert covered(parts) == covered(result)
    assert all(a[1] < b[0] for a, b in pairwise(result))


@given(st.tuples(times, times), spans)
def test_what_is_lacking_is_exactly_what_is_wanted_and_not_there(
    wanted: Span, taken: list[Span]
) -> None:
    """Nothing that is there is lacking, and nothing that is wanted is forgotten."""
    assert covered([wanted]) - covered(taken) == covered(lacking(wanted, taken))


@given(st.sets(st.integers(0, 40)), st.integers(1, 5))
def test_runs_cover_every_bar_and_no_empty_bucket(places: set[int], step: int) -> None:
    """A bucket is covered exactly if its bar is there."""
    times_ = sorted(place * step for place in places)

    result = list(runs(times_, step))

    assert {moment for time in times_ for moment in range(time, time + step)} == covered(result)
