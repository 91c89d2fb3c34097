"""The files of a scenario's session, written from its journal when an expectation asks for them."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from actors.artifacts import session_facts
from actors.turns import Session
from state.journal import Entry
from state.projections.artifacts import CsvArtifacts
from state.projections.rebuild import project
from state.projections.session_md import write_session_md
from state.projections.tally import SummaryProjection


class SessionFiles:
    """The CSV files and session.md of one session, as its folder would hold them."""

    def __init__(
        self, folder: Path, session: Session, entries: list[Entry], quarantine: Path
    ) -> None:
        """Write the files to ``folder``, which is made."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if quarantine.is_file():
            shutil.copyfile(quarantine, folder / "quarantine.csv")
        tables, summary = CsvArtifacts(folder), SummaryProjection()
        project(entries, tables, summary)
        facts = session_facts(session, session.spec.feed.fingerprints())
        summary.set_facts({**facts, "folder": str(folder), "wall_s": 0.0, "bars_per_s": None})
        write_session_md(summary.summary(), folder / "session.md")

    def rows(self, file: str) -> tuple[list[str], list[dict[str, str]]]:
        """Return the columns and rows of a CSV file, none if it was not written."""
        path = self.folder / file
        if not path.is_file():
            return [], []
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            return list(reader.fieldnames or ()), rows

    def session_md(self) -> str:
        """Return the text of session.md."""
        return (self.folder / "session.md").read_text(encoding="utf-8")
