"""``tidegate report SESSION``: the summary of a session, made again from its journal."""

from __future__ import annotations

import typer

from tidegate.commands.options import ConfigFiles, Json, RunsDir, SessionArgument
from tidegate.output import say_document


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("report", short_help="Print the summary of a session; write its reports anew.")
    def report(
        session: SessionArgument,
        folder: RunsDir = None,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> None:
        """Print a session's summary, and write its session.md and session.html anew."""
        from state.projections import summary_json, write_session_html, write_session_md
        from tidegate.archive import resolve
        from tidegate.places import runs_dir
        from tidegate.rebuilding import summary_of
        from tidegate.screen import say_summary

        recorded = resolve(session, runs_dir(folder, config))
        summary = summary_of(recorded)
        write_session_md(summary, recorded.folder / "session.md")
        write_session_html(summary, recorded.folder / "session.html")
        document = summary_json(summary)
        if as_json:
            say_document({"folder": str(recorded.folder), "summary": document})
        else:
            outcome = recorded.manifest.outcome or recorded.status.value
            say_summary(document, recorded.folder, outcome=outcome)
