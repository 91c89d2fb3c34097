"""Processes that die: what had been committed is there, and none hangs on its way out."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from state.journal.durable import DurableJournal
from state.journal.reader import read_journal, read_lines
from state.ndjson import catch_up

# A child's promise on its standard output, and a sync that has returned.
PROMISE = re.compile(r"write\(1<.*>, \"\d+")
SYNCED = re.compile(r"fdatasync(\(\d+<.*journal\.sqlite-wal>| resumed>)\) += 0")
CHILD = Path(__file__).with_name("crashing_child.py")


def start(path: Path, way: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*before, sys.executable, str(CHILD), str(path), way],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def kill(child: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to the process and to whatever traces it."""
    os.killpg(child.pid, signal.SIGKILL)


async def test_a_killed_process_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    """
    Whenever ``kill -9`` lands, the next start finds every committed entry, without a gap, and
    goes on; the log of events is made whole again from the journal.
    """
    path, events = tmp_path / "journal.sqlite", tmp_path / "events.ndjson"
    choice = random.Random(7)
    promised = 0
    for _ in range(5):
        child = start(path, "write")
        assert child.stdout is not None
        assert child.stderr is not None
        opened = child.stdout.readline().split()
        assert opened[0] == b"opened", child.stderr.read().decode()
        assert int(opened[1]) >= promised
        for _ in range(choice.randrange(1, 60)):
            promised = int(child.stdout.readline())
        kill(child)
        rest, _ = child.communicate()
        promised = max([promised, *map(int, rest.rpartition(b"\n")[0].split())])

        numbers = [entry.seq for entry in read_journal(path)]
        assert list(range(1, len(numbers) + 1)) == numbers
        assert len(numbers) >= promised
        catch_up(events, path)
        assert events.read_bytes().splitlines() == list(read_lines(path))

    journal = await DurableJournal.open(path)
    found = journal.seq
    await journal.close()

    assert found >= promised > 0


@pytest.mark.parametrize(("way", "said"), [("forget", b""), ("abort", b""), ("fail", b"failed\n")])
def test_a_process_that_leaves_its_journal_open_ends_all_the_same(
    tmp_path: Path, way: str, said: bytes
) -> None:
    """SQLite's thread neither hangs the interpreter's exit nor complains about a closed loop."""
    child = start(tmp_path / "journal.sqlite", way)
    out, errors = child.communicate(timeout=60)

    assert (0, said, b"") == (child.returncode, out, errors)


def test_nothing_is_called_durable_before_the_disk_has_answered(tmp_path: Path) -> None:
    """
    Between any two promises of the process lies a sync of the journal's file: the order of system
    calls is the only evidence that a power cut would confirm.
    """
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    command = [strace, "-f", "-y", "-e", "trace=fdatasync,fsync,write", "-o", str(trace)]
    child = start(tmp_path / "journal.sqlite", "write", before=command)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(12)]
    kill(child)
    child.communicate(timeout=60)
    if not lines[-1]:
        pytest.skip("strace may not trace here")

    events = [
        "promise" if PROMISE.search(call) else "sync"
        for call in trace.read_text("utf-8", "replace").splitlines()
        if PROMISE.search(call) or SYNCED.search(call)
    ]
    promises = [place for place, event in enumerate(events) if event == "promise"]
    assert len(promises) >= 11
    assert all(events[place - 1] == "sync" for place in promises)
