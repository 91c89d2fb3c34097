"""
Every placement of every hold, with its end.

A report that leaves out why nothing was traded is worse than none. So a hold is a row each time
it is placed, also when it has the id of one before; and when there are too many rows, those go
that are lifted and were not latched, counted by kind. What is in force, and what was latched,
always stays.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from messages import Hold, HoldLifted, HoldPlaced, SessionStarted
from state.projections.limits import HOLD_KINDS_MAX, HOLDS_MAX
from state.projections.safety_summary import HoldCount, HoldEnd, HoldResult
from state.register import outliving

OTHER_KINDS = "(other kinds)"

START_UP = "start-up"
"""Who sets a hold before any actor starts that no earlier session left."""

WITHOUT_REGISTER = frozenset({"", "replay"})
"""Modes whose holds end with their session."""


class HoldTally:
    """Keep a row for each placement; memory depends on how many ids there are, not on time."""

    def __init__(self) -> None:
        self.total = 0
        self._rows: dict[int, HoldResult] = {}
        self._in_force: dict[str, int] = {}
        self._placements: dict[str, int] = {}
        self._left_out: dict[str, int] = {}
        self._started: SessionStarted | None = None
        self._starting = False

    def on_session_start(self, started: SessionStarted) -> None:
        """Take what is placed from here to the first actor's start for an earlier session's."""
        self._started = started
        self._starting = True

    def on_actor_start(self) -> None:
        """Take what is placed from here on for this session's own."""
        self._starting = False

    def on_hold(self, placed: HoldPlaced) -> HoldResult:
        """Note a placement and return its row; of a hold already in force, the row it has."""
        hold = placed.hold
        older = self._in_force.get(hold.hold_id)
        if older is not None and self._rows[older].hold == hold:
            return self._rows[older]  # put in force again as it was: a session that goes on
        self.total += 1
        carried = self._is_carried_over(hold)
        started = self._started
        at = started.at if carried and started is not None else hold.since
        if older is not None:
            del self._in_force[hold.hold_id]
            self._end(older, HoldEnd.REPLACED, at, hold.set_by, hold.cause)
        placement = self._placements[hold.hold_id] = self._placements.get(hold.hold_id, 0) + 1
        row = HoldResult(hold, at, placement, carried)
        self._rows[self.total] = row
        self._in_force[hold.hold_id] = self.total
        return row

    def on_lift(self, lifted: HoldLifted) -> None:
        """Note how a hold ended."""
        hold = lifted.hold
        if hold.hold_id not in self._in_force:  # its placement is not in this journal
            self.on_hold(HoldPlaced(hold))
        number = self._in_force.pop(hold.hold_id)
        self._end(number, HoldEnd.LIFTED, lifted.at, lifted.lifted_by, lifted.reason)

    def in_force(self) -> Iterator[HoldResult]:
        """Yield the rows of the holds in force, in order of placement."""
        return (self._rows[number] for number in self._in_force.values())

    def results(self) -> tuple[HoldResult, ...]:
        """Return the rows in order of placement."""
        mode = self._started.mode if self._started is not None else ""
        kept = mode not in WITHOUT_REGISTER
        return tuple(
            replace(row, outlives=True)
            if kept and row.end is HoldEnd.IN_FORCE and outliving((row.hold,))
            else row
            for row in self._rows.values()
        )

    def left_out(self) -> tuple[HoldCount, ...]:
        """Return how many placements have no row, by kind, the commonest first."""
        ordered = sorted(self._left_out.items(), key=lambda item: (-item[1], item[0]))
        return tuple(HoldCount(kind, count) for kind, count in ordered)

    def _is_carried_over(self, hold: Hold) -> bool:
        started = self._started
        if started is None:
            return False
        if hold.since < started.at:
            return True
        # Session time may run over the same recorded bars twice, so that an earlier session's
        # hold can be dated after this one's start: the order of events tells them apart.
        return self._starting and not (hold.set_by == START_UP and hold.since == started.at)

    def _end(self, number: int, end: HoldEnd, at: int, by: str, reason: str) -> None:
        row = self._rows[number]
        if number > HOLDS_MAX and not row.hold.latched:
            del self._rows[number]
            kind = row.hold.hold_id.partition(":")[0]
            if kind not in self._left_out and len(self._left_out) >= HOLD_KINDS_MAX:
                kind = OTHER_KINDS
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._rows[number] = replace(row, end=end, lifted_at=at, lifted_by=by, lift_reason=reason)
