"""``tidegate check``, ``trade`` and ``panic`` at the stand-in for Alpaca; Interactive Brokers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from alpaca_house import CLOCK, KEYS, SPY, Desk, address, at_work, bar, opened
from ccxt_house import order as any_order
from typer.testing import CliRunner, Result

from brokers.alpaca.client import AlpacaClient
from brokers.alpaca.emergency import AlpacaEmergency
from brokers.alpaca.inspecting import AlpacaInspector
from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.calls import Calls
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.inspecting import Asked
from brokers.ccxt.lanes import Lanes
from brokers.ccxt.redaction import Redactor
from brokers.emergency import Trouble
from brokers.findings import Accepts
from scenarios.exchange.alpaca import Exchange
from tidegate.cli import app

CONFIGURATION = """\
[session]
cash = "100000"
[universe]
symbols = ["SPY"]
instruments = "instruments.toml"
[feed]
source = "synthetic"
speed = 600
[feed.synthetic]
profile = "equity"
bars = 30
[[strategies]]
name = "sma"
use = "sma_cross"
params = { fast = 2, slow = 4, quantity = "1" }
[venue]
adapter = "alpaca"
timeout_s = 2.0
"""

INSTRUMENTS = """\
[SPY]
price_tick = "0.01"
lot_step = "0.000000001"
maker_fee_bps = "0"
taker_fee_bps = "0"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a configuration, without settings from this machine's environment."""
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("tidegate.toml").write_text(CONFIGURATION)
    Path("instruments.toml").write_text(INSTRUMENTS)
    return tmp_path


def environ_of(exchange: Exchange) -> dict[str, str]:
    """Return what leads a command to the stand-in."""
    prefix = "TIDEGATE_VENUE__"
    return {
        f"{prefix}LOOPBACK_PORT": str(exchange.port),
        f"{prefix}LOOPBACK_CA": str(exchange.ca_path),
        f"{prefix}CREDENTIALS__API_KEY": KEYS.key_id,
        f"{prefix}CREDENTIALS__SECRET": KEYS.secret,
    }


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Exchange]:
    """Open a stand-in with a market."""
    async with opened(folder) as exchange:
        await exchange.server.show(SPY, [bar(0)])
        yield exchange


async def run(exchange: Exchange, *command: str, **environ: str) -> Result:
    """Run a command in a thread, led to the stand-in unless ``environ`` says otherwise."""
    given = {**environ_of(exchange), **environ}
    return await anyio.to_thread.run_sync(
        partial(CliRunner().invoke, app, list(command), env=given)
    )


def found_in(result: Result) -> dict[str, tuple[str, str]]:
    """Return (status, detail) by subject of what a check has printed."""
    rows = json.loads(result.stdout)["checks"]
    return {row["subject"]: (row["status"], row["detail"]) for row in rows}


async def test_a_check_asks_and_sends_no_order(tmp_path: Path) -> None:
    """Account, session, shares, key, allowance: each a finding; nothing but GET has come."""
    async with standing(tmp_path) as exchange:
        result = await run(exchange, "check", "--venue", "--json")
        found = found_in(result)
        methods = {hit.method for hit in exchange.server.hits}

    assert 0 == result.exit_code, result.output
    assert {"GET"} == methods
    assert {"fail"}.isdisjoint(status for status, _ in found.values())
    assert "ok" == found["venue.account"][0]
    assert "the exchange is open" in found["venue.session"][1]
    assert "in fractions" in found["share SPY"][1]
    assert "warn" == found["venue.shorting"][0]
    assert "0 of 3 day trades" not in found["venue.day_trading"][1]
    assert KEYS.secret not in result.output


async def test_history_is_fetched_by_the_name_of_its_source(tmp_path: Path) -> None:
    """Whatever is configured beside it: the bars are in the store, asked for with the key."""
    async with standing(tmp_path) as exchange:
        await exchange.server.show(SPY, [bar(number) for number in range(1, 6)])
        since = str(bar(0).timestamp)
        command = ("data", "fetch", "--source", "alpaca", "--symbol", SPY, "--since", since)
        command += ("--until", str(bar(4).timestamp), "--json")
        result = await run(exchange, *command, TIDEGATE_VENUE__ADAPTER="paper")
        asked = [hit for hit in exchange.server.hits if hit.path == "/v2/stocks/bars"]

    assert 0 == result.exit_code, result.output
    (one,) = json.loads(result.stdout)["fetched"]
    assert (SPY, 4) == (one["symbol"], one["added"])
    assert {("data.alpaca.markets", KEYS.key_id)} == {(hit.host, hit.key_id) for hit in asked}


