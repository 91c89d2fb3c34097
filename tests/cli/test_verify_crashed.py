"""What `verify` and `sessions` say of sessions whose process died, was resumed, or still runs."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from state.lease import SessionLease

if TYPE_CHECKING:
    from tests.cli.conftest import Process, Tidegate

GUARDS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"


def crashed(tidegate: Tidegate, process: Process, at: str) -> Path:
    """Return the folder of a paper session whose process killed itself at a crash point."""
    tidegate("init")
    died = process("trade", "--speed", 0, TIDEGATE_CRASH_AT=at)
    assert died.returncode == -signal.SIGKILL, died.stderr
    (folder,) = Path("runs/paper/sessions").iterdir()
    return folder


def listed(tidegate: Tidegate) -> dict[str, Any]:
    """Return the one row of `tidegate sessions`."""
    (row,) = json.loads(tidegate("sessions", "--json").stdout)["sessions"]
    found: dict[str, Any] = row
    return found


def test_what_a_dead_process_left_is_the_same_up_to_its_end(
    tidegate: Tidegate, process: Process
) -> None:
    """What is there is compared, and how far that is, is said; its end is no difference."""
    folder = crashed(tidegate, process, "journal.committed:40")
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        (last,) = journal.execute("SELECT max(seq) FROM journal").fetchone()
    journal.close()

    verified = tidegate("verify", "latest")

    assert verified.exit_code == 0, verified.output
    assert f"same up to entry {last}, where the process of {folder.name} ended" in verified.stdout


def test_a_changed_decision_before_the_crash_is_named(tidegate: Tidegate, process: Process) -> None:
    """Ablation: one digit of one recorded order is enough."""
    folder = crashed(tidegate, process, "journal.committed:40")
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        seq, line = journal.execute(
            'SELECT seq, line FROM journal WHERE line LIKE \'%"event":"journaled"%\' LIMIT 1'
        ).fetchone()
        changed = line.replace('"quantity":"', '"quantity":"9', 1)
        assert changed != line
        for (guard,) in journal.execute(GUARDS).fetchall():
            journal.execute(f"DROP TRIGGER {guard}")  # nothing of ours changes a journal
        journal.execute("UPDATE journal SET line = ? WHERE seq = ?", (changed, seq))
    journal.close()

    verified = tidegate("verify", "latest")

    assert verified.exit_code == 1
    assert f"differs: journal: entry {seq} (" in verified.stdout


def test_a_session_that_nobody_runs_is_listed_as_crashed(
    tidegate: Tidegate, process: Process
) -> None:
    """And one that somebody runs as running: the lease says it, not the manifest."""
    folder = crashed(tidegate, process, "journal.committed:3")

    dead = listed(tidegate)["status"]
    table = tidegate("sessions").stdout
    lease = SessionLease(folder)
    alive = listed(tidegate)["status"]
    lease.release()

    assert ("crashed", "running") == (dead, alive)
    assert " crashed " in table


def test_a_session_that_was_resumed_is_the_same_over_all_its_processes(
    tidegate: Tidegate, process: Process
) -> None:
    """Each next process begins over the states that the re-executed one before it left."""
    folder = crashed(tidegate, process, "journal.committed:40")
    again = process("trade", "--resume", "--speed", 0, TIDEGATE_CRASH_AT="journal.committed:25")
    assert again.returncode == -signal.SIGKILL, again.stderr
    ended = process("trade", "--resume", "--speed", 0)
    assert ended.returncode == 0, ended.stderr

    verified = tidegate("verify", "latest")

    assert verified.exit_code == 0, verified.output
    assert f"of {folder.name}" in verified.stdout
