"""The torture would notice: with one safeguard off, a chosen death is reported as what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TORTURE = Path(__file__).with_name("torture.py")


def tortured(*asked: str) -> tuple[int, list[str]]:
    """Run the torture; return its exit code and what it says has failed."""
    done = subprocess.run(
        [sys.executable, str(TORTURE), "--json", *asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    failures: list[str] = json.loads(done.stdout)["failures"]
    return done.returncode, failures


@pytest.mark.parametrize(
    ("without", "at", "word"),
    [
        ("sync-wait", "venue.received:3", "lost: order"),
        ("doubt", "venue.received:3", "unresolved: order"),
        ("no-resend", "venue.received:3", "reached the venue again"),
    ],
)
def test_without_a_safeguard_a_death_is_reported(without: str, at: str, word: str) -> None:
    """What is lost, sent twice or believed falsely is named, and the exit code is 1."""
    code, failures = tortured("--workload", "entries", "--without", without, "--at", at)

    assert 1 == code
    assert word in "\n".join(failures)
