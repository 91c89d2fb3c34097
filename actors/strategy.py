"""
The actor that hosts one strategy object.

It keeps the strategy's desk up to date before the strategy's hooks run, and keeps the
strategy's durable state. The desk outlives a failing strategy object; the object is made anew
and restored from its last snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from actors.runtime import Actor, Effect, Effects
from actors.runtime.cell import Handler
from actors.runtime.limits import EFFECTS_MAX
from messages import (
    MARKET,
    Bar,
    CancelIntent,
    ExecutionPolicy,
    ExecutionReport,
    Intent,
    Message,
    OpenIntent,
    OrderType,
    PositionSide,
    Quote,
    ReduceIntent,
    RiskDecision,
    Side,
    SnapshotTaken,
    Tick,
    TimeInForce,
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
        saved: str | None,
        save: Callable[[str], None],
    ) -> None:
        """Make the strategy at ``desk`` and restore it from ``saved``, if there is anything."""
        desk.settle_drafts(())  # what an earlier incarnation made and never returned
        self.desk = desk
        self.strategy = make(desk)
        self._save = save
        if saved is not None:
            self.strategy.restore(json.loads(saved)["strategy"])
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
        }

    def on_start(self) -> Effects:
        """Tell the strategy that it starts."""
        return self.strategy.on_start()

    def on_report(self, report: ExecutionReport) -> Effects:
        """Move the desk, then let the strategy react."""
        self.desk.record_report(report)
        first = None
        if report.fill is not None and self._wants_fills:
            first = self.strategy.on_fill(report.fill)
        if not self._wants_updates:
            return first
        if first is not None:  # a generator runs here, before the next hook
            first = tuple(islice(first, EFFECTS_MAX + 1))
        then = self.strategy.on_order_update(report)
        return then if first is None else chain(first, then or ())

    def on_decision(self, decision: RiskDecision) -> Effects:
        """Take a refusal to the desk, then to the strategy."""
        if not decision.causes:
            return None
        self.desk.record_decision(decision)
        return self.strategy.on_order_rejected(decision)

    def snapshot(self) -> SnapshotTaken:
        """Return the state that a restart comes back with, having noted it for that."""
        state = {"strategy": self.strategy.snapshot(), "desk": self.desk.snapshot()}
        text = json.dumps(state, separators=(",", ":"), sort_keys=True)
        self._save(text)
        return SnapshotTaken(f"strategy:{self.desk.strategy}", self.desk.now, text)

    def withdrawn(self, effects: Iterable[Effect]) -> None:
        """Take intents that will not be sent off the desk."""
        self.desk.withdraw(effect.intent_id for effect in effects if isinstance(effect, Intent))


MAGNITUDE_MAX = 18
"""Amounts stay below 10**19: what exact arithmetic over a session has room for."""

TIME_TYPES = frozenset({int, type(None)})


class MalformedIntent(Exception):
    """An intent whose fields are not what they must be: says which, what it is, what is needed."""

    def __init__(self, name: str, found: object, expected: str) -> None:
        """Name the field."""
        super().__init__(f"{name} is {found!r}, expected {expected}")


class ForeignEffect(Exception):
    """A strategy returned something that is not an intent of its own."""


def own_intents(desk: Desk, effects: Iterable[Any]) -> tuple[Intent | CancelIntent, ...]:
    """
    Return the effects as a tuple, or raise ``ForeignEffect`` naming the first wrong one.

    Intents that were made at the desk and not returned are withdrawn from it.
    """
    strategy = desk.strategy
    checked = tuple(islice(effects, EFFECTS_MAX + 1))
    if len(checked) > EFFECTS_MAX:
        raise ForeignEffect(f"strategy {strategy!r} returned more than {EFFECTS_MAX} intents")
    for effect in checked:
        kind = type(effect)
        if kind not in ALLOWED:
            raise ForeignEffect(
                f"strategy {strategy!r} returned {kind.__name__}, expected OpenIntent, "
                f"ReduceIntent or CancelIntent"
            )
        if effect.strategy != strategy:
            raise ForeignEffect(
                f"strategy {strategy!r} returned an intent in the name of {effect.strategy!r}"
            )
        if not str(effect.intent_id).startswith(desk.id_prefix):
            raise ForeignEffect(
                f"strategy {strategy!r} returned the id {effect.intent_id!r}, expected one of its "
                f"desk's, which start with {desk.id_prefix!r}"
            )
        if kind is CancelIntent:
            check_cancel(effect)
        else:
            check_intent(effect)
    desk.settle_drafts(checked)
    return checked


def check_cancel(cancel: CancelIntent) -> None:
    """Raise ``MalformedIntent`` naming the first field of a cancel that is not of its type."""
    for name, value, kind in (
        ("intent_id", cancel.intent_id, str),
        ("symbol", cancel.symbol, str),
        ("created_at", cancel.created_at, int),
        ("order_id", cancel.order_id, str),
        ("tag", cancel.tag, str),
    ):
        if not isinstance(value, kind):
            raise MalformedIntent(name, value, kind.__name__)


def check_intent(intent: Intent) -> None:
    """
    Raise ``MalformedIntent`` naming the first field that is not of its type.

    Nothing checks a message's fields when it is made, and what a strategy's slip would break
    later on is not the strategy's alone.
    """
    policy = intent.policy
    if (
        policy is MARKET
        and _is_amount(intent.quantity)
        and (intent.decision_price is None or _is_amount(intent.decision_price))
        and type(intent.created_at) is int
        and type(intent.side) is Side
        and type(intent.position_side) is PositionSide
        and type(intent.symbol) is type(intent.tag) is str
        and type(intent.valid_until) in TIME_TYPES
        and intent.planned_stop is None
        and intent.planned_target is None
    ):
        return  # the plainest order, as its desk makes it
    for name, value, kind in (
        ("intent_id", intent.intent_id, str),
        ("symbol", intent.symbol, str),
        ("side", intent.side, Side),
        ("position_side", intent.position_side, PositionSide),
        ("quantity", intent.quantity, Decimal),
        ("created_at", intent.created_at, int),
        ("policy", policy, ExecutionPolicy),
        ("tag", intent.tag, str),
    ):
        if not isinstance(value, kind):
            raise MalformedIntent(name, value, kind.__name__)
    _check_amounts(
        ("quantity", intent.quantity),
        ("decision_price", intent.decision_price),
        ("planned_stop", intent.planned_stop),
        ("planned_target", intent.planned_target),
    )
    if not isinstance(intent.valid_until, int | None):
        raise MalformedIntent("valid_until", intent.valid_until, "int or None")
    if policy is not MARKET:
        _check_policy(policy)


def _check_policy(policy: ExecutionPolicy) -> None:
    for name, value, kind in (
        ("policy.order_type", policy.order_type, OrderType),
        ("policy.time_in_force", policy.time_in_force, TimeInForce),
        ("policy.post_only", policy.post_only, bool),
    ):
        if not isinstance(value, kind):
            raise MalformedIntent(name, value, kind.__name__)
    _check_amounts(
        ("policy.limit_price", policy.limit_price),
        ("policy.stop_price", policy.stop_price),
        ("policy.trail_bps", policy.trail_bps),
    )
    if not isinstance(policy.expire_at, int | None):
        raise MalformedIntent("policy.expire_at", policy.expire_at, "int or None")


def _check_amounts(*amounts: tuple[str, Any]) -> None:
    for name, value in amounts:
        if value is not None and not _is_amount(value):
            raise MalformedIntent(name, value, "a finite Decimal below 1e19")


def _is_amount(value: object) -> bool:
    return type(value) is Decimal and value.is_finite() and value.adjusted() <= MAGNITUDE_MAX
