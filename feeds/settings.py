"""The ``[feed]`` section of the configuration, and the feed that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from feeds.contract import BarFeed
from feeds.errors import FeedSettingError, SourceUnavailable
from feeds.file import FileFeed
from feeds.synthetic import SyntheticFeed
from feeds.timeframe import parse_timeframe
from feeds.timeline import EPOCH

DEFAULT_TIMEFRAME = "1m"
"""The time frame of a source that has none of its own; files are measured instead."""


LIVE_SOURCES = frozenset({"alpaca", "ccxt", "yfinance"})
"""The sources of what happens now: no input repeats them."""


class SyntheticSettings(BaseModel):
    """The ``[feed.synthetic]`` section: which market to imitate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Literal["crypto", "equity", "forex"] = Field(
        default="crypto", description="the kind of market: hours, gaps, volatility, tick"
    )
    bars: int = Field(default=1_440, ge=0, description="bars per symbol; 0 = without end")
    seed: int | None = Field(
        default=None, description="the market's own seed; the session's if unset"
    )
    start: AwareDatetime = Field(
        default=datetime(2024, 1, 1, tzinfo=UTC), description="open of the first bar, with a zone"
    )


class LiveSettings(BaseModel):
    """The ``[feed.live]`` section: what a venue's live data is asked for, and what is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    streams: tuple[Literal["bars", "quotes", "trades"], ...] = Field(
        default=("bars",), description="what is streamed; without bars they are polled"
    )
    warm_up_bars: int = Field(
        default=200, ge=0, le=100_000, description="bars loaded from before the start"
    )
    store: Path | None = Field(
        default=Path("data"), description="store of bars that these are read from and fetched into"
    )
    speed: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="rehearsal (venue.loopback_port): the venue plays a market with a time of its "
        "own, which is that of its newest bar and passes so many times faster than real time; "
        "unset: it is the venue's clock",
    )
    capture_spacing_s: int = Field(
        default=300, ge=1, description="seconds of the market between two writes of what was seen"
    )
    capture_days: int = Field(
        default=30, ge=0, description="days that a session keeps of what was seen; 0 = all"
    )


class YFinanceSettings(BaseModel):
    """The ``[feed.yfinance]`` section: which of Yahoo's prices are wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adjusted: bool = Field(
        default=False,
        description="divide prices for dividends (days and weeks); for splits Yahoo always does",
    )


class FeedSettings(BaseModel):
    """The ``[feed]`` section: where market data comes from and how it is judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["synthetic", "file", "ccxt", "yfinance", "alpaca"] = Field(
        default="synthetic", description="where market data comes from"
    )
    files: tuple[str, ...] = Field(
        default=(), description="data files, each FILE[@SYMBOL] or fixture:NAME (source = file)"
    )
    timeframe: str | None = Field(
        default=None,
        description="length of a bar, such as 1m; unset: measured in files, 1m elsewhere",
    )
    speed: float = Field(
        default=60.0,
        ge=0,
        allow_inf_nan=False,
        description="how many times faster than real time; 0 = as fast as it goes",
    )
    stale_after_s: float = Field(
        default=90.0,
        gt=0,
        allow_inf_nan=False,
        description="seconds without a bar due after which the feed counts as stale",
    )
    max_bad_rows: int = Field(
        default=0, ge=0, description="bad rows tolerated in files; one more is fatal"
    )
    synthetic: SyntheticSettings = Field(default_factory=SyntheticSettings)
    live: LiveSettings = Field(default_factory=LiveSettings)
    yfinance: YFinanceSettings = Field(default_factory=YFinanceSettings)

    @property
    def is_live(self) -> bool:
        """Tell whether what comes is what happens now, elsewhere."""
        return self.source in LIVE_SOURCES

    @field_validator("timeframe")
    @classmethod
    def _check_timeframe(cls, timeframe: str | None) -> str | None:
        if timeframe is not None:
            parse_timeframe(timeframe)
        return timeframe

    @model_validator(mode="after")
    def _check_files(self) -> FeedSettings:
        if self.source == "file" and not self.files:
            raise ValueError(
                "source 'file' has no files; expected files = [\"FILE[@SYMBOL]\", ...]"
            )
        return self


def build_feed(settings: FeedSettings, symbols: Sequence[str], seed: int) -> BarFeed:
    """
    Return the feed that ``settings`` ask for, giving at least ``symbols``.

    ``seed`` is the session's. A single file without ``@SYMBOL`` is that of the only symbol. A live
    feed (``ccxt``) needs more than settings: ``feeds.ccxt`` has it. Raise ``FeedSettingError`` or
    ``BadInput`` for what cannot be given.
    """
    if settings.source == "synthetic":
        own = settings.synthetic
        return SyntheticFeed(
            symbols,
            profile=own.profile,
            seed=seed if own.seed is None else own.seed,
            bars=own.bars or None,
            start=(own.start - EPOCH) // timedelta(milliseconds=1),
            timeframe=settings.timeframe or DEFAULT_TIMEFRAME,
        )
    if settings.source == "file":
        feed = FileFeed(
            settings.files,
            symbol=symbols[0] if len(symbols) == 1 == len(settings.files) else None,
            timeframe=settings.timeframe,
            max_bad_rows=settings.max_bad_rows,
        )
        lacking = [symbol for symbol in symbols if symbol not in feed.symbols]
        if lacking:
            raise FeedSettingError(
                f"no data file for {', '.join(lacking)}; the files give {', '.join(feed.symbols)}"
            )
        return feed
    raise SourceUnavailable(
        f"feed source {settings.source!r} is live and is not read like a file; "
        "expected 'synthetic' or 'file'"
    )
