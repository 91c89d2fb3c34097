"""The benchmark compares like with like: every case does the same work. Nothing is timed here."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MAKE_WALK = "import walk; print(walk.walk_file({symbols}, {bars}, 7))"


def in_bench(command: list[str], folder: Path) -> str:
    """Run a command as the benchmark runs its cases, with temporary files in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "TMPDIR": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def market(folder: Path, symbols: int, bars: int) -> str:
    """Return the file of a small walk."""
    script = MAKE_WALK.format(symbols=symbols, bars=bars)
    return in_bench([sys.executable, "-c", script], folder).strip()


def result(case: str, walk_file: str, folder: Path) -> dict[str, Any]:
    """Return what a case says of its run."""
    command = [sys.executable, str(HERE / f"case_{case}.py"), "--name", case]
    said: dict[str, Any] = json.loads(in_bench([*command, "--market", walk_file], folder))
    return said


@pytest.mark.parametrize(("symbols", "bars"), [(1, 3_000), (5, 600)])
@pytest.mark.parametrize("case", ["ours", "backtrader"])
def test_a_case_does_the_work_of_the_bare_loop(
    case: str, symbols: int, bars: int, tmp_path: Path
) -> None:
    """As many orders, as many fills, and the same final equity, to the rounding of floats."""
    if case == "backtrader" and importlib.util.find_spec("backtrader") is None:
        pytest.skip("backtrader is not installed (extra: peers)")
    walk_file = market(tmp_path, symbols, bars)

    bare = result("bare", walk_file, tmp_path)
    other = result(case, walk_file, tmp_path)

    assert bare["orders"] > 100
    for figure in ("bars", "orders", "fills"):
        assert bare[figure] == other[figure]
    assert other["equity"] == pytest.approx(bare["equity"], abs=1e-4)


def test_the_same_seed_makes_the_same_market(tmp_path: Path) -> None:
    """The walk is a function of size and seed, in whatever process it is made."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()

    made = [Path(market(folder, 2, 200)).read_bytes() for folder in (first, second)]

    assert made[0] == made[1]
