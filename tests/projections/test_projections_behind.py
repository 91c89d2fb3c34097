"""A process of projections that does not move: a live session waits for it never."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from session_makers import story
from structlog.testing import capture_logs

from state.journal import JournalFailed, encode_lines
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
        with suppress(ProcessLookupError):  # who has ended it meanwhile has had it buried, too
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


def in_time(act: Callable[[], object]) -> BaseException | None:
    """Return what ``act`` raises; fail where it is not over in time."""
    ends: list[BaseException | None] = []

    def run() -> None:
        try:
            act()
        except JournalFailed as failed:
            ends.append(failed)
        else:
            ends.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(AT_ONCE_S)
    assert ends, "it waits without end"
    return ends[0]


@pytest.mark.parametrize("behind", [False, True], ids=["in time", "behind"])
def test_the_end_does_not_wait_for_a_process_that_does_not_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """Stopped with everything it needs in its pipe, or with a queue before it that is full."""
    monkeypatch.setattr(process, "STILL_S", 1.0)
    monkeypatch.setattr(process, "LOOK_S", 0.1)
    out = tmp_path / "out"
    writer = ProjectionProcess(out, journal=False, durable=durable(out))
    with stopped(writer):
        if behind:
            assert write_each(writer, ENTRIES[fill(writer, ENTRIES) :])
            assert writer._given_to is not None
        failed = in_time(lambda: writer.finish({}))

    assert "did nothing for 1 s, and was ended" in str(failed)
    assert -signal.SIGKILL == writer._process.wait()
    writer.abandon()


WORKING = """
import sys, time
from state.projections import worker

def work(stream):
    while worker.read_frame(stream) is not None:
        pass
    while time.process_time() < 4:
        pass
    return worker.Answer({}, {})

worker.WORKS_S, worker.work = float(sys.argv[1]), work
sys.exit(worker.main())
"""
"""A worker with several seconds of work at its end, in one piece."""


def working(says_every_s: float) -> SimpleNamespace:
    """Return what starts it in place of the worker."""

    def start(_command: object, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORKING, str(says_every_s)], **options)

    return SimpleNamespace(
        PIPE=subprocess.PIPE, Popen=start, TimeoutExpired=subprocess.TimeoutExpired
    )


def test_the_end_waits_for_a_process_that_works_however_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What is done at the end of a long session takes longer than one that does nothing is waited for.

    The ablation: one that did not say that it works would be ended.
    """
    monkeypatch.setattr(process, "STILL_S", 1.5)
    monkeypatch.setattr(process, "LOOK_S", 0.1)
    monkeypatch.setitem(vars(process), "subprocess", working(0.05))
    writer = ProjectionProcess(tmp_path, journal=False)
    while writer._moves < 2:  # it has taken its plan, and worked: it has started
        NEVER.wait(0.01)
    assert Answer({}, {}) == writer.finish({})

    monkeypatch.setitem(vars(process), "subprocess", working(3_600))
    silent = ProjectionProcess(tmp_path, journal=False)
    with pytest.raises(JournalFailed, match="did nothing"):
        silent.finish({})
    silent.abandon()


def test_a_process_that_cannot_be_ended_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer has it: no signal reaches it there."""
    for name in ("STILL_S", "ABANDON_S", "KILLED_S"):
        monkeypatch.setattr(process, name, 0.4)
    monkeypatch.setattr(process, "LOOK_S", 0.1)
    out = tmp_path / "out"
    writer = ProjectionProcess(out, journal=False, durable=durable(out))
    with stopped(writer), capture_logs() as said:
        kill = writer._process.kill
        monkeypatch.setattr(writer._process, "kill", lambda: None)
        assert isinstance(in_time(lambda: writer.finish({})), JournalFailed)
        assert in_time(writer.abandon) is None
        kill()

    assert ["projections_left"] == [line["event"] for line in said]
    assert -signal.SIGKILL == writer._process.wait()


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
