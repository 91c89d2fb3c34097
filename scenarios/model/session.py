"""The session that a scenario runs, and the sections that it shares with tidegate.toml."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator

from feeds.timeframe import parse_timeframe
from messages import PositionMode
from scenarios.model.base import Exact, Table
from scenarios.model.script import BackoffTable, Line
from state.ledger import LotMethod

NAME_FORM = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
SCRIPTED = "scripted"


class SessionTable(Table):
    """The session: its account, its venue, its time."""

    mode: Literal["paper", "replay"] = Field(
        "paper", description="paper goes on after a kill, held; replay ends with it"
    )
    cash: Exact = Field(Decimal(100_000), gt=0, description="what the account starts with")
    seed: int = Field(42, ge=0, lt=2**63, description="everything random comes from it")
    start: AwareDatetime = Field(
        datetime(2024, 1, 1, tzinfo=UTC), description="open of the first bar, with a zone"
    )
    timeframe: str = Field("1m", description="length of a bar")
    position_mode: PositionMode = Field(
        PositionMode.ONE_WAY, description="one net position per symbol, or long and short apart"
    )
    fee_bps: Exact = Field(Decimal(0), gt=-10_000, lt=10_000, description="of undescribed symbols")
    slippage_bps: Exact = Field(
        Decimal(0), ge=0, lt=10_000, description="how far market and stop orders slip"
    )
    latency_ms: int = Field(0, ge=0, description="an order's way to the venue")
    participation: Exact = Field(
        Decimal(1),
        gt=0,
        le=1,
        description="share of a bar's volume that orders may take; 1 is no limit",
    )
    brackets: bool = Field(
        default=True, description="a stop and a take-profit of one position may rest side by side"
    )
    account: str = Field("main", pattern=NAME_FORM, description="whose holds outlive the session")

    @field_validator("timeframe")
    @classmethod
    def _check_timeframe(cls, timeframe: str) -> str:
        parse_timeframe(timeframe)
        return timeframe

    @property
    def timeframe_ms(self) -> int:
        """Return the length of a bar."""
        return parse_timeframe(self.timeframe)

    @property
    def start_ms(self) -> int:
        """Return when the first bar opens, int ms UTC."""
        return round(self.start.timestamp() * 1000)


class FeedTable(Table):
    """What of ``[feed]`` matters to a scripted market."""

    stale_after_s: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds after which data that is due is stale; given, Health watches",
    )
    max_bad_rows: int = Field(0, ge=0, description="bad rows of files that are not fatal")


class UniverseTable(Table):
    """What of ``[universe]`` matters to a scripted market."""

    allow: tuple[str, ...] = Field((), description="when given, only these may be opened")
    deny: tuple[str, ...] = Field((), description="never these")


class StrategyTable(Table):
    """One strategy: a shipped name, ``module:Class``, ``file.py:Class``, or ``scripted``."""

    name: str = Field(pattern=NAME_FORM, description="its name in orders and holds; unique")
    use: str = Field(min_length=1, description="which strategy")
    symbols: tuple[str, ...] = Field(
        (), description="default: all symbols of the market that may be opened"
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description="its parameters, checked by the strategy itself"
    )
    script: tuple[Line, ...] = Field((), description="what the built-in `scripted` strategy does")
    backoff: BackoffTable | None = Field(None, description="scripted: its own backoff")
    lot_method: LotMethod | None = Field(
        None, description="which lots a reduction closes; default: the strategy's own, else `fifo`"
    )
    budget: Exact | None = Field(None, gt=0, description="most it may have invested")

    @model_validator(mode="after")
    def _check(self) -> StrategyTable:
        if self.script and self.use != SCRIPTED:
            raise ValueError(f'script: goes with use = "{SCRIPTED}" only')
        if self.backoff is not None and self.use != SCRIPTED:
            raise ValueError(f'backoff: goes with use = "{SCRIPTED}" only')
        if self.use == SCRIPTED and self.params:
            raise ValueError("params: the scripted strategy has a script instead")
        return self
