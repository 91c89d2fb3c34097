"""The shipped breakout against a second writing of it: every trade, every lot, the final equity."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields
from decimal import Decimal, localcontext
from pathlib import Path

import breakout
import lots
import pytest
import reference
from breakout import Terms
from markets import MADE_UP, ROOT, SHARED_DATA, write_csv
from product import final_equity, trades_by_symbol

pytestmark = pytest.mark.exhaustive

BARS = SHARED_DATA / "bars"
SPOT = BARS / "binance_spot_BTCUSDT_1m_202412.csv.gz"
PERPETUAL = BARS / "binance_usdm_SOLUSDT_1m_202505.csv.gz"
CASH, FEE_BPS = Decimal(1_000_000), Decimal(10)
ENV = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
D = Decimal


@dataclass(frozen=True, slots=True)
class Run:
    """One replay of a real file."""

    name: str
    path: Path
    symbol: str
    terms: Terms
    method: str = "fifo"

    def __str__(self) -> str:
        """Return what pytest calls it."""
        return self.name


CHANNEL = {"trail_atr": None, "exit_period": 10, "stop_atr": D("2.5"), "cooldown_bars": 15}
RUNS = (
    Run("spot, trail", SPOT, "BTC/USDT", Terms(D("0.5"))),
    Run("spot, channel", SPOT, "BTC/USDT", Terms(D("0.5"), **CHANNEL), "lifo"),  # type: ignore[arg-type]
    Run("perpetual, both ways, trail", PERPETUAL, "SOL/USDT:USDT", Terms(D(40), both=True)),
    Run(
        "perpetual, both ways, channel",
        PERPETUAL,
        "SOL/USDT:USDT",
        Terms(D(40), both=True, entry_period=55, **CHANNEL),  # type: ignore[arg-type]
        "average",
    ),
)


def replay(path: Path, symbol: str, terms: Terms, out: Path, method: str = "fifo") -> None:
    """Run `tidegate replay` of the breakout in a process of its own."""
    params = {
        each.name: str(getattr(terms, each.name))
        for each in fields(terms)
        if each.name != "both" and getattr(terms, each.name) is not None
    }
    params["sides"] = "both" if terms.both else "long"
    config = out.with_name("breakout.json")
    strategy = {
        "name": "breakout",
        "use": "donchian_breakout",
        "lot_method": method,
        "params": params,
    }
    config.write_text(json.dumps({"strategies": [strategy]}))
    command = [sys.executable, "-m", "tidegate", "replay", "-c", str(config), "--out", str(out)]
    command += ["--data", f"{path}@{symbol}", "--cash", str(CASH), "--fee-bps", str(FEE_BPS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=ENV)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_replay_of_a_real_month_equals_the_reference(run: Run, tmp_path: Path) -> None:
    """Every trade to its fee, the lots as declared, and the final equity, to the last digit."""
    if not run.path.is_file():
        pytest.skip(f"real market data is not here: {run.path}")
    expected = breakout.replay(reference.read_rows(run.path), run.terms, CASH, FEE_BPS)

    replay(run.path, run.symbol, run.terms, tmp_path / "out", run.method)
    trades = trades_by_symbol(tmp_path / "out")[run.symbol]
    with localcontext(lots.EXACT):
        books, wrong = lots.recompute(lots.rows(tmp_path / "out" / "trades.csv"), run.method)

    assert expected.trades == trades
    assert expected.equity == final_equity(tmp_path / "out")
    assert len(trades) > 200
    assert [] == wrong[:5]
    assert [(run.symbol, "both")] == list(books)


@pytest.mark.parametrize("market", MADE_UP[:4], ids=lambda market: market.name)
@pytest.mark.parametrize("more", [{}, CHANNEL], ids=["trail", "channel"])
def test_replay_of_a_made_up_market_equals_the_reference(
    market: object, more: dict[str, object], tmp_path: Path
) -> None:
    """Gaps, ties at the channel's end and coarse ticks are traded by the same rules."""
    rows = market.rows()  # type: ignore[attr-defined]
    write_csv(tmp_path / "bars.csv", rows)
    terms = Terms(D("0.01"), entry_period=7, atr_period=5, **more)  # type: ignore[arg-type]
    expected = breakout.replay(rows, terms, CASH, FEE_BPS)

    replay(tmp_path / "bars.csv", "BTC/USDT", terms, tmp_path / "out")

    assert expected.trades == trades_by_symbol(tmp_path / "out")["BTC/USDT"]
    assert expected.equity == final_equity(tmp_path / "out")
