"""Commands from the client's side: given once, their answer waited for, their course followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tidegate.control.client import Client, escaped, problems_of
from tidegate.control.patience import Patience
from tidegate.exits import UsageRefused, Wanting

ANSWER_S = 12.0
"""A stuck session is stopped or ended within some five seconds; then the answer comes, or none."""

REPORT_S = 40.0
"""The venue has thirty seconds to confirm a kill; then the report says that it has not."""

STARTING_S = 5.0
"""A daemon that has no session yet is asked again for this long."""

NOT_FLAT: Final = (
    "NOT FLAT until then as far as can be told: `tidegate trade --resume` closes every position; "
    "at a venue elsewhere `tidegate panic --flatten` does without a daemon"
)
"""Said to whoever wanted everything to be flat of a daemon that has ended."""

OK, PENDING, REFUSED, UNKNOWN, BUSY = 200, 202, 409, 404, 503

Step = Callable[[Mapping[str, Any]], object]


def carried_out(daemon: Client, command: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give a command and return its answer.

    Raises ``UsageRefused`` for what is no command, ``Wanting`` for what was refused or has not
    been answered in time, ``Silent`` when the daemon is gone.
    """
    status, answer = given(daemon, command, body)
    if status == PENDING:
        status, answer = awaited(daemon, answer)
    if status == PENDING:
        raise Wanting(f"{command}: not answered within {ANSWER_S:g} s: {answer['text']}")
    if status != OK:
        raise Wanting(*(f"{command}: {problem}" for problem in problems_of(answer)))
    return answer


def given(daemon: Client, command: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Give a command, again while the daemon is starting, and return its first answer."""
    patience = Patience(STARTING_S)
    while True:
        status, answer = daemon.post(f"/v1/commands/{command}", body)
        if status in (400, 415):
            raise UsageRefused(*problems_of(answer))
        if status != BUSY or patience.over:
            return status, answer
        patience.rest()


def awaited(daemon: Client, pending: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Wait for the answer of a command that is on its way."""
    patience = Patience(ANSWER_S)
    while True:
        status, answer = daemon.get(f"/v1/commands/{pending['ticket']}")
        if status != PENDING or patience.over:
            return status, answer
        patience.rest()


def followed(daemon: Client, kill_id: str, wait_s: float, on_step: Step) -> dict[str, Any] | None:
    """
    Return a kill with its report, telling every step as it is seen; bounded by ``wait_s``.

    Without a report by then, what there is of it, or ``None`` if nothing. Raises ``Silent`` when
    the daemon ends meanwhile.
    """
    patience = Patience(wait_s)
    seen = 0
    found: dict[str, Any] | None = None
    while True:
        status, answer = daemon.get(f"/v1/kill/{escaped(kill_id)}")
        if status == OK:
            found = answer
            for step in answer["steps"][seen:]:
                on_step(step)
            seen = len(answer["steps"])
            if answer["report"] is not None:
                return found
        if patience.over:
            return found
        patience.rest()
