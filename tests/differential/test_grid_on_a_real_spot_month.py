"""The shipped grid over a month of real spot bars: every lot, recomputed by hand."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache
from pathlib import Path

import lots
import pytest
from markets import REAL_FILES, ROOT

SPOT = REAL_FILES[0]
CASH = Decimal(100_000)
pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(
        not SPOT.path.is_file(), reason=f"real market data is not here: {SPOT.path}"
    ),
]

RULES = f"""
["{SPOT.symbol}"]
price_tick = "0.01"
lot_step = "0.00001"
min_quantity = "0.00001"
min_notional = "5"
maker_fee_bps = "10"
taker_fee_bps = "10"
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One replay: where the lines are, and what the grid does outside of them."""

    name: str
    params: tuple[str, ...]
    rules: bool = False
    stops: bool = False

    def __str__(self) -> str:
        """Return what pytest calls it."""
        return self.name


RUNS = (
    Run("default", ()),
    Run("fixed", ("lower=92000", "upper=106000", "spacing=arithmetic", "levels=56"), rules=True),
    Run("near", ("step_bps=10", "levels=100", "notional=500")),
    Run(
        "stops",
        ("step_bps=30", "stop_bps=30", "stop_pause_s=7200", "quantity=0.01", "levels=10"),
        rules=True,
        stops=True,
    ),
)

ENV = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all sessions of the module."""
    return tmp_path_factory.mktemp("grids")


@cache
def replayed(run: Run, home: Path) -> Path:
    """Replay the month once for all tests of a run; return the session's folder."""
    out, config = home / run.name, home / f"{run}.json"
    asked: dict[str, object] = {}
    if run.rules:
        (home / "rules.toml").write_text(RULES)
        asked["universe"] = {"instruments": str(home / "rules.toml")}
    params = dict(param.split("=") for param in run.params)
    asked["strategies"] = [{"name": "range", "use": "grid", "params": params}]
    config.write_text(json.dumps(asked))
    command = [sys.executable, "-m", "tidegate", "replay", "-c", str(config), "--json"]
    command += ["--cash", str(CASH), "--out", str(out), "--data", f"{SPOT.path}@{SPOT.symbol}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=ENV)
    assert done.returncode == 0, done.stderr
    return out


@cache
def last_close() -> Decimal:
    """Return the month's last close, read from its file by hand."""
    with gzip.open(SPOT.path, "rt", newline="") as file:
        *_, last = csv.DictReader(file)
    return Decimal(last["close"])


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_the_lots_closed_are_the_newest(run: Run, home: Path) -> None:
    """Of every fill the lots and the profit are what a list of lots in a test comes to."""
    trades = lots.rows(replayed(run, home) / "trades.csv")
    with localcontext(lots.EXACT):
        _, wrong = lots.recompute(trades, "lifo")

    assert [] == wrong[:5]
    assert len(trades) > 300


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_each_sale_is_booked_against_its_own_level(run: Run, home: Path) -> None:
    """What a level sells is what that level has bought, and earns at least its step."""
    folder = replayed(run, home)
    tags = {row["intent_id"]: row["tag"] for row in lots.rows(folder / "intents.csv")}
    bought: dict[str, str] = {}
    wrong: list[str] = []
    losses = 0
    for row in lots.rows(folder / "trades.csv"):
        word, _, level = tags[row["order_id"]].removeprefix("long ").partition(" ")
        if word == "open":
            bought[f"L-{row['trade_id']}"] = level
        elif word == "close":
            if {bought[lot] for lot in row["lot_ids"].split("|")} != {level}:
                wrong.append(f"{row['trade_id']}: level {level} closes {row['lot_ids']}")
            losses += Decimal(row["realized_pnl"]) < 0

    assert [] == wrong[:5]
    assert 0 == losses


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_the_account_is_what_the_recomputed_lots_leave(run: Run, home: Path) -> None:
    """Position, realised profit, fees, cash and equity, to the last digit."""
    folder = replayed(run, home)
    trades, last = lots.rows(folder / "trades.csv"), lots.rows(folder / "account.csv")[-1]
    with localcontext(lots.EXACT):
        books, _ = lots.recompute(trades, "lifo")
        (book,) = books.values()
        cash, fees = CASH, Decimal(0)
        for row in trades:
            value = Decimal(row["quantity"]) * Decimal(row["price"])
            cash += -value if row["side"] == "buy" else value
            fees += Decimal(row["fee"])
        held = {
            row["symbol"]: Decimal(row["quantity"])
            for row in lots.rows(folder / "positions.csv")
            if row["timestamp"] == last["timestamp"]
        }

        assert ({SPOT.symbol: book.held} if book.held else {}) == held
        assert book.held >= 0
        assert book.realized == Decimal(last["realized_pnl"])
        assert fees == Decimal(last["fees"])
        assert book.held * last_close() - book.cost == Decimal(last["unrealized_pnl"])
        assert cash - fees == Decimal(last["cash"])
        assert cash - fees + book.held * last_close() == Decimal(last["equity"])


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_what_was_asked_for_was_all_permitted(run: Run, home: Path) -> None:
    """In a month nothing was refused, and stops were taken where there are any."""
    folder = replayed(run, home)
    orders = lots.rows(folder / "orders.csv")
    tags = {row["tag"] for row in lots.rows(folder / "intents.csv")}

    assert "filled" in {row["status"] for row in orders}
    assert set() == {row["status"] for row in orders} & {"denied", "rejected", "expired"}
    assert run.stops is ("long stop" in tags)


def test_the_manifest_shows_the_lots_that_were_closed(home: Path) -> None:
    """The strategy has declared them: nobody has to configure it."""
    manifest = json.loads((replayed(RUNS[0], home) / "manifest.json").read_text())

    assert ["lifo"] == [each["lot_method"] for each in manifest["config"]["strategies"]]
