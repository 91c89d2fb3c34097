"""Lets the tests of this folder import the makers of whole sessions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path[:0] = [str(HERE), str(HERE.parent / "runtime"), str(HERE.parent / "journal")]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for how often each crash point is passed: all parts share what is counted once."""
    return tmp_path_factory.mktemp("counts") / "counts.json"
