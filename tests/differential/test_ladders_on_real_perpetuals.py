"""The shipped ladders over a month of three real perpetuals: every lot, recomputed by hand."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cache
from pathlib import Path

import lots
import pytest
from markets import ROOT, SHARED_DATA

FILES = {
    "BTC/USDT:USDT": "binance_usdm_BTCUSDT_1m_202505.csv.gz",
    "SOL/USDT:USDT": "binance_usdm_SOLUSDT_1m_202505.csv.gz",
    "LAYER/USDT:USDT": "binance_usdm_LAYERUSDT_1m_202505.csv.gz",
}
BARS = SHARED_DATA / "bars"
CASH = Decimal(100_000)
pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(
        not all((BARS / name).is_file() for name in FILES.values()),
        reason=f"real market data is not here: {BARS}",
    ),
]

RULES = """
["BTC/USDT:USDT"]
price_tick = "0.1"
lot_step = "0.001"
min_quantity = "0.001"
min_notional = "100"
maker_fee_bps = "2"
taker_fee_bps = "5"
initial_margin = "0.1"
["SOL/USDT:USDT"]
price_tick = "0.01"
lot_step = "0.01"
min_notional = "5"
maker_fee_bps = "2"
taker_fee_bps = "5"
initial_margin = "0.1"
["LAYER/USDT:USDT"]
price_tick = "0.0001"
lot_step = "0.1"
min_notional = "5"
maker_fee_bps = "2"
taker_fee_bps = "5"
initial_margin = "0.1"
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One replay: which ladder, which books, which lots."""

    strategy: str
    mode: str
    method: str
    params: tuple[str, ...] = ()
    configured: str = ""
    rules: bool = False
    stops: bool = False

    def __str__(self) -> str:
        """Return what pytest calls it."""
        return f"{self.strategy}-{self.mode}-{self.method}"


STOPS = ("stop_bps=600",)
RUNS = (
    Run("dual_dca", "hedge", "fifo"),
    Run("dual_dca", "one_way", "fifo", ("size_growth=1.5", *STOPS), stops=True),
    Run(
        "dual_dca", "hedge", "lifo", ("exit=average", "size_growth=1.3", *STOPS), "lifo", stops=True
    ),
    Run("dual_dca", "hedge", "average", ("dca_order_type=market",), "average"),
    Run("dual_dca_lifo", "hedge", "lifo"),
    Run("dual_dca_lifo", "one_way", "lifo", ("one_way_side=short", "notional=150"), rules=True),
)


@dataclass(slots=True)
class Session:
    """What a replay left behind."""

    folder: Path
    summary: dict[str, object] = field(default_factory=dict)

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of one of its files."""
        return lots.rows(self.folder / name)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all sessions of the module."""
    return tmp_path_factory.mktemp("ladders")


@cache
def replayed(run: Run, home: Path) -> Session:
    """Replay the three files together, once for all tests of a run."""
    out = home / f"{run}"
    config = home / f"{run}.json"
    asked: dict[str, object] = {"universe": {}}
    if run.rules:
        (home / "rules.toml").write_text(RULES)
        asked["universe"] = {"instruments": str(home / "rules.toml")}
    strategy: dict[str, object] = {
        "name": "ladder",
        "use": run.strategy,
        "params": dict(param.split("=") for param in run.params),
    }
    if run.configured:
        strategy["lot_method"] = run.configured
    config.write_text(json.dumps({**asked, "strategies": [strategy]}))
    command = [sys.executable, "-m", "tidegate", "replay", "-c", str(config), "--json"]
    command += ["--position-mode", run.mode, "--cash", str(CASH), "--out", str(out)]
    for symbol, name in FILES.items():
        command += ["--data", f"{BARS / name}@{symbol}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=ENV)
    assert done.returncode == 0, done.stderr
    return Session(out, json.loads(done.stdout)["summary"])


ENV = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}


@cache
def last_closes() -> dict[str, Decimal]:
    """Return each symbol's last close, read from its file by hand."""
    found = {}
    for symbol, name in FILES.items():
        with gzip.open(BARS / name, "rt", newline="") as file:
            *_, last = csv.DictReader(file)
        found[symbol] = Decimal(last["close"])
    return found


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_the_lots_closed_are_those_of_the_declared_method(run: Run, home: Path) -> None:
    """Of every fill the lots and the profit are what a list of lots in a test comes to."""
    trades = replayed(run, home).rows("trades.csv")
    with localcontext(lots.EXACT):
        _, wrong = lots.recompute(trades, run.method)

    assert [] == wrong[:5]
    assert len(trades) > 300


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_the_account_is_what_the_recomputed_lots_leave(run: Run, home: Path) -> None:
    """Positions, realised profit, fees, cash and equity, to the last digit."""
    session = replayed(run, home)
    trades = session.rows("trades.csv")
    last = session.rows("account.csv")[-1]
    with localcontext(lots.EXACT):
        books, _ = lots.recompute(trades, run.method)
        fees = realized = unrealized = Decimal(0)
        for row in trades:
            fees += Decimal(row["fee"])
        for (symbol, _), book in books.items():
            realized += book.realized
            unrealized += book.held * last_closes()[symbol] - book.cost
        positions = {
            (row["symbol"], row["position_side"]): Decimal(row["quantity"])
            for row in session.rows("positions.csv")
            if row["timestamp"] == last["timestamp"]
        }

        assert {key: book.held for key, book in books.items() if book.held} == positions
        assert realized == Decimal(last["realized_pnl"])
        assert fees == Decimal(last["fees"])
        assert unrealized == Decimal(last["unrealized_pnl"])
        assert CASH + realized - fees == Decimal(last["cash"])
        assert CASH + realized - fees + unrealized == Decimal(last["equity"])


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_each_book_goes_its_way_and_never_the_other(run: Run, home: Path) -> None:
    """In hedge mode there are long and short books, in one-way mode one net book of one sign."""
    trades = replayed(run, home).rows("trades.csv")
    with localcontext(lots.EXACT):
        books, _ = lots.recompute(trades, run.method)
    signs = {(side, book.sign) for (_, side), book in books.items()}
    one_way = -1 if "one_way_side=short" in run.params else 1

    assert ({("long", 1), ("short", -1)} if run.mode == "hedge" else {("both", one_way)}) == signs
    assert {symbol for symbol, _ in books} == set(FILES)


