"""Synthetic markets: the same for the same seed, plausible, and labelled."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from itertools import islice, pairwise

import pytest

from feeds import FeedSettingError, SyntheticFeed
from feeds.fixtures.__main__ import csv_row
from feeds.synthetic import PROFILES
from messages import Bar

PROFILE_NAMES = list(PROFILES)
DAY = 86_400_000


def bars_of(feed: SyntheticFeed) -> list[Bar]:
    return [bar for group in feed.groups() for bar in group]


def make(profile: str = "crypto", **settings: object) -> list[Bar]:
    return bars_of(SyntheticFeed(["X"], profile=profile, **settings))  # type: ignore[arg-type]


GOLDEN = {
    "crypto": "a329aa26dfe1119c93071442d3ed9c66a2f820ec53ff1cc79c22ca280b685c57",
    "equity": "f8aef2e2e6e1ac240fd003fe382a69345fdd9f7cfbaf4b9dad22fef3ed9e7681",
    "forex": "707866e161fe8205e496fd437f8a4ad1822fb36e9590eb1c902f5bb8212b1cb1",
}
"""sha256 of 3,000 bars of seed 42 as CSV: a change means that GENERATOR must be raised."""

FIRST_AND_LAST = {
    "crypto": (
        "1704067200000,22457.21,22460.27,22454.4,22454.82,11.748",
        "1704247800000,20958.76,20964.8,20956.5,20963.43,22.4536",
    ),
    "equity": (
        "1704119400000,120.66,120.67,120.54,120.56,43964",
        "1704914280000,115.75,115.8,115.61,115.64,33379",
    ),
    "forex": (
        "1704067200000,1.59907,1.59912,1.59903,1.59911,103",
        "1704252000000,1.58279,1.58287,1.58276,1.58285,100",
    ),
}


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_a_seed_gives_the_same_bars_on_every_interpreter_and_machine(profile: str) -> None:
    """The pinned bars were made once; whatever runs this test makes them again."""
    bars = make(profile, seed=42, bars=3_000)

    rows = [csv_row(bar) for bar in bars]
    assert FIRST_AND_LAST[profile] == (rows[0], rows[-1])
    assert GOLDEN[profile] == hashlib.sha256("\n".join(rows).encode()).hexdigest()


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_bars_are_possible_in_order_and_on_the_tick_grid(profile: str) -> None:
    """A synthetic bar passes every check that a file's row must pass, and its text is short."""
    tick = Decimal(1) / PROFILES[profile].ticks_per_unit

    bars = make(profile, seed=1, bars=20_000)

    assert 20_000 == len(bars)
    assert all(a.timestamp < b.timestamp for a, b in pairwise(bars))
    for bar in bars:
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume >= 0
        assert all(
            Decimal(repr(price)) % tick == 0 for price in (bar.open, bar.high, bar.low, bar.close)
        )


def test_a_symbols_bars_do_not_depend_on_its_company() -> None:
    """Adding a market to a session leaves the others as they were; no two are alike."""
    alone = make(seed=5, bars=700)
    company = bars_of(SyntheticFeed(["Y", "X", "A"], seed=5, bars=700))

    assert alone == [bar for bar in company if bar.symbol == "X"]
    closes = {
        symbol: [bar.close for bar in company if bar.symbol == symbol] for symbol in ("A", "X", "Y")
    }
    assert closes["A"] != closes["X"] != closes["Y"]


def test_another_seed_is_another_market() -> None:
    """The seed decides."""
    assert make(seed=1, bars=50) != make(seed=2, bars=50)


def test_equities_trade_in_sessions_and_forex_closes_for_the_weekend() -> None:
    """Closed hours are gaps in the data, as in real files."""
    for bar in make("equity", bars=5_000):
        day, since_midnight = divmod(bar.timestamp, DAY)
        assert (day + 3) % 7 < 5
        assert 14.5 * 3_600_000 <= since_midnight < 21 * 3_600_000
    weekend = [
        later.timestamp - earlier.timestamp
        for earlier, later in pairwise(make("forex", bars=20_000))
        if later.timestamp - earlier.timestamp > DAY
    ]
    assert weekend
    assert all(2 * DAY <= length < 2.01 * DAY for length in weekend)
    assert all((bar.timestamp // DAY + 3) % 7 < 5 for bar in make("equity", timeframe="1d"))


def test_there_are_gaps_jumps_quiet_and_busy_times() -> None:
    """A market without incident would test nothing."""
    bars = make("crypto", seed=9, bars=30_000)

    steps = [later.timestamp - earlier.timestamp for earlier, later in pairwise(bars)]
    assert any(step > 60_000 for step in steps)
    assert any(step > 10 * 60_000 for step in steps)
    moves = sorted(abs(bar.close / bar.open - 1) for bar in bars)
    assert moves[-5] > 6 * moves[len(moves) // 2]
    volumes = sorted(bar.volume for bar in bars)
    assert volumes[-100] > 5 * volumes[len(volumes) // 2]


def test_a_market_may_go_on_without_end() -> None:
    """A paper session can run for as long as it likes; bars are made as they are asked for."""
    feed = SyntheticFeed(["X"], bars=None, timeframe="1h")

    groups = list(islice(feed.groups(), 5_000))

    assert 5_000 == len(groups)
    assert feed.synthetic
    assert "bars=endless" in feed.fingerprints()["synthetic@X"]


def test_the_fingerprint_names_all_that_the_bars_follow_from() -> None:
    """Two feeds of one fingerprint give the same bars."""
    fingerprint = SyntheticFeed(["X"], seed=3, bars=10, timeframe="5m").fingerprints()

    assert fingerprint == {
        "synthetic@X": "generator=1 profile=crypto seed=3 start=2024-01-01T00:00:00Z "
        "timeframe_ms=300000 bars=10"
    }


@pytest.mark.parametrize(
    ("symbols", "settings"),
    [
        ([], {}),
        (["X", "X"], {}),
        (["X"], {"profile": "gold"}),
        (["X"], {"bars": 0}),
        (["X"], {"timeframe": "1M"}),
    ],
)
def test_an_impossible_market_is_refused(symbols: list[str], settings: dict[str, object]) -> None:
    """Arguments are judged when the feed is made, not when it is read."""
    with pytest.raises(FeedSettingError):
        SyntheticFeed(symbols, **settings)  # type: ignore[arg-type]
