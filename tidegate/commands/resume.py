"""``tidegate resume``: lift what an operator may lift."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.commands.options import ConfigFiles, Json
from tidegate.commands.reach import Reason, Side, Socket, StrategyName, Symbol, Venue

Unlatch = Annotated[
    bool, typer.Option("--unlatch", help="Lift what is latched too, a kill; needs --reason.")
]
HoldId = Annotated[
    str, typer.Option("--hold", metavar="ID", help="Only this hold (see `tidegate holds`).")
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("resume", short_help="Lift holds: a stop, a pause; with --unlatch a kill.")
    def resume(
        unlatch: Unlatch = False,
        reason: Reason = "",
        hold: HoldId = "",
        venue: Venue = None,
        strategy: StrategyName = None,
        symbol: Symbol = None,
        side: Side = None,
        socket: Socket = None,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> None:
        """
        Lift the holds that an operator may lift: all of them, those of a scope, or one by its id.

        A kill is lifted by --unlatch with a --reason only. What health or the supervisor holds is
        lifted by them, on evidence.
        """
        from tidegate.commands.reach import client, scope, told
        from tidegate.exits import UsageRefused

        if unlatch and not reason.strip():
            raise UsageRefused("resume: --unlatch needs a --reason: it is kept with the hold")
        body = {
            "reason": reason,
            "scope": scope(venue, strategy, symbol, side),
            "hold": hold,
            "unlatch": unlatch,
        }
        told(client(socket, config), "resume", body, as_json=as_json)
