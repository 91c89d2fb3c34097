"""The section of the configuration that belongs to the brokers: ``[venue]``."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)

from brokers.matching import EngineConfig
from brokers.virtual.address import VenueAddress
from messages import PositionMode

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

VIRTUAL_ONLY: Final = ("url", "timeout_s", "recv_window_ms", "rehearsal")
"""Keys of ``[venue]`` that mean nothing without the virtual adapter."""


class VenueUnavailable(ValueError):
    """The configuration asks for a venue that this version cannot reach."""


class Adapter(StrEnum):
    """Ways to a venue."""

    PAPER = "paper"  # the matching engine in this process
    VIRTUAL = "virtual"  # the matching engine in a process of its own, over HTTP
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

    url: str | None = Field(
        None, description="virtual: where the exchange listens, like `http://127.0.0.1:8787`"
    )
    timeout_s: float = Field(
        5.0,
        gt=0,
        le=60,
        allow_inf_nan=False,
        description="virtual: how long an answer is waited for, seconds",
    )
    recv_window_ms: int = Field(
        5_000,
        ge=100,
        le=60_000,
        description="virtual: how old an order may be when it arrives; later it is not looked at, "
        "so one without an answer is in doubt no longer",
    )
    rehearsal: bool = Field(
        default=True,
        description="virtual: the exchange is shown the session's own market; false where it has "
        "one of its own",
    )

    brackets: bool = Field(
        default=True,
        description="paper: a stop and a take-profit of one position may rest side by side; where "
        "not, the stop rests and the take-profit waits here",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected an address like http://127.0.0.1:8787")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("expected an address and nothing else: the key is a credential")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("http would show the key to the network; expected https or loopback")
        return url

    def virtual_address(self) -> VenueAddress:
        """
        Return how the virtual exchange is reached.

        Raises ``VenueUnavailable`` without its address or its key.
        """
        assert self.adapter is Adapter.VIRTUAL, "only a virtual exchange has this address"
        if self.url is None:
            raise VenueUnavailable(
                "[venue] url: found none, expected the exchange's address for adapter 'virtual': "
                "`tidegate venue` prints it"
            )
        key = self.credentials.api_key
        if key is None or not key.get_secret_value():
            raise VenueUnavailable(
                "[venue.credentials] api_key: found none, expected the exchange's key, from the "
                "environment (TIDEGATE_VENUE__CREDENTIALS__API_KEY) or a private file"
            )
        return VenueAddress(self.url, key.get_secret_value(), self.timeout_s, self.recv_window_ms)

    def engine_config(self, trade_tag: str) -> EngineConfig:
        """
        Return what the matching engine is set to; ``trade_tag`` is unique to the session.

        Raises ``VenueUnavailable`` for the adapters of real venues.
        """
        if self.adapter not in {Adapter.PAPER, Adapter.VIRTUAL}:
            raise VenueUnavailable(
                f"[venue] adapter: found {self.adapter.value!r}, expected 'paper' or 'virtual': "
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