async def test_a_check_tells_what_would_be_refused(tmp_path: Path) -> None:
    """A blocked account, a closed exchange, a pattern day trader with too little money."""
    async with standing(tmp_path) as exchange:
        exchange.server.account = {
            "trading_blocked": True,
            "pattern_day_trader": True,
            "equity": "20000",
        }
        exchange.server.is_open = False
        result = await run(exchange, "check", "--venue", "--json")
        found = found_in(result)

    assert 1 == result.exit_code
    assert ("fail", "Alpaca does not let the account trade") == found["venue.account"]
    assert "fail" == found["venue.day_trading"][0]
    assert "warn" == found["venue.session"][0]
    assert "orders wait for the opening" in found["venue.session"][1]


async def test_a_check_of_the_account_itself_leaves_no_address_out() -> None:
    """Not pinned to this machine it has one host, which it dials: there is nothing to warn of."""
    secrets = {"api_key": KEYS.key_id, "secret": KEYS.secret}
    row = capabilities_of("alpaca")
    client = AlpacaClient(CcxtAddress("alpaca", secrets=secrets), row, CLOCK, only_asks=True)
    lanes = Lanes(client.weights, CLOCK.monotonic_s, CLOCK.sleep_s)
    calls = Calls(client, lanes, CLOCK, Redactor(secrets.values()))
    asked = Asked({}, frozenset(), Accepts())
    found = list(AlpacaInspector(calls, CLOCK, asked)._reach())
    await client.close()

    assert [] == found


@pytest.mark.parametrize("name", ["api_key", "secret"])
async def test_a_missing_credential_says_what_to_set(name: str, tmp_path: Path) -> None:
    """The variable by its name; nobody is asked."""
    async with standing(tmp_path) as exchange:
        given = {f"TIDEGATE_VENUE__CREDENTIALS__{name.upper()}": ""}
        result = await run(exchange, "check", "--venue", **given)

        assert not exchange.server.hits
    assert 0 != result.exit_code
    assert f"TIDEGATE_VENUE__CREDENTIALS__{name.upper()}" in result.output


KEY, SECRET = "venue.credentials.api_key", "venue.credentials.secret"


def variable(subject: str) -> str:
    """Return by what the environment gives a credential."""
    return f"TIDEGATE_VENUE__CREDENTIALS__{subject.rpartition('.')[2].upper()}"


@pytest.mark.parametrize("missing", [[KEY], [SECRET], [KEY, SECRET]], ids=["key", "secret", "both"])
@pytest.mark.parametrize("source", ["synthetic", "alpaca"])
@pytest.mark.parametrize("options", [[], ["--venue"]], ids=["dry", "asked"])
async def test_a_check_tells_of_each_missing_credential_once(
    missing: list[str], source: str, options: list[str], tmp_path: Path
) -> None:
    """By its name and its variable, also where the data needs it too; the rest is looked at."""
    async with standing(tmp_path) as exchange:
        given = {"TIDEGATE_FEED__SOURCE": source, **{variable(each): "" for each in missing}}
        result = await run(exchange, "check", "--json", *options, **given)

        assert not exchange.server.hits
    rows = json.loads(result.stdout)["checks"]
    failed = [(row["subject"], row["detail"]) for row in rows if row["status"] == "fail"]

    assert missing == [subject for subject, _ in failed]
    assert all(variable(subject) in detail for subject, detail in failed)
    if source == "synthetic":
        assert {"feed", "strategies", "instruments"} <= {row["subject"] for row in rows}


@pytest.mark.parametrize("adapter", ["alpaca", "paper"])
async def test_a_start_names_both_credentials_where_both_are_missing(
    adapter: str, tmp_path: Path
) -> None:
    """For the account, and for market data alone: nobody sets one to hear of the other then."""
    async with standing(tmp_path) as exchange:
        given = {"TIDEGATE_FEED__SOURCE": "alpaca", "TIDEGATE_VENUE__ADAPTER": adapter}
        given |= {variable(each): "" for each in (KEY, SECRET)}
        result = await run(exchange, "trade", **given)

        assert not exchange.server.hits
    assert 2 == result.exit_code, result.output
    assert variable(KEY) in result.output
    assert variable(SECRET) in result.output


async def test_a_real_key_is_refused_in_tests(tmp_path: Path) -> None:
    """Without a pin it could reach an account: by key and origin, and never its value."""
    async with standing(tmp_path) as exchange:
        given = {"TIDEGATE_VENUE__LOOPBACK_PORT": "0", "TIDEGATE_VENUE__LOOPBACK_CA": ""}
        result = await run(exchange, "check", **given)

        assert not exchange.server.hits
    assert 2 == result.exit_code
    assert "venue.credentials.secret" in result.output
    assert KEYS.secret not in result.output


