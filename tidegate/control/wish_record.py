"""What the journal told of strategies' wishes: intents, further orders, plans, backoffs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from messages import (
    BackoffChanged,
    FollowUp,
    Intent,
    IntentEnded,
    Message,
    OpenFollowUp,
    OpenIntent,
    OperatorReduce,
    PlanChanged,
    ReasonCode,
    ReduceFollowUp,
    ReduceIntent,
    RiskDecision,
    StateOccasion,
    StrategyState,
    Verdict,
)

By = Counter[tuple[str, str]]
"""Counts by strategy and one more label."""

ROLLBACKS = frozenset({StateOccasion.ROLLED_BACK, StateOccasion.SUPERSEDED})


class WishRecord:
    """
    Counts by strategy since the session started.

    Written in the session's thread and read in others, which take copies.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.intents: By = Counter()
        self.further: By = Counter()
        self.further_refused: By = Counter()
        self.short: By = Counter()
        self.plans: By = Counter()
        self.rollbacks: By = Counter()
        self.backoffs: By = Counter()
        self._until: dict[tuple[str, str, str], int] = {}

    def tellers(self) -> Mapping[type[Message], Callable[[Any], None]]:
        """Return what takes each class of message; decisions are given to ``on_decision``."""
        return {
            OpenIntent: self._intent,
            ReduceIntent: self._intent,
            OperatorReduce: self._intent,
            OpenFollowUp: self._further,
            ReduceFollowUp: self._further,
            IntentEnded: self._ended,
            PlanChanged: self._plan,
            StrategyState: self._state,
            BackoffChanged: self._backoff,
        }

    def on_decision(self, decision: RiskDecision) -> None:
        """Count the refusal of a further order, or of a plan."""
        if decision.verdict is not Verdict.DENIED:
            return
        if decision.root_id:
            for cause in decision.causes:
                self.further_refused[decision.strategy, cause.code.value] += 1
        elif any(cause.code is ReasonCode.PLAN_INVALID for cause in decision.causes):
            self.plans[decision.strategy, "refused"] += 1

    def _intent(self, intent: Intent) -> None:
        self.intents[intent.strategy, intent.action.value] += 1

    def _further(self, intent: FollowUp) -> None:
        self.further[intent.strategy, intent.because.value] += 1

    def _ended(self, ended: IntentEnded) -> None:
        if ended.cause is not None and ended.filled < ended.quantity:
            self.short[ended.strategy, ended.cause.code.value] += 1

    def _plan(self, changed: PlanChanged) -> None:
        self.plans[changed.strategy, changed.status.value] += 1

    def _state(self, state: StrategyState) -> None:
        if state.occasion in ROLLBACKS:
            self.rollbacks[state.strategy, state.occasion.value] += 1

    def _backoff(self, changed: BackoffChanged) -> None:
        key = (changed.strategy, changed.symbol, changed.family.value)
        if changed.until <= changed.at:
            self._until.pop(key, None)
        elif self._until.get(key) != changed.until:  # not said again by a new incarnation
            self._until[key] = changed.until
            self.backoffs[changed.strategy, changed.family.value] += 1
