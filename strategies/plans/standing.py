"""A plan that stands: its steps, how far each is, and how it is kept across restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from messages import Plan, PlanIntent, PositionSide
from state.money import ZERO

BookKey = tuple[str, PositionSide]


@dataclass(slots=True)
class Step:
    """One order that a plan wants: what it wants, and the intent that stands for it."""

    price: Decimal | None = None
    quantity: Decimal = ZERO
    intent_id: str = ""
    filled: Decimal = ZERO
    refused_at: tuple[Decimal, Decimal | None] | None = None
    """The quantity and price that were refused: not to be asked for again."""

    def is_refused(self, quantity: Decimal, price: Decimal | None) -> bool:
        """Return whether just this was refused."""
        return self.refused_at == (quantity, price)


@dataclass(slots=True)
class Standing:
    """One book's plan and how far it is."""

    intent: PlanIntent
    plan: Plan
    base: Decimal
    """The price that rungs are counted from: the mean entry price when it was known first."""
    held: bool = False
    size: Decimal = ZERO
    """All that was ever held under the plan: what shares are shares of."""
    last: Decimal = ZERO
    best: Decimal | None = None
    stop: Step = field(default_factory=Step)
    trail: Step = field(default_factory=Step)
    trailing: bool = False
    targets: list[Step] = field(default_factory=list)
    adds: list[Step] = field(default_factory=list)
    closing: Step = field(default_factory=Step)
    closed_at: int = -1
    """When the close was asked for last: once in a moment, whatever became of it."""

    @property
    def book(self) -> BookKey:
        """Return the plan's book."""
        return self.intent.symbol, self.intent.position_side

    def steps(self) -> list[Step]:
        """Return every step."""
        return [self.stop, self.trail, self.closing, *self.targets, *self.adds]

    def step_of(self, intent_id: str) -> Step | None:
        """Return the step that an intent stands for."""
        return next((step for step in self.steps() if step.intent_id == intent_id), None)

    def name_of(self, step: Step) -> str:
        """Return what a step is called."""
        for name, own in (
            ("stop", self.stop),
            ("trail", self.trail),
            ("close", self.closing),
            *((f"target {number}", own) for number, own in enumerate(self.targets, start=1)),
            *((f"add {number}", own) for number, own in enumerate(self.adds, start=1)),
        ):
            if own is step:
                return name
        raise AssertionError("a step of this plan")

    def snapshot(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "intent": msgspec.to_builtins(self.intent),
            "base": str(self.base),
            "held": self.held,
            "size": str(self.size),
            "last": str(self.last),
            "best": None if self.best is None else str(self.best),
            "trailing": self.trailing,
            "stop": _kept(self.stop),
            "trail": _kept(self.trail),
            "closing": _kept(self.closing),
            "closed_at": self.closed_at,
            "targets": [_kept(step) for step in self.targets],
            "adds": [_kept(step) for step in self.adds],
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Standing:
        """Return what ``snapshot`` was taken of."""
        intent = msgspec.convert(kept["intent"], PlanIntent)
        assert intent.plan is not None, "only plans stand"
        return cls(
            intent,
            intent.plan,
            Decimal(kept["base"]),
            kept["held"],
            Decimal(kept["size"]),
            Decimal(kept["last"]),
            None if kept["best"] is None else Decimal(kept["best"]),
            _step(kept["stop"]),
            _step(kept["trail"]),
            kept["trailing"],
            [_step(step) for step in kept["targets"]],
            [_step(step) for step in kept["adds"]],
            _step(kept["closing"]),
            kept["closed_at"],
        )


def _kept(step: Step) -> list[Any]:
    refused = step.refused_at
    return [
        None if step.price is None else str(step.price),
        str(step.quantity),
        step.intent_id,
        str(step.filled),
        None
        if refused is None
        else [str(refused[0]), None if refused[1] is None else str(refused[1])],
    ]


def _step(kept: list[Any]) -> Step:
    price, quantity, intent_id, filled, refused = kept
    return Step(
        None if price is None else Decimal(price),
        Decimal(quantity),
        intent_id,
        Decimal(filled),
        None
        if refused is None
        else (Decimal(refused[0]), None if refused[1] is None else Decimal(refused[1])),
    )
