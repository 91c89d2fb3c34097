"""Whoever reads a session's log, or no longer does, has no say in whether it trades."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidegate.aside import PATIENCE_S, SHARE, LogLines, Patience, say_aside
from tidegate.output import progress_bar

LINE = "x" * 99 + "\n"
PIPE_BYTES = 65_536
AGES_S = 60.0
"""Far longer than anything here takes that does not wait for a reader."""


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


def fill(terminal: int) -> None:
    """Write until a terminal takes nothing more."""
    filling = os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(filling, b"z\n")
    os.close(filling)


@contextmanager
def terminal_that_is_read_by_nobody(*, full: bool) -> Iterator[int]:
    """Have a terminal, perhaps a full one, as standard error; yield the end that reads it."""
    reading, writing = pty.openpty()
    if full:
        fill(writing)
    try:
        with stderr_into(writing), io.TextIOWrapper(os.fdopen(os.dup(2), "wb", 0)) as stream:
            before, sys.stderr = sys.stderr, stream
            try:
                yield reading
            finally:
                sys.stderr = before
    finally:
        os.close(writing)
        os.close(reading)  # what still waits for a reader ends


def ended(work: Callable[[], object]) -> bool:
    """Return whether ``work`` comes to its end."""
    doing = threading.Thread(target=work, daemon=True)
    doing.start()
    doing.join(AGES_S)
    return not doing.is_alive()


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


def test_a_terminal_whose_reader_has_stopped_keeps_no_log_line_waiting() -> None:
    """It says that there is room, and lets whoever writes more than that wait for ever."""
    lines = LogLines()
    with terminal_that_is_read_by_nobody(full=False) as reading:
        assert ended(lambda: [lines.show(LINE) for _ in range(2_000)])

        told = b""
        while b"log lines were not shown here" not in told:
            assert select.select([reading], [], [], AGES_S)[0], told[-500:]
            told += os.read(reading, PIPE_BYTES)
            lines.show("again\n")
    assert LINE.strip().encode() in told


def test_a_session_does_not_stand_still_with_the_terminal_that_shows_its_progress() -> None:
    """The bar is drawn under a lock that whoever tells it of progress needs too."""
    told: list[int] = []

    def trade() -> None:
        with progress_bar("live") as on_progress:
            assert on_progress is not None
            for bars in range(1_000):
                on_progress(bars)
                told.append(bars)

    with terminal_that_is_read_by_nobody(full=True):
        assert ended(trade)
    assert len(told) == 1_000


def test_a_reader_that_is_slow_takes_a_small_part_of_a_sessions_time() -> None:
    """However often it makes room just in time; it took nearly all of it for as long as it did."""
    now_s = 0.0
    patience = Patience(lambda: now_s)
    waited_s = 0.0
    for _ in range(1_000):  # lines, one directly after the other, each of which is waited for
        patience.begin()
        just_in_time_s = min(0.045, patience.left_s())
        waited_s += just_in_time_s
        now_s += just_in_time_s
        patience.end()
        now_s += 0.01  # the session's own
    assert waited_s < PATIENCE_S + 2 * SHARE * now_s


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


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("reader", ["gone", "full disk"])
def test_a_killed_session_exits_as_one_whoever_reads_what_came_of_it(
    tmp_path: Path, form: list[str], reader: str
) -> None:
    """It exited with 1, as something that was checked and found wanting; 4 is that of a kill."""
    tidegate = [sys.executable, "-m", "tidegate"]
    subprocess.run([*tidegate, "init", "--dir", str(tmp_path)], check=True, capture_output=True)
    (tmp_path / "KILL").touch()
    reading, writing = os.pipe()
    os.close(reading)
    if reader == "full disk":
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full on this system")
        os.close(writing)
        writing = os.open("/dev/full", os.O_WRONLY)
    command = [*tidegate, "trade", "--new", "--speed", "0", *form]
    done = subprocess.run(
        command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)

    assert done.returncode == 4, done.stderr[-500:]
    assert b"Traceback" not in done.stderr


def test_a_command_whose_reader_has_seen_enough_keeps_its_exit_code() -> None:
    """``tidegate verify ... | head`` of what differs was 0, whatever it had found."""
    program = "import sys; from tidegate.front import finish; sys.exit(finish(found, []))"
    found = "def found():\n    print('differs')\n    return 1\n"
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", found + program],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        env=buffered,
    )
    os.close(writing)

    assert done.returncode == 1, done.stderr
