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


Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SYMBOL",
        help="Let these be opened, and nothing that no list allows; one or several.",
        show_default=False,
    ),
]
Deny = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SYMBOL",
        help="Let these not be opened, whoever allows them; one or several.",
        show_default=False,
    ),
]


class ManyValues(TyperCommand):
    """
    A command with options that take every value up to the next option.

    ``--data a.csv b.csv`` is what a shell makes of ``--data *.csv``; it is read as
    ``--data a.csv --data b.csv``.
    """

    many = ("--data", "--allow", "--deny")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat such an option before each of its values, then parse as ever."""
        for option in self.many:
            args = spread(args, option)
        return super().parse_args(ctx, args)


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
