"""
Rows of ``intents.csv`` for what no order is made of: cancels, plans, pauses.

A cancel's row waits for the ends of what it is for, a plan's until another takes its place, the
strategy takes it back or its book is flat, a pause's until its hold is lifted. All of it stands in
the order in which it was asked for, among the intents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from messages import (
    STRATEGY_PAUSES,
    CancelIntent,
    DeadLetter,
    HoldLifted,
    IntentAction,
    OrderStatus,
    PauseIntent,
    PlanChanged,
    PlanIntent,
    PlanStatus,
    RiskDecision,
)
from state.projections.csv_text import csv_row
from state.projections.ordered_rows import Place, Rows
from state.projections.policy_text import plan_text
from state.projections.roots import CancelWatch, Root
from state.projections.timestamps import iso_ms

UNFINISHED: Final = "unfinished"
CANCELLED: Final = OrderStatus.CANCELLED.value
ENDS: Final = frozenset({PlanStatus.REPLACED, PlanStatus.DROPPED, PlanStatus.DONE})
"""What a plan does not outlive."""

BY_ITSELF: Final = "clock"
"""Who lifts a hold whose time has come."""


def wish_row(
    asked: CancelIntent | PlanIntent | PauseIntent,
    action: IntentAction,
    *,
    ended_at: int | None,
    outcome: str,
    causes: str,
    text: str = "",
    orders: int | None = None,
) -> str:
    """Return the row of a wish that is no order; ``text`` stands in the column of the policy."""
    side = asked.position_side.value if isinstance(asked, PlanIntent) else ""
    tag = "" if isinstance(asked, PauseIntent) else asked.tag
    return csv_row(
        (
            asked.intent_id,
            iso_ms(asked.created_at),
            "" if ended_at is None else iso_ms(ended_at),
            asked.strategy,
            asked.symbol,
            side,
            action.value,
            *[""] * 4,
            text,
            *[""] * 2,
            tag,
            "" if orders is None else str(orders),
            *[""] * 7,
            outcome,
            causes,
        )
    )


class CancelRows:
    """The cancels that wait for the end of something."""

    __slots__ = ("_rows", "_waiting")

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._waiting: dict[str, CancelWatch] = {}

    def on_cancel(self, cancel: CancelIntent, roots: Iterable[Root]) -> None:
        """Let a cancel wait for the ends of ``roots``; where there are none it is over."""
        found = list(roots)
        watch = CancelWatch(cancel, self._rows.take_place(), len(found), len(found))
        if not found:
            self._put(watch, cancel.created_at, "nothing_to_cancel")
            return
        self._waiting[cancel.intent_id] = watch
        for root in found:
            if root.watches is None:
                root.watches = []
            root.watches.append(watch)

    def on_end(self, root: Root, at: int) -> None:
        """Tell the cancels that wait for a root of its end."""
        for watch in root.watches or ():
            watch.waits -= 1
            watch.cancelled += root.outcome == CANCELLED
            if not watch.waits and self._is_waiting(watch):
                outcome = CANCELLED if watch.cancelled else "too_late"
                self._put(watch, at, outcome)

    def on_dead_letter(self, letter: DeadLetter) -> None:
        """End a cancel that found nothing at Execution, whatever waits elsewhere."""
        if letter.message_type != "ApprovedCancel" or letter.reason != "unknown_order":
            return
        name = letter.detail.removeprefix("cancel ").partition(":")[0]
        watch = self._waiting.get(name)
        if watch is not None:
            self._put(watch, letter.at, "nothing_to_cancel")

    def finish(self) -> None:
        """Write those that still wait."""
        for watch in list(self._waiting.values()):
            self._put(watch, None, UNFINISHED)

    def _is_waiting(self, watch: CancelWatch) -> bool:
        return self._waiting.get(watch.cancel.intent_id) is watch

    def _put(self, watch: CancelWatch, at: int | None, outcome: str) -> None:
        cancel = watch.cancel
        self._waiting.pop(cancel.intent_id, None)
        row = wish_row(
            cancel,
            IntentAction.CANCEL,
            ended_at=at,
            outcome=outcome,
            causes=f"order_id={cancel.order_id}" if cancel.order_id else "",
            orders=watch.concerned,
        )
        self._rows.put(watch.place, row)


class _Plan:
    """A plan whose row is not written yet."""

    __slots__ = ("intent", "place", "steps")

    def __init__(self, intent: PlanIntent, place: Place) -> None:
        self.intent = intent
        self.place = place
        self.steps = 0


class PlanRows:
    """The plans that stand; at most one a book."""

    __slots__ = ("_dropped", "_plans", "_rows")

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._plans: dict[str, _Plan] = {}
        self._dropped: PlanChanged | None = None

    def on_plan(self, intent: PlanIntent) -> None:
        """Begin a plan's row; that of taking one back is over at once."""
        plan = _Plan(intent, self._rows.take_place())
        if intent.plan is not None:
            self._plans[intent.intent_id] = plan
            return
        # What became of the older plan is told before the intent that it is because of.
        older, self._dropped = self._dropped, None
        book = (intent.strategy, intent.symbol, intent.position_side, intent.created_at)
        took = older is not None and book == (
            older.strategy,
            older.symbol,
            older.position_side,
            older.at,
        )
        self._put(plan, intent.created_at, "dropped" if took else "nothing_to_drop", "")

    def on_step(self, plan_id: str) -> None:
        """Count an intent that is a step of a plan."""
        plan = self._plans.get(plan_id)
        if plan is not None:
            plan.steps += 1

    def on_changed(self, changed: PlanChanged) -> None:
        """End a plan that another one replaces, that was taken back, or whose book is flat."""
        if changed.status is PlanStatus.DROPPED:
            self._dropped = changed
        if changed.status in ENDS:
            plan = self._plans.pop(changed.plan_id, None)
            if plan is not None:
                self._put(plan, changed.at, changed.status.value, changed.detail)

    def on_decision(self, decision: RiskDecision) -> bool:
        """End a plan that cannot be; return whether the decision is about one."""
        plan = self._plans.pop(decision.intent_id, None)
        if plan is None:
            return False
        causes = ";".join(map(str, decision.causes))
        self._put(plan, decision.decided_at, "refused", causes)
        return True

    def finish(self) -> None:
        """Write those that still stand."""
        for plan in self._plans.values():
            self._put(plan, None, PlanStatus.ADOPTED.value, "")
        self._plans.clear()

    def _put(self, plan: _Plan, at: int | None, outcome: str, causes: str) -> None:
        intent = plan.intent
        row = wish_row(
            intent,
            IntentAction.UPDATE_PLAN,
            ended_at=at,
            outcome=outcome,
            causes=causes,
            text=plan_text(intent.plan),
            orders=plan.steps,
        )
        self._rows.put(plan.place, row)


