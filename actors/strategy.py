"""
The actor that hosts one strategy object.

It keeps the strategy's desk up to date before the strategy's hooks run, and keeps the
strategy's durable state. The desk outlives a failing strategy object; the object is made anew
and restored from its last snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actors.runtime import Actor, Effects
from actors.runtime.cell import Handler
from messages import (
    Bar,
    CancelIntent,
    Cause,
    ExecutionReport,
    Intent,
    Message,
    OpenIntent,
    Quote,
    ReduceIntent,
    RiskDecision,
    SnapshotTaken,
    TakeSnapshot,
    Tick,
)
from strategies import Desk, Strategy

ALLOWED = frozenset({OpenIntent, ReduceIntent, CancelIntent})
"""What a strategy may emit: nothing that holds, approves, reports or commands."""


class StrategyActor(Actor):
    """One incarnation of a strategy."""

    def __init__(
        self,
        desk: Desk,
        make: Callable[[Desk], Strategy],
        saved: dict[str, Any] | None,
        save: Callable[[dict[str, Any]], None],
    ) -> None:
        """Make the strategy at ``desk`` and restore it from ``saved``, if there is anything."""
        self.desk = desk
        self.strategy = make(desk)
        self._save = save
        if saved is not None:
            self.strategy.restore(saved)
        kind = type(self.strategy)
        self._wants_fills = kind.on_fill is not Strategy.on_fill
        self._wants_updates = kind.on_order_update is not Strategy.on_order_update
        self.eager = self._wants_updates

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers; market data goes to the strategy's own methods without a detour."""
        return {
            Bar: self.strategy.on_bar,
            Quote: self.strategy.on_quote,
            Tick: self.strategy.on_tick,
            ExecutionReport: self.on_report,
            RiskDecision: self.on_decision,
            TakeSnapshot: self.on_take_snapshot,
        }

    def on_start(self) -> Effects:
        """Tell the strategy that it starts."""
        return self.strategy.on_start()

    def on_report(self, report: ExecutionReport) -> Effects:
        """Move the desk, then let the strategy react."""
        self.desk.record_report(report)
        if report.fill is not None and self._wants_fills:
            intents = list(self.strategy.on_fill(report.fill) or ())
            if self._wants_updates:
                intents.extend(self.strategy.on_order_update(report) or ())
            return intents
        if self._wants_updates:
            return self.strategy.on_order_update(report)
        return None

    def on_decision(self, decision: RiskDecision) -> Effects:
        """Take a refusal to the desk, then to the strategy."""
        if not decision.causes:
            return None
        self.desk.record_decision(decision)
        return self.strategy.on_order_rejected(decision)

    def on_take_snapshot(self, _command: TakeSnapshot) -> tuple[SnapshotTaken]:
        """Journal the state that a restart comes back with."""
        state = {"strategy": self.strategy.snapshot(), "desk": self.desk.snapshot()}
        self._save(state["strategy"])
        text = json.dumps(state, separators=(",", ":"), sort_keys=True)
        return (SnapshotTaken(f"strategy:{self.desk.strategy}", self.desk.now, text),)


class ForeignEffect(Exception):
    """A strategy returned something that is not an intent of its own."""


def own_intents(strategy: str, effects: Iterable[Any]) -> tuple[Intent | CancelIntent, ...]:
    """Return the effects as a tuple, or raise ``ForeignEffect`` naming the first wrong one."""
    checked = tuple(effects)
    for effect in checked:
        kind = type(effect)
        if kind not in ALLOWED and kind is not SnapshotTaken:
            raise ForeignEffect(
                f"strategy {strategy!r} returned {kind.__name__}, expected OpenIntent, "
                f"ReduceIntent or CancelIntent"
            )
        if kind is not SnapshotTaken and effect.strategy != strategy:
            raise ForeignEffect(
                f"strategy {strategy!r} returned an intent in the name of {effect.strategy!r}"
            )
    return checked


def refusal_text(causes: tuple[Cause, ...]) -> str:
    """Return the causes as one line."""
    return "; ".join(str(cause) for cause in causes)
