"""
The way back into trade after an earlier process: nothing opens before everything is explained.

Held as ``recovering`` from the first instruction; let go once the venue has told of every order,
its account is what the books say, and the journal has been checked whole.

Theory of operation. A start has two phases. When the books are there and every actor runs, the
session is *protected*: cancels, closes and kills work, while nothing that adds exposure can leave.
That takes a time that does not depend on how long the journal is: a snapshot of the facts and the
entries after it (``state.fact_snapshots``). Checking the file itself does take longer the longer it
is, so it is done beside the running session, and only *trading* waits for it: a journal that turns
out to be damaged ends the session before anything has opened. How long it takes is the machine's
affair and decides what opens when, so its end is put on record, with its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from actors.assembly import Assembly
from actors.reconciler import UNSETTLED, ReconcilerActor
from actors.runtime.clock import monotonic_s
from messages import HoldMode, JournalChecked
from state.journal.entry import Entry
from state.register import RECOVERING_HOLD

RECOVERY_LOOK_MS: Final = 1_000
"""How often it is looked whether they do."""


class PhaseLog:
    """
    Tells each phase of a start after the entries that brought it about; one of the journal's sinks.

    Those are told when they are durable. A phase that was told at once came before its own cause.
    """

    def __init__(self) -> None:
        """Begin with nothing to tell."""
        self._seen = 0
        self._waiting: list[tuple[int, str, float]] = []

    def reached(self, seq: int, phase: str, took_s: float) -> None:
        """Tell, once entry ``seq`` has been told, that ``phase`` took ``took_s``."""
        self._waiting.append((seq, phase, took_s))
        self._tell()

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Take note of what has been told by now."""
        del lines
        self._seen = entries[-1].seq
        if self._waiting:
            self._tell()

    def close(self) -> None:
        """Do nothing: what waited for the last entry has been told with it."""

    def _tell(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._seen:
            _, phase, took_s = self._waiting.pop(0)
            structlog.get_logger("session").info("recovery_phase", phase=phase, took_s=took_s)


class Recovery:
    """Looks until the venue and our books agree, and lifts the hold."""

    def __init__(self, assembly: Assembly) -> None:
        """Watch over ``assembly``."""
        self._assembly = assembly
        self.times: dict[str, float] = {}
        """Seconds from the first look at the folder to each phase that was reached."""
        self._checked = True
        self._began_s: float | None = None
        self._phases = PhaseLog()

    def await_check(self, began_s: float | None = None, phases: PhaseLog | None = None) -> None:
        """
        Do not open before ``journal_is_sound`` is called; nothing has started yet.

        The phases are timed from ``began_s``, a moment of the machine's monotonic clock, and told
        through ``phases``; without it they are not.
        """
        self._checked = False
        self._began_s = began_s
        self._phases = phases or self._phases

    @property
    def is_checking(self) -> bool:
        """Return whether the journal's check is still waited for."""
        return not self._checked

    def journal_is_sound(self, place: str) -> None:
        """
        Open as soon as all else is in order: the journal has been checked whole.

        When that is depends on the machine: that it was at ``place`` is journaled.
        """
        self._checked = True
        self._reached("checked")
        now = self._assembly.clock.now
        self._assembly.dispatcher.publish("session", JournalChecked("session", now), place)
        self.look(now)

    def protected(self) -> None:
        """Note that everything runs, and that whatever reduces exposure can leave."""
        self._reached("protected")

    def _reached(self, phase: str) -> None:
        if self._began_s is None:
            return
        self.times[phase] = took_s = round(monotonic_s() - self._began_s, 3)
        self._phases.reached(self._assembly.dispatcher.journal.seq, phase, took_s)

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
        if not self._checked:
            return  # whoever checks it looks again
        assembly = self._assembly
        reconciler = assembly.reconciler_cell
        asked = any(order.status in UNSETTLED for order in assembly.books.orders.live())
        if not asked and reconciler.runs and isinstance(reconciler.actor, ReconcilerActor):
            result = reconciler.actor.compare("recovery")
            assembly.dispatcher.publish("session", result)
            if not result.differences:
                agreed = "every order is accounted for, and the venue and our books agree"
                assembly.supervisor.lift(RECOVERING_HOLD, "reconciler", agreed)
                self._reached("trading")
                return
        assembly.clock.call_at(at + RECOVERY_LOOK_MS, self.look, "recovery")

    @property
    def is_unaccounted(self) -> bool:
        """Return whether the venue is still to be asked about something before anything opens."""
        assembly = self._assembly
        return bool(assembly.books.doubts.open) or RECOVERING_HOLD in assembly.holds.view()
