"""Leases: one daemon an account, one process a session, and no trace of a dead one in the way."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from state.lease import (
    FILE,
    Holder,
    Lease,
    LeaseHeld,
    SessionLease,
    lease_files,
    read_holder,
)

ROOT = Path(__file__).resolve().parents[2]
SINCE = 1_704_067_200_000
ME = Holder.this(SINCE)

CHILD = """\
import sys
from pathlib import Path
from state.lease import Holder, Lease, LeaseHeld, SessionLease
kind, path = sys.argv[1], Path(sys.argv[2])
try:
    lease = SessionLease(path) if kind == "session" else Lease([path], Holder.this(0))
except LeaseHeld as held:
    print("refused:", held, flush=True)
    sys.exit(5)
print("taken", flush=True)
sys.stdin.read()
"""

Started = Callable[[str, Path], "tuple[subprocess.Popen[str], str]"]


@pytest.fixture
def process() -> Iterator[Started]:
    """Return a way to have another process take a lease; it says what came of it."""
    children: list[subprocess.Popen[str]] = []

    def start(kind: str, path: Path) -> tuple[subprocess.Popen[str], str]:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, kind, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        children.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts" / "main" / FILE


def end(child: subprocess.Popen[str], number: int) -> None:
    child.send_signal(number)
    child.wait()


def test_a_second_process_is_refused_and_told_who_the_first_one_is(
    path: Path, process: Started
) -> None:
    """By process, host, beginning and session: whoever reads it knows where to look."""
    lease = Lease([path], ME)
    _, at_first = process("account", path)
    lease.name_session("l-1")
    _, later = process("account", path)
    lease.release()
    _, at_last = process("account", path)

    who = f"pid {os.getpid()} on {os.uname().nodename}, since 2024-01-01T00:00:00Z"
    assert at_first.startswith("refused: a daemon runs for this account already (" + who + ")")
    assert f"({who}, session l-1): {path} is locked" in later
    assert "taken" == at_last


def test_a_lease_ends_with_its_process_however_that_ends(path: Path, process: Started) -> None:
    """After ``kill -9`` the next one starts at once: no process id has to be judged."""
    first, said = process("account", path)
    with pytest.raises(LeaseHeld, match=f"pid {first.pid}") as refused:
        Lease([path], ME)
    end(first, signal.SIGKILL)
    left = read_holder(path)
    Lease([path], ME).release()

    assert "taken" == said
    assert refused.value.holder is not None
    assert refused.value.holder.pid == first.pid
    assert left is not None
    assert left.pid == first.pid


def test_a_suspended_holder_keeps_its_lease(path: Path, process: Started) -> None:
    """What does not run may run again: it is no reason to let a second one in."""
    first, _ = process("account", path)
    first.send_signal(signal.SIGSTOP)
    with pytest.raises(LeaseHeld):
        Lease([path], ME)
    end(first, signal.SIGKILL)
    second = Lease([path], ME)

    assert second.intact
    second.release()


def test_what_a_holder_starts_does_not_keep_its_lease(path: Path) -> None:
    """A child of a daemon that was killed must not keep the next daemon from starting."""
    lease = Lease([path], ME)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    lease.release()
    again = Lease([path], ME)
    alive = child.poll() is None
    child.communicate(b"\n")

    assert alive
    assert again.intact
    again.release()


def test_the_first_line_is_the_process_id(path: Path) -> None:
    """Shell scripts and the runbook read it."""
    lease = Lease([path], ME)
    lease.name_session("l-" + "1" * 40)
    lease.name_session("l-2")

    assert str(os.getpid()) == path.read_text().splitlines()[0]
    assert read_holder(path) == Holder(ME.pid, ME.host, SINCE, "l-2")
    lease.release()


@pytest.mark.parametrize(
    "content", ["", "12\n", "12\nnot json\n", '12\n{"pid": 1}\n', "\xff\n[]\n"]
)
def test_a_file_that_says_nothing_is_a_lock_all_the_same(path: Path, content: str) -> None:
    """Right after it was made, or written by an older Tidegate: whoever holds it counts."""
    lease = Lease([path], ME)
    path.write_text(content)
    with pytest.raises(LeaseHeld, match="a daemon runs for this account already: ") as refused:
        Lease([path], ME)
    lease.release()

    assert refused.value.holder is None


def test_all_files_of_a_lease_or_none(tmp_path: Path) -> None:
    """A live account's second file is held elsewhere: the first one is given back."""
    own, users = tmp_path / "own", tmp_path / "user" / "live"
    elsewhere = Lease([users], ME)
    with pytest.raises(LeaseHeld, match="live is locked"):
        Lease([own, users], ME)
    Lease([own], ME).release()
    elsewhere.release()
    both = Lease([own, users], ME)

    assert ME == read_holder(own) == read_holder(users)
    both.release()
    both.release()


