"""Alpaca's market data through the live feed, at the stand-in, in its time, which tests move."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from alpaca_house import KEYS, MINUTE, SPY, bar, opened, share, terms

sys.path.append(str(Path(__file__).parents[1] / "market_data"))

from market_data_house import LabClock, Waits

from actors.runtime.clock import wall_ms, within
from feeds.alpaca.line import Questions
from feeds.alpaca.reach import AlpacaReach
from feeds.alpaca.sessions import Sessions, back, sessions_of
from feeds.alpaca.venue import alpaca_source, open_alpaca
from feeds.contract import LiveFeed
from feeds.errors import FeedSettingError
from feeds.history import VenueRefused, VenueTrouble
from feeds.live.feed import VenueFeed
from feeds.live.fetching import fetch_all
from feeds.live.venue import FeedClock, Stream
from feeds.store.layout import Series
from feeds.store.store import BarStore
from messages import Bar
from scenarios.exchange.alpaca import Exchange
from scenarios.exchange.alpaca.server import shares
from scenarios.exchange.facts import Terms

PATIENCE_S = 20.0
OPEN = 1_704_205_800_000
"""2024-01-02, 09:30 in New York."""

FIRST = (OPEN - 1_704_067_200_000) // MINUTE
"""Which minute that is by the house's count."""


def place(number: int, symbol: str = SPY) -> Bar:
    """Return a minute of that morning."""
    return bar(FIRST + number, 400.0 + number, symbol)


def reach(exchange: Exchange, **given: Any) -> AlpacaReach:
    """Return how a feed reaches the stand-in."""
    key = AlpacaReach(
        KEYS.key_id,
        KEYS.secret,
        loopback_port=exchange.port,
        loopback_ca=exchange.ca_path,
        timeout_s=5.0,
    )
    return replace(key, **given)


class Time:
    """What tests move: the stand-in tells it."""

    def __init__(self, now: int) -> None:
        self.now = now


@asynccontextmanager
async def feed(
    folder: Path,
    *,
    until: int,
    streams: frozenset[Stream] = frozenset({Stream.BARS}),
    warm_up: int = 3,
) -> AsyncIterator[tuple[VenueFeed, Exchange, LabClock]]:
    """Give a feed that runs, with the minutes before ``until`` in its past."""
    async with opened(folder) as exchange:
        for number in range(until):
            await exchange.server.show(SPY, [place(number)])
        time = Time(OPEN + until * MINUTE + 1)
        clock = LabClock(time)  # type: ignore[arg-type]
        exchange.server.tells = lambda: time.now
        made = VenueFeed(
            alpaca_source(reach(exchange)),
            (SPY,),
            MINUTE,
            clock=FeedClock(clock.wall_ms, clock.sleep_s),
            chance=Random(1).random,
            warm_up=warm_up,
            streams=streams,
        )
        await made.connect()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(made.run)
                yield made, exchange, clock
                tasks.cancel_scope.cancel()
        finally:
            await made.close()


