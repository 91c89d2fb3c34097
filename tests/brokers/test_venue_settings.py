"""``[venue]``: what can be configured, what is refused, and what stays secret."""

from __future__ import annotations

import subprocess
import sys
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


def test_interactive_brokers_is_understood_and_refused() -> None:
    """It can be configured; asking for its engine says what is missing and what there is."""
    settings = VenueSettings.model_validate({"adapter": "ib"})

    with pytest.raises(VenueUnavailable, match=r"'ib' is known and has no way there.*'alpaca'"):
        settings.engine_config("tag")


def test_alpaca_is_the_paper_account_unless_live_is_meant() -> None:
    """Its address has the secrets, shows none, and says which of both hosts is meant."""
    settings = VenueSettings.model_validate(
        {"adapter": "alpaca", "credentials": {"api_key": "PKxxxxxx", "secret": "yyyyyyyy"}}
    )
    paper, live = settings.alpaca_address(), settings.alpaca_address(live=True)

    assert (True, False) == (paper.options["paper"], live.options["paper"])
    assert {"api_key": "PKxxxxxx", "secret": "yyyyyyyy"} == paper.secrets
    assert "yyyyyyyy" not in repr(paper)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"credentials": {"api_key": "PKxxxxxx"}}, "CREDENTIALS__SECRET"),
        ({"credentials": {"secret": "yyyyyyyy"}}, "CREDENTIALS__API_KEY"),
        (
            {"position_mode": "hedge", "credentials": {"api_key": "PKx", "secret": "y"}},
            "position_mode: found 'hedge', expected 'one_way'",
        ),
        (
            {"loopback_ca": "ca.pem", "credentials": {"api_key": "PKx", "secret": "y"}},
            "loopback_ca: found ca.pem, and no loopback_port",
        ),
    ],
)
def test_what_alpaca_needs_is_said(given: dict[str, object], words: str) -> None:
    """By key, with the variable to set; a hedged account is none of Alpaca's."""
    settings = VenueSettings.model_validate({"adapter": "alpaca", **given})

    with pytest.raises(VenueUnavailable, match=words):
        settings.alpaca_address()


def test_addresses_left_for_ccxt_make_no_rehearsal_of_alpaca() -> None:
    """They are not in force there: what is reached is said as it is."""
    settings = VenueSettings.model_validate(
        {"adapter": "alpaca", "ccxt": {"urls": "http://127.0.0.1:9"}}
    )

    assert ("alpaca", "its paper account") == (settings.place, settings.reaches)


def test_alpaca_has_one_way() -> None:
    """Behind ccxt it is refused, with the adapter that is meant."""
    settings = VenueSettings.model_validate(
        {"adapter": "ccxt", "exchange": "alpaca", "loopback_port": 8443}
    )

    with pytest.raises(VenueUnavailable, match='expected adapter = "alpaca"'):
        settings.ccxt_address()


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
        ({"ccxt": {"apiKey": "x"}}, "ccxt"),
        ({"ccxt": {"params": {"apiKey": "x"}}}, "ccxt"),
        ({"ccxt": {"params": {"maxRetriesOnFailure": 3}}}, "ccxt"),
        ({"ccxt": {"options": {"maxRetriesOnFailure": 3}}}, "ccxt"),
        ({"ccxt": {"params": {"verbose": True}}}, "ccxt"),
        ({"ccxt": {"params": {"options": {"maxRetriesOnFailure": 3}}}}, "ccxt"),
        ({"ccxt": {"params": {"urls": {"api": "http://127.0.0.1:1"}}}}, "ccxt"),
        ({"ccxt": {"urls": 8080}}, "ccxt"),
        ({"leverage": 0}, "leverage"),
        ({"margin_mode": "both"}, "margin_mode"),
        ({"dead_man_s": -1}, "dead_man_s"),
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


CCXT: dict[str, Any] = {
    "adapter": "ccxt",
    "exchange": "binanceusdm",
    "loopback_port": 8443,
    "loopback_ca": "ca.pem",
    "position_mode": "hedge",
    "leverage": 5,
    "margin_mode": "isolated",
    "dead_man_s": 60,
    "ccxt": {"options": {"defaultType": "swap"}, "params": {"hostname": "x"}, "urls": {"a": "b"}},
    "credentials": {"api_key": "test-key-1", "secret": "test-secret-1"},
}


def test_a_venue_behind_ccxt_is_reached_as_configured() -> None:
    """Every key arrives, and the secrets are in it and not shown."""
    address = VenueSettings.model_validate(CCXT).ccxt_address()

    assert ("binanceusdm", 8443, PositionMode.HEDGE) == (
        address.exchange,
        address.loopback_port,
        address.position_mode,
    )
    assert (5, "isolated", 60) == (address.leverage, address.margin_mode, address.dead_man_s)
    assert {"defaultType": "swap"} == address.options
    assert ({"hostname": "x"}, {"a": "b"}) == (address.params, address.urls)
    assert {"api_key": "test-key-1", "secret": "test-secret-1"} == address.secrets
    assert "test-" not in repr(address)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exchange": None}, r"\[venue\] exchange: found none, expected a ccxt id"),
        (
            {"loopback_port": 0, "ccxt": {}},
            r"\[venue\] loopback_ca: found .*, and no loopback_port",
        ),
    ],
)
def test_a_venue_behind_ccxt_that_cannot_be_entered_is_refused(
    change: dict[str, Any], words: str
) -> None:
    """A real venue is not trusted by a rehearsal's certificate; it says what is missing."""
    with pytest.raises(VenueUnavailable, match=words):
        VenueSettings.model_validate({**CCXT, **change}).ccxt_address()


def test_a_missing_package_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the extra to install; nothing of it was imported to find that out."""
    monkeypatch.setattr("brokers.settings.find_spec", lambda _name: None)

    with pytest.raises(VenueUnavailable, match=r"expected an install of tidegate\[ccxt\]"):
        VenueSettings.model_validate(CCXT).ccxt_address()


def test_ccxt_is_loaded_only_where_a_venue_is_opened() -> None:
    """Half a second and a hundred megabytes: settings, commands and the broker do without."""
    code = (
        "import sys, tidegate.compose, tidegate.running, brokers.ccxt.broker; "
        "sys.exit('ccxt' in sys.modules)"
    )

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


@pytest.mark.parametrize(
    ("dead_man_s", "timeout_s", "why"),
    [
        (1, 5.0, "found 1: the venue may cancel every order over one lost request; 20 or more"),
        (19, 5.0, "found 19: "),
        (20, 5.0, ""),
        (9, 0.5, "found 9: "),
        (10, 0.5, ""),
        (40, 10.1, "found 40: the venue may cancel every order over one lost request; 41 or more"),
        (0, 60.0, ""),
    ],
)
def test_a_timer_that_may_run_out_while_we_live_is_hasty(
    dead_man_s: int, timeout_s: float, why: str
) -> None:
    """One request may be lost and the next take all its time, and it must not have run out."""
    given = {"dead_man_s": dead_man_s, "timeout_s": timeout_s}
    found = VenueSettings.model_validate({**CCXT, **given}).hasty_dead_man

    assert found.startswith(why)
    assert bool(why) is bool(found)


def test_a_timer_that_nobody_sets_is_never_hasty() -> None:
    """Without the ccxt adapter the key means nothing."""
    assert "" == VenueSettings.model_validate({"dead_man_s": 1}).hasty_dead_man
