"""Whoever reads a session's log, or no longer does, has no say in whether it trades."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidegate.aside import LogLines, say_aside

LINE = "x" * 99 + "\n"
PIPE_BYTES = 65_536


@contextmanager
def stderr_into(fd: int) -> Iterator[None]:
    """Have ``fd`` as this process's standard error."""
    before = os.dup(sys.__stderr__.fileno())
    stream, sys.stderr = sys.stderr, sys.__stderr__
    os.dup2(fd, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        sys.stderr = stream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that the test reads, or does not."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)
    os.close(reading)


def test_a_reader_that_reads_nothing_keeps_no_log_line_waiting(pipe: tuple[int, int]) -> None:
    """What finds no room is counted, and told as soon as there is some; whole lines stay whole."""
    reading, writing = pipe
    lines = LogLines()
    with stderr_into(writing):
        for _ in range(1_000):  # half as much again as a pipe holds
            lines.show(LINE)
        shown = os.read(reading, PIPE_BYTES)
        lines.show("again\n")
    rest = os.read(reading, PIPE_BYTES)

    told = (shown + rest).decode().splitlines()
    assert told[-1] == "again"
    whole = [line for line in told if line == LINE.strip()]
    assert f"tidegate: {1_000 - len(whole)} log lines were not shown here" == told[-2]
    assert all(LINE.startswith(line) for line in told[:-2])
    assert len(whole) > 500


@pytest.mark.parametrize("say", [say_aside, LogLines().show])
def test_a_reader_that_is_gone_is_told_nothing_more(say: object) -> None:
    """Neither the first line nor any later one is an error of the session."""
    assert callable(say)
    reading, writing = os.pipe()
    os.close(reading)
    with stderr_into(writing):
        say(LINE)
        say(LINE)
    os.close(writing)


def test_a_session_whose_log_nobody_reads_any_more_comes_to_its_own_end(tmp_path: Path) -> None:
    """As with ``| tee`` that was killed: it used to die in the middle, with whatever it held."""
    tidegate = [sys.executable, "-m", "tidegate"]
    subprocess.run([*tidegate, "init", "--dir", str(tmp_path)], check=True, capture_output=True)
    reading, writing = os.pipe()
    os.close(reading)
    command = [*tidegate, "trade", "-c", "tidegate.toml", "--new", "--speed", "0", "--json"]
    ended = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=writing, check=False
    )
    os.close(writing)

    assert ended.returncode == 0
    (log,) = (tmp_path / "runs").rglob("sessions/*/logs/tidegate.log")
    assert "session_ended" in log.read_text()
