"""One exchange's process for the whole folder, and a fresh account in it for each test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from panic_house import Venue

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def exchange_process() -> Iterator[subprocess.Popen[str]]:
    """Return the process."""
    command = [sys.executable, str(Path(__file__).with_name("venue_process.py"))]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:  # closes its input, which ends it, and waits
        yield process


@pytest.fixture
def venue(
    exchange_process: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Venue:
    """Return the process with a one-way account; the test runs in a folder of its own."""
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    venue = Venue(exchange_process)
    venue.open(tmp_path / "venue")
    return venue
