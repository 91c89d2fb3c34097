"""Commands run in a folder of their own, in this process or in a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from tidegate.cli import app

HERE = Path(__file__).parent
# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path[:0] = [str(HERE)]

ROOT = Path(__file__).resolve().parents[2]
Tidegate = Callable[..., Result]
Process = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in an empty folder, without settings from this machine's environment."""
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    structlog.reset_defaults()


@pytest.fixture
def tidegate() -> Tidegate:
    """Return a way to run a command in this process."""
    runner = CliRunner()

    def run(*arguments: object, **environ: str) -> Result:
        return runner.invoke(app, [str(argument) for argument in arguments], env=environ)

    return run


@pytest.fixture
def process() -> Process:
    """Return a way to run a command in a process of its own."""

    def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tidegate", *(str(argument) for argument in arguments)]
        env = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    return run


@pytest.fixture
def bars() -> Callable[..., Path]:
    """Return a writer of small files of bars: closes one minute apart, from 2024-01-01 on."""

    def write(name: str, closes: list[float], *, start: int = 1_704_067_200_000) -> Path:
        rows = [
            f"{start + place * 60_000},{close},{close + 1},{close - 1},{close},10"
            for place, close in enumerate(closes)
        ]
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows, ""]))
        return path

    return write


WAVES = [100.0 + (place % 20 if place % 40 < 20 else 20 - place % 20) for place in range(200)]
"""A market that goes up and down often enough for a crossing strategy to trade."""
