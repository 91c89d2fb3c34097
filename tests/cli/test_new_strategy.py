"""`new-strategy` writes a strategy that runs and a test that passes, and overwrites nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from strategies.loader import load_strategy
from tidegate.commands.new_strategy import write_strategy
from tidegate.exits import UsageRefused
from tidegate.origin import RESERVED_NAMES


def test_the_strategy_loads_and_its_test_passes(tmp_path: Path) -> None:
    """What is written works as it stands, without a line added."""
    strategy, test = write_strategy("night_owl", tmp_path / "user_strategies")

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": ""},
        cwd=tmp_path,
    )

    assert load_strategy(str(strategy)).factory.__name__ == "NightOwl"
    assert (0, True) == (ran.returncode, "3 passed" in ran.stdout), ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "name",
    [
        "Night",
        "night-owl",
        "1st",
        "a__b",
        "_x",
        "x.y",
        "../x",
        "",
        "class",
        "match",
        "json",
        "sma_cross",
        "test_owl",
        *sorted(RESERVED_NAMES),
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    """A name must be a plain module name that hides nothing."""
    with pytest.raises(UsageRefused, match="strategy name"):
        write_strategy(name, tmp_path / "user_strategies")

    assert [] == list(tmp_path.iterdir())


def test_what_exists_is_not_overwritten(tmp_path: Path) -> None:
    """A second call is refused, and the first one's file stays as it was edited."""
    strategy, _ = write_strategy("night_owl", tmp_path)
    strategy.write_text("edited", encoding="utf-8")

    with pytest.raises(UsageRefused, match=r"night_owl\.py exists"):
        write_strategy("night_owl", tmp_path)

    assert "edited" == strategy.read_text(encoding="utf-8")
