"""Lets the tests of this folder import the makers next to them and the world of sessions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from state.register import HoldRegister, register_of

HERE = Path(__file__).parent
# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path[:0] = [str(HERE), str(HERE.parent / "runtime")]


@pytest.fixture
def register(tmp_path: Path) -> HoldRegister:
    return register_of(tmp_path, "paper", "main")
