"""Yahoo's history in the store, by the library and by the command, and what a split does to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import structlog
from anyio.from_thread import start_blocking_portal
from market_data_house import Waits
from typer.testing import CliRunner
from yahoo_house import DAY, LabYahoo, rate_limited, serving

from actors.runtime.clock import wall_ms
from feeds import FeedSettingError
from feeds.live.feed import VenueFeed
from feeds.live.fetching import fetch_all
from feeds.live.venue import FeedClock
from feeds.rows import Row
from feeds.store import fetching
from feeds.store.fetching import Fetched, Rebased
from feeds.store.layout import Series
from feeds.store.store import BarStore
from feeds.yfinance.reach import YahooReach
from feeds.yfinance.venue import yahoo_source
from tidegate.cli import app
from tidegate.compose import feed_of
from tidegate.config import load

pytest.importorskip("pyarrow", reason="needs the extra `parquet`")

SERIES = Series("yfinance", "ACME", DAY)
TODAY = 1_704_283_200_000 // DAY * DAY


def day(place: int, *, divided: float = 1.0) -> Row:
    """Return the bar of a day before today: a function of its place."""
    base = (100.0 + place % 7) / divided
    return (TODAY - place * DAY, base, base * 1.25, base * 0.75, base * 1.125, 5.0)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "data")


async def fetched(yahoo: LabYahoo, reach: YahooReach, store: BarStore) -> Fetched:
    """Fetch the last ten days."""
    (one,) = await fetch_all(
        yahoo_source(reach, lambda: yahoo.now),
        store.root,
        ["ACME"],
        DAY,
        (TODAY - 10 * DAY, None),
        sleep_s=Waits().sleep_s,
        chance=Random(1).random,
    )
    return one


async def test_only_what_is_lacking_is_fetched(
    yahoo: LabYahoo, reach: YahooReach, store: BarStore
) -> None:
    """The day that still goes on is not; a weekend is a gap that is not asked for again."""
    yahoo.put("ACME", "1d", *(day(place) for place in (8, 7, 6, 3, 2, 1, 0)))
    first = await fetched(yahoo, reach, store)
    yahoo.now += DAY
    yahoo.put("ACME", "1d", day(-1))
    yahoo.asked.clear()
    second = await fetched(yahoo, reach, store)
    asked = [int(each["period1"]) * 1000 for each in yahoo.asked if "period1" in each]

    assert [day(place)[0] for place in (8, 7, 6, 3, 2, 1, 0)] == [
        bar.timestamp for bar in store.bars(SERIES)
    ]
    assert (6, 1) == (first.merged.added, second.merged.added)
    assert min(asked) >= TODAY - 3 * DAY
    assert [2] == [gap.missing for gap in second.gaps]


async def test_a_rate_limit_is_waited_for(
    yahoo: LabYahoo, reach: YahooReach, store: BarStore
) -> None:
    """Longer each time, and what was to come comes."""
    yahoo.put("ACME", "1d", *(day(place) for place in range(5)))
    yahoo.faults += [rate_limited] * 4
    one = await fetched(yahoo, reach, store)

    assert 4 == one.merged.added


async def split(yahoo: LabYahoo, reach: YahooReach, store: BarStore) -> None:
    """Fetch; let the share be split in four; fetch again."""
    yahoo.put("ACME", "1d", *(day(place) for place in range(5)))
    await fetched(yahoo, reach, store)
    yahoo.now += DAY
    yahoo.put("ACME", "1d", *(day(place, divided=4.0) for place in range(-1, 5)))
    await fetched(yahoo, reach, store)


async def test_a_split_is_not_put_behind_the_prices_of_before(
    yahoo: LabYahoo, reach: YahooReach, store: BarStore
) -> None:
    """Yahoo has divided its whole history; the store, which has not, stays, and this is said."""
    with pytest.raises(Rebased, match=r"0\.25 times the prices that are here .* fetch it anew"):
        await split(yahoo, reach, store)

    assert [day(place)[4] for place in (4, 3, 2, 1)] == [bar.close for bar in store.bars(SERIES)]


async def test_without_the_look_a_split_is_a_crash(
    yahoo: LabYahoo, reach: YahooReach, store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: the prices of two units stand in one series."""
    monkeypatch.setattr(fetching, "REBASED", float("inf"))
    await split(yahoo, reach, store)
    closes = [bar.close for bar in store.bars(SERIES)]

    assert max(closes) > 3 * min(closes)


