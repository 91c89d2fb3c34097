"""The real yfinance asked over TLS on loopback: what it says of Yahoo becomes rows and causes."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from math import nan

import pytest
from yahoo_house import (
    DAY,
    HOUR,
    MINUTE,
    Hours,
    LabYahoo,
    Spoil,
    disconnected,
    down,
    rate_limited,
    unwell,
)

from feeds import FeedSettingError
from feeds.history import VenueRefused, VenueTrouble
from feeds.rows import Row
from feeds.yfinance.intervals import INTERVALS
from feeds.yfinance.reach import YahooReach
from feeds.yfinance.venue import CLOSED_LOOK_MS, YahooVenue, open_yahoo

NEW_YORK = Hours()


def utc(text: str) -> int:
    """Return int ms UTC."""
    return int(dt.datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1000


def row(at: int, base: float = 100.0, volume: float = 7.0) -> Row:
    """Return a candle."""
    return (at, base, base + 2.5, base - 1.25, base + 1, volume)


@pytest.fixture
async def venue(yahoo: LabYahoo, reach: YahooReach) -> AsyncIterator[YahooVenue]:
    """Return Yahoo, opened."""
    async with open_yahoo(reach, lambda: yahoo.now) as opened:
        yield opened


async def test_minutes_come_as_rows_of_utc(yahoo: LabYahoo, venue: YahooVenue) -> None:
    """The exchange's zone is Yahoo's business; every request went to the stand-in, by its name."""
    yahoo.hours = NEW_YORK
    first = utc("2024-01-03T14:30")
    yahoo.now = first + 3 * MINUTE + 1
    rows = [row(first + place * MINUTE, 100.0 + place) for place in range(4)]
    yahoo.put("AAPL", "1m", *rows)
    found = await venue.candles("AAPL", MINUTE, first + MINUTE, 500)

    assert rows[1:] == list(found)
    assert {"fc.yahoo.com", "query1.finance.yahoo.com", "query2.finance.yahoo.com"} == {
        host for host, _ in yahoo.hits
    }
    asked = yahoo.asked[-1]
    assert ("1m", "false", "labcrumb") == (
        asked["interval"],
        asked["includePrePost"],
        asked["crumb"],
    )
    assert (first + MINUTE) // 1000 == int(asked["period1"])


async def test_a_minute_without_trades_is_no_row(yahoo: LabYahoo, venue: YahooVenue) -> None:
    """Neither one whose figures are empty nor one of which some are: nothing is invented."""
    first = yahoo.now - 10 * MINUTE
    rows = [row(first + place * MINUTE) for place in range(5)]
    empty = (rows[1][0], nan, nan, nan, nan, nan)
    yahoo.put("ACME", "1m", rows[0], empty, *rows[2:])

    assert [rows[0], *rows[2:]] == list(await venue.candles("ACME", MINUTE, first, 500))


async def test_the_last_trade_is_no_bar(yahoo: LabYahoo, venue: YahooVenue) -> None:
    """Yahoo shows it behind the bars, at its second; it opens nothing."""
    first = yahoo.now - 10 * MINUTE
    rows = [row(first + place * MINUTE) for place in range(3)]
    yahoo.put("ACME", "1m", *rows, row(rows[-1][0] + MINUTE + 17_000, volume=0.0))

    assert rows == list(await venue.candles("ACME", MINUTE, first, 500))


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Australia/Sydney"])
async def test_days_are_stamped_at_midnight_utc_of_their_date(
    yahoo: LabYahoo, venue: YahooVenue, zone: str
) -> None:
    """Over a change of the clocks too, so that the days are one length apart."""
    yahoo.hours = replace(NEW_YORK, zone=zone)
    dates = [dt.date(2024, 3, 8) + dt.timedelta(days=days) for days in range(6)]
    spans = [(date, span) for date in dates if (span := yahoo.hours.session(date)) is not None]
    yahoo.now = spans[-1][1][1] + MINUTE
    yahoo.put("X", "1d", *(row(span[0]) for _, span in spans))
    found = await venue.candles("X", DAY, utc("2024-03-08"), 500)

    assert [utc(str(date)) for date, _ in spans] == [each[0] for each in found]
    for date, (opens, closes) in spans:
        assert opens - 3 * HOUR < utc(str(date)) + DAY
        assert closes <= utc(str(date)) + DAY


async def test_prices_are_raw_unless_dividends_are_asked_for(
    yahoo: LabYahoo, reach: YahooReach, venue: YahooVenue
) -> None:
    """Adjusted ones are another series, by another name; a minute is never adjusted."""
    at = utc("2024-01-02")
    yahoo.put("ACME", "1d", row(at, 100.0))
    yahoo.adjusted["ACME"] = 0.5
    raw = await venue.candles("ACME", DAY, at, 10)
    async with open_yahoo(replace(reach, adjusted=True), lambda: yahoo.now) as adjusted:
        halved = await adjusted.candles("ACME", DAY, at, 10)
        with pytest.raises(FeedSettingError, match="adjusts no bars of 1m for dividends"):
            await adjusted.load(["ACME"], "1m")

    assert [row(at, 100.0)] == list(raw)
    assert [(at, 50.0, 51.25, 49.375, 50.5, 7.0)] == list(halved)
    assert ("yfinance", "yfinance-adjusted") == (venue.name, adjusted.name)


@pytest.mark.parametrize("timeframe_ms", [MINUTE, 5 * MINUTE, HOUR, DAY, 7 * DAY])
async def test_no_question_asks_for_more_than_yahoo_gives(
    yahoo: LabYahoo, venue: YahooVenue, timeframe_ms: int
) -> None:
    """Neither for a longer span nor for older bars: that is refused here, with what there is."""
    interval = INTERVALS[timeframe_ms]
    yahoo.put("ACME", interval.name, row(yahoo.now // timeframe_ms * timeframe_ms))
    await venue.candles("ACME", timeframe_ms, interval.oldest(yahoo.now), 100_000)
    await venue.candles("ACME", timeframe_ms, None, 2)
    if interval.reach_ms:
        asked = len(yahoo.asked)
        with pytest.raises(
            VenueRefused, match=r"of the last \d+ days only.*expected 20.* or later"
        ):
            await venue.candles("ACME", timeframe_ms, interval.oldest(yahoo.now) - 1, 10)

        assert asked == len(yahoo.asked)


async def test_half_hours_are_asked_for(yahoo: LabYahoo, venue: YahooVenue) -> None:
    """The library makes them of quarters, for Yahoo gives whole hours when it is asked for them."""
    first = utc("2024-01-03T09:00")
    yahoo.put(
        "ACME", "15m", *(row(first + place * 15 * MINUTE, 100.0 + place) for place in range(4))
    )
    found = await venue.candles("ACME", 30 * MINUTE, first, 10)

    assert [first, first + 30 * MINUTE] == [each[0] for each in found]
    assert (first, 100.0, 103.5, 98.75, 102.0, 14.0) == found[0]


async def test_a_ticker_that_yahoo_does_not_have_is_named(
    yahoo: LabYahoo, venue: YahooVenue
) -> None:
    """All of them at once, before anything is asked of the others."""
    yahoo.put("ACME", "1d", row(utc("2024-01-02")))
    with pytest.raises(FeedSettingError) as refused:
        await venue.load(["ACME", "NOPE", "NADA"], "1m")

    assert "NOPE" in str(refused.value)
    assert "NADA" in str(refused.value)
    assert "ACME" not in str(refused.value)


async def test_a_time_frame_that_yahoo_does_not_have_is_named(venue: YahooVenue) -> None:
    """With those that it has; nothing is asked."""
    with pytest.raises(FeedSettingError, match="no bars of 4h; expected one of 1m 2m 5m"):
        await venue.load(["ACME"], "4h")


@pytest.mark.parametrize("fault", [rate_limited, down, unwell, disconnected])
async def test_what_may_pass_is_trouble(yahoo: LabYahoo, venue: YahooVenue, fault: Spoil) -> None:
    """Nothing of the library's own comes out, and the next question is answered."""
    first = yahoo.now - 10 * MINUTE
    yahoo.put("ACME", "1m", row(first))
    # The library asks once more by itself where it is refused, and curl where it is cut off.
    yahoo.faults += [fault] if fault is down else [fault, fault]
    with pytest.raises(VenueTrouble, match=r"yfinance: ACME: .+"):
        await venue.candles("ACME", MINUTE, first, 10)

    assert [row(first)] == list(await venue.candles("ACME", MINUTE, first, 10))


