"""A plan that stands: its steps, how far each is, and how it is kept across restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from messages import Plan, PlanIntent, PositionSide
from state.money import ZERO

ASKS_MAX: Final = 256
"""Stops, trails and targets that one plan asks for at one moment: fills in pieces need many."""

BookKey = tuple[str, PositionSide]


@dataclass(slots=True)
class Step:
    """One order that a plan wants: what was asked for last, and the intents that stand for it."""

    price: Decimal | None = None
    quantity: Decimal = ZERO
    intents: list[str] = field(default_factory=list)
    """Those that are not over, newest last: it comes in the place of the ones before it."""
    filled: Decimal = ZERO
    refused_at: tuple[Decimal, Decimal | None] | None = None
    """The quantity and price that were refused: not to be asked for again as the book is."""
    replaced: str = ""
    """In whose place the newest one was to come."""
    asked: bool = False
    """A rung that was asked for is not asked for again."""

    @property
    def intent_id(self) -> str:
        """Return the newest intent that stands for it; empty if there is none."""
        return self.intents[-1] if self.intents else ""

    def note(
        self, intent_id: str, quantity: Decimal, price: Decimal | None = None, replaced: str = ""
    ) -> None:
        """Note what was asked for."""
        self.intents.append(intent_id)
        self.quantity, self.price, self.replaced = quantity, price, replaced
        self.asked = True

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
    way: int = 0
    """1 for a long position, -1 for a short one, 0 before there was any."""
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
    over: bool = False
    """The position has been left; only what would add to it is still being taken back."""
    closed_at: int = -1
    """When the close was asked for last: once in a moment, whatever became of it."""
    guards: list[str] = field(default_factory=list)
    """The stops and trails that are not over, newest last: a chain of replacements."""
    leaving: list[str] = field(default_factory=list)
    """What the older plan had asked for and this one does not want."""
    taken_back: dict[str, int] = field(default_factory=dict)
    """When the cancel of an intent was asked for."""
    timed_out: bool = False
    """The timer of its time stop has gone off. It does so once, over all processes."""

    moment: int = -1
    said: int = 0
    """How often protection was asked for in this moment; of no meaning after a restart."""

    @property
    def held(self) -> bool:
        """Return whether there was a position under this plan."""
        return self.way != 0

    @property
    def book(self) -> BookKey:
        """Return the plan's book."""
        return self.intent.symbol, self.intent.position_side

    def has_said_enough(self, now: int) -> bool:
        """Return whether so much was asked for at ``now`` that somebody goes round in circles."""
        if now != self.moment:
            self.moment, self.said = now, 0
        return self.said >= ASKS_MAX

    def steps(self) -> list[Step]:
        """Return every step."""
        return [self.stop, self.trail, self.closing, *self.targets, *self.adds]

    def step_of(self, intent_id: str) -> Step | None:
        """Return the step that an intent stands for."""
        return next((step for step in self.steps() if intent_id in step.intents), None)

    def forget(self, intent_id: str) -> None:
        """Take an intent that is over off the plan."""
        for ids in (self.guards, self.leaving, *(step.intents for step in self.steps())):
            if intent_id in ids:
                ids.remove(intent_id)
        self.taken_back.pop(intent_id, None)

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
            "way": self.way,
            "size": str(self.size),
            "last": str(self.last),
            "best": None if self.best is None else str(self.best),
            "trailing": self.trailing,
            "stop": _kept(self.stop),
            "trail": _kept(self.trail),
            "closing": _kept(self.closing),
            "over": self.over,
            "closed_at": self.closed_at,
            "guards": list(self.guards),
            "leaving": list(self.leaving),
            "taken_back": dict(self.taken_back),
            "timed_out": self.timed_out,
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
            kept["way"],
            Decimal(kept["size"]),
            Decimal(kept["last"]),
            None if kept["best"] is None else Decimal(kept["best"]),
            _step(kept["stop"]),
            _step(kept["trail"]),
            kept["trailing"],
            [_step(step) for step in kept["targets"]],
            [_step(step) for step in kept["adds"]],
            _step(kept["closing"]),
            kept["over"],
            kept["closed_at"],
            list(kept["guards"]),
            list(kept["leaving"]),
            dict(kept["taken_back"]),
            kept.get("timed_out", False),  # an older Tidegate did not say
        )


def _kept(step: Step) -> list[Any]:
    refused = step.refused_at
    return [
        None if step.price is None else str(step.price),
        str(step.quantity),
        list(step.intents),
        str(step.filled),
        None
        if refused is None
        else [str(refused[0]), None if refused[1] is None else str(refused[1])],
        step.replaced,
        step.asked,
    ]


def _step(kept: list[Any]) -> Step:
    price, quantity, intents, filled, refused, replaced, asked = kept
    return Step(
        None if price is None else Decimal(price),
        Decimal(quantity),
        list(intents),
        Decimal(filled),
        None
        if refused is None
        else (Decimal(refused[0]), None if refused[1] is None else Decimal(refused[1])),
        replaced,
        asked,
    )
