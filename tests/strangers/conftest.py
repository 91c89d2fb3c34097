"""Lets the tests of this folder import the makers next to them, each in a folder of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, without settings from this machine's environment."""
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
