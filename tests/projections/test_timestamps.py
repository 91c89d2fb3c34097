"""Timestamps are exact at any distance from 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from state.projections import iso_ms
from state.projections.limits import CACHED_TIMES_MAX

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
LAST = (datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


@given(st.integers(FIRST, LAST))
@example(0)
@example(1)
@example(-1)
@example(951_782_399_999)  # the last millisecond before 2000-02-29
@example(951_782_400_000)
@example(1_709_251_199_999)  # the last millisecond of 2024-02-29
@example(4_107_542_400_000)  # 2100-03-01: that year has no leap day
@example(FIRST)
@example(LAST)
def test_the_text_is_that_of_the_standard_library(timestamp: int) -> None:
    """Every millisecond of the years 1 to 9999 is written as datetime writes it, with Z."""
    moment = EPOCH + timedelta(milliseconds=timestamp)
    expected = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    assert expected == iso_ms(timestamp)
    assert expected == iso_ms(timestamp)  # remembered


def test_remembered_texts_are_bounded() -> None:
    """More times than are remembered stay correct."""
    many = range(CACHED_TIMES_MAX * 3)

    assert [f"1970-01-01T00:00:{ms // 1000:02d}.{ms % 1000:03d}Z" for ms in many] == [
        iso_ms(ms) for ms in many
    ]


@pytest.mark.parametrize("timestamp", [FIRST - 1, LAST + 1, 10**18])
def test_a_time_beyond_the_calendar_is_refused(timestamp: int) -> None:
    """Microseconds taken for milliseconds are an error that names the number, not a wrong year."""
    with pytest.raises(
        ValueError, match=f"timestamp {timestamp} is not within the years 1 to 9999"
    ):
        iso_ms(timestamp)