def test_a_removed_file_is_noticed(path: Path) -> None:
    """Whoever removes the file of a running daemon lets a second one in; the first can tell."""
    lease = Lease([path], ME)
    before = lease.intact
    path.unlink()
    gone = lease.intact
    second = Lease([path], ME)

    assert (True, False, False) == (before, gone, lease.intact)
    assert second.intact
    lease.release()
    second.release()


def test_a_file_that_is_removed_while_it_is_locked_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is locked must be what everybody else would find."""
    flock = fcntl.flock
    removed = []

    def remove_first(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        if len(removed) < 2:
            removed.append(path.unlink())

    monkeypatch.setattr("fcntl.flock", remove_first)
    lease = Lease([path], ME)

    assert len(removed) == 2
    assert lease.intact
    lease.release()


def test_paper_accounts_are_of_their_folder_and_live_ones_of_their_venue(tmp_path: Path) -> None:
    """Two rehearsals in two folders may run; two daemons on one real account may not."""
    one, two = tmp_path / "one", tmp_path / "two"
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    paper = [lease_files(folder, "paper", "ccxt", "main", environ) for folder in (one, two)]
    live = [lease_files(folder, "live", "binanceusdm", "main", environ) for folder in (one, two)]
    other = lease_files(one, "live", "kraken/../x", "main", environ)
    leases = [Lease(files, ME) for files in (*paper, other[1:])]
    for each in leases:
        each.release()
    first = Lease(live[0], ME)
    with pytest.raises(LeaseHeld, match=r"binanceusdm-main\.lock is locked"):
        Lease(live[1], ME)
    first.release()

    assert [(one / FILE,), (two / FILE,)] == paper
    assert other[1].parent == live[0][1].parent == tmp_path / "state" / "tidegate" / "leases"


def test_without_a_state_folder_of_its_own_the_users_home_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative one is ignored, as the standard for these folders says."""
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / ".local" / "state" / "tidegate" / "leases" / "venue-main.lock"
    found = [
        lease_files(tmp_path, "live", "venue", "main", environ)[1]
        for environ in ({}, {"XDG_STATE_HOME": "relative"})
    ]

    assert [expected] * 2 == found


def test_a_session_runs_once(tmp_path: Path, process: Started) -> None:
    """Whatever account it says it is of; and nothing is written into its folder for that."""
    _, said = process("session", tmp_path)
    with pytest.raises(LeaseHeld, match=f"session {tmp_path.name} is running already"):
        SessionLease(tmp_path)

    assert "taken" == said
    assert [] == list(tmp_path.iterdir())


def test_a_killed_session_can_be_run_again(tmp_path: Path, process: Started) -> None:
    """Its lease is gone with its process."""
    first, _ = process("session", tmp_path)
    end(first, signal.SIGKILL)
    lease = SessionLease(tmp_path)
    lease.release()
    lease.release()

    SessionLease(tmp_path).release()


def test_without_the_lock_two_processes_have_one_account(
    path: Path, process: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is what keeps the second one out, nothing else."""
    _, said = process("account", path)
    with pytest.raises(LeaseHeld):
        Lease([path], ME)
    monkeypatch.setattr("fcntl.flock", lambda *_arguments: None)
    second = Lease([path], ME)

    assert "taken" == said
    assert second.intact
    second.release()
