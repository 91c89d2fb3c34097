"""
The way back into trade after an earlier process: nothing opens before everything is explained.

Held as ``recovering`` from the first instruction; let go once the venue has told of every order
and its account is what the books say.
"""

from __future__ import annotations

from typing import Final

from actors.agreement import RECOVERING_HOLD
from actors.assembly import Assembly
from actors.reconciler import UNSETTLED, ReconcilerActor
from messages import HoldMode

RECOVERY_LOOK_MS: Final = 1_000
"""How often it is looked whether they do."""


class Recovery:
    """Looks until the venue and our books agree, and lifts the hold."""

    def __init__(self, assembly: Assembly) -> None:
        """Watch over ``assembly``."""
        self._assembly = assembly

    def begin(self) -> None:
        """
        Hold everything; nothing has started yet.

        What was on its way waits, as behind a circuit: refusing it would change what the session
        does whenever nothing was in doubt at all.
        """
        self._assembly.supervisor.hold_open(
            RECOVERING_HOLD,
            "the session goes on after an earlier process",
            mode=HoldMode.BLOCK,
        )

    def look(self, at: int) -> None:
        """Open again once the venue has told of every order and agrees with our books."""
        assembly = self._assembly
        reconciler = assembly.reconciler_cell
        asked = any(order.status in UNSETTLED for order in assembly.books.orders.live())
        if not asked and reconciler.runs and isinstance(reconciler.actor, ReconcilerActor):
            result = reconciler.actor.compare("recovery")
            assembly.dispatcher.publish("session", result)
            if not result.differences:
                agreed = "every order is accounted for, and the venue and our books agree"
                assembly.supervisor.lift(RECOVERING_HOLD, "reconciler", agreed)
                return
        assembly.clock.call_at(at + RECOVERY_LOOK_MS, self.look)

    @property
    def is_unaccounted(self) -> bool:
        """Return whether the venue is still to be asked about something before anything opens."""
        assembly = self._assembly
        return bool(assembly.books.doubts.open) or RECOVERING_HOLD in assembly.holds.view()
