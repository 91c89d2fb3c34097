"""``kill -9`` around a kill: once it is acknowledged, every next start is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from killed_child import MOMENTS, STUCK

from state.register import register_of

CHILD = Path(__file__).with_name("killed_child.py")
AT_ONCE_S = 60.0
SURELY = frozenset({"renamed", "latched", "the session has written", "acknowledged"})
"""Moments at which the kill is on the disk, whatever has been said to anybody."""

ROUNDS = 16


def start(runs: Path, moment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(runs), moment],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(child: subprocess.Popen[str]) -> None:
    """Send SIGKILL to the process and to whatever it started."""
    os.killpg(child.pid, signal.SIGKILL)


def read_until(child: subprocess.Popen[str], words: Sequence[str]) -> list[str]:
    """Return what a child says, up to one of ``words``."""
    assert child.stdout is not None
    said: list[str] = []
    for line in child.stdout:
        said.append(line.strip())
        if said[-1] in words:
            break
    return said


def held(runs: Path) -> list[str]:
    """Return what the register has; it can always be read."""
    return [hold.hold_id for hold in register_of(runs, "paper", "main").load()]


def next_start(runs: Path) -> tuple[list[str], bool]:
    """Start again: return what is held as it opens, and whether an order leaves in 20 bars."""
    child = start(runs, "restart")
    said = read_until(child, ("sent", "bar 20"))
    kill(child)
    _, errors = child.communicate(timeout=AT_ONCE_S)
    assert said, errors
    assert said[0].startswith("open"), errors
    return [name for name in said[0][5:].split(",") if name], "sent" in said


@pytest.mark.parametrize("moment", MOMENTS[:-1])
def test_a_process_killed_at_a_moment_of_its_kill(tmp_path: Path, moment: str) -> None:
    """
    Before the register is renamed into place the kill may be lost, although it is in force: nobody
    was told of it. From then on the next start is held before anything runs, and lets nothing out.
    """
    child = start(tmp_path, moment)
    said, errors = child.communicate(timeout=AT_ONCE_S)
    assert -signal.SIGKILL == child.returncode, errors
    assert "submitting" in said

    on_disk = held(tmp_path)
    surely = moment in SURELY or "latched" in said or "acknowledged" in said
    assert on_disk in ([], ["kill"])
    assert on_disk == ["kill"] or not surely
    opened, traded = next_start(tmp_path)

    assert on_disk == opened
    assert traded is (on_disk == [])


def test_a_process_killed_at_any_moment_comes_back_as_it_was_told(tmp_path: Path) -> None:
    """
    At random after each word of the kill, whose pace is the machine's: whoever was told
    ``latched`` or ``acknowledged`` finds it killed, always; the register is never damaged.
    """
    choice = Random(11)
    delays = [choice.random() * 0.02 for _ in range(ROUNDS)]
    words = ("submitting", "latched", "acknowledged")

    def one(number: int) -> tuple[list[str], list[str]]:
        runs = tmp_path / str(number)
        child = start(runs, "never")
        said = read_until(child, (words[number % len(words)],))
        time.sleep(delays[number])
        kill(child)
        rest, errors = child.communicate(timeout=AT_ONCE_S)
        said += rest.split()
        assert "submitting" in said, errors
        return said, held(runs)

    with ThreadPoolExecutor(3) as pool:
        rounds = list(pool.map(one, range(ROUNDS)))

    for number, (said, on_disk) in enumerate(rounds):
        assert words[number % len(words)] in said
        told = "latched" in said or "acknowledged" in said
        assert on_disk in ([], ["kill"])
        assert on_disk == ["kill"] or not told


def test_a_process_that_nothing_can_stop_ends_itself_and_comes_back_killed(tmp_path: Path) -> None:
    """A strategy loops where no signal reaches it: within the bound nothing is left of it."""
    child = start(tmp_path, STUCK)
    assert "stuck" in read_until(child, ("stuck",))
    (tmp_path / "KILL").touch()
    touched = time.monotonic()
    try:
        _, errors = child.communicate(timeout=AT_ONCE_S)
    finally:
        child.kill()
    took_s = time.monotonic() - touched

    assert -signal.SIGKILL == child.returncode, errors
    assert took_s < 5.5  # five from the sentinel's first sight of the file
    assert ["kill"] == held(tmp_path)
    opened, traded = next_start(tmp_path)
    assert (["kill"], False) == (opened, traded)


def test_without_the_register_a_restart_would_trade(tmp_path: Path) -> None:
    """The ablation: the same kill, acknowledged, and then its file is gone."""
    child = start(tmp_path, "acknowledged")
    said, _ = child.communicate(timeout=AT_ONCE_S)
    assert "acknowledged" in said
    register_of(tmp_path, "paper", "main").path.unlink()

    opened, traded = next_start(tmp_path)

    assert ([], True) == (opened, traded)
