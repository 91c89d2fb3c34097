"""``tidegate init``: a configuration that gives a paper session, offline, in under a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.commands.options import Json
from tidegate.exits import UsageRefused
from tidegate.origin import FLOORS
from tidegate.output import say_document
from tidegate.templates import fill

FILE_NAME = "tidegate.toml"
FIXTURE = "crypto"
SESSION_S = 45
"""How long the session takes: long enough to be watched, well inside the promised minute."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("init", short_help="Write a tidegate.toml for a first paper session.")
    def init(
        folder: Annotated[
            Path, typer.Option("--dir", metavar="DIR", help="Where to write it.")
        ] = Path(),
        force: Annotated[
            bool, typer.Option("--force", help="Write over a file that exists.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Write a tidegate.toml that gives a paper session on packaged data; asks nothing."""
        path = write_config(folder, force=force)
        command = "tidegate trade" if path == Path(FILE_NAME) else f"tidegate trade -c {path}"
        if as_json:
            say_document({"config": path, "next": command})
            return
        print(f"wrote {path}")
        print(f"next: {command}   (a paper session of about {SESSION_S} s, offline)")


def write_config(folder: Path, *, force: bool = False) -> Path:
    """Write the configuration into ``folder``; one that exists is kept unless ``force``."""
    from feeds.fixtures import FIXTURES

    made = [part for part in (folder, *folder.parents) if not part.exists()]
    if any(part.name in FLOORS for part in made):
        raise UsageRefused(
            f"--dir: found {str(folder)!r}, which would make a folder with the name of a package "
            f"that is needed ({', '.join(FLOORS)}); expected another name"
        )
    path = folder / FILE_NAME
    if path.exists() and not force:
        raise UsageRefused(f"{path} exists; nothing was written (--force writes over it)")
    fixture = FIXTURES[FIXTURE]
    words = {
        "FILE": str(path),
        "SECONDS": str(SESSION_S),
        "SYMBOL": fixture.symbol,
        "FIXTURE": FIXTURE,
        "SPEED": f"{fixture.bars * 60 / SESSION_S:.1f}",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(fill("tidegate.toml.txt", words), encoding="utf-8")
    return path
