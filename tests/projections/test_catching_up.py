"""Projections that begin with an earlier process's journal: the same files, and nobody waits."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import msgspec
import pytest
from session_makers import story

from state.journal import JournalDamaged, encode_lines
from state.journal.bulk import SqliteSink
from state.projections.worker import (
    CATCH_UP,
    FACTS,
    LINES,
    PLAN,
    CatchUp,
    Plan,
    ReadAhead,
    frame,
    stored_batches,
    work,
)

TABLES = ("events.ndjson", "orders.csv", "trades.csv", "account.csv", "session.md")


def frames(out: Path, *rest: bytes) -> io.BytesIO:
    """Return a worker's input: its plan, then ``rest``."""
    out.mkdir(exist_ok=True)
    return io.BytesIO(b"".join((frame(PLAN, msgspec.json.encode(Plan(str(out), False))), *rest)))


def stored(path: Path, count: int) -> list[bytes]:
    """Make a journal of the first ``count`` entries of a session; return all of its lines."""
    lines = [encode_lines([entry]) for entry in story(orders=60)]
    sink = SqliteSink(path)
    sink.write_lines(1, b"".join(lines[:count]))
    sink.close()
    return lines


def caught_up(journal: Path, upto: int) -> bytes:
    return frame(CATCH_UP, msgspec.json.encode(CatchUp(str(journal), upto)))


def test_what_was_stored_and_what_follows_make_the_files_of_the_whole(tmp_path: Path) -> None:
    """Byte for byte those that a process writes which has seen everything live."""
    lines = stored(tmp_path / "journal.sqlite", 40)
    facts = frame(FACTS, b"{}")
    at_once = work(frames(tmp_path / "whole", frame(LINES, b"".join(lines)), facts))
    rest = frame(LINES, b"".join(lines[40:]))
    later = work(frames(tmp_path / "cut", caught_up(tmp_path / "journal.sqlite", 40), rest, facts))

    assert at_once is not None
    assert later is not None
    assert at_once.sha256 == later.sha256
    for name in TABLES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_what_found_no_room_is_read_in_its_place(tmp_path: Path) -> None:
    """However often, and also where it began with an earlier process's journal."""
    journal = tmp_path / "journal.sqlite"
    lines = stored(journal, 60)
    facts = frame(FACTS, b"{}")

    def read(after: int, upto: int) -> bytes:
        return frame(CATCH_UP, msgspec.json.encode(CatchUp(str(journal), upto, after)))

    def given(after: int, upto: int) -> bytes:
        return frame(LINES, b"".join(lines[after:upto]))

    at_once = work(frames(tmp_path / "whole", given(0, len(lines)), facts))
    later = work(
        frames(
            tmp_path / "cut",
            read(0, 20),
            given(20, 25),
            read(25, 40),
            given(40, 41),
            read(41, 60),
            given(60, len(lines)),
            facts,
        )
    )

    assert at_once is not None
    assert later is not None
    assert at_once.sha256 == later.sha256


def test_no_entry_after_the_one_asked_for_is_taken_from_the_journal(tmp_path: Path) -> None:
    """What a session has written meanwhile comes by the pipe, and must not come twice."""
    path = tmp_path / "journal.sqlite"
    lines = stored(path, 40)

    assert b"".join(lines[:25]) == b"".join(stored_batches(CatchUp(str(path), 25)))


def test_a_journal_that_ends_too_soon_is_damage(tmp_path: Path) -> None:
    """Files that lack entries would be wrong for ever."""
    path = tmp_path / "journal.sqlite"
    stored(path, 40)

    with pytest.raises(JournalDamaged, match="expected entry 41"):
        list(stored_batches(CatchUp(str(path), 45)))


def test_the_worker_of_a_session_that_died_again_does_not_read_on(tmp_path: Path) -> None:
    """The next one waits for its lock; an answer is given to facts alone."""
    path = tmp_path / "journal.sqlite"
    stored(path, 40)

    assert work(frames(tmp_path / "cut", caught_up(path, 40))) is None


def test_frames_are_taken_from_the_pipe_before_they_are_wanted() -> None:
    """A session is not made to wait by what its projections are still reading."""
    ahead = ReadAhead(io.BytesIO(frame(LINES, b"one") + frame(LINES, b"two") + frame(FACTS, b"{}")))
    waiting = threading.Event()
    for _ in range(500):
        if ahead._ended:
            break
        waiting.wait(0.01)

    assert not ahead.is_abandoned
    assert [b"one", b"two", b"{}"] == [item[1] for item in iter(ahead.next, None)]


def test_what_is_read_ahead_is_bounded() -> None:
    """Past the bound the pipe fills, and the session waits as behind any other."""
    stream = io.BytesIO(b"".join(frame(LINES, b"x" * 100) for _ in range(100)))
    ahead = ReadAhead(stream, most=1_000)
    held = []
    while (item := ahead.next()) is not None:
        held.append(ahead._bytes)
        assert item == (LINES, b"x" * 100)

    assert len(held) == 100
    assert max(held) <= 1_000
    assert ahead.is_abandoned
