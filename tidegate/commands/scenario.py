"""``tidegate scenario run | new | schema | from-session``: scripted rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.commands.options import ConfigFiles, Json, RunsDir, SessionArgument
from tidegate.exits import Exit
from tidegate.output import say_document

Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH",
        help="Scenario files (*.scenario.json, *.scenario.toml); folders are searched.",
        show_default=False,
    ),
]
Word = Annotated[
    str | None,
    typer.Option("-k", metavar="WORD", help="Only those whose file or sentence has this word."),
]
Queued = Annotated[
    bool, typer.Option("--queued", help="Send every message through mailboxes: the same events.")
]
Rehearsed = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Note that all have passed as the rehearsal of this configuration.",
        show_default=False,
    ),
]
StrategyName = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="A shipped or installed name, module:Class or file.py:Class."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    group = typer.Typer(help="Run, start and describe scripted rehearsals.", no_args_is_help=False)

    @group.command("run", short_help="Run scenarios in virtual time and say which passed.")
    def run(
        paths: Paths,
        word: Word = None,
        queued: Queued = False,
        config: Rehearsed = None,
        as_json: Json = False,
    ) -> int:
        """
        Run scenarios in virtual time: one line each, and why for those that fail.

        Exits with 1 when one fails, with 2 when a file is no scenario.
        """
        from tidegate.rehearsing import run_all

        return run_all(paths, word=word, queued=queued, rehearsed=config, as_json=as_json)

    @group.command("new", short_help="Write a documented scenario for a strategy.")
    def new(
        name: Annotated[
            str, typer.Argument(metavar="NAME", help="Lower case words, like `kill_drill`.")
        ],
        strategy: StrategyName = "sma_cross",
        as_json: Json = False,
    ) -> int:
        """Write NAME.scenario.toml, documented and passing, into the current folder."""
        from tidegate.rehearsing import write_new

        path, result = write_new(name, strategy)
        if as_json:
            say_document({"scenario": path, "strategy": strategy, "passed": result.passed})
        else:
            print(f"wrote {path}")
            print(f"run it:  tidegate scenario run {path}     (or plain `pytest`)")
        if not result.passed:
            print(result.report())
        return Exit.DONE if result.passed else Exit.WANTING

    @group.command("schema")
    def schema(as_json: Json = False) -> None:  # noqa: ARG001 - the schema is JSON either way
        """Print the JSON Schema of a scenario file."""
        from scenarios.model import json_schema

        say_document(json_schema())

    @group.command("from-session", short_help="Make a scenario of a recorded session.")
    def from_session(
        session: SessionArgument,
        around: Annotated[
            str,
            typer.Option(
                metavar="EVENT", help="The event it is about: an entry's number, TYPE or TYPE:N."
            ),
        ],
        before: Annotated[
            int, typer.Option(metavar="N", min=0, help="Entries before it that are expected.")
        ] = 10,
        after: Annotated[
            int, typer.Option(metavar="N", min=0, help="Entries after it that are expected.")
        ] = 10,
        out: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Where it goes (*.scenario.json).", dir_okay=False),
        ] = None,
        folder: RunsDir = None,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> int:
        """
        Write a scenario of what was around an event of a session, and run it once.

        Exits with 1 when the scenario, which is written all the same, does not pass.
        """
        from tidegate.archive import resolve
        from tidegate.incidents import default_path, write_incident
        from tidegate.places import runs_dir

        recorded = resolve(session, runs_dir(folder, config))
        path = out or default_path(recorded, around)
        event, result = write_incident(recorded, around, path, before=before, after=after)
        if as_json:
            say_document({"scenario": path, "entry": event.seq, "passed": result.passed})
        else:
            print(f"wrote {path}, about entry {event.seq} ({type(event.message).__name__})")
            print(f"run it:  tidegate scenario run {path}")
        if not result.passed:
            print(result.report())
        return Exit.DONE if result.passed else Exit.WANTING

    app.add_typer(group, name="scenario")
