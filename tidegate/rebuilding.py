"""Make a session's projections again from its journal, the one truth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from actors.artifacts import recorded_facts
from state.journal import JournalDamaged, SchemaTooNew
from state.journal.reader import read_journal
from state.manifest import file_sha256
from state.ndjson import write_events
from state.projections import (
    CsvArtifacts,
    Summary,
    SummaryProjection,
    write_session_html,
    write_session_md,
)
from state.projections.rebuild import project
from tidegate.archive import Recorded
from tidegate.exits import Wanting


def summary_of(recorded: Recorded) -> Summary:
    """Return a session's summary, added up from its journal."""
    projection = SummaryProjection()
    with _readable(recorded):
        project(read_journal(recorded.journal), projection)
    projection.set_facts(recorded_facts(recorded.manifest, recorded.folder))
    return projection.summary()


def rebuild(recorded: Recorded) -> dict[str, str]:
    """
    Write every projection anew; return for each file ``same``, ``changed`` or ``made``.

    Each file is made beside the old one and takes its place in one step, all of them only when
    all could be made.
    """
    with tempfile.TemporaryDirectory(dir=recorded.folder, prefix=".rebuild-") as name:
        fresh = Path(name)
        tables = CsvArtifacts(fresh)
        projection = SummaryProjection(tables.executions)
        with closing(tables), _readable(recorded):
            write_events(fresh / "events.ndjson", recorded.journal)
            project(read_journal(recorded.journal), tables, projection)
        projection.set_facts(recorded_facts(recorded.manifest, recorded.folder))
        summary = projection.summary()
        write_session_md(summary, fresh / "session.md")
        write_session_html(summary, fresh / "session.html")
        return {path.name: _put(path, recorded.folder) for path in sorted(fresh.iterdir())}


@contextmanager
def _readable(recorded: Recorded) -> Iterator[None]:
    """Tell a journal that cannot be read from a fault of ours."""
    try:
        yield
    except (JournalDamaged, SchemaTooNew, FileNotFoundError) as error:
        session_id = recorded.manifest.session_id
        raise Wanting(f"session {session_id}: its journal cannot be read: {error}") from None


def _put(path: Path, folder: Path) -> str:
    target = folder / path.name
    if not target.exists():
        change = "made"
    else:
        change = "same" if file_sha256(target) == file_sha256(path) else "changed"
    path.replace(target)
    return change
