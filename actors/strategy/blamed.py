"""
Which line of a strategy's own an error is put down to.

What is noticed only in our code, after a hook has returned, is put down to that hook: by the
object that it returned, or by the message that it was an answer to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.strategy.border import StrategyFault
from messages import Bar, IntentEnded, Message, MinimumOrder, Quote, RiskDecision, Tick
from strategies.blame import own_files, place_of_error, place_of_hook

Answer = tuple[str, tuple[Any, ...]]
"""A hook's name, and what it returned."""

HOOKS: Final[Mapping[type[Message], str]] = {
    Bar: "on_bar",
    Quote: "on_quote",
    Tick: "on_tick",
    RiskDecision: "on_order_rejected",
    IntentEnded: "on_intent_ended",
    MinimumOrder: "set_broker_min_order",
}
"""The hook that a message goes to, where there is only one."""


def place_of(
    kind: type, answers: Sequence[Answer], message: Message | None, error: BaseException
) -> str:
    """Return the line of a strategy of class ``kind`` that failed; empty if none is known."""
    place = place_of_error(error, own_files(kind))
    if place is None and isinstance(error, StrategyFault):
        place = place_of_hook(kind, error.hook or _hook_of(answers, message, error.effect))
    return "" if place is None else str(place)


def _hook_of(answers: Sequence[Answer], message: Message | None, effect: object) -> str:
    for hook, said in answers:
        if any(each is effect for each in said):
            return hook
    return "on_start" if message is None else HOOKS.get(type(message), "")
