"""What a dry run says of credentials, and of the disk: without asking anybody."""

from __future__ import annotations

import pytest
from preflight_house import CONFIGURATION, checked, configure, found_in
from pydantic import SecretStr

from brokers.ccxt.capabilities import TABLE
from brokers.ccxt.rights import Rights, binance_rights, bybit_rights, okx_rights
from brokers.credentials import FORMS, automation_in, checked_credentials
from brokers.settings import Adapter, VenueCredentials, VenueSettings
from tidegate.preflight import DISK_BYTES_CALM, DISK_BYTES_MIN, room

UUID = "01234567-89ab-cdef-0123-456789abcdef"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----\n"


def venue(exchange: str = "binanceusdm", **given: str) -> VenueSettings:
    """Return a venue behind ccxt that is pinned to nothing."""
    secrets = VenueCredentials(**{name: SecretStr(text) for name, text in given.items()})
    return VenueSettings(adapter=Adapter.CCXT, exchange=exchange, credentials=secrets)


def told(settings: VenueSettings) -> dict[str, tuple[str, str]]:
    """Return (status, detail) by name."""
    return {
        each.subject.rpartition(".")[2]: (each.status, each.detail)
        for each in checked_credentials(settings)
    }


@pytest.mark.parametrize("exchange", sorted(TABLE))
def test_what_is_missing_says_what_to_set(exchange: str) -> None:
    """Each credential that the venue needs, by the variable that sets it; and no other one."""
    found = told(venue(exchange))

    assert set(TABLE[exchange].credentials) == set(found)
    for name, (status, detail) in found.items():
        assert "fail" == status
        assert f"TIDEGATE_VENUE__CREDENTIALS__{name.upper()}" in detail


@pytest.mark.parametrize(
    ("exchange", "given"),
    [
        ("binanceusdm", {"api_key": "aB3" * 21 + "x", "secret": "9zQ" * 21 + "x"}),
        ("binance", {"api_key": "aB3" * 21 + "x", "secret": PEM}),
        ("bybit", {"api_key": "aB3" * 6, "secret": "aB3" * 12}),
        ("okx", {"api_key": UUID, "secret": "0123456789ABCDEF" * 2, "password": "Pass-word-1"}),
        ("kraken", {"api_key": "aB3/" * 14, "secret": "aB" * 43 + "=="}),
        ("hyperliquid", {"api_key": "0x" + "aB" * 20, "secret": "0x" + "0f" * 32}),
        ("alpaca", {"api_key": "PKABCDEFGHIJKLMNOPQR", "secret": "aB3/" * 10}),
        ("gate", {"api_key": "0123abcd" * 4, "secret": "0123abcd" * 8}),
        ("mexc", {"api_key": "0123456789", "secret": "anything at all"}),
        ("bitget", {"api_key": "0123456789", "secret": "anything", "password": "12345678"}),
    ],
)
def test_what_looks_like_the_venues_keys_is_plausible(exchange: str, given: dict[str, str]) -> None:
    """Of every row of the table, and anything of a venue whose keys nobody has described."""
    assert {"ok"} == {status for status, _ in told(venue(exchange, **given)).values()}


@pytest.mark.parametrize(
    ("text", "status", "word"),
    [
        ("aB3" * 21, "warn", "expected 64 letters and digits"),
        (f"{'a' * 64}\n", "fail", "blank or a line end"),
        (f" {'a' * 64}", "fail", "blank or a line end"),
        (f'"{"a" * 64}"', "fail", "quotes"),
        ("short", "fail", "5 characters"),
        ("ключ-от-биржи", "fail", "ASCII"),
        ("", "fail", "found none"),
    ],
)
def test_what_cannot_be_right_is_told_without_its_value(text: str, status: str, word: str) -> None:
    """Cut off, pasted with its quotes or its line end, or of no venue at all."""
    found = told(venue(api_key=text, secret="s" * 64))["api_key"]

    assert status == found[0]
    assert word in found[1]
    assert not text.strip() or text.strip() not in found[1]


def test_a_credential_that_the_venue_does_not_take_is_a_warning() -> None:
    """A passphrase at a venue that has none: somebody has mixed up two accounts."""
    found = told(venue(api_key="k" * 64, secret="s" * 64, password="a passphrase"))

    assert ("warn", "given, and binanceusdm takes none: it is not used") == found["password"]


