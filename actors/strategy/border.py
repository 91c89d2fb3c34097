"""
The border between a strategy's code and ours: what it may say, and in which form.

Nothing checks a message's fields when it is made, and what a strategy's slip would break later on
is not the strategy's alone. So everything that a strategy returns is looked at here, once; what is
wrong is an error of that strategy, which names the field, what was found and what is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import msgspec

from actors.runtime.limits import EFFECTS_MAX, INTENTS_PER_MOMENT_MAX
from actors.strategy.forms import misfit_of
from messages import (
    MARKET,
    OPENING,
    REDUCING,
    CancelIntent,
    ExecutionPolicy,
    Intent,
    IntentAction,
    Maker,
    OpenIntent,
    OrderType,
    PauseIntent,
    Plan,
    PlanIntent,
    PositionSide,
    ReduceIntent,
    Reprice,
    Retry,
    Side,
    Sizing,
    TimeInForce,
)
from strategies.desk import Asked, Desk

ALLOWED: Final = frozenset({OpenIntent, ReduceIntent, CancelIntent, PlanIntent, PauseIntent})
"""What a strategy may emit: nothing that holds, approves, reports or commands."""

MAGNITUDE_MAX: Final = 18
"""Amounts stay below 10**19: what exact arithmetic over a session has room for."""

SPAN_MS_MAX: Final = 366 * 86_400_000
"""Longest timeout, delay or interval of a policy: longer is a slip of a factor."""

TIMES_MAX: Final = 1_000
"""Most retries or new prices that one intent may permit."""

SHOWN_MAX: Final = 60
"""Characters of what was found that an error shows."""

SPAN: Final = f"1 to {SPAN_MS_MAX}"
TIME_TYPES: Final = frozenset({int, type(None)})

# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_ENTRY: Final = IntentAction.ENTRY
_REDUCE: Final = IntentAction.REDUCE
_EXPLICIT: Final = Sizing.EXPLICIT


class StrategyFault(Exception):
    """
    What a strategy's hook gave us cannot be; noticed here, after the hook has returned.

    ``effect`` is what the hook returned, or ``hook`` its name, as far as either is known: so that
    the place to mend can be told.
    """

    def __init__(self, text: str, *, effect: object = None, hook: str = "") -> None:
        """Say what is wrong."""
        super().__init__(text)
        self.effect = effect
        self.hook = hook


class MalformedIntent(StrategyFault):
    """An intent whose fields are not what they must be: says which, what it is, what is needed."""

    def __init__(self, name: str, found: object, expected: str, *, effect: object = None) -> None:
        """Name the field."""
        super().__init__(f"{name} is {brief(found)}, expected {expected}", effect=effect)


class ForeignEffect(StrategyFault):
    """A strategy returned something that is not an intent of its own."""


class UnreadyState(StrategyFault):
    """A strategy's state cannot be kept: it has no form in JSON."""

    def __init__(self, hook: str, error: Exception) -> None:
        """Name the hook that returned it."""
        super().__init__(f"{hook} is not JSON-ready: {error}", hook=hook)


def brief(found: object) -> str:
    """Return what was found, so short that what is needed can be read beside it."""
    if isinstance(found, msgspec.Struct):
        return f"one {type(found).__name__}"
    text = repr(found)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


def listed(strategy: str, effects: Iterable[Any], hook: str = "") -> tuple[Any, ...]:
    """Return what a hook returned as a tuple, cut where it is seen to be too long."""
    if type(effects) is tuple and len(effects) <= EFFECTS_MAX:
        return effects  # as nearly always
    try:
        each = iter(effects)
    except TypeError:
        raise ForeignEffect(
            f"strategy {strategy!r} returned {brief(effects)}, expected intents in a list, or None",
            effect=effects,
            hook=hook,
        ) from None
    return tuple(islice(each, EFFECTS_MAX + 1))


