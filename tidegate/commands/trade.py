"""``tidegate trade``: the daemon."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tidegate.commands.options import Allow, ConfigFiles, Deny, Json, ManyValues


class TradeMode(StrEnum):
    """How orders are executed."""

    PAPER = "paper"
    SHADOW = "shadow"
    LIVE = "live"


Mode = Annotated[
    TradeMode | None,
    typer.Option(
        metavar="paper|shadow|live", help="How orders are executed (default: session.mode)."
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        metavar="N", min=0, help="Times real time; 0 is as fast as it goes (default: feed.speed)."
    ),
]
Acknowledged = Annotated[bool, typer.Option("--i-acknowledge-risk", help="Needed for --mode live.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the newest session.")]
SessionOption = Annotated[
    str | None, typer.Option("--session", metavar="ID", help="Go on with this session.")
]
New = Annotated[
    bool,
    typer.Option(
        "--new",
        help="Start a new session (the default); refused while the newest one, whose process died, "
        "has orders that are not over.",
    ),
]
Abandon = Annotated[
    bool,
    typer.Option("--abandon-orders", help="With --new: leave such orders as they are, and start."),
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command(
        "trade",
        cls=ManyValues,
        short_help="Run the daemon: a paper, shadow or live session.",
    )
    def trade(
        config: ConfigFiles = None,
        mode: Mode = None,
        speed: Speed = None,
        resume: Resume = False,
        session: SessionOption = None,
        new: New = False,
        abandon_orders: Abandon = False,
        allow: Allow = None,
        deny: Deny = None,
        i_acknowledge_risk: Acknowledged = False,
        as_json: Json = False,
    ) -> int:
        """
        Run the daemon: one session, on paper, as a shadow or live.

        On paper over recorded or synthetic data, at --speed times real time, it ends by itself
        when the data does. Ctrl-C ends any session in order, with all its files: exit code 130, 4
        while it is killed; --resume goes on with it.
        """
        from tidegate.command_line import CommandLine
        from tidegate.config import load
        from tidegate.trading import trade_session

        line = CommandLine()
        line.put(("session", "mode"), None if mode is None else mode.value, "--mode")
        line.put(("feed", "speed"), speed, "--speed")
        line.lists(allow, deny)
        configuration = load(config or (), command_line=line.layer())
        return trade_session(
            configuration,
            resume=resume,
            session=session,
            new=new,
            abandon=abandon_orders,
            acknowledged=i_acknowledge_risk,
            as_json=as_json,
        )
