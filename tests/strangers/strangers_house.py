"""A stranger's venue with a configuration that leads to it, and `tidegate` as it is typed."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from bybit_words import Bybit
from coinbase_words import Coinbase
from cryptocom_words import Cryptocom
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gate_words import Gate
from hyperliquid_words import Hyperliquid
from kraken_words import Kraken
from kucoin_words import Kucoin
from okx_words import Okx
from stranger import Books, Dialect, Market, Running, served
from typer.testing import CliRunner, Result

from state.journal.reader import read_journal
from tidegate.cli import app
from tidegate.control.patience import Patience

START_S = 60.0
"""Longer than a session takes to start on a loaded machine."""

ROOT = Path(__file__).resolve().parents[2]
START = 1_704_067_200_000
PERPETUAL = "BTC/USDT:USDT"

KINDS: Mapping[str, tuple[type[Dialect], Market]] = {
    "okx": (Okx, Market(PERPETUAL, "BTC-USDT-SWAP", Decimal("0.01"))),
    "bybit": (Bybit, Market(PERPETUAL, "BTCUSDT")),
    "kraken": (Kraken, Market("BTC/USD", "XXBTZUSD", spot=True, quote="USD")),
    "hyperliquid": (Hyperliquid, Market("BTC/USDC:USDC", "BTC", quote="USDC")),
    "gate": (Gate, Market(PERPETUAL, "BTC_USDT", Decimal("0.0001"))),
    "coinbase": (Coinbase, Market("BTC/USD", "BTC-USD", spot=True, quote="USD")),
    "kucoin": (Kucoin, Market("BTC/USDT", "BTC-USDT", spot=True)),
    "cryptocom": (Cryptocom, Market("BTC/USDT", "BTC_USDT", spot=True)),
}

CONFIGURATION = """\
[session]
mode = "paper"
cash = "100000"
[universe]
symbols = ["{symbol}"]
[feed]
source = "file"
files = ["bars.csv@{symbol}"]
speed = {speed}
timeframe = "1m"
stale_after_s = 86400
[venue]
adapter = "ccxt"
exchange = "{exchange}"
position_mode = "{mode}"
timeout_s = 2.0
account = "at-{port}"
{venue}
[[strategies]]
name = "rounds"
use = "{strategy}"
params = {{ {params} }}
"""

SECRETS = {"API_KEY": "stranger-key-0001", "SECRET": "c3RyYW5nZXItc2VjcmV0LTAwMDE=",
           "PASSWORD": "stranger-pass-1"}  # fmt: skip
WALLET = {"API_KEY": "0x" + "1" * 40, "SECRET": "0x" + "2" * 64}


def pem() -> str:
    """Return a private key as Coinbase gives it, on lines of its own."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    bare = serialization.NoEncryption()
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, form, bare).decode()


CLOUD = {"API_KEY": "organizations/stranger/apiKeys/0001", "SECRET": pem()}


@dataclass
class Visit:
    """A stranger's venue that runs, and the folder of whoever trades there."""

    folder: Path
    running: Running
    dialect: Dialect
    tls: bool
    output: str = ""

    @property
    def books(self) -> Books:
        return self.dialect.books

    def configure(
        self, venue: str = "", params: str = "", *, speed: int = 240, bars: int = 20
    ) -> None:
        """Write ``tidegate.toml``, and bars at the venue's price."""
        if not venue:
            venue = f"loopback_port = {self.running.port}"
            venue += f'\nloopback_ca = "{self.running.ca}"' if self.tls else ""
        market = self.books.market
        text = CONFIGURATION.format(
            symbol=market.symbol,
            exchange=self.dialect.exchange,
            mode="hedge" if self.books.hedge else "one_way",
            venue=venue,
            strategy=f"{Path(__file__).parent / 'rounds.py'}:Rounds",
            params=params,
            speed=speed,
            # One allowance is for all of an account in a process: each server has another account.
            port=self.running.port,
        )
        (self.folder / "tidegate.toml").write_text(text)
        price = self.books.price
        rows = [
            f"{START + 60_000 * n},{price},{price},{price},{price},1000" for n in range(1, bars + 1)
        ]
        (self.folder / "bars.csv").write_text(
            "\n".join(["timestamp,open,high,low,close,volume", *rows, ""])
        )

    def invoke(self, *arguments: str) -> Result:
        """Run the command in this process: what it costs to load it is paid once."""
        result = CliRunner().invoke(app, list(arguments), env=self.secrets())
        self.output = result.output
        return result

    def output_of(self, event: str) -> list[str]:
        """Return the lines that the last command has logged of an event."""
        return [line for line in self.output.splitlines() if f" {event} " in line]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the command in a process of its own, what it says in a file."""
        with (self.folder / "said.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tidegate", *arguments],
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=log,
            )

    def until(self, process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
        """Return once it is so."""
        patience = Patience(START_S)
        while not reached():
            said = (self.folder / "said.log").read_text()
            assert process.poll() is None, said
            assert not patience.over, said
            patience.rest()

    def secrets(self) -> dict[str, str]:
        """Return the credentials as the environment has them."""
        secrets = {"hyperliquid": WALLET, "coinbase": CLOUD}.get(self.dialect.exchange, SECRETS)
        return {f"TIDEGATE_VENUE__CREDENTIALS__{name}": text for name, text in secrets.items()}

    def _environment(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "PYTEST"))}
        return {**own, **self.secrets(), "PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the command in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "tidegate", *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def session(self) -> Path:
        """Return the newest session's folder."""
        return max((self.folder / "runs" / "paper" / "sessions").iterdir())

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of one of the session's tables."""
        with (self.session() / f"{name}.csv").open() as file:
            return list(csv.DictReader(file))

    def messages(self, kind: type) -> list[Any]:
        """Return the journal's messages of one class."""
        entries = read_journal(self.session() / "journal.sqlite")
        return [entry.message for entry in entries if isinstance(entry.message, kind)]


@contextmanager
def visiting(
    folder: Path, exchange: str, *, tls: bool = True, streams: bool = True, **books: Any
) -> Iterator[Visit]:
    """Run a stranger's ``exchange``, and have it configured."""
    dialect, market = KINDS[exchange]
    market = books.pop("market", market)
    spoken = dialect(Books(market, **books), streams=streams)
    with served(spoken, folder / "tls", tls=tls) as running:
        visit = Visit(folder, running, spoken, tls)
        visit.configure()
        yield visit
