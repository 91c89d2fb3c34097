"""The process that writes the projections, from the session's side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ABANDONED = """
import os, signal, sys
from pathlib import Path
from state.projections.process import ProjectionProcess

made = ProjectionProcess(Path(sys.argv[1]), journal=False)
os.kill(made._process.pid, signal.SIGKILL)
made._process.wait()
made.abandon()
print("let go of")
"""


def test_a_process_that_died_with_input_on_its_way_is_let_go_of(tmp_path: Path) -> None:
    """
    What a pipe had room for breaks it only when it is closed, after the last frame.

    Nobody waits for another end of the input then: a full disk ended sessions that way, and their
    daemons stayed.
    """
    done = subprocess.run(
        [sys.executable, "-c", ABANDONED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )

    assert "let go of\n" == done.stdout, done.stderr
