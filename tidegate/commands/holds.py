"""``tidegate holds``: what is shut, why, and how it opens again."""

from __future__ import annotations

import typer

from tidegate.commands.options import ConfigFiles, Json
from tidegate.commands.reach import Socket


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("holds", short_help="List what holds orders back, and how it is lifted.")
    def holds(socket: Socket = None, config: ConfigFiles = None, as_json: Json = False) -> None:
        """
        List every hold in force: its cause, what it covers, who set it, how it is lifted.

        Exit code 1 when no daemon runs: then those are listed that the account's next start has.
        """
        from tidegate.commands.reach import asked, client
        from tidegate.exits import Wanting
        from tidegate.output import say_document

        try:
            daemon = client(socket, config)
        except Wanting as none:
            from tidegate.control.without_daemon import with_kept_holds

            raise with_kept_holds(none, config or ()) from None
        document = asked(daemon, "/v1/holds")
        if as_json:
            say_document(document)
            return
        from tidegate.control.shown import show_holds

        show_holds(document["holds"])
