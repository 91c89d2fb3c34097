"""
The Reconciler's place in a session: what a comparison holds and lifts, and whom it may ask.

It is the supervisor who turns the gates; this says which, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from actors.execution import Books
from actors.execution.wiring import unaccounted
from actors.reconciler import ReconcilerPorts
from actors.risk.actor import CLIENT_ID_PREFIX
from actors.runtime import HoldSet, Supervisor
from actors.witness import Witness
from brokers.contract import SessionBroker
from messages import OUTSIDE_HOLDS, Reconciled
from state.register import RECOVERING_HOLD

OVERFLOW_HOLDS = "overflow:"
"""How the ids of holds begin that a lane placed which could not keep up: they end when the venue
and our books agree."""

FAILURE_HOLDS = ("failed:", "fatal:")
"""How those begin that an earlier session failed by: its successor ends them when the
venue and our books agree."""

RECONCILIATION_HOLD = "reconciliation"

OUTSIDE_LAG_MS: Final = 3_000
"""How long after the news of an execution a venue's account may still be without it."""


class Agreement:
    """Holds OPEN while the venue and our books differ; lifts what waited for them to agree."""

    def __init__(self, supervisor: Supervisor, books: Books, holds: HoldSet) -> None:
        """Act through ``supervisor``."""
        self._supervisor = supervisor
        self._books = books
        self._holds = holds

    def reconciled(
        self, result: Reconciled, lasting: tuple[str, ...], *, is_evidence: bool
    ) -> None:
        """
        Take the result of a comparison; what differs and has not lasted changes nothing yet.

        Without ``is_evidence`` what a hold is over may be there still: it was not compared.
        """
        if lasting and result.occasion == "start" and RECOVERING_HOLD in self._holds.view():
            return  # news is still on its way, and everything is held until they do agree
        cause = "; ".join(lasting)
        held = self._holds.view().get(RECONCILIATION_HOLD)
        # What holds already is not placed again by every look: its beginning is when it began.
        if lasting and (held is None or held.cause != cause):
            self._supervisor.hold_open(RECONCILIATION_HOLD, cause)
        if result.differences:
            return
        # The comparison at the end of the very session that failed is no evidence for the next one.
        ended = OVERFLOW_HOLDS if result.occasion == "close" else (OVERFLOW_HOLDS, *FAILURE_HOLDS)
        for hold_id in unaccounted(self._books.doubts, self._holds.view(), result.occasion):
            self._supervisor.lift(hold_id, "reconciler", "the venue and our books agree")
        for hold_id, hold in list(self._holds.view().items()):
            heard = result.occasion == "start" or result.at - hold.since >= OUTSIDE_LAG_MS
            is_over = heard and hold_id.startswith(OUTSIDE_HOLDS)
            is_gone = is_evidence and hold_id == RECONCILIATION_HOLD
            if is_over or is_gone or hold_id.startswith(ended):
                self._supervisor.lift(hold_id, "reconciler", "the venue and our books agree")


def ports_over(
    broker: SessionBroker, mark: Callable[[str], Decimal | None], own_tags: frozenset[str]
) -> ReconcilerPorts:
    """Return what the Reconciler may do through ``broker``."""
    return ReconcilerPorts(
        broker.is_whole if isinstance(broker, Witness) else (lambda: True),
        broker.query,
        broker.cancel,
        own_by(own_tags),
        mark,
    )


def own_by(tags: frozenset[str]) -> Callable[[str], bool]:
    """
    Return what says whether a client order id was given by a session of one of ``tags``.

    The prefix alone does not make an order ours: another installation may use the account.
    """

    def is_own(client_order_id: str) -> bool:
        if not client_order_id.startswith(CLIENT_ID_PREFIX):
            return False
        return client_order_id.removeprefix(CLIENT_ID_PREFIX).partition("-")[0] in tags

    return is_own
