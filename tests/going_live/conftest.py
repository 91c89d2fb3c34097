"""Lets the tests of this folder import their makers, and those of the exchange and of preflight."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path[:0] = [
    str(HERE),
    *(
        str(HERE.parent / name)
        for name in ("exchange_binance", "preflight", "risk", "ccxt_broker", "runtime")
    ),
]


@pytest.fixture(autouse=True)
def _nobody_left() -> Iterator[None]:
    """End what a failed test has left running."""
    from going_live_house import STARTED

    yield
    while STARTED:
        child = STARTED.pop()
        if child.process.poll() is None:
            child.ends(signal.SIGKILL)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, without settings and leases of this machine's user."""
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
