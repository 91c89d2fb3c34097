"""Series stay small, and depend on their values alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state.projections.series import BoundedSeries, ThinnedList

TIMES = st.lists(st.integers(0, 10**7), min_size=1, max_size=300).map(sorted)


@given(TIMES, st.integers(2, 20))
def test_a_series_keeps_the_last_value_of_every_stretch(times: list[int], points_max: int) -> None:
    """What is kept is the last point of each stretch of the final width, within the bound."""
    series: BoundedSeries[int] = BoundedSeries(points_max)
    for value, at in enumerate(times):
        series.put(at, value)
    width = series.width_ms
    expected = [*{at // width: (at, value) for value, at in enumerate(times)}.values()]

    assert expected == series.points
    assert len(series.points) <= points_max
    assert series.points[-1] == (times[-1], len(times) - 1)


def test_a_value_is_worth_computing_once_a_stretch() -> None:
    """``opens`` tells a new stretch from the current one."""
    series: BoundedSeries[int] = BoundedSeries(4)
    for at in range(64):
        if series.opens(at):
            series.put(at, at)

    assert len(series.points) <= 4
    assert series.width_ms >= 16
    assert series.opens(64)
    series.put(64, 64)
    assert not series.opens(64 + series.width_ms - 1 - 64 % series.width_ms)


def test_a_later_sample_continues_and_an_earlier_one_begins_anew() -> None:
    """A sample of the whole session, sent again, replaces the one before."""
    series: BoundedSeries[float] = BoundedSeries()
    series.extend([(1, 1.0), (2, 2.0)])
    series.extend([(3, 3.0)])
    assert [(1, 1.0), (2, 2.0), (3, 3.0)] == series.points
    series.extend([(1, 1.5), (4, 4.0)])
    assert [(1, 1.5), (4, 4.0)] == series.points
    series.extend([])
    assert [(1, 1.5), (4, 4.0)] == series.points


@given(st.integers(0, 2_000), st.integers(2, 40))
def test_a_thinned_list_keeps_every_nth_item(count: int, items_max: int) -> None:
    """The items at multiples of the stride are kept, the first included; all are counted."""
    kept: ThinnedList[int] = ThinnedList(items_max)
    for item in range(count):
        if kept.wants_next():
            kept.append(item)

    assert list(range(0, count, kept.stride)) == kept.items
    assert len(kept.items) <= items_max
    assert count == kept.count
