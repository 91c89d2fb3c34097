"""The section of the configuration that belongs to the brokers: ``[venue]``."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)

from brokers.alpaca.settings import AlpacaSettings
from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.columns import CREDENTIALS
from brokers.ccxt.limits import DEAD_MAN_MIN_S, DEAD_MAN_TIMEOUTS
from brokers.ib import REFUSAL as IB_REFUSAL
from brokers.matching import EngineConfig
from brokers.virtual.address import VenueAddress
from messages import PositionMode
from state.loopback import leaves_of, pins_to_this_machine

LIVE_ADAPTERS: Final = ("ccxt",)
"""Adapters of real venues that this version trades at."""

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

VIRTUAL_ONLY: Final = ("url", "rehearsal")
"""Keys of ``[venue]`` that mean nothing without the virtual adapter."""

CCXT_ONLY: Final = ("leverage", "margin_mode", "dead_man_s", "allowance", "allow_withdrawal")
"""Keys of ``[venue]`` that mean nothing without the ccxt adapter."""

ALPACA_ONLY: Final = ("alpaca",)
"""Keys of ``[venue]`` that mean nothing without the alpaca adapter."""

ELSEWHERE_ONLY: Final = ("timeout_s", "recv_window_ms")
"""Keys of ``[venue]`` that mean nothing where the venue is in this process."""

CCXT_TABLES: Final = ("params", "options", "urls")

NOT_FOR_CCXT: Final = {
    **{
        theirs: f"is a credential: [venue.credentials] {ours}, by environment or private file"
        for ours, theirs in CREDENTIALS.items()
    },
    **dict.fromkeys(
        ("token", "twofa"), "is a credential that no exchange of ccxt requires, and not taken"
    ),
    **dict.fromkeys(
        ("enableRateLimit", "rateLimit", "throttle"), "the broker has lanes of its own"
    ),
    "maxRetriesOnFailure": "would send orders twice",
    "verbose": "would show the key",
    "session": "is made by the broker",
    "logger": "is made by the broker",
    "number": "numbers stay exact",
}
"""What must not be handed to ccxt, and why."""

OPTIONS_TOO: Final = frozenset({"accountId"})
"""Of these, what is something else among the options: at CEX, the account of an order."""

MONEY_BUYS: Final = "createMarketBuyOrderRequiresPrice"
"""ccxt's advice where it refuses a market buy: without it, half a coin is half a dollar."""


def _has_key(table: Mapping[str, Any], wanted: str) -> bool:
    return wanted in table or any(
        _has_key(each, wanted) for each in table.values() if isinstance(each, Mapping)
    )


class VenueUnavailable(ValueError):
    """The configuration asks for a venue that this version cannot reach."""


class CredentialMissing(VenueUnavailable):
    """Everything that the venue needs is there, but for credentials."""


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


ELSEWHERE: Final = frozenset({Adapter.VIRTUAL, Adapter.CCXT, Adapter.ALPACA})
"""Adapters whose venue is not in this process: what it says is an answer, and no input."""


