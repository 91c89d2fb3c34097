"""Options of the commands to a running daemon, and how they reach it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tidegate.control.client import Client

Socket = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        help="The daemon's command socket (default: the one of the configured account).",
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the hold and in the report.")
]
Venue = Annotated[
    str | None, typer.Option("--venue", metavar="NAME", help="Only orders at this venue.")
]
StrategyName = Annotated[
    str | None, typer.Option("--strategy", metavar="NAME", help="Only orders of this strategy.")
]
Symbol = Annotated[
    str | None, typer.Option("--symbol", metavar="SYMBOL", help="Only orders of this symbol.")
]
Side = Annotated[
    str | None,
    typer.Option(
        "--side", metavar="long|short", help="Only orders that add exposure in this direction."
    ),
]


def scope(
    venue: str | None, strategy: str | None, symbol: str | None, side: str | None
) -> dict[str, str]:
    """Return the scope of a command as its body carries it."""
    given = {"venue": venue, "strategy": strategy, "symbol": symbol, "side": side}
    return {name: value for name, value in given.items() if value is not None}


def client(socket: Path | None, config: list[Path] | None) -> Client:
    """Return the way to the daemon; raises ``Wanting`` when there is none."""
    from tidegate.control.client import client_for

    return client_for(socket, config or ())


def told(daemon: Client, command: str, body: Mapping[str, Any], *, as_json: bool) -> None:
    """Give a command, wait for its answer and say it; raises ``Wanting`` when it was refused."""
    from tidegate.control.asking import carried_out
    from tidegate.output import say_document

    answer = carried_out(daemon, command, body)
    if as_json:
        say_document(answer)
    else:
        print(answer["text"])


def asked(daemon: Client, target: str) -> dict[str, Any]:
    """Return what the daemon answers to a read; raises ``Wanting`` when it is not well."""
    from tidegate.control.client import problems_of
    from tidegate.exits import Wanting

    status, document = daemon.get(target)
    if status != 200:
        raise Wanting(*problems_of(document))
    return document
