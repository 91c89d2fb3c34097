"""A session whose files nobody finishes ends all the same, and says what makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from replays import SMALL, WAVES

if TYPE_CHECKING:
    from tests.cli.conftest import Tidegate

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("still_writer_child.py")
AT_ONCE_S = 120
STILL = "events, tables and reports did nothing for 0.5 s, and was ended"


def ended_with_a_still_writer(*arguments: object) -> tuple[int, str]:
    """Run a command; return its exit code and its own words on standard error."""
    done = subprocess.run(
        [sys.executable, str(CHILD), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=AT_ONCE_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    (problem,) = [line for line in done.stderr.splitlines() if line.startswith("tidegate: ")]
    return done.returncode, problem


def test_a_session_with_a_suspended_writer_ends_and_its_files_are_made_later(
    tidegate: Tidegate,
) -> None:
    """Exit code 6 and one line that names the command; that makes the files, and seals them."""
    tidegate("init")
    code, problem = ended_with_a_still_writer("trade", "--speed", "0")

    assert 6 == code, problem
    assert "has ended and its journal is whole" in problem
    assert STILL in problem
    assert "`tidegate trade --resume` makes them" in problem

    again = tidegate("trade", "--resume")
    assert 0 == again.exit_code, again.stderr
    assert "has ended: nothing to go on with" in again.stderr
    assert 0 == tidegate("verify", "latest").exit_code
    (report,) = Path("runs").glob("paper/sessions/*/session.html")
    assert report.is_file()


def test_a_replay_with_a_suspended_writer_does_not_say_that_its_journal_is_whole(
    bars: Callable[..., Path],
) -> None:
    """That is one of the files which were not written: the replay is to be run again."""
    code, problem = ended_with_a_still_writer(
        "replay", "--data", bars("a.csv", WAVES), *SMALL, "--out", "out"
    )

    assert 6 == code, problem
    assert "journal is whole" not in problem
    assert STILL in problem
    assert problem.endswith("run it again once that is mended")
