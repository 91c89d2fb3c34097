"""``tidegate explain``: why a symbol is or is not traded, or what became of an order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.commands.options import ConfigFiles, Json
from tidegate.commands.reach import Socket

if TYPE_CHECKING:
    from tidegate.control.client import Client

Target = Annotated[
    str,
    typer.Argument(
        metavar="SYMBOL|ORDER_ID",
        help="A symbol of the session, an order id, or a client order id.",
        show_default=False,
    ),
]
SessionOption = Annotated[
    str | None,
    typer.Option(
        "--session",
        metavar="SESSION",
        help="Explain an order of this recorded session, from its journal.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("explain", short_help="Say why a symbol does not trade, or what an order met.")
    def explain(
        target: Target,
        session: SessionOption = None,
        socket: Socket = None,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> None:
        """
        Say why a symbol does or does not trade right now, in order of cause.

        Of an order, every step of its life, and the chain of what it derives from: its intent, its
        plan, the market data or the command that led to it. With --session, of a recorded one.
        """
        from tidegate.exits import UsageRefused
        from tidegate.output import say_document

        if not target.strip():
            raise UsageRefused("explain: found nothing, expected a symbol or the id of an order")
        if session is not None:
            document = _recorded(session, target, config)
        else:
            from tidegate.commands.reach import client

            document = _running(client(socket, config), target)
        if as_json:
            say_document(document)
            return
        from tidegate.control.shown import show_explanation

        show_explanation(document)


def _recorded(session: str, target: str, config: list[Path] | None) -> dict[str, Any]:
    from tidegate.archive import resolve
    from tidegate.exits import Wanting
    from tidegate.places import runs_dir

    recorded = resolve(session, runs_dir(None, config))
    session_id = recorded.manifest.session_id
    story = _story(recorded.journal, target)
    if not story:
        raise Wanting(f"order {target!r}: session {session_id} has none with this id")
    return _order(target, session_id, {}, story)


def _running(daemon: Client, target: str) -> dict[str, Any]:
    """Ask the session; of an order also its journal, which knows those it has forgotten."""
    from tidegate.control.client import escaped, problems_of
    from tidegate.exits import Wanting

    status, document = daemon.get(f"/v1/explain/{escaped(target)}")
    if status == 200 and document["kind"] == "symbol":
        return document
    if status not in (200, 404):
        raise Wanting(*problems_of(document))
    _, running = daemon.get("/v1/status")
    folder = running["daemon"]["folder"]
    story = _story(Path(folder) / "journal.sqlite", target) if folder else {}
    if status == 404 and not story:
        raise Wanting(*problems_of(document))
    known = document if status == 200 else {}
    return _order(target, str(running["session_id"]), known, story)


def _order(
    target: str, session_id: str, known: dict[str, Any], story: dict[str, Any]
) -> dict[str, Any]:
    nothing: dict[str, Any] = {"life": [], "orders": [], "chain": []}
    return {
        "target": target,
        "kind": "order",
        "session_id": session_id,
        **nothing,
        **story,
        **known,
    }


def _story(journal: Path, target: str) -> dict[str, Any]:
    from state.journal import JournalError
    from tidegate.control.order_life import StoredJournal, order_story
    from tidegate.exits import Wanting

    try:
        return order_story(StoredJournal(journal), target)
    except (JournalError, OSError) as error:
        raise Wanting(f"{journal}: {error}") from None
