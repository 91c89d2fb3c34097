"""What a live feed says of bars that the venue leaves out, and of those that were missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from live_house import POLLED, Running
from market_data_house import (
    BTC,
    LabClock,
    LabVenue,
    bar_at,
    minute,
)
from structlog.testing import capture_logs

from feeds.timeline import iso


async def test_what_was_missed_since_the_last_session_is_history(
    venue: LabVenue, running: Running
) -> None:
    """A session that goes on gets every bar since the last one, and acts on none of them."""
    venue.fill(range(101))

    async with running(after=minute(96), warm_up=10) as taker:
        before = [bar for group in taker.feed.groups() for bar in group]
        assert taker.feed.take() is None

    assert [bar_at(place) for place in (97, 98, 99)] == before


async def test_a_bar_that_an_earlier_session_had_does_not_come_again_by_a_slower_clock(
    venue: LabVenue, running: Running, clock: LabClock
) -> None:
    """A venue whose clock has gone back has no bar told, and traded on, twice."""
    venue.fill(range(102))
    venue.now = minute(99) + 30_000

    async with running(after=minute(99), warm_up=10) as taker:
        before = list(taker.feed.groups())
        clock.move(minute(101) + POLLED)
        (first,) = await taker.bars(1)

    assert [] == before
    assert bar_at(100) == first


async def test_a_bar_that_history_does_not_have_yet_when_a_session_goes_on_is_waited_for(
    venue: LabVenue, running: Running, clock: LabClock
) -> None:
    """History comes a little after the clock: what it lacks at the start was passed unseen."""
    venue.fill(range(101))
    late = [venue.rows[BTC].pop(minute(place)) for place in (99, 100)]

    async with running(after=minute(98), warm_up=10) as taker:
        before = list(taker.feed.groups())
        venue.rows[BTC] |= {row[0]: row for row in late}
        clock.move(minute(101) + POLLED)
        told = await taker.bars(2, as_time_passes=True)

    assert [] == before
    assert [bar_at(99), bar_at(100)] == told


async def test_what_the_venue_leaves_out_of_the_time_since_the_last_session_is_a_gap(
    venue: LabVenue, running: Running
) -> None:
    """It is counted and said like any other: an indicator lacks those bars for good."""
    venue.fill(range(101))
    del venue.rows[BTC][minute(97)], venue.rows[BTC][minute(98)]

    with capture_logs() as said:
        async with running(after=minute(96), warm_up=10) as taker:
            counted = taker.feed.statistics()["symbols"][BTC]

    assert [(2, iso(minute(96)), iso(minute(99)))] == [
        (each["missing"], each["after"], each["before"]) for each in gap_lines(said)
    ]
    assert (1, 2) == (counted["gaps"], counted["missing"])


async def test_bars_that_are_missing_for_good_are_said_when_they_are_found(
    venue: LabVenue, clock: LabClock, running: Running
) -> None:
    """One line for a gap, before the bar behind it: which symbol, how many, from when to when."""
    venue.fill(range(101))
    venue.deaf = True
    async with running() as taker:
        venue.fill(range(100, 106))
        del venue.rows[BTC][minute(102)], venue.rows[BTC][minute(103)]
        clock.move(minute(105) + POLLED)
        with capture_logs() as said:
            await taker.bars(2)
            assert [] == gap_lines(said)
            assert [bar_at(104)] == await taker.bars(1)
            told = gap_lines(said)
            venue.fill(range(106, 108))
            clock.move(minute(107) + POLLED)
            await taker.bars(2)

    assert [
        {
            "event": "feed_gap",
            "log_level": "warning",
            "symbol": BTC,
            "missing": 2,
            "after": iso(minute(101)),
            "before": iso(minute(104)),
        }
    ] == told
    assert told == gap_lines(said)


async def test_of_very_many_gaps_the_last_line_says_how_many_were_left_out(
    venue: LabVenue, clock: LabClock, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A market that trades in few of its minutes does not fill the log."""
    monkeypatch.setattr("feeds.live.feed.GAP_LINES_MAX", 1)
    venue.fill(range(101))
    venue.deaf = True
    with capture_logs() as said:
        async with running() as taker:
            venue.fill(range(100, 110))
            for place in (102, 104, 106):
                del venue.rows[BTC][minute(place)]
            clock.move(minute(109) + POLLED)
            await taker.bars(6)

    assert [iso(minute(101))] == [each["after"] for each in gap_lines(said)]
    assert [2] == [each["lines"] for each in said if each["event"] == "feed_gap_lines_left_out"]
    assert 3 == taker.feed.statistics()["symbols"][BTC]["gaps"]


def gap_lines(said: Sequence[Any]) -> list[Any]:
    """Return the lines about gaps."""
    return [each for each in said if each["event"] == "feed_gap"]