async def taken(made: VenueFeed, clock: LabClock, *, passing: bool = False) -> Bar:
    """Return the next bar; with time standing still, or passing while nothing comes."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            arrival = made.take()
            if isinstance(arrival, tuple):
                (one,) = arrival
                return one
            await within(0.01, anyio.sleep_forever)
            if passing:
                clock.move(clock.venue.now + 500)


async def listening(exchange: Exchange) -> None:
    """Return when a stream is there and wants bars."""
    with anyio.fail_after(PATIENCE_S):
        while not any(link.bars for link in exchange.server.streams.links):
            await within(0.01, anyio.sleep_forever)


async def test_a_streamed_bar_comes_at_once_and_is_closed(tmp_path: Path) -> None:
    """Before any later bar, and without a question; what was before is for warming up."""
    async with feed(tmp_path, until=5) as (made, exchange, clock):
        assert isinstance(made, LiveFeed)
        warm = [one for group in made.groups() for one in group]
        await listening(exchange)
        await exchange.server.show(SPY, [place(5)])
        before = [await taken(made, clock, passing=True) for _ in range(2)]
        asked = len([hit for hit in exchange.server.hits if hit.path.endswith("/bars")])
        await exchange.server.show(SPY, [place(6)])
        news = await taken(made, clock)

        # The newest one could still change when it began.
        assert [place(1), place(2), place(3)] == warm
        assert [place(4), place(5)] == before
        assert place(6) == news
        assert asked == len([hit for hit in exchange.server.hits if hit.path.endswith("/bars")])


async def test_what_a_broken_stream_left_out_is_asked_for(tmp_path: Path) -> None:
    """The line is cut, a bar closes meanwhile: history has it, and the stream is dialled anew."""
    async with feed(tmp_path, until=5) as (made, exchange, clock):
        await listening(exchange)
        for link in exchange.server.streams.links:
            link.abort()
        with anyio.fail_after(PATIENCE_S):
            while exchange.server.streams.links:
                await within(0.01, anyio.sleep_forever)
        await exchange.server.show(SPY, [place(5)])
        await exchange.server.show(SPY, [place(6)])
        clock.move(OPEN + 7 * MINUTE)
        news = [await taken(made, clock, passing=True) for _ in range(3)]
        await listening(exchange)

    assert [place(4), place(5), place(6)] == news


async def test_a_minute_without_a_trade_is_a_gap(tmp_path: Path) -> None:
    """The later bar comes, the gap is counted, nothing is invented."""
    async with feed(tmp_path, until=5) as (made, exchange, clock):
        await listening(exchange)
        clock.move(OPEN + 7 * MINUTE)
        await exchange.server.show(SPY, [place(6)])
        news = [await taken(made, clock, passing=True) for _ in range(2)]
        counts = made.statistics()["symbols"][SPY]

    assert [place(4), place(6)] == news
    assert (1, 1) == (counts["gaps"], counts["missing"])


async def test_without_a_stream_every_bar_is_asked_for(tmp_path: Path) -> None:
    """As with a time frame that is not streamed."""
    async with feed(tmp_path, until=5, streams=frozenset()) as (made, exchange, clock):
        await exchange.server.show(SPY, [place(5)])
        clock.move(OPEN + 6 * MINUTE)
        news = [await taken(made, clock, passing=True) for _ in range(2)]

        assert [] == exchange.server.streams.links
    assert [place(4), place(5)] == news


async def test_history_is_asked_for_with_the_feed_the_adjustment_and_the_key(
    tmp_path: Path,
) -> None:
    """At the data host; the store keeps bars of another make apart."""
    async with opened(tmp_path) as exchange:
        for number in range(8):
            await exchange.server.show(SPY, [place(number)])
        exchange.server.tells = lambda: OPEN + 8 * MINUTE + 1
        source = alpaca_source(reach(exchange, data_feed="sip", adjustment="split"))
        (fetched,) = await fetch_all(
            source,
            tmp_path / "data",
            (SPY,),
            MINUTE,
            (OPEN, None),
            sleep_s=anyio.sleep,
            chance=Random(1).random,
        )
        hit = next(hit for hit in exchange.server.hits if hit.path == "/v2/stocks/bars")
        kept = list(
            BarStore(tmp_path / "data").bars(
                Series("alpaca-sip-split", SPY, MINUTE), (OPEN, OPEN + 8 * MINUTE)
            )
        )

    assert ("data.alpaca.markets", KEYS.key_id) == (hit.host, hit.key_id)
    assert ("1Min", "sip", "split", "asc") == tuple(
        hit.query[name] for name in ("timeframe", "feed", "adjustment", "sort")
    )
    # The newest may still change: only what has another behind it is final.
    assert [place(number) for number in range(7)] == kept[:7]
    assert len(kept) == fetched.merged.added


@pytest.mark.parametrize(
    ("symbol", "timeframe", "words"),
    [("NONE", "1m", "does not list NONE"), (SPY, "4h", "no bars of 4h; expected one of 1m")],
)
async def test_what_alpaca_does_not_have_is_refused(
    symbol: str, timeframe: str, words: str, tmp_path: Path
) -> None:
    """By name, before anything else is asked."""
    async with opened(tmp_path) as exchange, open_alpaca(reach(exchange)) as venue:
        with pytest.raises(FeedSettingError, match=words):
            await venue.load((symbol,), timeframe)


async def test_a_wrong_secret_is_refused_and_not_said(tmp_path: Path) -> None:
    """By the questions and by the stream, which is then not dialled again."""
    async with opened(tmp_path) as exchange:
        wrong = reach(exchange, secret="quite-another-secret")
        async with open_alpaca(wrong) as venue:
            with pytest.raises(VenueRefused, match="unauthorized") as asked:
                await venue.server_time_ms()
            with pytest.raises(VenueRefused, match="auth failed") as streamed:
                await venue.watch_candles(SPY, MINUTE)

    assert "quite-another" not in str(asked.value) + str(streamed.value) + repr(wrong)


async def test_trouble_is_told_with_when_to_come_again(tmp_path: Path) -> None:
    """A server's own fault may be asked again; nothing but questions can be asked at all."""
    fault = {"fault": "fail_before", "on": ["bars"], "count": 1}
    async with opened(tmp_path, fault) as exchange, open_alpaca(reach(exchange)) as venue:
        with pytest.raises(VenueTrouble, match="503"):
            await venue.candles(SPY, MINUTE, OPEN, 10)
        assert [] == list(await venue.candles(SPY, MINUTE, OPEN, 10))
        assert {"GET"} == {hit.method for hit in exchange.server.hits}
        questions: Questions = venue._ask
        with pytest.raises(AssertionError, match="nothing is changed"):
            questions.trading.cancel_orders()