class PauseRows:
    """The pauses that strategies asked for and that last; at most one a strategy and symbol."""

    __slots__ = ("_pauses", "_rows")

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._pauses: dict[str, tuple[PauseIntent, Place]] = {}

    def on_pause(self, intent: PauseIntent) -> None:
        """Begin a pause's row, in place of an older one of the same scope."""
        hold_id = f"{STRATEGY_PAUSES}{intent.strategy}"
        if intent.symbol:
            hold_id += f":{intent.symbol}"
        self._end(hold_id, intent.created_at, "replaced")
        self._pauses[hold_id] = (intent, self._rows.take_place())

    def on_lifted(self, lifted: HoldLifted) -> None:
        """End a pause whose hold is gone."""
        outcome = "over" if lifted.lifted_by == BY_ITSELF else "lifted"
        self._end(lifted.hold.hold_id, lifted.at, outcome)

    def finish(self) -> None:
        """Write those that still last."""
        for hold_id in list(self._pauses):
            self._end(hold_id, None, UNFINISHED)

    def _end(self, hold_id: str, at: int | None, outcome: str) -> None:
        found = self._pauses.pop(hold_id, None)
        if found is None:
            return
        intent, place = found
        row = wish_row(
            intent,
            IntentAction.PAUSE_TRADING,
            ended_at=at,
            outcome=outcome,
            causes=intent.reason,
            text=f"until={iso_ms(intent.until)}",
        )
        self._rows.put(place, row)
