"""What `verify` and `sessions` say of sessions whose process died, was resumed, or still runs."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from messages import PortfolioMarked
from state import fact_snapshots
from state.journal import schema
from state.journal.reader import read_journal
from state.lease import SessionLease
from state.manifest import SessionStatus, load_manifest, seal
from state.money import plain

pytestmark = pytest.mark.exhaustive

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


def rewrite(journal: sqlite3.Connection, seq: int, line: str) -> None:
    """Change an entry as somebody would who wants it to be believed: with its checksum."""
    told = (line, schema.sum_of(seq, line.encode()), seq)
    journal.execute("UPDATE journal SET line = ?, sum = ? WHERE seq = ?", told)


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
        rewrite(journal, seq, changed)
    journal.close()

    verified = tidegate("verify", "latest")

    assert verified.exit_code == 1
    assert f"differs: journal: entry {seq} (" in verified.stdout


@pytest.mark.parametrize("line", ["unreadable", '{"type":"Tick","seq":9,"ts":"never",'])
def test_a_journal_that_cannot_be_read_is_no_fault_of_ours(
    tidegate: Tidegate, process: Process, line: str
) -> None:
    """It is told which entry that is, in one line."""
    folder = crashed(tidegate, process, "journal.committed:40")
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        for (guard,) in journal.execute(GUARDS).fetchall():
            journal.execute(f"DROP TRIGGER {guard}")  # nothing of ours changes a journal
        rewrite(journal, 9, line)
    journal.close()

    verified = tidegate("verify", "latest")

    assert verified.exit_code == 1, verified.output
    assert "entry 9 cannot be read" in verified.stdout


def test_a_session_that_died_after_its_last_entry_and_is_damaged_is_refused_as_such(
    tidegate: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its facts come of a snapshot, and its files cannot be made: exit code 5, and the seal."""
    monkeypatch.setattr(fact_snapshots, "FACTS_KEPT_EVERY", 60)
    tidegate("init")
    assert tidegate("trade", "--speed", 0).exit_code == 0
    (folder,) = Path("runs/paper/sessions").iterdir()
    manifest = folder / "manifest.json"
    seal(manifest, SessionStatus.RUNNING)  # as it is until everything is written
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        for (guard,) in journal.execute(GUARDS).fetchall():
            journal.execute(f"DROP TRIGGER {guard}")  # nothing of ours changes a journal
        journal.execute("UPDATE journal SET line = 'unreadable' WHERE seq = 9")
    journal.close()

    refused = tidegate("trade", "--resume")

    assert refused.exit_code == 5, refused.output
    assert "entry 9" in refused.output
    assert load_manifest(manifest).status is SessionStatus.DAMAGED


def test_the_report_of_a_session_that_went_on_is_made_anew_as_it_was(
    tidegate: Tidegate, process: Process
) -> None:
    """With the times of its last start, in the same words: else it would count as changed."""
    folder = crashed(tidegate, process, "journal.committed:40")
    assert tidegate("trade", "--resume", "--speed", 0).exit_code == 0
    written = (folder / "session.md").read_text()
    assert "went on after an earlier process: protected after" in written

    assert tidegate("report", "latest").exit_code == 0

    assert written == (folder / "session.md").read_text()
    assert tidegate("verify", "latest").exit_code == 0


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


def test_a_file_that_is_not_sound_ends_the_start_before_anything_opens(
    tidegate: Tidegate, process: Process
) -> None:
    """Found by the check beside the session, where every entry can be read: one line, exit 5."""
    folder = crashed(tidegate, process, "journal.committed:40")
    journal = folder / "journal.sqlite"
    with closing(sqlite3.connect(journal)) as file:
        # A page that no start reads: what it holds is nobody's business but the check's.
        file.execute("CREATE TABLE aside (name TEXT PRIMARY KEY)")
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_aside_1'"
        (number,) = file.execute(query).fetchone()
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(journal.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    content[(number - 1) * page : number * page] = bytes(page)
    journal.write_bytes(content)

    refused = process("trade", "--resume", "--speed", 0)

    assert refused.returncode == 5, refused.stderr
    assert "start-up refused: " in refused.stderr
    assert "journal.sqlite: integrity_check: " in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_is_said_of_a_crashed_session_is_the_newest_known(
    tidegate: Tidegate, process: Process
) -> None:
    """Its equity is that of its journal, whatever its tables had by then; it does not run."""
    folder = crashed(tidegate, process, "journal.committed:40")
    marked = [
        entry.message
        for entry in read_journal(folder / "journal.sqlite")
        if isinstance(entry.message, PortfolioMarked)
    ]
    assert marked[0].equity != marked[-1].equity

    row = listed(tidegate)
    report = tidegate("report", "latest").stdout

    assert (plain(marked[-1].equity), marked[-1].currency) == (row["equity"], row["currency"])
    assert f"paper session {folder.name}: crashed" in report


def test_a_session_that_cannot_be_read_is_listed_all_the_same(
    tidegate: Tidegate, process: Process
) -> None:
    """With what its table has: a list of sessions is no check of their journals."""
    folder = crashed(tidegate, process, "journal.committed:40")
    for path in folder.glob("journal.sqlite*"):
        path.write_bytes(b"no journal")

    assert "crashed" == listed(tidegate)["status"]


def test_a_digit_that_the_disk_has_changed_is_damage_to_everybody(
    tidegate: Tidegate, process: Process
) -> None:
    """Not a difference: verify names the entry, the start is refused, and the session sealed."""
    folder = crashed(tidegate, process, "journal.committed:40")
    path = folder / "journal.sqlite"
    with closing(sqlite3.connect(path)) as journal:
        seq, line = journal.execute(
            'SELECT seq, line FROM journal WHERE line LIKE \'%"quantity":"0.1%\' LIMIT 1'
        ).fetchone()
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    at = content.index(line.encode()) + line.encode().index(b'"quantity":"0.1') + 14
    content[at] = ord("9")
    path.write_bytes(content)

    verified = tidegate("verify", "latest")
    refused = tidegate("trade", "--resume", "--speed", 0)

    assert verified.exit_code == 1, verified.output
    assert f"entry {seq} is not what was written" in verified.stdout
    assert refused.exit_code == 5, refused.output
    assert f"entry {seq} is not what was written" in refused.output
    assert load_manifest(folder / "manifest.json").status is SessionStatus.DAMAGED
