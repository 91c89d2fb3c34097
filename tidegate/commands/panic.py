"""``tidegate panic``: empty the account by a way of its own, with no daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.commands.options import ConfigFiles, Json

Flatten = Annotated[bool, typer.Option("--flatten", help="Close every position too.")]
Symbols = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        metavar="SYMBOL",
        help="Only orders and positions of this symbol; one or several (default: all).",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; needed without a terminal.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("panic", short_help="Empty the account at its venue, with no daemon.")
    def panic(
        config: ConfigFiles = None,
        flatten: Flatten = False,
        symbol: Symbols = None,
        yes: Yes = False,
        as_json: Json = False,
    ) -> int:
        """
        Cancel every open order of the account, whoever placed it, and show the venue's own answer.

        Needs no daemon and waits for none: it has a connection of its own. The kill is latched on
        the disk first, so a daemon that is started starts killed; one that runs is told. With
        --flatten every position is closed by reduce-only market orders. Exit code 0 only when the
        venue itself has shown twice that nothing of what was to go is left, 1 otherwise.
        """
        from tidegate.panicking import Asked
        from tidegate.panicking import panic as emptied

        return emptied(Asked(config or (), flatten, tuple(symbol or ()), yes, as_json))