async def test_a_daemon_trades_at_alpaca_from_its_configuration_alone(tmp_path: Path) -> None:
    """`tidegate trade` in a process of its own, over TLS, to the paper host, to its end."""
    async with standing(tmp_path) as exchange:
        environ = {**os.environ, **environ_of(exchange)}
        environ.pop("PYTHONWARNINGS", None)
        command = [sys.executable, "-m", "tidegate", "trade", "--new"]
        with anyio.fail_after(120):
            process = await anyio.run_process(command, check=False, env=environ)
        posts = [hit for hit in exchange.server.hits if hit.method == "POST"]
        bodies = [json.loads(hit.body) for hit in posts]
        filled = len(exchange.server.book.executions)

    assert 0 == process.returncode, process.stderr.decode() + process.stdout.decode()
    assert posts
    assert {"paper-api.alpaca.markets"} == {hit.host for hit in posts}
    assert len(bodies) == len({body["client_order_id"] for body in bodies}) == filled
    assert {("buy", None), ("sell", "sell_to_close")} == {
        (body["side"], body.get("position_intent")) for body in bodies
    }


async def in_trouble(at: Desk) -> None:
    """Hold two shares, with a third wanted."""
    at.broker.submit(any_order("tg-0123456789-1", "2", symbol=SPY), 1)
    at.broker.submit(any_order("tg-0123456789-2", "1", symbol=SPY, price="390"), 1)
    await at.until(lambda: "filled" in at.life("tg-0123456789-1"))
    await at.until(lambda: bool(at.life("tg-0123456789-2")))


async def test_a_panic_empties_the_account(tmp_path: Path) -> None:
    """Every order is cancelled by one call, every position closed by an order that only closes."""
    async with standing(tmp_path) as exchange:
        async with at_work(exchange) as at:
            await in_trouble(at)
        result = await run(exchange, "panic", "--flatten", "--yes")
        hits = [hit for hit in exchange.server.hits if hit.method in {"POST", "DELETE"}]

        assert [] == exchange.server.book.live()
        assert 0 == exchange.server.book.held(SPY)
    assert 0 == result.exit_code, result.output
    assert ("DELETE", "/v2/orders") in [(hit.method, hit.path) for hit in hits]
    closing = json.loads(hits[-1].body)
    assert ("sell", "2", "market", "sell_to_close") == tuple(
        closing[name] for name in ("side", "qty", "type", "position_intent")
    )


async def test_an_emergency_has_no_secret_to_show(tmp_path: Path) -> None:
    """When the key is refused it says so, and not the key."""
    secrets = {"api_key": KEYS.key_id, "secret": "another-secret-for-tests"}
    async with standing(tmp_path) as exchange:
        emergency = AlpacaEmergency(address(exchange, secrets=secrets), CLOCK)
        try:
            trouble = await emergency.held()
        finally:
            await emergency.shut()

    assert isinstance(trouble, Trouble)
    assert "unauthorized" in trouble.detail
    assert "another-secret" not in trouble.detail


def test_the_stand_in_is_a_dialect_of_the_virtual_exchange() -> None:
    """`tidegate venue --dialect alpaca` says its port, its certificate and where its keys are."""
    command = [sys.executable, "-m", "tidegate", "venue", "--dialect", "alpaca", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = ""
            while not said.rstrip().endswith("}"):
                line = process.stdout.readline()
                assert line, "the exchange has ended: its standard error says why"
                said += line
            told = json.loads(said)
            prefix = "TIDEGATE_VENUE__"
            environ = {
                f"{prefix}LOOPBACK_PORT": str(told["port"]),
                f"{prefix}LOOPBACK_CA": told["ca_file"],
                f"{prefix}CREDENTIALS__API_KEY": Path(told["key_file"]).read_text().strip(),
                f"{prefix}CREDENTIALS__SECRET": Path(told["secret_file"]).read_text().strip(),
            }
            result = CliRunner().invoke(app, ["check", "--venue", "--json"], env=environ)
        finally:
            process.terminate()
            code = process.wait(60)

    assert 0 == result.exit_code, result.output
    assert "ok" == found_in(result)["venue.account"][0]
    assert 0 == code


@pytest.mark.parametrize("mode", ["shadow", "live"])
def test_no_session_beyond_paper_goes_to_alpaca(mode: str) -> None:
    """Nobody has proven that one: refused before anything is asked, with where it may go."""
    acknowledged = ["--i-acknowledge-risk"] if mode == "live" else []
    result = CliRunner().invoke(app, ["trade", "--mode", mode, *acknowledged])

    assert 2 == result.exit_code, result.output
    assert f"found 'alpaca', expected 'ccxt' for mode {mode}" in " ".join(result.output.split())


@pytest.mark.parametrize("command", [("check",), ("trade", "--new"), ("panic", "--yes")])
def test_interactive_brokers_is_refused_clearly(command: tuple[str, ...]) -> None:
    """What is missing and which adapters there are; nothing trades elsewhere in its place."""
    Path("tidegate.toml").write_text(CONFIGURATION.replace('"alpaca"', '"ib"'))
    result = CliRunner().invoke(app, list(command))

    assert (1 if command == ("check",) else 2) == result.exit_code, result.output
    said = " ".join(result.output.split())
    assert "'ib' is known and has no way there" in said
    assert "'paper', 'virtual', 'ccxt' or 'alpaca'" in said
