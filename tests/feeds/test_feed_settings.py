"""The [feed] section: strict, and honest about what there is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from feeds import BarFeed, FeedSettingError, FileFeed, SourceUnavailable, SyntheticFeed
from feeds.settings import FeedSettings, build_feed


def build(symbols: list[str], seed: int = 7, **settings: Any) -> BarFeed:
    return build_feed(FeedSettings(**settings), symbols, seed)


def test_the_default_is_a_synthetic_market_of_the_sessions_seed() -> None:
    """Without a word of configuration there is something to trade on, and it is not real."""
    feed = build(["BTC/USDT", "ETH/USDT"])

    assert isinstance(feed, SyntheticFeed)
    assert (True, 7, 60_000) == (feed.synthetic, feed.seed, feed.timeframe_ms)
    assert ("BTC/USDT", "ETH/USDT") == feed.symbols


def test_the_synthetic_section_says_which_market() -> None:
    """Its own seed goes before the session's; 0 bars are bars without end."""
    section = {"profile": "forex", "bars": 0, "seed": 3, "start": "2024-03-01T00:00:00+01:00"}

    feed = build(["EUR/USD"], timeframe="1h", synthetic=section)

    assert isinstance(feed, SyntheticFeed)
    assert ("forex", None, 3, 3_600_000) == (
        feed.profile.name,
        feed.bars,
        feed.seed,
        feed.timeframe_ms,
    )
    assert 1_709_247_600_000 == feed.start


def test_files_are_measured_unless_the_time_frame_is_given() -> None:
    """The universe's only symbol is that of the only file."""
    feed = build(["ACME"], source="file", files=["fixture:equity"], max_bad_rows=3)

    assert isinstance(feed, FileFeed)
    assert (("ACME",), 60_000, 3) == (feed.symbols, feed.timeframe_ms, feed.max_bad_rows)


def test_a_symbol_without_a_file_is_refused() -> None:
    """A session must not wait for data that cannot come."""
    with pytest.raises(FeedSettingError, match="no data file for ETH/USDT; the files give ACME"):
        build(["ACME", "ETH/USDT"], source="file", files=["fixture:equity"])


@pytest.mark.parametrize("source", ["ccxt", "yfinance"])
def test_a_live_source_is_no_file(source: str) -> None:
    """It needs a clock and a way to its venue, which settings alone do not have."""
    with pytest.raises(SourceUnavailable, match=f"'{source}' is live and is not read like a file"):
        build(["BTC/USDT"], source=source)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sauce": "file"}, "Extra inputs are not permitted"),
        ({"synthetic": {"bar": 5}}, "Extra inputs are not permitted"),
        ({"source": "csv"}, "Input should be 'synthetic', 'file', 'ccxt', 'yfinance' or 'alpaca'"),
        ({"source": "file"}, "source 'file' has no files"),
        ({"timeframe": "1M"}, "a calendar month has no fixed length"),
        ({"speed": -1}, "greater than or equal to 0"),
        ({"speed": float("inf")}, "finite"),
        ({"stale_after_s": 0}, "greater than 0"),
        ({"max_bad_rows": -1}, "greater than or equal to 0"),
        ({"synthetic": {"start": "2024-01-01T00:00:00"}}, "should have timezone info"),
        ({"synthetic": {"profile": "gold"}}, "'crypto', 'equity' or 'forex'"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], complaint: str) -> None:
    """Unknown keys and impossible values are errors that say so."""
    with pytest.raises(ValidationError, match=complaint):
        FeedSettings(**settings)


def test_settings_are_frozen() -> None:
    """What a session was started with stays what it was."""
    with pytest.raises(ValidationError, match="frozen"):
        FeedSettings().speed = 1.0  # type: ignore[misc]
