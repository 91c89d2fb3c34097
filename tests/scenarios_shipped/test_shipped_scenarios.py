"""What is asked of every shipped scenario, besides passing: see the ablations for the rest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from ablations import SHIPPED, SUFFIXES

from scenarios.reading import read_scenario

FILES = sorted(path for path in SHIPPED.rglob("*") if path.name.endswith(SUFFIXES))
FAMILIES = (
    "data",
    "execution",
    "guards",
    "health",
    "holds",
    "kill",
    "lifecycle",
    "plans",
    "restart",
    "strategies",
    "supervision",
    "universe",
    "venue",
)


def name_of(path: Path) -> str:
    """Return what a shipped scenario is called by ablations."""
    relative = path.relative_to(SHIPPED).as_posix()
    return next(relative.removesuffix(end) for end in SUFFIXES if relative.endswith(end))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_shipped_scenario_says_what_it_shows_and_why(path: Path) -> None:
    """A sentence for whoever reads the list, and the promise that it rehearses."""
    scenario = read_scenario(path)

    assert scenario.scenario[0].isupper() or not scenario.scenario[0].isalpha()
    assert not scenario.scenario.endswith(".")
    assert scenario.why


def test_no_two_shipped_scenarios_say_the_same() -> None:
    """Each line of a run is about something else."""
    said = Counter(read_scenario(path).scenario for path in FILES)

    assert [] == [sentence for sentence, count in said.items() if count > 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_safeguards_is_rehearsed(family: str) -> None:
    """There is no part of the safety system without scenarios of its own."""
    assert [path for path in FILES if path.parent.name == family]


def test_every_shipped_scenario_belongs_to_a_family() -> None:
    """A file that no ablation would be looked for is in the wrong place."""
    assert sorted({path.parent.name for path in FILES}) == sorted(FAMILIES)