class VenueCredentials(BaseModel):
    """``[venue.credentials]``: secrets, by environment or private file only; never printed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretStr | None = Field(None, description="the account's API key")
    secret: SecretStr | None = Field(None, description="the key's secret")
    password: SecretStr | None = Field(None, description="the key's passphrase, where there is one")
    uid: SecretStr | None = Field(None, description="the user's id, where the exchange wants it")
    login: SecretStr | None = Field(None, description="the user's name, where it is wanted")
    account_id: SecretStr | None = Field(None, description="the account's id, where it is wanted")
    wallet_address: SecretStr | None = Field(
        None, description="the wallet's address, where it is wanted; Hyperliquid's is `api_key`"
    )
    private_key: SecretStr | None = Field(
        None, description="the wallet's private key, where it is wanted; Hyperliquid's is `secret`"
    )


assert set(VenueCredentials.model_fields) == set(CREDENTIALS), "each can be given, and no other"


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
        default_factory=dict,
        description="ccxt: three tables, merged deeply into what ccxt has: `params` (its "
        "constructor's), `options`, `urls`; or one address in place of `urls` for all of them",
    )
    alpaca: AlpacaSettings = Field(
        default_factory=AlpacaSettings, description="alpaca: what only it is asked"
    )
    leverage: int | None = Field(
        None,
        ge=1,
        le=125,
        description="ccxt: set at the start, for each contract, and read back where ccxt can",
    )
    margin_mode: Literal["cross", "isolated"] | None = Field(
        None, description="ccxt: set at the start, for each contract, and read back where ccxt can"
    )
    dead_man_s: int = Field(
        0,
        ge=0,
        le=3_600,
        description="ccxt: the venue cancels every order, stops too, once it has not heard from us "
        "for so long; 0: it does not; 10, and four times `timeout_s`, last over a lost request",
    )
    allowance: float = Field(
        1.0,
        gt=0,
        le=1_000,
        allow_inf_nan=False,
        description="ccxt: how many times the venue's usual allowance of requests the account is "
        "granted; half of it where others use the account too",
    )
    allow_withdrawal: bool = Field(
        default=False,
        description="ccxt: live, a key that may withdraw money is refused; true takes it all the "
        "same",
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
        description="virtual, ccxt, alpaca: how long an answer is waited for, seconds",
    )
    recv_window_ms: int = Field(
        5_000,
        ge=100,
        le=60_000,
        description="virtual, ccxt: how old an order may be when it arrives; later it is not "
        "looked at, so one without an answer is in doubt no longer",
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

        Raises ``VenueUnavailable`` without its address, ``CredentialMissing`` without its key.
        """
        assert self.adapter is Adapter.VIRTUAL, "only a virtual exchange has this address"
        if self.url is None:
            raise VenueUnavailable(
                "[venue] url: found none, expected the exchange's address for adapter 'virtual': "
                "`tidegate venue` prints it"
            )
        key = self.credentials.api_key
        if key is None or not key.get_secret_value():
            raise CredentialMissing(
                "[venue.credentials] api_key: found none, expected the exchange's key, from the "
                "environment (TIDEGATE_VENUE__CREDENTIALS__API_KEY) or a private file"
            )
        return VenueAddress(self.url, key.get_secret_value(), self.timeout_s, self.recv_window_ms)

    @property
    def place(self) -> str:
        """Return what the account is at: the venue, or the address that rehearses it."""
        name = self.exchange or self.adapter.value
        if self.loopback_port:
            return f"{name}@127.0.0.1:{self.loopback_port}"
        urls = self._urls
        if not pins_to_this_machine(0, urls):
            return name
        return f"{name}@{'+'.join(sorted({urlsplit(url).netloc for _, url in leaves_of(urls)}))}"

    @property
    def reaches(self) -> str:
        """Return in words whether a real venue is behind it, or this machine."""
        if pins_to_this_machine(self.loopback_port, self._urls):
            return "this machine only: a rehearsal"
        return "its paper account" if self.adapter is Adapter.ALPACA else "the venue itself"

    @property
    def _urls(self) -> Any:
        """Return the addresses in force: no venue but those behind ccxt is given any."""
        return self.ccxt.get("urls", {}) if self.adapter is Adapter.CCXT else {}

    @field_validator("ccxt")
    @classmethod
    def _check_ccxt(cls, tables: dict[str, Any]) -> dict[str, Any]:
        for name, table in tables.items():
            if name not in CCXT_TABLES:
                raise ValueError(f"found {name!r}, expected some of {', '.join(CCXT_TABLES)}")
            if name == "urls" and isinstance(table, str):
                continue
            if not isinstance(table, dict):
                raise ValueError(f"{name}: found {table!r}, expected a table")  # noqa: TRY004
            for key in table:
                if key in NOT_FOR_CCXT and not (name == "options" and key in OPTIONS_TOO):
                    raise ValueError(f"{name}.{key}: {NOT_FOR_CCXT[key]}")
                if name == "params" and key in CCXT_TABLES:
                    raise ValueError(f"{name}.{key}: has a table of its own, [venue.ccxt.{key}]")
            if _has_key(table, MONEY_BUYS):
                raise ValueError(
                    f"{name}: {MONEY_BUYS}: would make an amount of coins one of money; expected "
                    "limit orders where ccxt wants the price of a market order that buys"
                )
        return tables

    @property
    def hasty_dead_man(self) -> str:
        """Return why the venue's timer may run out while we live; empty where it does not."""
        least_s = max(DEAD_MAN_MIN_S, ceil(DEAD_MAN_TIMEOUTS * self.timeout_s))
        if self.adapter is not Adapter.CCXT or not self.dead_man_s or self.dead_man_s >= least_s:
            return ""
        return (
            f"found {self.dead_man_s}: the venue may cancel every order over one lost request; "
            f"{least_s} or more would last ({DEAD_MAN_MIN_S}, and {DEAD_MAN_TIMEOUTS} times "
            f"venue.timeout_s, {self.timeout_s:g})"
        )

    def ccxt_address(self) -> CcxtAddress:
        """
        Return how the venue behind ccxt is reached.

        Raises ``VenueUnavailable`` without its name or the package, and for a rehearsal's
        certificate where nothing pins it to this machine.
        """
        assert self.adapter is Adapter.CCXT, "only a venue behind ccxt has this address"
        if self.exchange is None:
            raise VenueUnavailable(
                "[venue] exchange: found none, expected a ccxt id for adapter 'ccxt', "
                'like "binanceusdm"'
            )
        if self.exchange == "alpaca":
            raise VenueUnavailable(
                "[venue] exchange: found 'alpaca' behind ccxt, expected adapter = \"alpaca\": it "
                "has a way of its own"
            )
        if find_spec("ccxt") is None:
            raise VenueUnavailable(
                "[venue] adapter: 'ccxt' needs the package ccxt, and it is not installed: "
                "expected an install of tidegate[ccxt]"
            )
        pinned = pins_to_this_machine(self.loopback_port, self.ccxt.get("urls", {}))
        if self.loopback_ca is not None and not pinned:
            raise VenueUnavailable(
                f"[venue] loopback_ca: found {self.loopback_ca}, and no loopback_port: expected "
                "both for a rehearsal, none for the venue itself"
            )
        return CcxtAddress(
            self.exchange,
            self.account,
            self._secrets(),
            self.position_mode,
            self.ccxt.get("params", {}),
            self.ccxt.get("options", {}),
            self.ccxt.get("urls", {}),
            self.loopback_port,
            self.loopback_ca,
            self.timeout_s,
            self.recv_window_ms,
            self.leverage,
            self.margin_mode,
            self.dead_man_s,
            self.allowance,
        )

    def alpaca_address(self, *, live: bool = False) -> CcxtAddress:
        """
        Return how Alpaca is reached: the paper account, unless ``live``.

        Raises ``VenueUnavailable`` without the package, or with what Alpaca does not have;
        ``CredentialMissing``, which names all of them, where nothing else is wrong.
        """
        assert self.adapter is Adapter.ALPACA, "only Alpaca has this address"
        if find_spec("alpaca") is None:
            raise VenueUnavailable(
                "[venue] adapter: 'alpaca' needs the package alpaca-py, and it is not installed: "
                "expected an install of tidegate[alpaca]"
            )
        if self.position_mode is not PositionMode.ONE_WAY:
            raise VenueUnavailable(
                f"[venue] position_mode: found {self.position_mode.value!r}, expected 'one_way': "
                "Alpaca has one position of each share"
            )
        if self.loopback_ca is not None and not self.loopback_port:
            raise VenueUnavailable(
                f"[venue] loopback_ca: found {self.loopback_ca}, and no loopback_port: expected "
                "both for a rehearsal, none for Alpaca itself"
            )
        secrets = self._secrets()
        if missing := [name for name in ("api_key", "secret") if not secrets.get(name)]:
            variables = ", ".join(
                f"TIDEGATE_VENUE__CREDENTIALS__{name.upper()}" for name in missing
            )
            raise CredentialMissing(
                f"[venue.credentials] {', '.join(missing)}: found none, expected what Alpaca's "
                f"{'live' if live else 'paper'} account has, from the environment ({variables}) or "
                "a private file"
            )
        return CcxtAddress(
            "alpaca",
            self.account,
            secrets,
            options={**self.alpaca.model_dump(), "paper": not live},
            loopback_port=self.loopback_port,
            loopback_ca=self.loopback_ca,
            timeout_s=self.timeout_s,
            recv_window_ms=self.recv_window_ms,
        )

    def _secrets(self) -> dict[str, str]:
        given = {
            name: getattr(self.credentials, name) for name in type(self.credentials).model_fields
        }
        return {name: text.get_secret_value() for name, text in given.items() if text is not None}

    def engine_config(self, trade_tag: str) -> EngineConfig:
        """
        Return what the matching engine is set to; ``trade_tag`` is unique to the session.

        Raises ``VenueUnavailable`` for Interactive Brokers: there is no way there.
        """
        if self.adapter is Adapter.IB:
            raise VenueUnavailable(IB_REFUSAL)
        return EngineConfig(
            trade_tag,
            slippage_bps=self.slippage_bps,
            latency_ms=self.latency_ms,
            participation=self.participation,
            position_mode=self.position_mode,
            brackets=self.brackets,
        )
