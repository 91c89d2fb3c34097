"""``tidegate config show`` and ``tidegate config schema``."""

from __future__ import annotations

import json

import typer

from tidegate.commands.options import ConfigFiles, Json
from tidegate.output import say_document, say_table


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    group = typer.Typer(help="Show the configuration and its schema.", no_args_is_help=False)

    @group.command("show", short_help="Print the merged configuration, and whence each key is.")
    def show(config: ConfigFiles = None, as_json: Json = False) -> None:
        """
        Print the merged configuration and which source each key has; secrets are masked.

        A list that is added up over its sources has a row for each entry, with all of them.
        """
        from tidegate.config import load
        from tidegate.redaction import masked
        from tidegate.universe_lists import LISTS

        loaded = load(config or ())
        if as_json:
            added_up = {f"universe.{name}": loaded.lists.of(name) for name in LISTS}
            sources = {key: origin for key, _, origin in loaded.rows()}
            sources |= {key: loaded.origin(*key.split(".")) for key in added_up}
            say_document(
                {
                    "values": masked(loaded.settings.model_dump(mode="json")),
                    "sources": sources,
                    "lists": added_up,
                }
            )
            return
        rows = [
            (key, json.dumps(value, ensure_ascii=False), origin)
            for key, value, origin in loaded.rows()
        ]
        say_table(("key", "value", "source"), rows)

    @group.command("schema")
    def schema(as_json: Json = False) -> None:  # noqa: ARG001 - the schema is JSON either way
        """Print the JSON Schema of the configuration."""
        from tidegate.config import Settings

        say_document(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "Tidegate configuration",
                **Settings.model_json_schema(),
            }
        )

    app.add_typer(group, name="config")
