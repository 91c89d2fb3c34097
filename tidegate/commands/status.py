"""``tidegate status``: what the daemon does now."""

from __future__ import annotations

import typer

from tidegate.commands.options import ConfigFiles, Json
from tidegate.commands.reach import Socket


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("status", short_help="Say what the daemon does now.")
    def status(socket: Socket = None, config: ConfigFiles = None, as_json: Json = False) -> int:
        """
        Say what the daemon does now: state, holds, positions, orders, data, actors.

        Exit code 1 when its session does not answer: then what it said last is shown, with its age.
        """
        from tidegate.commands.reach import asked, client
        from tidegate.exits import Exit
        from tidegate.output import say_document

        document = asked(client(socket, config), "/v1/status")
        if as_json:
            say_document(document)
        else:
            from tidegate.control.shown import show_status

            show_status(document)
        return int(Exit.DONE if document["live"] else Exit.WANTING)
