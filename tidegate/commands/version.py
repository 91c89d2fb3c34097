"""``tidegate version``."""

from __future__ import annotations

import platform

import typer

from tidegate import __version__
from tidegate.commands.options import Json
from tidegate.output import say_document


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("version")
    def version(as_json: Json = False) -> None:
        """Print the version of Tidegate and of Python."""
        document = {"tidegate": __version__, "python": platform.python_version()}
        if as_json:
            say_document(document)
        else:
            print(f"tidegate {document['tidegate']} (Python {document['python']})")
