"""Each safeguard of the preflight, with it and without it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from binance_house import BTC, KEYS
from preflight_house import asking, checked, configure, found_in, gate
from typer.testing import CliRunner

from brokers import credentials
from brokers.ccxt.capabilities import TABLE
from brokers.ccxt.client import MayOnlyAsk, refuse_change
from scenarios.exchange.facts import FactKind
from state.lease import Holder, Lease, is_lease_held
from tidegate.cli import app

FAR = (BTC, "limit", "buy", "0.01", "40000", {"clientOrderId": "tg-0123456789-9"})
REAL = {
    "TIDEGATE_VENUE__CREDENTIALS__API_KEY": "k" * 64,
    "TIDEGATE_VENUE__CREDENTIALS__SECRET": "s" * 64,
}
"""They look real, and nothing pins them to this machine."""


async def test_a_client_that_may_only_ask_sends_no_order_and_changes_nothing() -> None:
    """Placing, cancelling, setting, and a stream on which orders could go: none leaves."""
    async with gate() as at, asking(at) as calls:
        exchange = calls.client.exchange
        tries = (
            lambda: exchange.create_order(*FAR),
            lambda: exchange.cancel_all_orders(BTC),
            lambda: exchange.set_leverage(7, BTC),
            lambda: exchange.set_position_mode(True, BTC),
            lambda: exchange.create_order_ws(*FAR),
        )
        for attempt in tries:
            with pytest.raises(MayOnlyAsk):
                await attempt()
        await exchange.fetch_balance()

        assert not {FactKind.RECEIVED, FactKind.CANCEL_ASKED, FactKind.SET} & at.kinds


async def test_without_the_guard_the_order_is_at_the_exchange() -> None:
    """The same client, allowed to: the order arrives."""
    async with gate() as at, asking(at) as calls:
        calls.client.only_asks = False
        await calls.client.exchange.create_order(*FAR)

        assert FactKind.RECEIVED in at.kinds


@pytest.mark.parametrize(
    ("venue", "url", "asks"),
    [
        ("hyperliquid", "https://api.hyperliquid.xyz/info", True),
        ("hyperliquid", "https://api.hyperliquid.xyz/exchange", False),
        ("kraken", "https://api.kraken.com/0/private/OpenOrders", True),
        ("kraken", "https://api.kraken.com/0/private/AddOrder", False),
        ("kraken", "https://api.kraken.com/0/private/CancelAllOrdersAfter", False),
        ("bybit", "https://api.bybit.com/v5/order/create", False),
    ],
)
def test_a_post_is_a_question_only_where_the_table_says_so(
    venue: str, url: str, asks: bool
) -> None:
    """Two venues ask by POST; the paths are named one by one, and no other passes."""
    if asks:
        refuse_change("POST", url, TABLE[venue])
        return
    with pytest.raises(MayOnlyAsk, match="POST"):
        refuse_change("POST", url, TABLE[venue])


@pytest.mark.parametrize("variable", credentials.AUTOMATION)
@pytest.mark.parametrize("command", [["check"], ["check", "--venue"], ["trade"]])
def test_a_real_accounts_credentials_are_refused_where_tests_or_builds_run(
    command: list[str], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By key and origin, with exit code 2, never by value; nothing has been started."""
    configure()
    for name in credentials.AUTOMATION:
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, command, env={**REAL, variable: "true"})

    assert 2 == result.exit_code
    api_key, secret = result.stderr.splitlines()
    assert "TIDEGATE_VENUE__CREDENTIALS__API_KEY: venue.credentials.api_key: found" in api_key
    assert "TIDEGATE_VENUE__CREDENTIALS__SECRET: venue.credentials.secret: found" in secret
    assert f"where {variable} is set" in api_key
    assert not any(value in result.output + result.stderr for value in REAL.values())
    assert not Path("runs").exists()


def test_outside_of_them_the_same_credentials_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was the environment that refused them; `CI=false` is no build."""
    configure()
    for name in credentials.AUTOMATION:
        monkeypatch.delenv(name, raising=False)
    found = found_in(checked(**REAL, CI="false"))

    assert "ok" == found["venue.credentials.api_key"][0]
    assert "ok" == found["venue.credentials.secret"][0]
    assert "fail" == found["venue"][0]


@pytest.mark.parametrize(
    "pin",
    [
        {"TIDEGATE_VENUE__LOOPBACK_PORT": "1"},
        {"TIDEGATE_VENUE__CCXT__URLS": '{"api": {"public": "https://127.0.0.1:1/fapi"}}'},
    ],
)
def test_a_rehearsals_credentials_are_welcome_in_a_build(pin: dict[str, str]) -> None:
    """Nothing but this machine can be reached with them."""
    configure()
    result = checked(**REAL, **pin, CI="true")

    assert "ok" == found_in(result)["venue.credentials.api_key"][0]


def test_addresses_that_are_elsewhere_pin_nothing() -> None:
    """One host of many that is not this machine is enough."""
    configure()
    urls = '{"api": {"public": "https://127.0.0.1:1/", "private": "https://fapi.example.com/"}}'
    result = checked(**REAL, TIDEGATE_VENUE__CCXT__URLS=urls, CI="true")

    assert 2 == result.exit_code
    assert "venue.credentials.api_key" in result.stderr


def test_a_daemon_that_has_the_account_fails_the_check(tmp_path: Path) -> None:
    """A second instance would be refused; once the first has gone it is not."""
    configure()
    path = tmp_path / "runs" / "paper" / "accounts" / "main" / "daemon.lock"
    lease = Lease([path], Holder.this(0))
    with_it = found_in(checked())
    lease.release()
    without = found_in(checked())

    assert "fail" == with_it["lease"][0]
    assert f"pid {os.getpid()}" in with_it["lease"][1]
    assert "lease" not in without


def test_looking_whether_a_lease_is_held_makes_no_file_and_leaves_no_lock(tmp_path: Path) -> None:
    """Whoever starts right after the look gets it."""
    path = tmp_path / "daemon.lock"

    assert not is_lease_held(path)
    assert not path.exists()
    path.touch()
    assert not is_lease_held(path)
    Lease([path], Holder.this(0)).release()


def test_a_look_at_the_lease_turns_no_daemon_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a look is there for a moment: a start tries again, and has it then."""
    path = tmp_path / "daemon.lock"
    path.touch()
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    locked, tries = fcntl.flock, []

    def flock(descriptor: int, kind: int) -> None:
        tries.append(kind)
        if len(tries) == 2:
            os.close(looking)
        locked(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    Lease([path], Holder.this(0)).release()

    assert 2 == len(tries)


def test_the_keys_of_the_tests_are_nobodys() -> None:
    """They are not of the form that the venue issues."""
    for name, value in (("api_key", KEYS.api_key), ("secret", KEYS.secret)):
        assert credentials.FORMS["binanceusdm"][name].pattern.fullmatch(value) is None
