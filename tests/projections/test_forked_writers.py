"""The writers of projections that tests fork are the process that everybody has."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import forked_writers
import pytest
from session_makers import story

from state.journal import JournalFailed, encode_lines
from state.projections import process
from state.projections.process import ProjectionProcess
from state.projections.worker import EXIT_FAILED, Answer


def told(out: Path) -> tuple[Answer, dict[str, str]]:
    """Return a writer's answer to a whole session, and the sums of all that it has written."""
    out.mkdir()
    writer = ProjectionProcess(out, journal=False)
    for entry in story(orders=60):
        writer.write([entry], encode_lines([entry]))
    answer = writer.finish({})
    return answer, {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()
    }


def test_a_fork_writes_what_a_new_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, and its answer is the same."""
    forked = told(tmp_path / "forked")
    monkeypatch.setitem(vars(process), "subprocess", subprocess)
    started = told(tmp_path / "started")

    assert started == forked
    assert "events.ndjson" in forked[1]


def test_what_a_fork_cannot_write_is_told_as_by_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session must know, in the same words."""
    said = []
    for _ in range(2):
        writer = ProjectionProcess(tmp_path / "nowhere", journal=False)
        with pytest.raises(JournalFailed) as failed:
            writer.finish({})
        said.append((str(failed.value), repr(failed.value.__cause__), writer._process.wait()))
        monkeypatch.setitem(vars(process), "subprocess", subprocess)

    assert said[0] == said[1]
    assert EXIT_FAILED == said[0][2]


def is_locked(path: Path) -> bool:
    """Return whether somebody writes there, alone."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_the_end_of_a_fork_is_told_once_nothing_of_it_is_held(tmp_path: Path) -> None:
    """What was killed has no exit code; the next writer need not wait for its lock."""
    writer = ProjectionProcess(tmp_path, journal=False)
    forked = writer._process
    assert isinstance(forked, forked_writers.ForkedWriter)
    entries = story(orders=60)
    writer.write(entries, encode_lines(entries))  # more than its pipe keeps back
    while not is_locked(tmp_path / "events.ndjson"):
        os.sched_yield()
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(timeout=0)
    os.kill(forked.pid, signal.SIGKILL)

    assert -signal.SIGKILL == forked.wait()
    assert not is_locked(tmp_path / "events.ndjson")
    writer.abandon()
