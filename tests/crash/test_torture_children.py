"""The processes of the torture do not outlive it, and none of them takes for ever."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import children
import pytest

HERE = Path(__file__).parent
FAMILY = """
import os, signal, sys
from pathlib import Path
from children import fork

words = Path(sys.argv[1])

def waits(tell):
    os.write(1, b"%d\\n" % os.getpid())
    while True:
        signal.pause()

def forks(tell):
    fork(waits, words)
    return waits(tell)

fork(forks, words)
waits(None)
"""
PATIENCE_S = 30.0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_no_fork_outlives_the_process_that_made_it(tmp_path: Path) -> None:
    """Killed from outside, a torture leaves nothing: neither its workers nor what they forked."""
    family = subprocess.Popen(
        [sys.executable, "-c", FAMILY, str(tmp_path / "words")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    assert family.stdout is not None
    with family.stdout:
        pids = {int(family.stdout.readline()) for _ in range(3)}
        ends = [os.pidfd_open(pid) for pid in pids - {family.pid}]

        family.kill()
        family.wait()
        gone = [select.select([end], [], [], PATIENCE_S)[0] for end in ends]

    assert 2 == len(ends)
    assert [[end] for end in ends] == gone
    for end in ends:
        os.close(end)


def test_a_process_that_does_not_end_is_ended_and_says_where_it_was(tmp_path: Path) -> None:
    """The report names the limit and the call that it hung in."""

    def hangs(tell: Callable[[], object]) -> int:
        tell()
        while True:
            signal.pause()

    child = children.fork(hangs, tmp_path / "words")
    assert child.spoke()
    end = child.end(limit_s=0.2)

    assert "does not end within 0.2 s" in str(end)
    assert "in hangs" in str(end)
    assert not end.killed


def test_an_error_of_a_process_is_in_its_report(tmp_path: Path) -> None:
    """The exit code comes with its meaning, and with the last lines of what was written."""

    def fails(_tell: object) -> int:
        raise ValueError("of no use")

    end = children.fork(fails, tmp_path / "words").end()

    assert str(end).startswith("ended with 70 (an error that nobody took)")
    assert str(end).endswith("| ValueError: of no use")
