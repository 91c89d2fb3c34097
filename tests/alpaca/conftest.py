"""Alpaca's broker and feed at a stand-in on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path[:0] = [str(HERE), str(HERE.parent / "ccxt_broker")]


@pytest.fixture(autouse=True)
def _needs_alpaca() -> None:
    pytest.importorskip("alpaca", reason="needs the extra `alpaca`")