def test_a_rehearsals_keys_have_any_form() -> None:
    """What a virtual exchange was given is no real key, and no slip."""
    pinned = venue(api_key="virtual_key", secret="virtual secret").model_copy(
        update={"loopback_port": 8443}
    )

    assert {"ok"} == {status for status, _ in told(pinned).values()}


def test_paper_needs_none() -> None:
    """And says nothing of what it was given."""
    assert {} == told(VenueSettings(credentials=VenueCredentials(api_key=SecretStr("k" * 64))))


def test_every_row_of_the_table_has_its_forms() -> None:
    """A venue that is added brings what its keys look like."""
    assert {name: set(row.credentials) for name, row in TABLE.items()} == {
        name: set(forms) for name, forms in FORMS.items()
    }


@pytest.mark.parametrize(("value", "is_one"), [("true", True), ("1", True), ("false", False)])
def test_a_build_says_so_itself(value: str, is_one: bool) -> None:
    """`CI=false`, as some set it on their own machines, is none."""
    assert ("CI" if is_one else None) == automation_in({"CI": value})


def test_the_dry_run_of_a_venue_names_what_is_missing() -> None:
    """The command says it, with exit code 1 and the question that it did not ask."""
    configure(CONFIGURATION.replace("binanceusdm", "okx") + "loopback_port = 8443\n")
    result = checked(TIDEGATE_VENUE__CREDENTIALS__API_KEY=UUID)
    found = found_in(result)

    assert 1 == result.exit_code
    assert "ok" == found["venue.credentials.api_key"][0]
    for name in ("secret", "password"):
        assert "fail" == found[f"venue.credentials.{name}"][0]
        assert (
            f"TIDEGATE_VENUE__CREDENTIALS__{name.upper()}" in found[f"venue.credentials.{name}"][1]
        )


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        ("binanceusdn", ["found 'binanceusdn', expected an id of ccxt", "mean 'binanceusdm'?"]),
        ("binanceusdm", []),
    ],
)
def test_an_exchange_that_ccxt_does_not_know_fails(exchange: str, expected: list[str]) -> None:
    """Its name was mistyped; nothing else that would be said of it leads there."""
    configure(CONFIGURATION.replace("binanceusdm", exchange))
    detail = found_in(checked()).get("venue.exchange", ("", ""))[1]

    assert bool(expected) == bool(detail)
    assert [] == [part for part in expected if part not in detail]


def test_a_certificate_that_is_not_there_fails() -> None:
    """Before any connection fails for it."""
    configure(CONFIGURATION + 'loopback_port = 8443\nloopback_ca = "none.pem"\n')

    assert "fail" == found_in(checked())["venue.loopback_ca"][0]


@pytest.mark.parametrize(
    ("free_bytes", "status"),
    [
        (DISK_BYTES_MIN - 1, "fail"),
        (DISK_BYTES_MIN, "warn"),
        (DISK_BYTES_CALM - 1, "warn"),
        (DISK_BYTES_CALM, "ok"),
    ],
)
def test_too_little_room_on_the_disk_fails(free_bytes: int, status: str) -> None:
    """Below one bound it fails, below another somebody should know."""
    assert status == room(free_bytes).status


def test_the_rights_of_a_key_are_read_in_each_venues_words() -> None:
    """As their documents have the answers; what is not clearly said counts against the key."""
    binance = {"enableFutures": True, "enableSpotAndMarginTrading": False}
    bybit = {"readOnly": 0, "permissions": {"ContractTrade": ["Order"], "Wallet": ["Withdraw"]}}

    assert Rights(True, False) == binance_rights(
        {**binance, "enableWithdrawals": False}, futures=True
    )
    assert Rights(False, True) == binance_rights(
        {**binance, "enableWithdrawals": "false"}, futures=False
    )
    assert Rights(True, True) == bybit_rights({"result": bybit})
    assert Rights(False, False) == bybit_rights(
        {"result": {"readOnly": 1, "permissions": {"Spot": ["SpotTrade"], "Wallet": []}}}
    )
    assert Rights(True, False) == okx_rights({"data": [{"perm": "read_only,trade"}]})
    assert Rights(False, True) == okx_rights({"data": [{"perm": "read_only, withdraw"}]})