@pytest.mark.parametrize("run", [run for run in RUNS if not run.stops], ids=str)
def test_without_a_stop_a_lot_leaves_with_a_profit_where_lots_are_what_they_seem(
    run: Run, home: Path
) -> None:
    """A LIFO ladder booked LIFO never shows a loss; the same exits booked FIFO do."""
    trades = replayed(run, home).rows("trades.csv")
    losses = [row for row in trades if Decimal(row["realized_pnl"]) < 0]

    if run.strategy == "dual_dca_lifo":
        assert [] == losses
    else:
        assert losses


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_what_was_asked_for_was_all_permitted(run: Run, home: Path) -> None:
    """In a month nothing was refused: a ladder asks for no more than there is and no less."""
    session = replayed(run, home)
    orders = session.rows("orders.csv")

    assert "filled" in {row["status"] for row in orders}
    assert set() == {row["status"] for row in orders} & {"denied", "rejected", "expired"}
    assert {"stop"} <= {row["type"] for row in orders} or not run.stops


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_the_manifest_shows_the_lots_that_were_closed(run: Run, home: Path) -> None:
    """Configured, or declared, or neither: what it came to is written down."""
    manifest = json.loads((replayed(run, home).folder / "manifest.json").read_text())

    assert [run.method] == [each["lot_method"] for each in manifest["config"]["strategies"]]
