"""The pytest plugin, in a user's own project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsal import document

from scenarios.reading import find_scenarios
from scenarios.runner import run_scenario

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = find_scenarios([ROOT / "scenarios"])

STRATEGY = '''
"""Buys once."""

from decimal import Decimal

from messages import Side
from strategies import Strategy


class Once(Strategy):
    bought = False

    def on_bar(self, bar):
        if self.bought:
            return None
        self.bought = True
        return [self.desk.open(bar.symbol, Side.BUY, Decimal(1), tag="once")]
'''


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run plain pytest in ``folder`` with the plugin, as its entry point would have it loaded."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a user's project: a strategy of his own, a scenario that passes, one that fails."""
    (tmp_path / "once.py").write_text(STRATEGY, "utf-8")
    own = document(expect=[{"order": {"tag": "once", "status": "filled"}}])
    own["strategies"] = [{"name": "mine", "use": "once.py:Once"}]
    (tmp_path / "good.scenario.json").write_text(json.dumps(own), "utf-8")
    own["expect"] = [{"order": {"tag": "once", "status": "cancelled"}}]
    (tmp_path / "wrong.scenario.json").write_text(json.dumps(own), "utf-8")
    (tmp_path / "broken.scenario.toml").write_text("scenario = 1", "utf-8")
    return tmp_path


def test_plain_pytest_runs_the_scenarios_that_it_finds(project: Path) -> None:
    """One item a file; a failure is told in our words, without a frame of ours."""
    done = pytest_in(project, "-q")

    assert done.returncode == 1
    assert "2 failed, 1 passed" in done.stdout
    assert "expected: order [once] ends cancelled" in done.stdout
    assert "found:    filled" in done.stdout
    assert "run it alone: tidegate scenario run" in done.stdout
    assert "broken.scenario.toml: scenario: found 1 (a number), expected a valid string" in (
        done.stdout
    )
    assert "Traceback" not in done.stdout
    assert "runner.py" not in done.stdout


def test_a_file_can_be_named(project: Path) -> None:
    """Given on the command line it is run alone, under both dispatchers if asked for."""
    done = pytest_in(project, "-q", "--scenarios-queued", "good.scenario.json")

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_plugin_can_be_left_out(project: Path) -> None:
    """Then scenario files are nothing to pytest."""
    done = pytest_in(project, "-q", "-p", "no:tidegate")

    assert "no tests ran" in done.stdout


def test_loading_the_plugin_imports_nothing_of_the_house() -> None:
    """A project without scenarios is not slowed down by it."""
    program = (
        "import sys, scenarios.plugin; "
        "print([name for name in ('pydantic', 'msgspec', 'actors', 'messages') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.stdout.strip() == "[]"


def test_the_installation_offers_the_plugin() -> None:
    """`pip install tidegate` is enough: pytest finds the entry point."""
    from importlib.metadata import entry_points

    offered = {point.name: point.value for point in entry_points(group="pytest11")}

    assert offered.get("tidegate") == "scenarios.plugin"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name.partition(".")[0])
def test_every_shipped_scenario_tells_one_story_under_both_dispatchers(path: Path) -> None:
    """What goes straight to a handler and what goes through mailboxes comes to the same."""
    fused, queued = run_scenario(path), run_scenario(path, queued=True)

    assert fused.timeline == queued.timeline
    assert fused.story == queued.story
