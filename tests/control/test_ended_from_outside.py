"""A daemon that does not answer is ended, whatever the disk does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.register import FILE, HoldRegister
from tidegate.control import last_resort
from tidegate.control.client import Place, operator
from tidegate.control.daemon import Daemon, process_started
from tidegate.control.last_resort import end_and_hold
from tidegate.exits import Wanting


@pytest.fixture
def hanging() -> Iterator[subprocess.Popen[bytes]]:
    """A process that will never answer anybody."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    yield process
    process.kill()
    process.wait()


def daemon_of(process: subprocess.Popen[bytes]) -> Daemon:
    """Return what the account's folder says of it."""
    return Daemon(process.pid, process_started(process.pid), "paper", "main", "nowhere.sock")


def test_where_nothing_can_be_written_it_is_ended_all_the_same(
    tmp_path: Path, hanging: subprocess.Popen[bytes]
) -> None:
    """It may be sending: that the next start is not held is said, and what to do about it."""
    (tmp_path / "runs").write_text("a file where the folder should be")
    place = Place(tmp_path / "runs", "paper", "main")

    with pytest.raises(Wanting) as told:
        end_and_hold(place, daemon_of(hanging), reason="drill", flatten=True)

    assert -signal.SIGKILL == hanging.wait(30)
    ended, unlatched = told.value.problems
    assert "a dead process sends nothing" in ended
    assert "NOT FLAT" in ended
    assert unlatched.startswith("NOT LATCHED")
    assert "touch KILL" in unlatched


def test_a_disk_that_hangs_holds_nothing_up(
    tmp_path: Path, hanging: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that does not come back is not waited for: here a pipe that nobody reads."""
    monkeypatch.setattr(last_resort, "LATCH_S", 0.05)
    place = Place(tmp_path, "paper", "main")
    place.folder.mkdir(parents=True)
    os.mkfifo(place.folder / FILE)

    with pytest.raises(Wanting, match="has not answered"):
        end_and_hold(place, daemon_of(hanging), reason="drill")

    assert -signal.SIGKILL == hanging.wait(30)
    os.close(os.open(place.folder / FILE, os.O_WRONLY))  # the thread comes to its end


def test_a_disk_that_is_well_has_the_kill(tmp_path: Path, hanging: subprocess.Popen[bytes]) -> None:
    """Latched, ended, and said in one text."""
    place = Place(tmp_path, "paper", "main")

    said = end_and_hold(place, daemon_of(hanging), reason="drill")

    assert -signal.SIGKILL == hanging.wait(30)
    assert "latched on the disk" in said
    assert ["kill"] == [hold.hold_id for hold in HoldRegister(place.folder / FILE).load()]


def test_a_user_without_a_name_can_kill_and_panic(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container there may be no more than a number."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)

    assert "cli:4000000" == operator()
