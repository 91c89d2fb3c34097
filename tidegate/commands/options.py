"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

Json = Annotated[bool, typer.Option("--json", help="Write one JSON document to standard output.")]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file (TOML, JSON, YAML); several are merged in order.",
        show_default=False,
    ),
]
SessionArgument = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help="A session id, a unique beginning of one, `latest`, or a folder.",
        show_default=False,
    ),
]
RunsDir = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="Folder of all sessions (default: session.dir)."),
]


class ManyValues(TyperCommand):
    """
    A command whose ``--data`` takes every value up to the next option.

    ``--data a.csv b.csv`` is what a shell makes of ``--data *.csv``; it is read as
    ``--data a.csv --data b.csv``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat ``--data`` before each of its values, then parse as ever."""
        return super().parse_args(ctx, spread(args, "--data"))


def spread(args: list[str], option: str) -> list[str]:
    """Return ``args`` with ``option`` repeated before each value that follows it."""
    given: list[str] = []
    inside = False
    for place, arg in enumerate(args):
        if arg == "--":
            return given + args[place:]
        if arg.startswith("-") and len(arg) > 1:
            inside = arg == option
            if not inside:
                given.append(arg)
                # The value of another option is none of ours.
                continue
            if place + 1 == len(args) or args[place + 1].startswith("-"):
                given.append(arg)  # no value: let the parser say so
            continue
        given += [option, arg] if inside else [arg]
    return given
