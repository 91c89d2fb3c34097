"""What keeps a command quick is done, by what it spares and not by how long that takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CHILD = """
import gc, importlib.metadata, json, sys
{ablation}
counts = {{"collections": 0, "looks": 0}}

def collected(phase, _info):
    counts["collections"] += phase == "start"

distributions = importlib.metadata.distributions

def looked(**terms):
    counts["looks"] += 1
    return distributions(**terms)

importlib.metadata.distributions = looked
from tidegate.cli import main
gc.callbacks.append(collected)
code = main(["config", "show", "--json"])
gc.callbacks.clear()
counts["left"] = len(gc.get_objects())
sys.stderr.write(json.dumps({{"code": code, **counts}}))
"""
"""Runs a command; says how often the collector came, and how many objects it has to look at."""


def counted(folder: Path, ablation: str = "", **environ: str) -> Mapping[str, int]:
    """Return what a command in a process of its own has counted."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TIDEGATE_")}
    kept.pop("PYDANTIC_DISABLE_PLUGINS", None)
    run = subprocess.run(
        [sys.executable, "-c", CHILD.format(ablation=ablation)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environ},
    )
    found: Mapping[str, int] = json.loads(run.stderr)
    assert found["code"] == 0
    return found


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, int]:
    """Return the counts of a command as it is."""
    return counted(tmp_path_factory.mktemp("as_it_is"))


def test_nothing_that_was_loaded_is_collected_at_the_exit(
    as_it_is: Mapping[str, int], tmp_path: Path
) -> None:
    """Hundreds of thousands of objects are frozen then; ablation: they are all looked at."""
    without = counted(tmp_path, "gc.freeze = lambda: None")

    assert as_it_is["left"] < 1_000
    assert without["left"] > 20_000


def test_the_collector_comes_rarely_while_a_command_loads(
    as_it_is: Mapping[str, int], tmp_path: Path
) -> None:
    """All of that stays; ablation: it comes many times as often by its own thresholds."""
    without = counted(tmp_path, "gc.set_threshold = lambda *_: None")

    assert without["collections"] > 10 * max(1, as_it_is["collections"])


def test_no_plugins_are_looked_for_among_all_that_is_installed(
    as_it_is: Mapping[str, int], tmp_path: Path
) -> None:
    """Nothing else has a say in how a configuration is read; ablation: pydantic looks for some."""
    without = counted(tmp_path, PYDANTIC_DISABLE_PLUGINS="none-of-this-name")

    assert as_it_is["looks"] == 0
    assert without["looks"] > 0
