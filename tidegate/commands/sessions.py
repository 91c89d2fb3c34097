"""``tidegate sessions``: what has run."""

from __future__ import annotations

import sys
from typing import Any

import typer

from tidegate.commands.options import ConfigFiles, Json, RunsDir
from tidegate.output import say_document, say_table


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("sessions")
    def sessions(folder: RunsDir = None, config: ConfigFiles = None, as_json: Json = False) -> None:
        """List the recorded sessions, the newest last."""
        from state.projections import iso_ms
        from tidegate.archive import newest_equity, recorded_sessions
        from tidegate.places import runs_dir

        runs = runs_dir(folder, config)
        rows = []
        recorded, problems = recorded_sessions(runs)
        for session in recorded:
            manifest = session.manifest
            equity = newest_equity(session)
            rows.append(
                {
                    "session_id": manifest.session_id,
                    "mode": manifest.mode,
                    "started_at": iso_ms(manifest.started_at),
                    "status": session.status.value,
                    "outcome": manifest.outcome,
                    "exit_code": manifest.exit_code,
                    "equity": None if equity is None else equity[0],
                    "currency": None if equity is None else equity[1],
                    "folder": str(session.folder),
                }
            )
        for problem in problems:
            sys.stderr.write(f"tidegate: {problem}\n")
        if as_json:
            say_document({"sessions": rows})
        elif not rows:
            print(f"no session in {runs}")
        else:
            columns = ("session_id", "mode", "started_at", "outcome", "equity", "currency")
            say_table(
                ("session", "mode", "session time", "outcome", "equity", "currency"),
                [[_cell(_shown(row)[column]) for column in columns] for row in rows],
            )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what there is to say of one that has no outcome."""
    return {**row, "outcome": row["outcome"] or row["status"]}


def _cell(value: object) -> str:
    return "-" if value in (None, "") else str(value)
