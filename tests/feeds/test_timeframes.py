"""Time frames: named, measured, and gaps counted against them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import BadInput, FeedSettingError, FileFeed, Gap, format_timeframe, parse_timeframe
from feeds.timeframe import commonest_spacing, spacings

Rows = Callable[..., list[str]]
WriteCsv = Callable[..., str]

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_704_067_200_000


@pytest.mark.parametrize(
    ("name", "minutes"),
    {
        "1m": 1,
        "3m": 3,
        "5m": 5,
        "15m": 15,
        "30m": 30,
        "1h": 60,
        "2h": 120,
        "4h": 240,
        "6h": 360,
        "8h": 480,
        "12h": 720,
        "1d": 1_440,
        "3d": 4_320,
        "1w": 10_080,
    }.items(),
)
def test_ccxt_names_are_read_and_written(name: str, minutes: int) -> None:
    """The names of ccxt go both ways."""
    assert minutes * MINUTE == parse_timeframe(name)
    assert name == format_timeframe(minutes * MINUTE)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("1M", "a calendar month has no fixed length"),
        ("1y", "a calendar year has no fixed length"),
        ("1x", "no known unit"),
        ("1D", "no known unit"),
        ("0m", "is not a count and a unit"),
        ("m", "is not a count and a unit"),
        ("1.5h", "is not a count and a unit"),
        ("-1m", "is not a count and a unit"),
        ("", "is not a count and a unit"),
        ("1m ", "is not a count and a unit"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, found: str) -> None:
    """What has no fixed length, or no meaning, is no time frame."""
    with pytest.raises(FeedSettingError, match=found):
        parse_timeframe(name)


@given(st.integers(1, 10**10))
def test_every_length_has_a_name(length: int) -> None:
    """A measured spacing can always be shown, and a ccxt name is read back as it was."""
    name = format_timeframe(length)

    assert name.endswith("ms") or parse_timeframe(name) == length


def test_the_commonest_spacing_is_taken_and_the_smallest_on_a_tie() -> None:
    """Backward steps and repetitions say nothing of a time frame."""
    assert 60 == commonest_spacing(spacings([0, 60, 120, 300, 300, 60, 120]))
    assert 60 == commonest_spacing(spacings([0, 60, 360, 660, 720]))
    assert commonest_spacing(spacings([5, 5, 4])) is None


def timestamps_file(write_csv: WriteCsv, times: list[int], name: str = "bars.csv") -> str:
    return write_csv([f"{START + time},1,2,1,1,5" for time in times], name=name)


def test_the_time_frame_is_measured_where_none_is_given(write_csv: WriteCsv) -> None:
    """Gaps do not hide the spacing of most rows."""
    file = timestamps_file(write_csv, [0, 5 * MINUTE, 10 * MINUTE, 60 * MINUTE, 65 * MINUTE])

    assert 5 * MINUTE == FileFeed([file]).timeframe_ms
    assert MINUTE == FileFeed([file], timeframe="1m").timeframe_ms


def test_gaps_are_counted_with_their_place_and_never_fatal(write_csv: WriteCsv) -> None:
    """Missing intervals are the whole bars that fit between two."""
    minutes = [0, 1, 2, 5, 6, 7, 17, 18]
    feed = FileFeed([timestamps_file(write_csv, [minute * MINUTE for minute in minutes])])

    assert 8 == len(list(feed.groups()))

    report = feed.report().files[0]
    gaps = (
        Gap(START + 2 * MINUTE, START + 5 * MINUTE, 2),
        Gap(START + 7 * MINUTE, START + 17 * MINUTE, 9),
    )
    assert (2, 11, gaps, gaps[1]) == (
        report.gaps,
        report.missing,
        report.gap_positions,
        report.largest_gap,
    )
    assert (START, START + 18 * MINUTE) == (report.first, report.last)


def test_a_short_day_is_no_gap_and_no_error(write_csv: WriteCsv) -> None:
    """Clock changes make days of 23 and 25 hours."""
    feed = FileFeed([timestamps_file(write_csv, [h * HOUR for h in (0, 24, 48, 71, 96, 120)])])

    assert 6 == len(list(feed.groups()))
    report = feed.report().files[0]
    assert (24 * HOUR, 1, 0, 1) == (
        feed.timeframe_ms,
        report.gaps,
        report.missing,
        report.short_steps,
    )


def test_bars_closer_than_the_time_frame_asked_for_are_refused(write_csv: WriteCsv) -> None:
    """Nothing is resampled: minutes read as hours would overlap."""
    file = timestamps_file(write_csv, [0, MINUTE, 2 * MINUTE])

    with pytest.raises(BadInput, match=r"bars 1m apart; expected bars of the time frame 1h"):
        FileFeed([file], timeframe="1h")


def test_files_of_different_time_frames_are_refused(write_csv: WriteCsv) -> None:
    """An hour's bar taken for a minute's would be known before it is over."""
    minutes = timestamps_file(write_csv, [0, MINUTE, 2 * MINUTE], "minutes.csv")
    hours = timestamps_file(write_csv, [0, HOUR, 2 * HOUR], "hours.csv")

    with pytest.raises(BadInput, match=r"hours.csv: bars 1h apart; .* time frame 1m"):
        FileFeed([f"{minutes}@A", f"{hours}@B"])


def test_a_single_row_needs_its_time_frame_named(write_csv: WriteCsv) -> None:
    """One bar has no spacing."""
    file = timestamps_file(write_csv, [0])

    with pytest.raises(BadInput, match="no two bars to find the time frame from"):
        FileFeed([file])
    assert 1 == len(list(FileFeed([file], timeframe="1m").groups()))


def test_times_that_cannot_be_read_are_the_reason_why_there_is_no_time_frame(
    write_csv: WriteCsv,
) -> None:
    """A file of naive times, or of seconds, is told so, not that it lacks rows."""
    naive = write_csv(["2024-01-01 00:00:00,1,2,1,1,5", "2024-01-01 00:01:00,1,2,1,1,5"])
    with pytest.raises(BadInput, match=r"line 2: timestamp '2024-01-01 00:00:00' has no zone"):
        FileFeed([naive])

    seconds = write_csv(["1704067200,1,2,1,1,5", "1704067260,1,2,1,1,5"])
    with pytest.raises(BadInput, match=r"line 2: timestamp 1704067200 looks like seconds"):
        FileFeed([seconds], max_bad_rows=5)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_every_interval_is_either_a_bar_or_counted_as_missing(steps: list[int]) -> None:
    """Bars and missing intervals together span the file."""
    from feeds.timeline import Timeline

    timeline = Timeline(MINUTE)
    time = START
    timeline.place(time)
    for step in steps:
        time += step * MINUTE
        timeline.place(time)

    bars = len(steps) + 1
    assert (time - START) // MINUTE + 1 == bars + timeline.missing
    assert sum(step > 1 for step in steps) == timeline.gaps
