"""What an exchange has to be given is what ccxt requires for it, and all of it can be given."""

from __future__ import annotations

import ccxt
import ccxt.async_support as asking
import ccxt.pro as streaming
import pytest
from preflight_house import CONFIGURATION, checked, configure, found_in
from pydantic import SecretStr
from typer.testing import CliRunner

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.capabilities import TABLE, capabilities_of
from brokers.ccxt.client import CcxtClient
from brokers.ccxt.columns import CREDENTIALS
from brokers.credentials import checked_credentials, needed_at, refuse_missing
from brokers.settings import Adapter, CredentialMissing, VenueCredentials, VenueSettings
from tidegate.cli import app

PREFIX = "TIDEGATE_VENUE__CREDENTIALS__"
KEYS = {f"{PREFIX}API_KEY": "a-key-for-nobody", f"{PREFIX}SECRET": "a-secret-for-nobody"}
SEVENTH = {"uid": "7", "login": "me", "account_id": "12"}
"""Short ones, as an exchange counts its users."""

GIVEN = {name: f"{name} of nobody 1" for name in CREDENTIALS}


def pinned(exchange: str, **given: str) -> VenueSettings:
    """Return a rehearsal at an exchange."""
    secrets = VenueCredentials(**{name: SecretStr(text) for name, text in given.items()})
    return VenueSettings(
        adapter=Adapter.CCXT, exchange=exchange, credentials=secrets, loopback_port=8443
    )


@pytest.mark.parametrize("exchange", sorted(set(ccxt.exchanges) - set(TABLE)))
def test_what_ccxt_requires_is_needed_and_can_be_given(exchange: str) -> None:
    """
    Of every id without a row, by ccxt's own word: no more, no less, and to its last field.

    The word of the class that we open: with streams BitoPro and WOO want more than without.
    """
    made = getattr(streaming, exchange, None) or getattr(asking, exchange)
    required = made().requiredCredentials
    needed = needed_at(exchange)

    assert {name for name, is_so in required.items() if is_so} == {
        CREDENTIALS[name] for name in needed
    }
    found = list(checked_credentials(pinned(exchange, **{**GIVEN, **SEVENTH})))
    assert {"ok"} >= {each.status for each in found}
    for name in needed:
        without = {other: text for other, text in GIVEN.items() if other != name}
        variable = f"{PREFIX}{name.upper()}"
        (failure,) = (
            each
            for each in checked_credentials(pinned(exchange, **without))
            if each.status == "fail"
        )
        assert f"venue.credentials.{name}" == failure.subject
        assert f"{exchange} needs it" in failure.detail
        assert variable in failure.detail
        with pytest.raises(CredentialMissing, match=variable):
            refuse_missing(pinned(exchange, **without))


async def test_what_is_given_is_what_ccxt_has_and_is_not_shown() -> None:
    """Each under ccxt's own name, with no word of it in the address or in the client."""
    settings = pinned("ndax", **GIVEN)
    address = settings.ccxt_address()
    clock = VenueClock(wall_ms, monotonic_s, sleep_s)
    client = CcxtClient(address, capabilities_of("ndax"), clock)
    try:
        assert GIVEN == {
            ours: getattr(client.exchange, theirs) for ours, theirs in CREDENTIALS.items()
        }
    finally:
        await client.close()
    shown = f"{settings!r} {settings.model_dump_json()} {address!r} {client!r}"
    assert not [text for text in GIVEN.values() if text in shown]
    assert isinstance(address, CcxtAddress)


def at(exchange: str) -> str:
    """Return a configuration that is pinned to this machine."""
    return CONFIGURATION.replace("binanceusdm", exchange) + "loopback_port = 8443\n"


@pytest.mark.parametrize(
    ("exchange", "name"), [("kucoin", "password"), ("coinmate", "uid"), ("hibachi", "account_id")]
)
def test_the_check_says_what_the_exchange_needs_and_where_it_is_set(
    exchange: str, name: str
) -> None:
    """Without a question; and once it is given that is all, whatever its length."""
    configure(at(exchange))
    more = {f"{PREFIX}PRIVATE_KEY": "a-wallet-of-nobody"} if exchange == "hibachi" else {}
    result = checked(**KEYS, **more)
    failed = {key: found for key, found in found_in(result).items() if found[0] == "fail"}

    assert 1 == result.exit_code
    assert [f"venue.credentials.{name}"] == list(failed)
    assert f"{PREFIX}{name.upper()}" in failed[f"venue.credentials.{name}"][1]

    text = "12345678" if name == "password" else "7"
    again = checked(**KEYS, **more, **{f"{PREFIX}{name.upper()}": text})
    assert 0 == again.exit_code, again.output
    assert "password" != name or text not in again.output


@pytest.mark.parametrize("command", ["trade", "check"])
def test_a_session_without_a_passphrase_is_refused_by_the_name_of_the_setting(
    command: str,
) -> None:
    """Before anything is asked: nobody listens where the venue would be."""
    configure(at("kucoin").replace("BTC/USDT:USDT", "BTC/USDT"))
    result = CliRunner().invoke(app, [command], env=KEYS)

    assert (2 if command == "trade" else 1) == result.exit_code, result.output
    said = " ".join(result.output.split())
    assert "credentials" in said
    assert "password" in said
    assert f"{PREFIX}PASSWORD" in said
    assert "requires" not in said


@pytest.mark.parametrize("theirs", sorted(CREDENTIALS.values()))
def test_a_credential_among_ccxts_settings_is_refused_by_the_field_that_takes_it(
    theirs: str,
) -> None:
    """It would stand in a file that everybody reads."""
    with pytest.raises(ValueError, match="credential") as refused:
        VenueSettings.model_validate({"ccxt": {"params": {theirs: "x"}}})

    (ours,) = (name for name, word in CREDENTIALS.items() if word == theirs)
    assert f"[venue.credentials] {ours}," in str(refused.value)


def test_an_account_of_an_order_is_no_credential() -> None:
    """CEX takes one among the options, by the same word."""
    options = {"options": {"accountId": "savings"}}

    assert options == VenueSettings.model_validate({"ccxt": options}).ccxt
