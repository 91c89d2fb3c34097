"""``tidegate stop-new-orders``: nothing new opens; what reduces goes on."""

from __future__ import annotations

import typer

from tidegate.commands.options import ConfigFiles, Json
from tidegate.commands.reach import Reason, Side, Socket, StrategyName, Symbol, Venue


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("stop-new-orders", short_help="Let nothing new open; what reduces goes on.")
    def stop_new_orders(
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
        Refuse every order that would add exposure, until `tidegate resume`.

        Reducing orders, cancels and fills go on. The hold outlives the daemon.
        """
        from tidegate.commands.reach import client, scope, told

        body = {"reason": reason, "scope": scope(venue, strategy, symbol, side)}
        told(client(socket, config), "stop-new-orders", body, as_json=as_json)
