"""``tidegate verify SESSION``: run a session again and compare."""

from __future__ import annotations

import typer

from tidegate.commands.options import ConfigFiles, Json, RunsDir, SessionArgument
from tidegate.exits import Exit
from tidegate.output import say_document


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("verify", short_help="Run a session again from its manifest and compare.")
    def verify(
        session: SessionArgument,
        folder: RunsDir = None,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> int:
        """
        Run a session again from its manifest and compare the journals, event by event.

        Exits with 1 when anything differs, naming the first event that does, and every input
        that is not what it was.
        """
        from state.manifest import SessionStatus
        from tidegate.archive import resolve
        from tidegate.places import runs_dir
        from tidegate.verification import verify as verify_session

        recorded = resolve(session, runs_dir(folder, config))
        verdict = verify_session(recorded)
        code = Exit.DONE if verdict.same else Exit.WANTING
        if as_json:
            say_document(
                {
                    "session_id": recorded.manifest.session_id,
                    "same": verdict.same,
                    "events": verdict.events,
                    "ended": verdict.ended,
                    "status": recorded.status.value,
                    "findings": list(verdict.findings),
                    "notes": list(verdict.notes),
                    "exit_code": int(code),
                }
            )
            return code
        for finding in verdict.findings:
            print(f"differs: {finding}")
        for note in verdict.notes:
            print(f"note: {note}")
        if verdict.same:
            session_id = recorded.manifest.session_id
            if verdict.ended:
                print(f"same: {verdict.events:,} events of {session_id}")
            elif recorded.status is SessionStatus.RUNNING:
                print(f"same up to entry {verdict.events:,}, so far: {session_id} is running")
            else:
                print(
                    f"same up to entry {verdict.events:,}, where the process of {session_id} ended"
                )
        return code
