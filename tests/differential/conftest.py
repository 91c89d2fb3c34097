"""What the differential tests share: their own modules, the peers, the product's output."""

from __future__ import annotations

import csv
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Tests are no packages (importmode=importlib), so the modules next to them need a path.
sys.path.insert(0, str(HERE))

import reference  # noqa: E402 - found by the line above
from markets import RealFile  # noqa: E402

Replay = Callable[..., reference.Outcome]


@pytest.fixture(scope="session")
def peers() -> ModuleType:
    """Return the adapters of the peers, or skip where one is not installed."""
    with warnings.catch_warnings():
        # Old code compiled by a new Python warns; it is not ours to mend.
        warnings.simplefilter("ignore")
        for name in ("backtesting", "backtrader"):
            pytest.importorskip(name, reason=f"{name} is not installed (extra: peers)")
        import peers as adapters

        return adapters


@pytest.fixture(scope="session")
def rows_of() -> Callable[[RealFile], list[reference.Row]]:
    """Return a reader of real files that reads each once and skips where it is absent."""
    read: dict[str, list[reference.Row]] = {}

    def rows(file: RealFile) -> list[reference.Row]:
        if not file.path.exists():
            pytest.skip(f"real market data is not here: {file.path}")
        if file.name not in read:
            read[file.name] = reference.read_rows(file.path)
        return read[file.name]

    return rows


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Return a way to run `tidegate replay` and read its trades and final equity."""

    def run(data: Path, symbol: str, **options: object) -> reference.Outcome:
        out = tmp_path / "session"
        command = [sys.executable, "-m", "tidegate", "replay", "--data", f"{data}@{symbol}"]
        command += ["--strategy", "sma_cross", "--out", str(out)]
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            if name in {"fast", "slow", "quantity"}:
                command += ["--param", f"{name}={value}"]
            else:
                command += [flag, str(value)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return reference.Outcome(_trades(out / "trades.csv"), _equity(out / "account.csv"))

    return run


def _trades(path: Path) -> list[reference.Trade]:
    with path.open(newline="") as file:
        return [
            reference.Trade(
                round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000),
                row["side"],
                Decimal(row["price"]),
                Decimal(row["quantity"]),
                Decimal(row["fee"]),
            )
            for row in csv.DictReader(file)
        ]


def _equity(path: Path) -> Decimal:
    with path.open(newline="") as file:
        *_, last = csv.DictReader(file)
    return Decimal(last["equity"])
