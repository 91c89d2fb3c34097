"""``tidegate check``: preflight."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.commands.options import Allow, ConfigFiles, Deny, Json, ManyValues
from tidegate.commands.trade import Mode
from tidegate.exits import Exit
from tidegate.output import say_document, say_table

Venue = Annotated[
    bool,
    typer.Option("--venue", help="Ask the venue too: questions only, no order is ever sent."),
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("check", cls=ManyValues, short_help="Check that a session could start.")
    def check(
        config: ConfigFiles = None,
        mode: Mode = None,
        allow: Allow = None,
        deny: Deny = None,
        venue: Venue = False,
        as_json: Json = False,
    ) -> int:
        """
        Check that a session with this configuration could start; no order is sent.

        Without --venue nobody is asked: a dry run. Exits with 1 when anything fails.
        """
        from tidegate.command_line import CommandLine
        from tidegate.config import load
        from tidegate.preflight import check as findings_of

        line = CommandLine()
        line.put(("session", "mode"), None if mode is None else mode.value, "--mode")
        line.lists(allow, deny)
        findings = findings_of(load(config or (), command_line=line.layer()), asks=venue)
        wanting = any(finding.status == "fail" for finding in findings)
        code = Exit.WANTING if wanting else Exit.DONE
        if as_json:
            rows = [
                {"status": each.status, "subject": each.subject, "detail": each.detail}
                for each in findings
            ]
            say_document({"checks": rows, "exit_code": int(code)})
        else:
            say_table(
                ("status", "subject", "detail"),
                [(each.status, each.subject, each.detail) for each in findings],
            )
        return code
