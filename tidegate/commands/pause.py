"""``tidegate pause``: orders that add exposure wait, for a time."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from tidegate.commands.options import ConfigFiles, Json
from tidegate.commands.reach import Reason, Side, Socket, StrategyName, Symbol, Venue

For = Annotated[
    str | None,
    typer.Option(
        "--for", metavar="TIME", help="How long, in session time: 90s, 15m, 4h, 2d, or 1h30m."
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="ISO", help="Until this session time: ISO-8601 with a zone, or a Z."
    ),
]

UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
SPAN = re.compile(r"(?:\d+[dhms])+")
LONGEST_S = 366 * UNITS_S["d"]
"""As `bodies.PAUSE_S_MAX` has it."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("pause", short_help="Let orders that add exposure wait, for a time.")
    def pause(
        for_: For = None,
        until: Until = None,
        reason: Reason = "",
        venue: Venue = None,
        strategy: StrategyName = None,
        symbol: Symbol = None,
        side: Side = None,
        socket: Socket = None,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> None:
        """
        Let orders that would add exposure wait until the pause ends, by itself or by `resume`.

        What waits keeps its deadline: an order that is too old by then is refused, not sent late.
        """
        from tidegate.commands.reach import client, scope, told

        body: dict[str, Any] = {"reason": reason, "scope": scope(venue, strategy, symbol, side)}
        body |= end_of(for_, until)
        told(client(socket, config), "pause", body, as_json=as_json)


def end_of(for_: str | None, until: str | None) -> dict[str, Any]:
    """Return the end of a pause as its body carries it; raises ``UsageRefused`` without one."""
    from tidegate.exits import UsageRefused

    if (for_ is None) == (until is None):
        raise UsageRefused("pause: expected one of --for TIME and --until ISO")
    if for_ is not None:
        if SPAN.fullmatch(for_) is None:
            raise UsageRefused(f"pause: --for: found {for_!r}, expected a time like 15m or 1h30m")
        parts = re.findall(r"(\d+)([dhms])", for_)
        for_s = sum(int(count) * UNITS_S[unit] for count, unit in parts)
        if not 0 < for_s <= LONGEST_S:
            raise UsageRefused(
                f"pause: --for: found {for_!r}, expected 1s to {LONGEST_S // UNITS_S['d']}d; "
                "stop-new-orders has no end"
            )
        return {"for_s": for_s}
    return {"until": until}
