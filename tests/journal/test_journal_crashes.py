"""Processes that die: what had been committed is there, and none hangs on its way out."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from state.journal.durable import DurableJournal
from state.journal.reader import read_journal, read_lines
from state.ndjson import catch_up

CHILD = Path(__file__).with_name("crashing_child.py")


def start(path: Path, way: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(path), way],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


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
        child.kill()
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
