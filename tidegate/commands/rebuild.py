"""``tidegate rebuild SESSION``: every projection of a session's journal, made again."""

from __future__ import annotations

import typer

from tidegate.commands.options import ConfigFiles, Json, RunsDir, SessionArgument
from tidegate.output import say_document


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("rebuild", short_help="Make all files of a session again from its journal.")
    def rebuild(
        session: SessionArgument,
        folder: RunsDir = None,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> None:
        """Write events.ndjson, the CSV files and the reports of a session anew from its journal."""
        from tidegate.archive import resolve
        from tidegate.places import runs_dir
        from tidegate.rebuilding import rebuild as rebuild_files

        recorded = resolve(session, runs_dir(folder, config))
        changed = rebuild_files(recorded)
        if as_json:
            files = [{"file": name, "change": change} for name, change in changed.items()]
            say_document({"folder": str(recorded.folder), "files": files})
            return
        for name, change in changed.items():
            print(f"{change:<10} {recorded.folder / name}")
