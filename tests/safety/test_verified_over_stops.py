"""However a session was stopped, killed and gone on with: executed once more it is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopped_house import Life

from brokers.paper import PaperBroker, ShadowBroker

QUICK = range(8)
LONG = range(8, 160)
ABLATED = range(6)


def check_same(folder: Path, seed: int, broker: Callable[..., Any] = PaperBroker) -> None:
    """Run a session over the ends of its processes; check that nothing differs."""
    life = Life(folder, seed, {"broker": broker})
    life.live()

    assert "" == life.difference(), f"seed {seed}: {life.ended}"


@pytest.mark.parametrize("broker", [PaperBroker, ShadowBroker])
@pytest.mark.parametrize("seed", QUICK)
def test_a_session_is_the_same_wherever_its_processes_ended(
    tmp_path: Path, seed: int, broker: Callable[..., Any]
) -> None:
    """Stopped or dead between bars, commanded and asked meanwhile, gone on with, and again."""
    check_same(tmp_path, seed, broker)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", LONG)
def test_a_session_is_the_same_wherever_else_its_processes_ended(tmp_path: Path, seed: int) -> None:
    """The same at many more moments."""
    check_same(tmp_path, seed)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("actors.tape._moment", lambda _place, _otherwise: 0),
        (
            "actors.keeping.Keeper._kept_at",
            lambda keeper, _cell: keeper._session.assembly.clock.now,
        ),
    ],
    ids=["of an end", "of a state"],
)
def test_without_the_moments_on_record_sessions_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, what: Callable[..., int]
) -> None:
    """Ablation: what time it was follows from nothing else in the journal."""
    lives = [Life(tmp_path / str(seed), seed) for seed in ABLATED]
    for life in lives:
        life.live()
    monkeypatch.setattr(where, what)

    assert any(life.difference() for life in lives)
