"""A session that an older Tidegate has interrupted is no session that has ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from state.journal import schema
from state.manifest import SessionStatus, seal

if TYPE_CHECKING:
    from tests.cli.conftest import Tidegate


def ended(tidegate: Tidegate) -> Path:
    """Return the folder of a session that has come to its end."""
    tidegate("init")
    assert tidegate("trade", "--speed", 0).exit_code == 0
    (folder,) = Path("runs/paper/sessions").iterdir()
    return folder


def interrupt_in_manifest(folder: Path) -> None:
    """Let its manifest be as an older Tidegate sealed one that was interrupted."""
    seal(folder / "manifest.json", SessionStatus.ENDED, outcome="interrupted", exit_code=130)


def interrupt_in_journal(folder: Path) -> None:
    """Let its journal end as one did that was interrupted, and its process before the seal."""
    seal(folder / "manifest.json", SessionStatus.RUNNING)
    with closing(sqlite3.connect(folder / "journal.sqlite", isolation_level=None)) as journal:
        journal.execute("DROP TRIGGER journal_refuses_update")
        last = "SELECT seq, line FROM journal ORDER BY seq DESC LIMIT 1"
        seq, line = journal.execute(last).fetchone()
        changed = line.replace('"outcome":"completed"', '"outcome":"interrupted"')
        assert changed != line
        told = (changed, schema.sum_of(seq, changed.encode()), seq)
        journal.execute("UPDATE journal SET line = ?, sum = ? WHERE seq = ?", told)


@pytest.mark.parametrize("interrupt", [interrupt_in_manifest, interrupt_in_journal])
def test_what_an_older_tidegate_has_interrupted_is_refused_by_name(
    tidegate: Tidegate, interrupt: object
) -> None:
    """It did not end, and kept nothing to go on from; a new session may begin beside it."""
    folder = ended(tidegate)
    assert callable(interrupt)
    interrupt(folder)

    for _ in range(2):
        refused = tidegate("trade", "--resume", "--speed", 0)

        assert refused.exit_code == 5, refused.output
        assert f"{folder.name} was interrupted by an older Tidegate" in refused.output
    assert tidegate("trade", "--new", "--speed", 0).exit_code == 0


def test_what_has_ended_has_ended(tidegate: Tidegate) -> None:
    """Ablation: without the interruption there is nothing to refuse."""
    folder = ended(tidegate)

    again = tidegate("trade", "--resume", "--speed", 0)

    assert again.exit_code == 0, again.output
    assert f"{folder.name} has ended" in again.output
