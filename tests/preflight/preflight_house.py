"""A virtual binanceusdm with a configuration that goes there, and `tidegate check` run on it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from binance_house import BTC, KEYS, bar, faults, terms
from typer.testing import CliRunner, Result

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.calls import Calls
from brokers.ccxt.capabilities import BINANCEUSDM
from brokers.ccxt.client import CcxtClient
from brokers.ccxt.columns import Capabilities
from brokers.ccxt.lanes import Lanes
from brokers.ccxt.redaction import Redactor
from messages import PositionMode
from scenarios.exchange.binanceusdm import Exchange, Keys, TestAuthority, open_binanceusdm
from scenarios.exchange.facts import FactKind
from scenarios.exchange.log import read_truth
from tidegate.cli import app

CONFIGURATION = """\
[universe]
symbols = ["BTC/USDT:USDT"]
instruments = "instruments.toml"
[feed]
source = "synthetic"
[[strategies]]
name = "sma"
use = "sma_cross"
[venue]
adapter = "ccxt"
exchange = "binanceusdm"
timeout_s = 2.0
"""

INSTRUMENTS = {
    "price_tick": "0.1",
    "lot_step": "0.001",
    "min_quantity": "0.001",
    "max_quantity": "1000",
    "min_notional": "100",
    "initial_margin": "0.05",
}
"""What the exchange has."""

PREFIX = "TIDEGATE_VENUE__"
CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)


@dataclass
class Gate:
    """The exchange, and the command."""

    exchange: Exchange
    keys: Keys

    async def check(self, *options: str, **environ: str) -> Result:
        """Run ``tidegate check --venue --json``, the venue's keys given unless ``environ`` has."""
        given = {
            f"{PREFIX}LOOPBACK_PORT": str(self.exchange.port),
            f"{PREFIX}LOOPBACK_CA": str(self.exchange.ca_path),
            f"{PREFIX}CREDENTIALS__API_KEY": self.keys.api_key,
            f"{PREFIX}CREDENTIALS__SECRET": self.keys.secret,
            **environ,
        }
        run = partial(checked, "--venue", *options, **given)
        return await anyio.to_thread.run_sync(run)

    async def found(self, *options: str, **environ: str) -> dict[str, tuple[str, str]]:
        """Return (status, detail) by subject; several of one subject are joined."""
        return found_in(await self.check(*options, **environ))

    @property
    def kinds(self) -> set[FactKind]:
        """Return all that the exchange has ever taken down."""
        return {fact.fact for fact in read_truth(self.exchange.truth / "truth.ndjson")}


def checked(*options: str, **environ: str) -> Result:
    """Run ``tidegate check --json``."""
    return CliRunner().invoke(app, ["check", "--json", *options], env=environ)


def found_in(result: Result) -> dict[str, tuple[str, str]]:
    """Return (status, detail) by subject of what a check has printed."""
    found: dict[str, tuple[str, str]] = {}
    for row in json.loads(result.stdout)["checks"]:
        before = found.get(row["subject"])
        detail = row["detail"] if before is None else f"{before[1]}\n{row['detail']}"
        found[row["subject"]] = (row["status"], detail)
    return found


def configure(text: str = CONFIGURATION, **rules: str) -> None:
    """Write ``tidegate.toml`` and the instrument file that it names, with other ``rules``."""
    Path("tidegate.toml").write_text(text)
    lines = [f'{name} = "{value}"' for name, value in {**INSTRUMENTS, **rules}.items()]
    Path("instruments.toml").write_text("\n".join([f'["{BTC}"]', *lines, ""]))


@asynccontextmanager
async def asking(
    at: Gate, row: Capabilities = BINANCEUSDM, *, only_asks: bool = True, dead_man_s: int = 0
) -> AsyncIterator[Calls]:
    """Open the real client at the exchange, its markets loaded; unless told it may only ask."""
    secrets = {"api_key": at.keys.api_key, "secret": at.keys.secret}
    address = CcxtAddress(
        "binanceusdm",
        secrets=secrets,
        loopback_port=at.exchange.port,
        loopback_ca=at.exchange.ca_path,
        dead_man_s=dead_man_s,
    )
    client = CcxtClient(address, row, CLOCK, only_asks=only_asks)
    lanes = Lanes(row.weights, CLOCK.monotonic_s, CLOCK.sleep_s)
    try:
        await client.load()
        yield Calls(client, lanes, CLOCK, Redactor(secrets.values()))
    finally:
        await client.close()


@asynccontextmanager
async def gate(
    *script: dict[str, Any], hedge: bool = False, keys: Keys = KEYS
) -> AsyncIterator[Gate]:
    """Open an exchange with a market, and configure a session for it."""
    configure()
    folder = Path()
    mode = PositionMode.HEDGE if hedge else PositionMode.ONE_WAY
    exchange = await open_binanceusdm(
        terms(BTC, mode=mode),
        folder / "venue",
        credentials=keys,
        ca=TestAuthority(folder / "tls"),
        faults=faults(*script),
    )
    try:
        await exchange.server.show(BTC, [bar(0)])
        yield Gate(exchange, keys)
    finally:
        await exchange.stop()
