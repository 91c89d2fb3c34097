"""
A session's files: which there are, when they are written, and what the runner adds to them.

Everything but the manifest and ``state.json`` is a projection of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actors.spec import SessionResult, SessionSpec
from actors.turns import Session
from feeds.timeframe import format_timeframe
from state.journal import Sink
from state.journal.bulk import Background, SqliteSink
from state.ndjson import NdjsonSink
from state.projections import (
    CsvArtifacts,
    SummaryProjection,
    summary_json,
    write_session_html,
    write_session_md,
)

CODE_VERSION = "0.1.0"


class Artifacts:
    """The files of one session in ``out``."""

    def __init__(
        self, spec: SessionSpec, session_id: str, out: Path, fingerprints: Mapping[str, str]
    ) -> None:
        """Plan the files; nothing is written before ``begin``."""
        self.spec = spec
        self.session_id = session_id
        self.out = out
        self.fingerprints = dict(fingerprints)
        self.summary = SummaryProjection()

    def simulation_sinks(self) -> list[Sink]:
        """Return the sinks of a simulation, the journal's own file among them."""
        sqlite = Background([SqliteSink(self.out / "journal.sqlite")])
        return [sqlite, *self.live_sinks()]

    def live_sinks(self) -> list[Sink]:
        """Return the projections that are written while the session runs."""
        sinks: list[Sink] = [
            NdjsonSink(self.out / "events.ndjson"),
            CsvArtifacts(self.out),
            self.summary,
        ]
        if self.spec.events is not None:
            sinks.append(NdjsonSink(self.spec.events))
        sinks.extend(self.spec.sinks)
        return sinks

    def begin(self) -> None:
        """Write the manifest of a running session."""

    def finish(
        self, session: Session, outcome: str, exit_code: int, wall_s: float
    ) -> SessionResult:
        """Write what is written at the end, and return the result."""
        self.summary.set_facts(self._facts(session, wall_s))
        summary = self.summary.summary()
        write_session_md(summary, self.out / "session.md")
        write_session_html(summary, self.out / "session.html")
        return SessionResult(
            self.session_id,
            self.out,
            exit_code,
            outcome,
            summary_json(summary),
            session.halted or "",
        )

    def _facts(self, session: Session, wall_s: float) -> dict[str, Any]:
        spec = self.spec
        return {
            "session_id": self.session_id,
            "mode": spec.mode,
            "seed": spec.seed,
            "code_version": CODE_VERSION,
            "strategies": {
                strategy.name: f"{strategy.source} {strategy.params}".strip()
                for strategy in spec.strategies
            },
            "data": self.fingerprints,
            "synthetic": spec.feed.synthetic,
            "symbols": tuple(spec.feed.symbols),
            "timeframe": format_timeframe(spec.feed.timeframe_ms),
            "first_bar_at": session.first_bar_at,
            "last_bar_at": session.last_bar_at,
            "bars": session.bars,
            "quarantined_rows": _bad_rows(spec),
            "folder": str(self.out),
            "wall_s": wall_s,
            "bars_per_s": session.bars / wall_s if wall_s > 0 else None,
        }


def _bad_rows(spec: SessionSpec) -> int | None:
    report = getattr(spec.feed, "report", None)
    return report().bad_rows if report is not None else None
