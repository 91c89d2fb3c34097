"""Execution's place in a session: how a doubt holds what it may matter for."""

from __future__ import annotations

from collections.abc import Iterable

from actors.execution.doubts import Doubts
from actors.execution.resolver import DoubtPorts
from actors.runtime import Dispatcher, Supervisor
from messages import IN_DOUBT_HOLDS, Scope

SET_BY = "execution"


def ports_over(dispatcher: Dispatcher, supervisor: Supervisor) -> DoubtPorts:
    """Return ports that ask ``supervisor``, never in the middle of a handler."""

    def hold(hold_id: str, cause: str, scope: Scope) -> None:
        dispatcher.when_idle(
            lambda: supervisor.hold_open(hold_id, cause, scope=scope, set_by=SET_BY)
        )

    def lift(hold_id: str, reason: str) -> None:
        dispatcher.when_idle(lambda: supervisor.lift(hold_id, SET_BY, reason))

    return DoubtPorts(hold, lift)


def unaccounted(doubts: Doubts, holds: Iterable[str], occasion: str) -> list[str]:
    """
    Return the holds of doubts that nobody here has: an earlier session's, to be lifted now.

    To be asked once the venue and our books agree. The comparison at a session's own end is no
    evidence for the next one.
    """
    if occasion == "close":
        return []
    own = {f"{IN_DOUBT_HOLDS}{doubt.order_id}" for doubt in doubts.held}
    return [name for name in holds if name.startswith(IN_DOUBT_HOLDS) and name not in own]
