"""The product as its users have it: its command line, and its CSV artifacts read by hand."""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from reference import Trade

ROOT = Path(__file__).resolve().parents[2]


def replay_by_command_line(data: list[tuple[Path, str]], out: Path, **options: object) -> None:
    """Run `tidegate replay` of `sma_cross` in a process of its own."""
    command = [sys.executable, "-m", "tidegate", "replay", "--strategy", "sma_cross"]
    command += ["--out", str(out)]
    for path, symbol in data:
        command += ["--data", f"{path}@{symbol}"]
    for name, value in options.items():
        if name in {"fast", "slow", "quantity"}:
            command += ["--param", f"{name}={value}"]
        else:
            command += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def trades_by_symbol(out: Path) -> dict[str, list[Trade]]:
    """Return the rows of `trades.csv` by symbol, in file order."""
    found: dict[str, list[Trade]] = {}
    with (out / "trades.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["symbol"], []).append(
                Trade(
                    milliseconds(row["timestamp"]),
                    row["side"],
                    Decimal(row["price"]),
                    Decimal(row["quantity"]),
                    Decimal(row["fee"]),
                )
            )
    return found


def final_equity(out: Path) -> Decimal:
    """Return the equity of the last row of `account.csv`."""
    with (out / "account.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    return Decimal(last["equity"])


def milliseconds(text: str) -> int:
    """Return an artifact's timestamp, `2024-12-01T00:00:00.000Z`, as int ms UTC."""
    assert text.endswith("Z"), text
    return round(datetime.fromisoformat(text).timestamp() * 1000)
