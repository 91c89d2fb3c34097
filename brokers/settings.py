"""The section of the configuration that belongs to the brokers: ``[venue]``."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from brokers.matching import EngineConfig
from messages import PositionMode


class VenueUnavailable(ValueError):
    """The configuration asks for a venue that this version cannot reach."""


class Adapter(StrEnum):
    """Ways to a venue."""

    PAPER = "paper"  # the matching engine in this process
    CCXT = "ccxt"
    ALPACA = "alpaca"
    IB = "ib"


def _exact(value: object) -> object:
    """Let only exact numbers through: a float has already lost what was written."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('expected an exact number in quotes, like "7.5"')  # noqa: TRY004
    return value


Exact = Annotated[Decimal, BeforeValidator(_exact), Field(allow_inf_nan=False)]


class VenueCredentials(BaseModel):
    """``[venue.credentials]``: secrets, by environment or private file only; never printed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretStr | None = Field(None, description="the account's API key")
    secret: SecretStr | None = Field(None, description="the key's secret")
    password: SecretStr | None = Field(None, description="the key's passphrase, where there is one")


class VenueSettings(BaseModel):
    """``[venue]``: where orders go, and how the simulated venue treats them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Adapter = Field(Adapter.PAPER, description="way to the venue")
    exchange: str | None = Field(
        None, min_length=1, description='the venue behind the adapter: a ccxt id ("binanceusdm")'
    )
    position_mode: PositionMode = Field(
        PositionMode.ONE_WAY, description="one net position per symbol, or long and short apart"
    )
    account: str = Field(
        "main",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$",
        description="name of the account at the venue; its holds and its daemon are kept under it",
    )
    loopback_port: int = Field(
        0, ge=0, le=65_535, description="rehearsal: every host of the venue is this local port"
    )
    loopback_ca: Path | None = Field(
        None, description="certificate file that the rehearsal's local server is trusted by"
    )
    ccxt: dict[str, Any] = Field(
        default_factory=dict, description="handed to the ccxt constructor as it is"
    )
    credentials: VenueCredentials = Field(default_factory=VenueCredentials)

    fee_bps: Exact = Field(
        Decimal(10),
        gt=-10_000,
        lt=10_000,
        description="paper: fee of instruments that no instrument file describes, basis points",
    )
    slippage_bps: Exact = Field(
        Decimal(0),
        ge=0,
        lt=10_000,
        description="paper: how far market and stop orders slip, basis points",
    )
    latency_ms: int = Field(0, ge=0, description="paper: an order's way to the venue")
    participation: Exact = Field(
        Decimal(1),
        gt=0,
        le=1,
        description="paper: share of a bar's volume that orders may take; 1 is no limit",
    )

    brackets: bool = Field(
        default=True,
        description="paper: a stop and a take-profit of one position may rest side by side; where "
        "not, the stop rests and the take-profit waits here",
    )

    def engine_config(self, trade_tag: str) -> EngineConfig:
        """
        Return what the matching engine is set to; ``trade_tag`` is unique to the session.

        Raises ``VenueUnavailable`` for every adapter but paper.
        """
        if self.adapter is not Adapter.PAPER:
            raise VenueUnavailable(
                f"[venue] adapter: found {self.adapter.value!r}, expected 'paper': "
                "this version has no way to real venues yet"
            )
        return EngineConfig(
            trade_tag,
            slippage_bps=self.slippage_bps,
            latency_ms=self.latency_ms,
            participation=self.participation,
            position_mode=self.position_mode,
            brackets=self.brackets,
        )
