"""``state.json`` of a session that runs, and of one that was killed: recent, whole, and bounded."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from starting_house import AT_ONCE_S, House, entries_of, environment, write_configuration

from actors.runtime.limits import STATE_EVERY_S
from messages import ExecutionReport
from state.orders import TERMINAL
from state.snapshots import Snapshot, load_state

FAST = 600.0
"""Session seconds a second: ten bars, for longer than anybody looks."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    write_configuration(tmp_path, bars=4_000)
    return House(tmp_path)


@dataclass
class Running:
    """A daemon, and what it says."""

    process: subprocess.Popen[str]
    log: Path

    def poll(self) -> int | None:
        """Return its exit code, if it has one."""
        return self.process.poll()

    @property
    def said(self) -> str:
        """Return what it has said."""
        return self.log.read_text()


@contextmanager
def running(house: House) -> Iterator[Running]:
    """Run a daemon at a pace at which one can look at it; kill it at the end."""
    log = house.folder / "daemon.log"
    with log.open("w") as out:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "tidegate", "trade", "--new", "--speed", str(FAST)],
            cwd=house.folder,
            env=environment(),
            stdout=out,
            stderr=out,
            text=True,
        )
    try:
        yield Running(daemon, log)
    finally:
        daemon.kill()
        daemon.wait()


def newest(house: House, daemon: Running, after: int) -> Snapshot:
    """Return the first snapshot that knows more than entry ``after``; what is there is whole."""
    until = time.monotonic() + AT_ONCE_S
    while time.monotonic() < until:
        assert daemon.poll() is None, daemon.said
        paths = [session / "state.json" for session in house.sessions]
        if paths and paths[0].exists():
            found = load_state(paths[0])  # raises for one that is half written
            if found.seq > after:
                return found
        time.sleep(0.02)
    pytest.fail("no newer snapshot")


def test_the_newest_snapshot_of_a_killed_session_is_there(house: House) -> None:
    """
    It is of the last seconds, and what it says is what the journal says up to its entry.

    It is never ahead of the journal, whose truth it is a picture of.
    """
    with running(house) as daemon:
        first = newest(house, daemon, 0)
        second = newest(house, daemon, first.seq)
        newest(house, daemon, second.seq)
    found = load_state(house.session / "state.json")
    entries = entries_of(house.session)
    assert first.seq < second.seq < found.seq <= len(entries)
    # Ten bars a second, and each a handful of entries: it lags a few seconds at most.
    assert entries[-1].ts - found.clock < 10 * FAST * 1000 * STATE_EVERY_S

    live = {order.request.order_id for order in found.orders}
    status = {}
    for entry in entries[: found.seq]:
        report = entry.message
        if isinstance(report, ExecutionReport):
            status[report.order_id] = report.status
    assert live == {name for name, each in status.items() if each not in TERMINAL}


def wait(daemon: Running, reached: Callable[[], bool]) -> None:
    """Wait until something is so of a daemon that runs."""
    until = time.monotonic() + AT_ONCE_S
    while not reached():
        assert daemon.poll() is None, daemon.said
        assert time.monotonic() < until, daemon.said
        time.sleep(0.05)


def take_its_place(path: Path) -> None:
    """Make a folder where new content is begun, so that no version of it can be any more."""
    while True:
        with suppress(FileExistsError):  # one is being written at this moment
            path.mkdir()
            return


def test_a_session_that_cannot_write_it_goes_on(house: House) -> None:
    """It is told once, and nothing of the session waits for it."""
    with running(house) as daemon:
        newest(house, daemon, 0)
        take_its_place(house.session / ".state.json.new")
        wait(daemon, lambda: "state_not_written" in daemon.said)
        before = len(entries_of(house.session))
        wait(daemon, lambda: len(entries_of(house.session)) >= before + 60)
    said = daemon.log.read_text()

    assert len(entries_of(house.session)) >= before + 60
    assert 1 == said.count("state_not_written")