def own_intents(desk: Desk, effects: Iterable[Any]) -> tuple[Asked, ...]:
    """
    Return the effects as a tuple, or raise ``ForeignEffect`` naming the first wrong one.

    Intents that were made at the desk and not returned are withdrawn from it.
    """
    strategy = desk.strategy
    checked = listed(strategy, effects)
    if len(checked) > EFFECTS_MAX:
        raise ForeignEffect(f"strategy {strategy!r} returned more than {EFFECTS_MAX} intents")
    for effect in checked:
        kind = type(effect)
        if kind not in ALLOWED:
            raise ForeignEffect(
                f"strategy {strategy!r} returned {kind.__name__}, expected OpenIntent, "
                f"ReduceIntent, CancelIntent, PlanIntent or PauseIntent",
                effect=effect,
            )
        if effect.strategy != strategy:
            raise ForeignEffect(
                f"strategy {strategy!r} returned an intent in the name of {effect.strategy!r}",
                effect=effect,
            )
        if not str(effect.intent_id).startswith(desk.id_prefix):
            raise ForeignEffect(
                f"strategy {strategy!r} returned the id {effect.intent_id!r}, expected one of its "
                f"desk's, which start with {desk.id_prefix!r}",
                effect=effect,
            )
        try:
            if kind is OpenIntent or kind is ReduceIntent:
                check_intent(effect)
            else:
                _check_other(effect)
        except MalformedIntent as error:
            error.effect = effect
            raise
    if desk.said(len(checked)) > INTENTS_PER_MOMENT_MAX:
        raise ForeignEffect(
            f"strategy {strategy!r} returned more than {INTENTS_PER_MOMENT_MAX} intents at one time"
        )
    desk.settle_drafts(checked)
    return checked


def _check_other(effect: CancelIntent | PlanIntent | PauseIntent) -> None:
    """Raise ``MalformedIntent`` naming the first field that is not of its type."""
    kinds: dict[str, type] = {"intent_id": str, "symbol": str, "created_at": int}
    if isinstance(effect, CancelIntent):
        kinds |= {"order_id": str, "tag": str}
    elif isinstance(effect, PauseIntent):
        kinds |= {"until": int, "reason": str}
    else:
        kinds |= {"position_side": PositionSide, "tag": str}
    for name, kind in kinds.items():
        value = getattr(effect, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise MalformedIntent(name, value, kind.__name__)
    if isinstance(effect, PlanIntent) and effect.plan is not None:
        _check_form("plan", effect.plan, Plan)
    if isinstance(effect, PauseIntent) and effect.until <= effect.created_at:
        raise MalformedIntent("until", effect.until, f"a time after {effect.created_at}")


def check_intent(intent: Intent) -> None:
    """Raise ``MalformedIntent`` naming the first field that is not what it must be."""
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
        and intent.action is (_ENTRY if type(intent) is OpenIntent else _REDUCE)
        and intent.sizing is _EXPLICIT
        and intent.notional is None
        and "" == intent.plan_id == intent.replaces == intent.withheld
    ):
        return  # the plainest order, as its desk makes it
    for name, value, kind in (
        ("intent_id", intent.intent_id, str),
        ("symbol", intent.symbol, str),
        ("side", intent.side, Side),
        ("position_side", intent.position_side, PositionSide),
        ("created_at", intent.created_at, int),
        ("policy", policy, ExecutionPolicy),
        ("tag", intent.tag, str),
        ("action", intent.action, IntentAction),
        ("sizing", intent.sizing, Sizing),
        ("plan_id", intent.plan_id, str),
        ("replaces", intent.replaces, str),
        ("withheld", intent.withheld, str),
    ):
        if not isinstance(value, kind):
            raise MalformedIntent(name, value, kind.__name__)
    _check_amounts(
        ("quantity", intent.quantity),
        ("notional", intent.notional),
        ("decision_price", intent.decision_price),
        ("planned_stop", intent.planned_stop),
        ("planned_target", intent.planned_target),
    )
    if not isinstance(intent.valid_until, int | None):
        raise MalformedIntent("valid_until", intent.valid_until, "int or None")
    actions = OPENING if isinstance(intent, OpenIntent) else REDUCING
    if intent.action not in actions:
        names = ", ".join(sorted(action.value for action in actions))
        raise MalformedIntent("action", intent.action.value, f"one of: {names}")
    if policy is not MARKET:
        check_policy(policy)


