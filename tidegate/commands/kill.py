"""``tidegate kill``: stop everything that adds risk, now, and see the evidence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.commands.options import ConfigFiles, Json
from tidegate.commands.reach import Reason, Socket

if TYPE_CHECKING:
    from tidegate.control.client import Client, Silent

Flatten = Annotated[
    bool, typer.Option("--flatten", help="Close every position too, and cancel every order.")
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return once it is latched; do not wait for the report.")
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("kill", short_help="Stop everything that adds risk, now; latched.")
    def kill(
        flatten: Flatten = False,
        reason: Reason = "",
        no_wait: NoWait = False,
        socket: Socket = None,
        config: ConfigFiles = None,
        as_json: Json = False,
    ) -> int:
        """
        Pull the kill switch: nothing that adds risk leaves any more, resting orders are cancelled.

        It is on the disk before it is acknowledged, survives a crash and a restart, and is lifted
        by `tidegate resume --unlatch --reason TEXT` only. Protective reducing orders stay unless
        --flatten. Exit code 0 once it is latched, confirmed by the venue or not. A daemon that
        does not answer for 4 s is ended, held: a dead process sends nothing.
        """
        from tidegate.commands.reach import client
        from tidegate.control.client import KILL_TIMEOUT_S
        from tidegate.exits import Wanting

        body = {"reason": reason, "flatten": flatten}
        try:
            daemon = client(socket, config)
            daemon.timeout_s = KILL_TIMEOUT_S
        except Wanting as none:
            raise Wanting(
                *none.problems,
                "NOT KILLED: nothing runs that could be; with the kill file in place (touch KILL) "
                "the next start is killed",
            ) from None
        ended = None if socket is not None else _ending(config, reason, flatten=flatten)
        return pull(daemon, body, wait=not no_wait, as_json=as_json, last_resort=ended)


def _ending(config: list[Path] | None, reason: str, *, flatten: bool = False) -> Callable[[], str]:
    """Return what ends the daemon of the configured account from outside."""

    def end() -> str:
        from tidegate.control.client import find, place_of
        from tidegate.control.last_resort import end_and_hold

        place = place_of(config or ())
        daemon = find(place)
        place = replace(place, mode=daemon.mode)
        return end_and_hold(place, daemon, reason=reason, flatten=flatten)

    return end


def pull(
    daemon: Client,
    body: Mapping[str, Any],
    *,
    wait: bool,
    as_json: bool,
    last_resort: Callable[[], str] | None = None,
) -> int:
    """
    Pull the kill switch, follow the kill to its report, and say all of it.

    Without any answer ``last_resort`` ends the daemon and says what it did.
    """
    from tidegate.control.asking import NOT_FLAT, OK, PENDING, REPORT_S, awaited, followed, given
    from tidegate.control.client import Silent, problems_of
    from tidegate.exits import Wanting

    try:
        status, answer = given(daemon, "kill", body)
    except Silent as silent:
        if last_resort is not None:
            text = _ended(last_resort, silent)
            _loud(text)
            return _said(_document({}, None, text), as_json=as_json)
        raise Silent(
            *silent.problems,
            "NOT KILLED as far as can be told: put the kill file in place (touch KILL) and end the "
            "process (kill -9); a dead process sends nothing, and the next start is killed",
        ) from None
    if status not in (OK, PENDING):
        raise Wanting("NOT KILLED", *problems_of(answer))
    found: dict[str, Any] | None = None
    gone = ""
    try:
        if status == PENDING:
            _loud(str(answer["text"]))
            status, answer = awaited(daemon, answer)
        if status != OK and not answer.get("latched"):
            raise Wanting("NOT LATCHED", *problems_of(answer))
        if status == OK and wait:
            found = followed(daemon, str(answer["kill_id"]), REPORT_S, lambda _step: None)
    except Silent as silent:
        if status == PENDING and not answer.get("latched"):
            raise
        gone = (
            f"latched on the disk, and the daemon has ended ({silent}): a process that has ended "
            "sends nothing, and the next start is held"
        )
        if body.get("flatten"):
            gone += f". {NOT_FLAT}"
    document = _document(answer, found, gone)
    code = _said(document, as_json=as_json)
    if wait and not document["confirmed"]:
        _loud(gone or "NOT CONFIRMED by the venue: look at its own open orders and positions")
    return code


def _ended(last_resort: Callable[[], str], silent: Silent) -> str:
    from tidegate.control.client import Silent as NoAnswer

    try:
        return last_resort()
    except OSError as error:
        raise NoAnswer(
            *silent.problems,
            f"NOT KILLED: it could not be ended from outside either: {error.strerror}",
        ) from None


def _said(document: Mapping[str, Any], *, as_json: bool) -> int:
    from tidegate.exits import Exit

    if as_json:
        from tidegate.output import say_document

        say_document(document)
    else:
        from tidegate.control.shown import show_kill

        show_kill(document)
    return int(Exit.DONE)


def _document(
    answer: Mapping[str, Any], found: Mapping[str, Any] | None, gone: str
) -> dict[str, Any]:
    report = None if found is None else found["report"]
    return {
        "latched": True,
        "kill_id": answer.get("kill_id", ""),
        "text": gone or answer["text"],
        "confirmed": report is not None and report["confirmed"],
        "steps": [] if found is None else found["steps"],
        "report": report,
        "exit_code": 0,
    }


def _loud(text: str) -> None:
    sys.stderr.write(f"tidegate: kill: {text}\n")