async def test_a_session_warms_up_in_todays_unit(
    yahoo: LabYahoo, reach: YahooReach, store: BarStore
) -> None:
    """A store from before a split is gone round at the start."""
    with pytest.raises(Rebased):
        await split(yahoo, reach, store)
    waits = Waits()
    feed = VenueFeed(
        yahoo_source(reach, lambda: yahoo.now),
        ["ACME"],
        DAY,
        clock=FeedClock(lambda: yahoo.now, waits.sleep_s),
        chance=Random(1).random,
        warm_up=3,
        cache=store,
    )
    try:
        await feed.connect()
        closes = [bar.close for (bar,) in feed.groups()]
    finally:
        await feed.close()

    assert [day(place, divided=4.0)[4] for place in (2, 1, 0)] == closes


# ------------------------------------------------------------------------------------ the command


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in an empty folder, without settings from this machine's environment."""
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    structlog.reset_defaults()


def test_the_command_brings_yahoos_days_into_the_store(
    own_folder: Path, yahoo_certificate: Path
) -> None:
    """`data fetch --source yfinance`, pinned to loopback by the two keys of every rehearsal."""
    pytest.importorskip("yfinance", reason="needs the extra `yfinance`")
    today = wall_ms() // DAY * DAY
    yahoo = LabYahoo(now=wall_ms())
    rows = [(today - place * DAY, *day(place)[1:]) for place in (4, 3, 2, 1, 0)]
    yahoo.put("ACME", "1d", *rows)
    with start_blocking_portal() as portal:
        served = portal.wrap_async_context_manager(serving(yahoo, yahoo_certificate))
        with served as port:
            found = CliRunner().invoke(
                app,
                f"data fetch --source yfinance --symbol ACME --timeframe 1d --json "
                f"--since {today - 5 * DAY}".split(),
                env={
                    "TIDEGATE_VENUE__LOOPBACK_PORT": str(port),
                    "TIDEGATE_VENUE__LOOPBACK_CA": str(yahoo_certificate),
                },
            )

    assert 0 == found.exit_code, found.output
    (one,) = json.loads(found.stdout)["fetched"]
    assert ("yfinance", "ACME", 4) == (one["venue"], one["symbol"], one["added"])
    kept = list(BarStore(Path("data/rehearsal")).bars(SERIES))
    assert [row[0] for row in rows[:-1]] == [bar.timestamp for bar in kept]
    assert {host for host, _ in yahoo.hits} <= {
        "fc.yahoo.com",
        "query1.finance.yahoo.com",
        "query2.finance.yahoo.com",
    }


def test_a_configuration_asks_for_yahoo(own_folder: Path) -> None:
    """`feed.source` alone: nothing is streamed, and no exchange is named."""
    Path("yahoo.toml").write_text(
        '[universe]\nsymbols = ["ACME"]\n[feed]\nsource = "yfinance"\ntimeframe = "1h"\n', "utf-8"
    )
    feed = feed_of(load([Path("yahoo.toml")]))

    assert isinstance(feed, VenueFeed)
    assert {"live@ACME": "yfinance 1h"} == feed.fingerprints()


def test_a_stream_that_yahoo_does_not_have_is_refused(own_folder: Path) -> None:
    """By name, before anything is asked."""
    Path("yahoo.toml").write_text(
        '[universe]\nsymbols = ["ACME"]\n[feed]\nsource = "yfinance"\nlive.streams = ["quotes"]\n',
        "utf-8",
    )
    with pytest.raises(FeedSettingError, match="yfinance streams no quotes"):
        feed_of(load([Path("yahoo.toml")]))
