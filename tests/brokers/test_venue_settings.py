"""``[venue]``: what can be configured, what is refused, and what stays secret."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from brokers.matching import EngineConfig
from brokers.settings import Adapter, VenueSettings, VenueUnavailable
from messages import PositionMode


def test_the_default_venue_is_paper() -> None:
    """Without a word of configuration nothing leaves the process."""
    settings = VenueSettings()

    assert Adapter.PAPER is settings.adapter
    assert EngineConfig("tag") == settings.engine_config("tag")


def test_paper_options_reach_the_engine() -> None:
    """Slippage, latency, participation and position mode are the engine's."""
    settings = VenueSettings.model_validate(
        {
            "position_mode": "hedge",
            "slippage_bps": "2.5",
            "latency_ms": 250,
            "participation": "0.1",
            "fee_bps": 4,
        }
    )

    assert EngineConfig(
        "tag",
        slippage_bps=Decimal("2.5"),
        latency_ms=250,
        participation=Decimal("0.1"),
        position_mode=PositionMode.HEDGE,
    ) == settings.engine_config("tag")
    assert Decimal(4) == settings.fee_bps


@pytest.mark.parametrize("adapter", ["ccxt", "alpaca", "ib"])
def test_a_real_venue_is_understood_and_refused(adapter: str) -> None:
    """It can be configured; asking for its engine says what was found and expected."""
    settings = VenueSettings.model_validate(
        {
            "adapter": adapter,
            "exchange": "binanceusdm",
            "ccxt": {"options": {"defaultType": "swap"}},
            "loopback_port": 8443,
            "loopback_ca": "ca.pem",
        }
    )

    with pytest.raises(VenueUnavailable, match=f"found '{adapter}', expected 'paper' or 'virtual'"):
        settings.engine_config("tag")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"adaptor": "paper"}, "adaptor"),
        ({"adapter": "binance"}, "adapter"),
        ({"position_mode": "both"}, "position_mode"),
        ({"slippage_bps": 0.1}, "slippage_bps"),
        ({"slippage_bps": "-1"}, "slippage_bps"),
        ({"participation": "0"}, "participation"),
        ({"participation": "1.01"}, "participation"),
        ({"participation": "NaN"}, "participation"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"loopback_port": 70_000}, "loopback_port"),
        ({"credentials": {"token": "x"}}, "credentials.token"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wrong: dict[str, Any], field: str) -> None:
    """Unknown keys, wrong values and inexact numbers, each at its own field."""
    with pytest.raises(ValidationError) as refused:
        VenueSettings.model_validate(wrong)

    (error,) = refused.value.errors()
    assert field == ".".join(str(part) for part in error["loc"])


def test_credentials_never_show() -> None:
    """Neither printing nor dumping a venue tells its secrets."""
    settings = VenueSettings.model_validate(
        {"credentials": {"api_key": "key-1", "secret": "secret-1", "password": "pass-1"}}
    )
    shown = f"{settings!r} {settings} {settings.model_dump_json()}"

    assert not [secret for secret in ("key-1", "secret-1", "pass-1") if secret in shown]
    assert settings.credentials.secret is not None
    assert "secret-1" == settings.credentials.secret.get_secret_value()


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("url", "ftp://127.0.0.1", "expected an address like"),
        ("url", "127.0.0.1:8787", "expected an address like"),
        ("url", "http://10.0.0.1:1", "expected https or loopback"),
        ("url", "http://user:secret@127.0.0.1:1", "the key is a credential"),
        ("timeout_s", 0, "greater than 0"),
        ("recv_window_ms", 5, "greater than or equal to 100"),
        ("rehearsal", "perhaps", "valid boolean"),
    ],
)
def test_each_wrong_field_of_a_virtual_venue_is_one_clear_error(
    field: str, value: object, problem: str
) -> None:
    """The field is named, with what was expected."""
    with pytest.raises(ValidationError) as refused:
        VenueSettings.model_validate({"adapter": "virtual", field: value})

    (error,) = refused.value.errors()
    assert (field,) == error["loc"]
    assert problem in error["msg"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"credentials": {"api_key": "k"}}, r"\[venue\] url: found none"),
        ({"url": "http://127.0.0.1:1"}, "api_key: found none"),
        ({"url": "http://127.0.0.1:1", "credentials": {"api_key": ""}}, "api_key: found none"),
    ],
)
def test_a_virtual_venue_needs_an_address_and_a_key(settings: dict[str, Any], problem: str) -> None:
    """Without them nothing can be sent, and nothing starts."""
    read = VenueSettings.model_validate({"adapter": "virtual", **settings})

    with pytest.raises(VenueUnavailable, match=problem):
        read.virtual_address()


def test_the_key_of_a_virtual_venue_is_in_no_repr() -> None:
    """Neither the settings nor the address show it."""
    read = VenueSettings.model_validate(
        {
            "adapter": "virtual",
            "url": "https://exchange.example:8787",
            "credentials": {"api_key": "hush-hush"},
        }
    )

    assert "hush-hush" == read.virtual_address().key
    assert "hush-hush" not in f"{read!r} {read.virtual_address()!r}"
