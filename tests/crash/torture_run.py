"""The torture as tests run it: a process of its own, and its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture_parts import PARTS

ROOT = Path(__file__).resolve().parents[2]
TORTURE = Path(__file__).with_name("torture.py")


@dataclass(frozen=True, slots=True)
class Report:
    """What it said."""

    code: int
    tried: dict[str, dict[str, Any]]
    failures: list[str]
    again: str
    """The command, and the last of what it wrote beside its report."""


def tortured(*asked: str) -> Report:
    """Run the torture on one processor: the suite uses the others."""
    command = [sys.executable, str(TORTURE), "--json", "--jobs", "1", *asked]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    again = f"again: {' '.join(command)}\n{done.stderr[-4000:]}"
    assert done.stdout, again
    report = json.loads(done.stdout)
    return Report(done.returncode, report["tried"], report["failures"], again)


def tortured_part(workload: str, part: int, counts: Path) -> Report:
    """Run the short form over one of the ``PARTS`` of a workload's moments, counted once."""
    shared = ("--counts", str(counts), "--part", f"{part}/{PARTS}")
    return tortured("--short", "--workload", workload, *shared)
