"""``tidegate data fetch | import | inspect``: history, from a venue or from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tidegate.commands.options import ConfigFiles, Json

Store = Annotated[
    Path,
    typer.Option("--store", metavar="DIR", help="The store: DIR/<venue>/<symbol>/<time frame>/."),
]
Symbol = Annotated[
    str | None,
    typer.Option(metavar="SYMBOL", help="Symbol of files named without one.", show_default=False),
]
Symbols = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        metavar="SYMBOL",
        help="What to fetch, as ccxt names it; one or several (default: universe.symbols).",
        show_default=False,
    ),
]
Timeframe = Annotated[
    str | None,
    typer.Option(
        metavar="1m",
        help="Length of a bar (default: measured in files, the folder's in a series).",
        show_default=False,
    ),
]
FetchTimeframe = Annotated[
    str | None,
    typer.Option(
        "--timeframe",
        metavar="1m",
        help="Length of a bar (default: feed.timeframe, else 1m).",
        show_default=False,
    ),
]
MaxBadRows = Annotated[
    int,
    typer.Option(metavar="N", min=0, help="Bad rows tolerated, in each file; one more is fatal."),
]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="FILE[@SYMBOL]: CSV, gzipped CSV, Parquet or feather.",
        show_default=False,
    ),
]
Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="A file, the folder of a series, or a whole store.",
        show_default=False,
    ),
]
Venue = Annotated[
    str, typer.Option(metavar="VENUE", help="Whose bars they are: a ccxt id, or a name of yours.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Let the files win where the store has other figures.")
]
QuarantineFolder = Annotated[
    Path | None,
    typer.Option(
        "--quarantine",
        metavar="DIR",
        help="Write the bad rows of each file there, with line and reason.",
        show_default=False,
    ),
]
Exchange = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="The venue: a ccxt id such as binanceusdm (default: venue.exchange).",
        show_default=False,
    ),
]
Source = Annotated[
    Literal["ccxt", "yfinance", "alpaca"] | None,
    typer.Option(
        metavar="NAME",
        help="Whom to ask: ccxt, yfinance or alpaca (default: feed.source if it is live, else that "
        "of venue.adapter).",
        show_default=False,
    ),
]
Since = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="From when on: 2024-01-01, ISO-8601 with a zone, or int ms UTC."
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Up to when, not included (default: the venue's present).",
        show_default=False,
    ),
]
JumpPct = Annotated[
    float,
    typer.Option(metavar="PCT", min=0.0, help="Price jumps beyond this many percent are shown."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    group = typer.Typer(help="History: fetch it, import it, look into it.", no_args_is_help=True)

    @group.command("fetch", short_help="Bring a venue's history into the store.")
    def fetch(
        since: Since,
        until: Until = None,
        source: Source = None,
        exchange: Exchange = None,
        symbol: Symbols = None,
        timeframe: FetchTimeframe = None,
        store: Store = Path("data"),
        max_bad_rows: MaxBadRows = 0,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> int:
        """
        Bring the closed bars of a venue into the store; what is there is not fetched again.

        Ctrl-C and failures leave the store whole: the same command goes on from there. A venue in
        trouble is asked again, later each time; one that stays so ends the command with 1.
        """
        from tidegate.command_line import CommandLine
        from tidegate.config import load
        from tidegate.fetching import Wanted, fetch_history

        line = CommandLine()
        line.put(("feed", "source"), source, "--source")
        line.put(("venue", "exchange"), exchange, "--exchange")
        line.put(("universe", "symbols"), symbol or None, "--symbol")
        line.put(("feed", "timeframe"), timeframe, "--timeframe")
        configuration = load(config or (), command_line=line.layer())
        wanted = Wanted(since, until, store, max_bad_rows)
        return fetch_history(configuration, wanted, as_json=as_json)

    @group.command("import", short_help="Bring files of bars into the store.")
    def import_(
        files: Files,
        venue: Venue,
        symbol: Symbol = None,
        timeframe: Timeframe = None,
        store: Store = Path("data"),
        max_bad_rows: MaxBadRows = 0,
        quarantine: QuarantineFolder = None,
        replace: Replace = False,
        as_json: Json = False,
    ) -> int:
        """
        Bring files of bars into the store, each as a whole or not at all.

        Files that overlap are merged; where they differ, the bars that came first stay and the
        difference is counted, unless --replace.
        """
        from tidegate.data import Importing, import_files

        wanted = Importing(
            venue, symbol, timeframe, store, max_bad_rows, quarantine, replace=replace
        )
        return import_files(files, wanted, as_json=as_json)

    @group.command("inspect", short_help="Say what files and series hold and lack.")
    def inspect(
        paths: Paths,
        timeframe: Timeframe = None,
        jump_pct: JumpPct = 10.0,
        as_json: Json = False,
    ) -> int:
        """
        Say what files and series hold: span, rows, gaps, duplicates, bad rows, oddities.

        Nothing of that is an error; a file that cannot be read is one (exit code 2).
        """
        from tidegate.data import inspect_paths

        return inspect_paths(paths, timeframe, jump_pct, as_json=as_json)

    app.add_typer(group, name="data")