def check_policy(policy: ExecutionPolicy) -> None:
    """Raise ``MalformedIntent`` naming the first term of a policy that cannot be."""
    for name, value, kind in (
        ("policy.order_type", policy.order_type, OrderType),
        ("policy.time_in_force", policy.time_in_force, TimeInForce),
        ("policy.maker", policy.maker, Maker),
    ):
        if not isinstance(value, kind):
            raise MalformedIntent(name, value, kind.__name__)
    _check_amounts(
        ("policy.limit_price", policy.limit_price),
        ("policy.stop_price", policy.stop_price),
        ("policy.trail_bps", policy.trail_bps),
        ("policy.slippage_bps_max", policy.slippage_bps_max),
    )
    if not isinstance(policy.expire_at, int | None):
        raise MalformedIntent("policy.expire_at", policy.expire_at, "int or None")
    _check_form("policy", policy, ExecutionPolicy)
    for name, found, expected in _impossible(policy):
        raise MalformedIntent(f"policy.{name}", found, expected)


def _impossible(policy: ExecutionPolicy) -> Iterator[tuple[str, object, str]]:
    """Yield every term that contradicts itself or another one: (name, found, expected)."""
    limit = policy.order_type is OrderType.LIMIT
    if policy.timeout_ms is not None and not 0 < policy.timeout_ms <= SPAN_MS_MAX:
        yield "timeout_ms", policy.timeout_ms, SPAN
    if policy.slippage_bps_max is not None and policy.slippage_bps_max < 0:
        yield "slippage_bps_max", policy.slippage_bps_max, "0 or more"
    if policy.maker is Maker.PREFER and not limit:
        yield "maker", policy.maker.value, "a limit order to go with it"
    if policy.fallback is not None:
        if policy.order_type is OrderType.MARKET:
            yield "fallback", policy.order_type.value, "an order that is not a market order"
        if not policy.fallback.on:
            yield "fallback.on", policy.fallback.on, "at least one reason"
    if policy.reprice is not None:
        if not limit:
            yield "reprice", policy.order_type.value, "a limit order"
        yield from _impossible_prices(policy.reprice)
    if policy.retry is not None:
        yield from _impossible_tries(policy.retry)


def _impossible_prices(reprice: Reprice) -> Iterator[tuple[str, object, str]]:
    for name, found, possible, expected in (
        ("every_ms", reprice.every_ms, 0 < reprice.every_ms <= SPAN_MS_MAX, SPAN),
        ("times", reprice.times, 0 < reprice.times <= TIMES_MAX, f"1 to {TIMES_MAX}"),
        ("offset_bps", reprice.offset_bps, reprice.offset_bps >= 0, "0 or more"),
        ("worst_price", reprice.worst_price, reprice.worst_price > 0, "more than 0"),
    ):
        if not possible:
            yield f"reprice.{name}", found, expected


def _impossible_tries(retry: Retry) -> Iterator[tuple[str, object, str]]:
    delays = f"{retry.delay_ms} and {retry.delay_ms_max}"
    ordered = 0 < retry.delay_ms <= retry.delay_ms_max <= SPAN_MS_MAX
    for name, found, possible, expected in (
        ("times", retry.times, 0 < retry.times <= TIMES_MAX, f"1 to {TIMES_MAX}"),
        ("codes", retry.codes, bool(retry.codes), "at least one reason code"),
        ("delay_ms and delay_ms_max", delays, ordered, f"{SPAN}, the second not the smaller"),
        ("factor", retry.factor, 1 <= retry.factor <= TIMES_MAX, f"1 to {TIMES_MAX}"),
    ):
        if not possible:
            yield f"retry.{name}", found, expected


def _check_form(name: str, value: Any, kind: type[msgspec.Struct]) -> None:
    """Raise ``MalformedIntent`` naming the first field of a policy or plan of another type."""
    misfit = misfit_of(value, kind)
    if misfit is not None:
        place = f"{name}.{misfit.at}" if misfit.at else name
        raise MalformedIntent(place, misfit.found, misfit.expected)


def _check_amounts(*amounts: tuple[str, Any]) -> None:
    for name, value in amounts:
        if value is not None and not _is_amount(value):
            raise MalformedIntent(name, value, "a finite Decimal below 1e19")


def _is_amount(value: object) -> bool:
    return type(value) is Decimal and value.is_finite() and value.adjusted() <= MAGNITUDE_MAX
