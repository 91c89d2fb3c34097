"""A process of projections that does not move: a live session waits for it never."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from session_makers import story
from structlog.testing import capture_logs

from state.journal import encode_lines
from state.journal.bulk import SqliteSink
from state.journal.entry import Entry
from state.projections import process
from state.projections.limits import PIPE_BATCHES
from state.projections.process import ProjectionProcess
from state.projections.worker import Answer

AT_ONCE_S = 60.0
STUCK_S = 1.0
"""A thread that has not gone on for so long waits for the pipe."""
NEVER = threading.Event()
ENTRIES = story(orders=120)


def durable(out: Path) -> Path:
    """Make the journal that has every entry before its projections do."""
    out.mkdir()
    sink = SqliteSink(out / "journal.sqlite")
    sink.write_lines(1, encode_lines(ENTRIES))
    sink.close()
    return out / "journal.sqlite"


@contextmanager
def stopped(writer: ProjectionProcess) -> Iterator[None]:
    """
    Stop the process behind ``writer``, as a debugger or a machine short of memory does.

    The pipe to it is as short as there are, so that it is soon full.
    """
    assert writer._process.stdin is not None
    fcntl.fcntl(writer._process.stdin.fileno(), fcntl.F_SETPIPE_SZ, 4_096)
    os.kill(writer._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(writer._process.pid, signal.SIGCONT)


def in_another_thread(writer: ProjectionProcess, entries: Sequence[Entry]) -> threading.Thread:
    """Write a batch an entry in a thread that may have to wait."""

    def write() -> None:
        for entry in entries:
            writer.write([entry], encode_lines([entry]))

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def write_each(writer: ProjectionProcess, entries: Sequence[Entry]) -> bool:
    """Write a batch an entry; return whether nobody had to wait."""
    thread = in_another_thread(writer, entries)
    thread.join(AT_ONCE_S / 4)
    return not thread.is_alive()


def fill(writer: ProjectionProcess, entries: Sequence[Entry]) -> int:
    """Write a batch an entry until the pipe takes none any more; return how many that were."""
    for count, entry in enumerate(entries, 1):
        writer.write([entry], encode_lines([entry]))
        until_s = time.monotonic() + STUCK_S
        while writer._frames.qsize():
            if time.monotonic() > until_s:
                return count
            NEVER.wait(0.001)
    raise AssertionError("the pipe has room for everything")


def expected(out: Path) -> Answer:
    """Return the answer of a process that has seen everything in time."""
    durable(out)
    writer = ProjectionProcess(out, journal=False)
    writer.write(ENTRIES, encode_lines(ENTRIES))
    return writer.finish({})


@pytest.mark.parametrize("moves_at", [len(ENTRIES) - 20, len(ENTRIES)], ids=["middle", "end"])
def test_a_process_that_does_not_move_keeps_no_live_session_waiting(
    tmp_path: Path, moves_at: int
) -> None:
    """
    Many more batches than the queue has room for; then it moves again.

    Its files are byte for byte those of a process that has seen everything in time.
    """
    out = tmp_path / "behind"
    writer = ProjectionProcess(out, journal=False, durable=durable(out))
    with stopped(writer):
        first = fill(writer, ENTRIES[:moves_at])
        assert write_each(writer, ENTRIES[first:moves_at])
        assert writer._given_to is not None
        assert PIPE_BATCHES == writer._frames.qsize()
    assert write_each(writer, ENTRIES[moves_at:])

    answer = writer.finish({})

    assert expected(tmp_path / "in-time").sha256 == answer.sha256
    assert encode_lines(ENTRIES) == (out / "events.ndjson").read_bytes()


def test_a_simulation_waits_for_who_writes_its_journal(tmp_path: Path) -> None:
    """The ablation: nothing of it is on a disk yet, and what found no room would be lost."""
    tmp_path.joinpath("out").mkdir()
    writer = ProjectionProcess(tmp_path / "out", journal=True)
    with stopped(writer):
        thread = in_another_thread(writer, ENTRIES)
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(AT_ONCE_S)

    assert "events.ndjson" in writer.finish({}).sha256


def test_a_process_that_stays_behind_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once more when it goes on; a short delay, as at its start, is nobody's business."""
    monkeypatch.setattr(process, "BEHIND_ENTRIES_TOLD", 50)
    out = tmp_path / "out"
    writer = ProjectionProcess(out, journal=False, durable=durable(out))
    with capture_logs() as said, stopped(writer):
        first = fill(writer, ENTRIES)
        assert write_each(writer, ENTRIES[first:])
    with capture_logs() as later:
        writer.finish({})

    assert ["projections_behind"] == [line["event"] for line in said]
    assert ["projections_go_on"] == [line["event"] for line in later]


def test_a_process_that_does_not_move_is_ended_where_nobody_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that failed is not kept from its end by whoever would write its files."""
    monkeypatch.setattr(process, "ABANDON_S", 0.2)
    out = tmp_path / "out"
    writer = ProjectionProcess(out, journal=False, durable=durable(out))
    os.kill(writer._process.pid, signal.SIGSTOP)
    assert write_each(writer, ENTRIES)

    letting_go = threading.Thread(target=writer.abandon, daemon=True)
    letting_go.start()
    letting_go.join(AT_ONCE_S)

    assert not letting_go.is_alive()
    assert -signal.SIGKILL == writer._process.wait()
