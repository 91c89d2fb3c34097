"""The files of a scenario's session, written from its journal when an expectation asks for them."""

from __future__ import annotations

import csv
from pathlib import Path

from actors.artifacts import session_facts
from actors.turns import Session
from state.journal import Entry
from state.projections.artifacts import CsvArtifacts
from state.projections.rebuild import project
from state.projections.session_md import write_session_md
from state.projections.tally import SummaryProjection


def write_files(folder: Path, session: Session, entries: list[Entry]) -> None:
    """Write the CSV files and session.md of ``entries`` to ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = CsvArtifacts(folder)
    summary = SummaryProjection(tables.executions)
    project(entries, tables, summary)
    facts = session_facts(session, session.spec.feed.fingerprints())
    summary.set_facts({**facts, "folder": str(folder), "wall_s": 0.0, "bars_per_s": None})
    write_session_md(summary.summary(), folder / "session.md")


class SessionFiles:
    """The files of one session, as its folder would hold them; those that are not there: empty."""

    QUARANTINE = "quarantine.csv"

    def __init__(self, folder: Path, quarantine: Path) -> None:
        """Read what is in ``folder``, and the bad rows in ``quarantine``."""
        self.folder = folder
        self.quarantine = quarantine

    def rows(self, file: str) -> tuple[list[str], list[dict[str, str]]]:
        """Return the columns and rows of a CSV file, none if it was not written."""
        path = self.quarantine if file == self.QUARANTINE else self.folder / file
        if not path.is_file():
            return [], []
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            return list(reader.fieldnames or ()), rows

    def session_md(self) -> str:
        """Return the text of session.md."""
        path = self.folder / "session.md"
        return path.read_text(encoding="utf-8") if path.is_file() else ""
