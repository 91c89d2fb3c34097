"""`new-strategy` writes a strategy, a test and a scenario that pass, and overwrites nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from messages import PositionSide
from scenarios.runner import run_scenario
from strategies.contract import LIVE_HOOKS, Strategy, missing_hooks
from strategies.loader import load_strategy, parse_params
from strategies.trial import Candidate
from tidegate.commands.new_strategy import write_strategy
from tidegate.exits import UsageRefused
from tidegate.origin import RESERVED_NAMES

if TYPE_CHECKING:
    from tests.cli.conftest import Tidegate

LINES_MAX = 160
"""About what is read in three minutes."""


def ran_on(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest on a user's folder, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": ""},
        cwd=folder.parent,
    )


@pytest.mark.parametrize(
    ("minimal", "passed"), [(False, "8 passed"), (True, "4 passed")], ids=["whole", "minimal"]
)
def test_the_strategy_loads_and_its_test_and_its_scenario_pass(
    tmp_path: Path, minimal: bool, passed: str
) -> None:
    """What is written works as it stands, without a line added; one command runs all of it."""
    written = write_strategy("night_owl", tmp_path / "user_strategies", minimal=minimal)

    ran = ran_on(tmp_path / "user_strategies")

    assert "NightOwl" == load_strategy(str(written.strategy)).factory.__name__
    assert (0, True) == (ran.returncode, passed in ran.stdout), ran.stdout + ran.stderr


@pytest.mark.parametrize("minimal", [False, True], ids=["whole", "minimal"])
def test_the_scenario_passes_under_both_dispatchers(tmp_path: Path, minimal: bool) -> None:
    """It is a scenario like any other: however it is dispatched, the same story."""
    written = write_strategy("night_owl", tmp_path, minimal=minimal)

    fused, queued = (run_scenario(written.scenario, queued=each) for each in (False, True))

    assert fused.passed, fused.report()
    assert fused.story == queued.story


@pytest.mark.parametrize("minimal", [False, True], ids=["whole", "minimal"])
def test_what_is_written_can_be_told_from_what_the_scenario_needs(
    tmp_path: Path, minimal: bool
) -> None:
    """The scenario is not vacuous: a strategy that does nothing fails it."""
    written = write_strategy("night_owl", tmp_path, minimal=minimal)
    text = written.strategy.read_text(encoding="utf-8")
    idle = text.replace("closes.append(bar.close)\n", "return None\n")
    assert idle != text
    written.strategy.write_text(idle, encoding="utf-8")

    assert not run_scenario(written.scenario).passed


def test_the_whole_one_shows_the_whole_contract(tmp_path: Path) -> None:
    """Every live hook is its own, each with a sentence that says what it is for."""
    written = write_strategy("night_owl", tmp_path)
    factory = load_strategy(str(written.strategy)).factory
    documented = {
        node.name
        for node in ast.walk(ast.parse(written.strategy.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)
    }

    assert [] == missing_hooks(factory)
    assert {*LIVE_HOOKS, "on_bar", "book_state", "restore_book"} <= documented
    assert factory.uses_plans
    assert len(written.strategy.read_text(encoding="utf-8").splitlines()) <= LINES_MAX


@pytest.mark.parametrize("minimal", [False, True], ids=["whole", "minimal"])
def test_its_state_comes_back(tmp_path: Path, minimal: bool) -> None:
    """`check` has nothing to say against it."""
    loaded = load_strategy(str(write_strategy("night_owl", tmp_path, minimal=minimal).strategy))
    books = {"BTC/USDT": (PositionSide.BOTH,)}

    assert [] == Candidate("owl", loaded.factory, parse_params(loaded, {}), books).problems()
    assert issubclass(loaded.factory, Strategy)


def test_the_command_says_what_to_do_next_and_each_of_it_works(tidegate: Tidegate) -> None:
    """Test, rehearse, run: by the lines that it prints."""
    said = tidegate("new-strategy", "night_owl").stdout

    rehearsed = tidegate("scenario", "run", "user_strategies/")
    replayed = tidegate(
        "replay", "--data", "fixture:crypto", "--mode", "quick", "--strategy",
        "user_strategies/night_owl.py", "--param", "quantity=0.1", "--out", "out",
    )  # fmt: skip

    assert (
        "wrote user_strategies/night_owl.py, test_night_owl.py and night_owl.scenario.toml" in said
    )
    assert "python -m pytest user_strategies/" in said
    assert "tidegate scenario run user_strategies/night_owl.scenario.toml" in said
    assert "tidegate replay --data FILE --strategy user_strategies/night_owl.py" in said
    assert (0, 0) == (rehearsed.exit_code, replayed.exit_code)
    assert "1 passed, 0 failed" in rehearsed.stdout
    assert "incidents" not in replayed.stdout


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


@pytest.mark.parametrize("which", ["night_owl.py", "test_night_owl.py", "night_owl.scenario.toml"])
def test_what_exists_is_not_overwritten(tmp_path: Path, which: str) -> None:
    """Any of the three is enough to be refused, and stays as it was edited."""
    (tmp_path / which).write_text("edited", encoding="utf-8")

    with pytest.raises(UsageRefused, match=which):
        write_strategy("night_owl", tmp_path)

    assert "edited" == (tmp_path / which).read_text(encoding="utf-8")
    assert [which] == [path.name for path in tmp_path.iterdir()]
