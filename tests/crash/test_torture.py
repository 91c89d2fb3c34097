"""The short form of the torture: at every crash point a process dies, and nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TORTURE = Path(__file__).with_name("torture.py")


@pytest.mark.parametrize("workload", ["entries", "ladder", "flatten"])
def test_wherever_a_session_dies_the_venue_and_the_journal_agree_in_the_end(workload: str) -> None:
    """Nothing lost, nothing twice, nothing unresolved; every first passing kills a process."""
    asked = [str(TORTURE), "--short", "--json", "--workload", workload]
    done = subprocess.run(
        [sys.executable, *asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    report = json.loads(done.stdout)

    assert [] == report["failures"], f"again: python {' '.join(asked)}\n{done.stderr[-4000:]}"
    assert 0 < report["tried"]["deaths"]
