"""Make a session's projections again from its journal, the one truth."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from actors.artifacts import recorded_facts
from state.journal import Entry, Sink
from state.journal.entry import encode_lines
from state.journal.reader import read_journal
from state.manifest import file_sha256
from state.ndjson import NdjsonSink
from state.projections import (
    CsvArtifacts,
    Summary,
    SummaryProjection,
    write_session_html,
    write_session_md,
)
from tidegate.archive import Recorded

BATCH = 4_096
"""Entries held in memory at a time."""


def summary_of(recorded: Recorded) -> Summary:
    """Return a session's summary, added up from its journal."""
    projection = SummaryProjection()
    _project(recorded.journal, [projection])
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
        projection = SummaryProjection()
        _project(
            recorded.journal,
            [NdjsonSink(fresh / "events.ndjson"), CsvArtifacts(fresh), projection],
        )
        projection.set_facts(recorded_facts(recorded.manifest, recorded.folder))
        summary = projection.summary()
        write_session_md(summary, fresh / "session.md")
        write_session_html(summary, fresh / "session.html")
        return {path.name: _put(path, recorded.folder) for path in sorted(fresh.iterdir())}


def _project(journal: Path, sinks: Sequence[Sink]) -> None:
    entries = read_journal(journal)
    while batch := list(islice(entries, BATCH)):
        _write(batch, sinks)
    for sink in sinks:
        sink.close()


def _write(batch: list[Entry], sinks: Sequence[Sink]) -> None:
    lines = encode_lines(batch)
    for sink in sinks:
        sink.write(batch, lines)


def _put(path: Path, folder: Path) -> str:
    target = folder / path.name
    if not target.exists():
        change = "made"
    else:
        change = "same" if file_sha256(target) == file_sha256(path) else "changed"
    path.replace(target)
    return change