def test_between_sessions_nothing_is_asked() -> None:
    """Friday's evening is quiet until Monday morning; beyond the calendar every hour is open."""
    import pytz

    days = [
        {"date": "2024-01-05", "open": "09:30", "close": "16:00"},
        {
            "date": "2024-01-08",
            "open": "09:30",
            "close": "16:00",
            "session_open": "0400",
            "session_close": "2000",
        },
    ]

    def at(day: int, hour: int) -> int:
        return int(datetime(2024, 1, day, hour, tzinfo=UTC).timestamp()) * 1000

    sessions = sessions_of(days, pytz.timezone("America/New_York").localize, at(10, 0))

    assert at(8, 9) == sessions.quiet_until(at(5, 21), at(6, 12))
    assert sessions.quiet_until(at(5, 20), at(5, 22)) is None
    assert sessions.quiet_until(at(5, 21), at(8, 9)) is None
    assert sessions.quiet_until(at(9, 12), at(10, 0)) is None
    assert Sessions().quiet_until(0, 1) is None


def test_bars_are_looked_for_beyond_nights_and_weekends() -> None:
    """As many as are asked for lie behind the moment that is returned, holidays allowed for."""
    day = 86_400_000

    assert 0 == back(0, MINUTE, 0)
    assert -(2 + 7) * day == back(390, MINUTE, 0)
    assert -(140 + 7) * day == back(100, day, 0)


@pytest.mark.parametrize("own_time", [True, False])
async def test_a_rehearsal_on_another_days_bars_has_their_time(
    tmp_path: Path, *, own_time: bool
) -> None:
    """What time it is says the newest one, years ago; ablation: by the clock there is none."""
    async with opened(tmp_path) as exchange:
        for number in range(5):
            await exchange.server.show(SPY, [place(number)])
        made = VenueFeed(
            alpaca_source(reach(exchange, own_time=own_time)),
            (SPY,),
            MINUTE,
            clock=FeedClock(wall_ms, Waits().sleep_s),
            chance=Random(1).random,
            warm_up=2,
            speed=60.0,
        )
        if not own_time:
            with pytest.raises(VenueTrouble, match="no candle yet"):
                await made.connect()
            return
        begins = await made.connect()
        warm = [one for group in made.groups() for one in group]
        await made.close()

    assert OPEN + 4 * MINUTE <= begins < OPEN + 5 * MINUTE
    assert [place(2), place(3)] == warm


@pytest.mark.parametrize(("own_time", "until"), [(True, None), (False, OPEN - 330 * MINUTE)])
async def test_a_rehearsal_on_another_days_bars_has_no_nights(
    tmp_path: Path, *, own_time: bool, until: int | None
) -> None:
    """The calendar is of these days, and by it nothing would be asked; ablation: it is not."""
    async with (
        opened(tmp_path) as exchange,
        open_alpaca(reach(exchange, own_time=own_time)) as venue,
    ):
        night = OPEN - 480 * MINUTE
        exchange.server.tells = lambda: night
        await venue.server_time_ms()

    assert until == venue.quiet_until(SPY, night, night)


def test_the_terms_of_the_house_are_shares() -> None:
    """The stand-in lists nothing else."""
    assert {SPY} == set(terms().instruments)


def test_the_stand_in_takes_no_commission() -> None:
    """Whatever fee a configuration has: the broker books none, and the money would differ."""
    costly = replace(share(), maker_fee_bps=Decimal(10), taker_fee_bps=Decimal(10))
    (rules,) = shares(Terms({SPY: costly}, "USD", Decimal(1), "t")).instruments.values()

    assert (0, 0) == (rules.maker_fee_bps, rules.taker_fee_bps)
