"""Which hook of a strategy gave which answer: so that an error names the line to mend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from actors.strategy.border import StrategyFault, listed
from messages import Bar, IntentEnded, Message, MinimumOrder, Quote, RiskDecision, Tick
from strategies import Strategy
from strategies.blame import own_files, place_of_error, place_of_hook

HOOKS: Final[Mapping[type[Message], str]] = {
    Bar: "on_bar",
    Quote: "on_quote",
    Tick: "on_tick",
    RiskDecision: "on_order_rejected",
    IntentEnded: "on_intent_ended",
    MinimumOrder: "set_broker_min_order",
}
"""The hook that a message goes to, where there is only one."""


class Answers:
    """What each hook answered to one piece of news, where several hear of it."""

    def __init__(self, strategy: str) -> None:
        """Start without any."""
        self.strategy = strategy
        self.said: list[tuple[Any, ...]] = []
        self._hooks: list[str] = []

    def clear(self) -> None:
        """Forget the answers to earlier news."""
        if self.said:
            self.said = []  # the list itself may still be on its way out
            self._hooks = []

    def take(self, hook: str, effects: Iterable[Any] | None) -> tuple[Any, ...]:
        """Let a generator run here, before the next hook does; note and return its answer."""
        if effects is None:
            return ()
        said = listed(self.strategy, effects, hook)
        self.said.append(said)
        self._hooks.append(hook)
        return said

    def place_of(self, kind: type[Strategy], message: Message | None, error: BaseException) -> str:
        """
        Return the line of a strategy's own that an error came from; empty if none is known.

        What is noticed only after a hook has returned is put down to that hook.
        """
        place = place_of_error(error, own_files(kind))
        if place is None and isinstance(error, StrategyFault):
            place = place_of_hook(kind, error.hook or self._hook_of(message, error.effect))
        return "" if place is None else str(place)

    def _hook_of(self, message: Message | None, effect: object) -> str:
        for hook, said in zip(self._hooks, self.said, strict=True):
            if any(each is effect for each in said):
                return hook
        return "on_start" if message is None else HOOKS.get(type(message), "")
