"""``tidegate replay``: history through the real actors, as fast as it goes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.commands.options import Allow, ConfigFiles, Deny, Json, ManyValues
from tidegate.exits import UsageRefused


class PositionMode(StrEnum):
    """How positions are kept: ``messages.PositionMode``, which help must not wait for."""

    ONE_WAY = "one_way"
    HEDGE = "hedge"


class Extent(StrEnum):
    """How much of the data is replayed."""

    QUICK = "quick"
    FULL = "full"


Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[@SYMBOL]",
        help="Bars: CSV, CSV.gz, Parquet, feather, or fixture:NAME; one or several.",
        show_default=False,
    ),
]
StrategyName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A shipped or installed name, module:Class or file.py:Class.",
        show_default=False,
    ),
]
Param = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE", help="A parameter of the strategy; repeatable.", show_default=False
    ),
]
Symbol = Annotated[
    str | None, typer.Option(metavar="SYMBOL", help="Symbol of a single file (default BTC/USDT).")
]
Timeframe = Annotated[
    str | None, typer.Option(metavar="TF", help="Length of a bar (default: measured).")
]
Cash = Annotated[str | None, typer.Option(metavar="AMOUNT", help="Starting cash (default 100000).")]
FeeBps = Annotated[str | None, typer.Option(metavar="BPS", help="Fee of every fill (default 10).")]
SlippageBps = Annotated[
    str | None, typer.Option(metavar="BPS", help="Slippage of market and stop orders (default 0).")
]
LatencyMs = Annotated[
    int | None, typer.Option(metavar="MS", help="An order's way to the venue (default 0).")
]
Participation = Annotated[
    str | None,
    typer.Option(metavar="SHARE", help="Share of a bar's volume; 1.0 is no limit (default 1.0)."),
]
PositionModeName = Annotated[
    PositionMode | None,
    typer.Option(
        metavar="one_way|hedge",
        help="One net position per symbol (default), or long and short apart.",
    ),
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", help="Seed of everything random (default 42).")
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for the session's files; new or empty."),
]
Events = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the events to this file as well.")
]
MaxBadRows = Annotated[
    int | None, typer.Option(metavar="N", help="Bad rows that are not fatal (default 0).")
]
Mode = Annotated[
    Extent | None,
    typer.Option(metavar="quick|full", help="Its first UTC day, or all of the data (default)."),
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("replay", cls=ManyValues, short_help="Replay history through the real actors.")
    def replay(
        data: Data = None,
        strategy: StrategyName = None,
        param: Param = None,
        symbol: Symbol = None,
        timeframe: Timeframe = None,
        cash: Cash = None,
        fee_bps: FeeBps = None,
        slippage_bps: SlippageBps = None,
        latency_ms: LatencyMs = None,
        participation: Participation = None,
        position_mode: PositionModeName = None,
        seed: Seed = None,
        mode: Mode = None,
        allow: Allow = None,
        deny: Deny = None,
        config: ConfigFiles = None,
        out: Out = None,
        events: Events = None,
        max_bad_rows: MaxBadRows = None,
        as_json: Json = False,
    ) -> int:
        """
        Replay history through the real actors, as fast as it goes.

        Without -c nothing but the options and the environment counts: no limit applies that
        was not given.
        """
        from tidegate.command_line import CommandLine
        from tidegate.config import load
        from tidegate.running import replay_session

        line = CommandLine()
        line.put(("session", "mode"), "replay", "replay")
        line.put(("feed", "speed"), 0, "replay")
        line.data(data, symbol)
        line.strategy(strategy, param)
        line.lists(allow, deny)
        options: list[tuple[tuple[str, ...], Any, str]] = [
            (("feed", "timeframe"), timeframe, "--timeframe"),
            (("feed", "max_bad_rows"), max_bad_rows, "--max-bad-rows"),
            (("session", "cash"), cash, "--cash"),
            (("session", "seed"), seed, "--seed"),
            (("session", "extent"), None if mode is None else mode.value, "--mode"),
            (("venue", "fee_bps"), fee_bps, "--fee-bps"),
            (("venue", "slippage_bps"), slippage_bps, "--slippage-bps"),
            (("venue", "latency_ms"), latency_ms, "--latency-ms"),
            (("venue", "participation"), participation, "--participation"),
            (
                ("venue", "position_mode"),
                None if position_mode is None else position_mode.value,
                "--position-mode",
            ),
        ]
        for key, value, name in options:
            line.put(key, value, name)
        configuration = load(config or (), command_line=line.layer(), default_file=False)
        if not configuration.is_given("feed", "source"):
            raise UsageRefused("replay: no data; expected --data FILE[@SYMBOL], or a feed by -c")
        if not configuration.settings.strategies:
            raise UsageRefused("replay: no strategy; expected --strategy NAME, or one by -c")
        return replay_session(configuration, out=out, events=events, as_json=as_json)