async def test_an_empty_answer_is_not_remembered(yahoo: LabYahoo, venue: YahooVenue) -> None:
    """The library keeps answers about the past, empty ones too: two of them must be two."""
    first = yahoo.now - 10 * MINUTE
    yahoo.put("ACME", "1m")
    assert [] == list(await venue.candles("ACME", MINUTE, first, 5))
    yahoo.put("ACME", "1m", row(first))

    assert [row(first)] == list(await venue.candles("ACME", MINUTE, first, 5))


async def test_without_forgetting_an_empty_answer_would_be_given_again(
    yahoo: LabYahoo, venue: YahooVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: the library does not ask a second time, and one lost answer is a gap for ever."""
    first = yahoo.now - 10 * MINUTE
    yahoo.put("ACME", "1m")
    await venue.candles("ACME", MINUTE, first, 5)
    yahoo.put("ACME", "1m", row(first))
    monkeypatch.setattr(type(venue._data).cache_get, "cache_clear", lambda: None)

    assert [] == list(await venue.candles("ACME", MINUTE, first, 5))


async def test_a_closed_exchange_is_left_alone_until_it_opens(
    yahoo: LabYahoo, venue: YahooVenue
) -> None:
    """Before trading begins until then; after it has ended it is looked at from time to time."""
    yahoo.hours = NEW_YORK
    opens, closes = utc("2024-01-03T14:30"), utc("2024-01-03T21:00")
    yahoo.put("ACME", "1m", row(utc("2024-01-02T20:59")))
    night = utc("2024-01-02T21:00")
    assert venue.quiet_until("ACME", night, yahoo.now) is None
    await venue.load(["ACME"], "1m")

    def quiet(due: int, now: int) -> int | None:
        return venue.quiet_until("ACME", due, now)

    assert opens + MINUTE == quiet(night, yahoo.now)
    assert opens + MINUTE == quiet(night, opens + 1)
    assert quiet(night, opens + MINUTE) is None
    assert quiet(closes - MINUTE, closes + MINUTE) is None
    assert yahoo.now + CLOSED_LOOK_MS == quiet(closes, yahoo.now)
    assert quiet(closes, yahoo.now + CLOSED_LOOK_MS) is None


async def test_what_the_library_only_logs_is_no_line_of_ours(
    yahoo: LabYahoo, venue: YahooVenue, caplog: pytest.LogCaptureFixture
) -> None:
    """A crumb that cannot be had, as without any network: what fails is raised, and told once."""
    yahoo.crumbless = True
    yahoo.put("ACME", "1m", row(yahoo.now - 10 * MINUTE))
    await venue.candles("ACME", MINUTE, yahoo.now - 10 * MINUTE, 10)

    assert [] == [each for each in caplog.records if each.name == "yfinance"]
