"""``tidegate venue``: the virtual exchange."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tidegate.commands.options import ConfigFiles, Json, ManyValues


class Dialect(StrEnum):
    """What is spoken on the wire."""

    PLAIN = "plain"
    BINANCEUSDM = "binanceusdm"
    ALPACA = "alpaca"


DialectOption = Annotated[
    Dialect,
    typer.Option(
        metavar="plain|binanceusdm|alpaca",
        help="What is spoken on the wire: our own, or an exchange's, over TLS.",
    ),
]
Port = Annotated[
    int, typer.Option(metavar="N", min=0, max=65_535, help="Port on 127.0.0.1; 0 takes any.")
]
Truth = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The truth log; an exchange goes on with the one it finds "
        "(default: venue/truth.ndjson in session.dir).",
        show_default=False,
    ),
]
FaultsFile = Annotated[
    Path | None,
    typer.Option(
        "--faults", metavar="FILE", help="Faults, as JSON; none without.", show_default=False
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File with the key (0600), made if absent (default: venue.key beside the truth log).",
        show_default=False,
    ),
]
Symbols = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        metavar="SYMBOL",
        help="What is listed; one or several (default: what the feed has).",
        show_default=False,
    ),
]
Cash = Annotated[
    str | None,
    typer.Option(
        metavar="AMOUNT",
        help="The account's money at its opening (default: session.cash).",
        show_default=False,
    ),
]
Market = Annotated[
    bool,
    typer.Option(
        "--market", help="Play the configured feed as the exchange's own market, at feed.speed."
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[@SYMBOL]",
        help="Bars to play as the exchange's own market; one or several.",
        show_default=False,
    ),
]
Funding = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE@SYMBOL",
        help="Funding rates of that market (CSV: timestamp,funding_rate); repeatable.",
        show_default=False,
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Market seconds in a second; 0 waits for nothing (default: feed.speed).",
        show_default=False,
    ),
]
RealTime = Annotated[
    bool,
    typer.Option(
        "--real-time",
        help="Play that market as of now: what has closed at once, the rest as it closes; a "
        "synthetic one begins 500 bars ago and has no end.",
    ),
]
LimitsTimes = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="All but plain: so many times the real request limits, for a market that runs fast.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("venue", cls=ManyValues, short_help="Run a virtual exchange on loopback.")
    def venue(
        config: ConfigFiles = None,
        dialect: DialectOption = Dialect.PLAIN,
        port: Port = 0,
        truth: Truth = None,
        faults: FaultsFile = None,
        key_file: KeyFile = None,
        symbol: Symbols = None,
        cash: Cash = None,
        market: Market = False,
        data: Data = None,
        funding: Funding = None,
        speed: Speed = None,
        real_time: RealTime = False,
        limits_times: LimitsTimes = 1,
        as_json: Json = False,
    ) -> int:
        """
        Run a virtual exchange on loopback until SIGTERM or Ctrl-C; its address is printed first.

        Everything that it knows is in its truth log before anybody hears of it.
        """
        from tidegate.command_line import CommandLine
        from tidegate.config import load
        from tidegate.serving import Serving, serve_venue

        line = CommandLine()
        line.data(data, None)
        line.put(("feed", "speed"), speed, "--speed")
        line.put(("universe", "symbols"), symbol or None, "--symbol")
        line.put(("session", "cash"), cash, "--cash")
        configuration = load(config or (), command_line=line.layer())
        own_market = market or bool(data)
        wanted = Serving(
            port,
            truth,
            faults,
            key_file,
            own_market,
            dialect.value,
            limits_times,
            tuple(funding or ()),
            real_time,
        )
        return serve_venue(configuration, wanted, as_json=as_json)
