"""
What goes out from a strategy: in its form, and in its order.

Order of effects, for whatever a hook returned: what became of states, backoffs and plans first,
then new plans, then the other intents, in the order in which they were returned: a plan is on
record before anything that is asked for in its name. What a strategy must not return is refused
here, whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import msgspec

from actors.runtime import Actor, Effect, Effects, SetTimer
from actors.strategy.answers import Answers
from actors.strategy.asked import are_plain
from actors.strategy.border import MalformedIntent, own_intents
from actors.strategy.house import House
from actors.strategy.states import BookStates
from messages import (
    Cause,
    Intent,
    IntentAction,
    OpenIntent,
    PauseIntent,
    PlanChanged,
    PlanIntent,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    Verdict,
)
from strategies import Strategy
from strategies.contract import Rejection
from strategies.desk import Asked
from strategies.plans import Told


class Outgoing(Actor):
    """What one incarnation asks for, and what its actor has to say besides."""

    def __init__(self, house: House, strategy: Strategy) -> None:
        """Send what ``strategy``, at the desk of ``house``, asks for."""
        self.house = house
        self.desk = house.desk
        self.plans = house.plans
        self.strategy = strategy
        self.states: BookStates | None = None
        kind = type(strategy)
        self._has_states = kind.book_state is not Strategy.book_state
        self._asks = kind.can_submit_order is not Strategy.can_submit_order
        self._plain = not self._has_states and not kind.uses_plans
        self._answers = Answers(self.desk.strategy)
        """What each hook answered to the last news of an order."""
        self._own: list[Effect] = []
        """What this actor has to say itself, before what the strategy asks for."""

    def checked(self, effects: Iterable[Any]) -> tuple[Effect, ...]:
        """
        Return what a handler returned in the form in which it goes out.

        Raises ``ForeignEffect`` and ``MalformedIntent`` for what a strategy must not return.
        """
        asked = own_intents(self.desk, effects)
        if self._plain and not self._own and are_plain(asked):
            return tuple(map(self._asked, asked)) if self._asks else asked
        own, self._own = self._own, []
        out: list[Effect] = []
        for intent in asked:
            out.extend(self._prepared(intent))
        if self.states is not None:
            own.extend(self.states.changes(self.desk.symbols))
        self.plans.settle()
        if self.plans:  # what the first step brings about may ask for more in a later plan's name
            out.sort(key=lambda effect: not isinstance(effect, PlanIntent))
        # What was said meanwhile belongs to what is said here: a plan's own news, timers.
        return (*own, *self._said(), *out)

    def _told(self, told: Iterable[Told]) -> Iterable[Asked]:
        """Return what a plan asks for; what it tells is this actor's to say."""
        asked: list[Asked] = []
        for each in told:
            if isinstance(each, PlanChanged):
                self._own.append(each)
            else:
                asked.append(each)
        return asked

    def _with_own(self, effects: Effects, symbol: str = "") -> Effects:
        """Return ``effects``, or none instead of nothing where this actor has something to say."""
        if self.states is not None and effects is None:
            self._own.extend(self.states.changes((symbol,) if symbol else self.desk.symbols))
        return () if effects is None and self._own else effects

    def _said(self) -> list[Effect]:
        own, self._own = self._own, []
        return own

    def _prepared(self, intent: Asked) -> Iterable[Effect]:
        """Return one intent of the strategy's, with what goes before or after it."""
        if isinstance(intent, OpenIntent | ReduceIntent):
            return self._prepared_order(intent)
        if isinstance(intent, PlanIntent):
            return self._prepared_plan(intent)
        if isinstance(intent, PauseIntent):
            self.house.pause(intent)
        return (intent,)

    def _prepared_order(self, intent: OpenIntent | ReduceIntent) -> Iterable[Effect]:
        before: tuple[Effect, ...] = ()
        if intent.intent_id in self.desk.kept:
            if self.states is None:
                raise MalformedIntent(
                    "policy.rollback",
                    intent.policy.rollback.value,
                    "a book_state to go back to",
                    effect=intent,
                )
            before = (self.states.arm(intent),)
        return (*before, self._asked(intent) if self._asks else intent)

    def _asked(self, intent: Asked) -> Asked:
        """Return an intent with what the strategy's own circuit says of it, if it is an opening."""
        if type(intent) is OpenIntent:
            why_not = self.strategy.can_submit_order(intent)
            if why_not:
                return msgspec.structs.replace(intent, withheld=str(why_not))
        return intent

    def _prepared_plan(self, intent: PlanIntent) -> Iterable[Effect]:
        if not type(self.strategy).uses_plans:
            raise MalformedIntent(
                "uses_plans", found=False, expected="True, to have plans", effect=intent
            )
        problems, told = self.plans.take(intent)
        if problems:
            return self._invalid(intent, problems)
        steps = self._told(told)
        self.desk.settle_drafts(steps)
        self._own.extend(SetTimer(key, at) for key, at in self.plans.timers())
        return (intent, *chain.from_iterable(self._prepared(step) for step in steps))

    def _invalid(self, intent: PlanIntent, problems: list[str]) -> Iterable[Effect]:
        causes = tuple(Cause(ReasonCode.PLAN_INVALID, problem) for problem in problems)
        now = self.desk.now
        rejection = Rejection(
            intent.intent_id,
            "",
            intent.symbol,
            intent.position_side,
            IntentAction.UPDATE_PLAN,
            causes,
            now,
            "strategy",
        )
        decision = RiskDecision(
            intent.intent_id, intent.strategy, intent.symbol, Verdict.DENIED, now, causes=causes
        )
        answer = self.strategy.on_order_rejected(rejection)
        then = own_intents(self.desk, self._answers.take("on_order_rejected", answer))
        return (intent, decision, *chain.from_iterable(self._prepared(each) for each in then))

    def withdrawn(self, effects: Iterable[Effect]) -> None:
        """Take intents that will not be sent off the desk."""
        each = tuple(effects)
        if any(isinstance(effect, PlanIntent) for effect in each):
            self.plans.unsettle()
        unsent = [effect.intent_id for effect in each if isinstance(effect, Intent)]
        self.desk.withdraw(unsent)
        self.plans.forget(unsent)
