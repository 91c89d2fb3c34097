"""``tidegate approve``: a person lets a configuration trade."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.commands.options import Allow, ConfigFiles, Deny, Json, ManyValues
from tidegate.exits import Exit

By = Annotated[str, typer.Option(metavar="NAME", help="Who approves.", show_default=False)]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the approval.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command(
        "approve", cls=ManyValues, short_help="Approve of a configuration for live trading."
    )
    def approve(
        by: By,
        reason: Reason = "",
        config: ConfigFiles = None,
        allow: Allow = None,
        deny: Deny = None,
        yes: Yes = False,
        as_json: Json = False,
    ) -> int:
        """
        Approve of this configuration for live trading, after its rehearsal.

        Shows what would trade, asks, and notes the answer in the live account's folder. Whatever
        changes of configuration, strategies, code or the versions of the packages that decide with
        them needs a rehearsal and an approval anew.
        Exits with 1 when it was not rehearsed, or the answer is no.
        """
        from tidegate.approving import approve as approve_of
        from tidegate.command_line import CommandLine
        from tidegate.config import load

        line = CommandLine()
        line.put(("session", "mode"), "live", "approve")
        line.lists(allow, deny)
        configuration = load(config or (), command_line=line.layer())
        approve_of(configuration, by=by, reason=reason, sure=yes, as_json=as_json)
        return Exit.DONE
