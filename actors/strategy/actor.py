"""
The actor that hosts one strategy object.

It keeps the strategy's desk up to date before the strategy's hooks run, and keeps the
strategy's durable state. The desk and the plans outlive a failing strategy object; the object is
made anew and restored from its last snapshot.

Order of things, for news of an order: the desk, the backoff, the rollback, the plan, and then the
strategy's own hooks. Order of effects, for whatever a hook returned: what became of states,
backoffs and plans first, then new plans, then the other intents, in the order in which they were
returned: a plan is on record before anything that is asked for in its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import msgspec

from actors.runtime import Actor, Effect, Effects, SetTimer
from actors.runtime.cell import Handler
from actors.strategy.answers import Answers
from actors.strategy.asked import are_plain, joined
from actors.strategy.border import MalformedIntent, UnreadyState, own_intents
from actors.strategy.house import House, state_of
from actors.strategy.news import ends, rejection_of
from actors.strategy.states import BookStates
from actors.strategy.warming import warm_up
from messages import (
    FAMILIES,
    BackoffChanged,
    Bar,
    Cause,
    ExecutionReport,
    Intent,
    IntentAction,
    IntentEnded,
    Message,
    MinimumOrder,
    OpenIntent,
    OrderFamily,
    PauseIntent,
    PlanChanged,
    PlanIntent,
    Quote,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    SnapshotTaken,
    Tick,
    Verdict,
    Wake,
)
from strategies import Desk, Strategy
from strategies.backoff import StrategyRejectionBackoff
from strategies.contract import Rejection
from strategies.desk import Asked
from strategies.plans import Told

Data = TypeVar("Data", Bar, Quote, Tick)


class StrategyActor(Actor):
    """One incarnation of a strategy."""

    def __init__(self, house: House, make: Callable[[Desk], Strategy], saved: str | None) -> None:
        """Make the strategy at its desk and restore it from ``saved``, if there is anything."""
        desk = house.desk
        house.plans.undo()
        desk.settle_drafts(())  # what an earlier incarnation made and never returned
        self.house = house
        self.desk = desk
        self.plans = house.plans
        self.strategy = make(desk)
        self.backoff = self.strategy.execution_backoff()
        if saved is not None:
            self._restore(json.loads(saved))
        if self.backoff is not None and house.memory.backoff is not None:
            self.backoff.import_state(house.memory.backoff)  # newer than any snapshot
        for minimum in self._minimums():
            self._note_minimum(minimum)
        kind = type(self.strategy)
        has_states = kind.book_state is not Strategy.book_state
        self.states = (
            BookStates(self.strategy, desk, house.sides, house.books) if has_states else None
        )
        self._asks = kind.can_submit_order is not Strategy.can_submit_order
        self._wants_fills = kind.on_fill is not Strategy.on_fill
        self._wants_updates = kind.on_order_update is not Strategy.on_order_update
        self._plain = not has_states and not kind.uses_plans
        self.eager = self._wants_updates and kind.hears_progress
        self._answers = Answers(desk.strategy)
        """What each hook answered to the last news of an order."""
        self._own: list[Effect] = []
        """What this actor has to say itself, before what the strategy asks for."""
        self._noted: Message | None = None
        """The last news that the desk has."""

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.strategy.restore(saved["strategy"])
        if self.backoff is not None and saved.get("backoff") is not None:
            self.backoff.import_state(saved["backoff"])

    def _minimums(self) -> Iterable[MinimumOrder]:
        """Return the least order of each of the strategy's symbols, as far as it is known."""
        for symbol in self.desk.symbols:
            known = self.desk.minimums.get(symbol)
            rules = self.house.instruments.get(symbol)
            if known is not None:
                yield known
            elif rules is not None:
                now = self.desk.now
                yield MinimumOrder(symbol, now, rules.min_quantity, rules.min_notional)

    def _note_minimum(self, minimum: MinimumOrder) -> None:
        self.desk.minimums[minimum.symbol] = minimum
        self.strategy.set_broker_min_order(minimum)

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers; a plain strategy's market data goes to it without a detour."""
        strategy = self.strategy
        return {
            Bar: strategy.on_bar if self._plain else self.on_bar,
            Quote: strategy.on_quote if self._plain else self.on_quote,
            Tick: strategy.on_tick if self._plain else self.on_tick,
            ExecutionReport: self.on_report,
            RiskDecision: self.on_decision,
            IntentEnded: self.on_intent_ended,
            MinimumOrder: self.on_minimum,
            Wake: self.on_wake,
        }

    def on_start(self) -> Effects:
        """Warm the strategy up, tell it that it starts; arm plans' timers, tell of its backoff."""
        if self.backoff is not None:
            self._own.extend(self._backoff_now(*key) for key in self.backoff.known())
        self._own.extend(SetTimer(key, at) for key, at in self.plans.timers())
        before, self.house.memory.before = self.house.memory.before, ()
        warm_up(self.strategy, before, self.house.memory.known)
        whole, self.house.memory.whole = self.house.memory.whole, False
        planned = self._told(self.plans.resume()) if self.plans and not whole else ()
        return self._with_own(joined(planned, self.strategy.on_start()))

    # -- the market

    def on_bar(self, bar: Bar) -> Effects:
        """Let the symbol's plan look at a bar, then the strategy."""
        return self._seen(bar, self.strategy.on_bar)

    def on_quote(self, quote: Quote) -> Effects:
        """Let the symbol's plan look at a quote, then the strategy."""
        return self._seen(quote, self.strategy.on_quote)

    def on_tick(self, tick: Tick) -> Effects:
        """Let the symbol's plan look at a trade, then the strategy."""
        return self._seen(tick, self.strategy.on_tick)

    def _seen(self, seen: Data, decide: Callable[[Data], Iterable[Asked] | None]) -> Effects:
        planned = self._told(self.plans.on_market(seen)) if self.plans else ()
        return self._with_own(joined(planned, decide(seen)), seen.symbol)

    def on_wake(self, wake: Wake) -> Effects:
        """Let the plan that a timer belongs to look at the time."""
        return self._with_own(self._told(self.plans.on_time(wake.key)))

    # -- what became of its orders

    def on_report(self, report: ExecutionReport) -> Effects:
        """Take one step of an order to the desk, then to everybody who has to do with it."""
        strategy = self.strategy
        intent, rejection = self._note_report(report)
        planned = self._planned(intent, report, rejection) if self.plans else ()
        fill = report.fill
        answers = self._answers
        answers.clear()
        if fill is not None and self._wants_fills:
            answers.take("on_fill", strategy.on_fill(fill))
        if self._wants_updates:
            answers.take("on_order_update", strategy.on_order_update(report))
        if rejection is not None:
            answers.take("on_order_rejected", strategy.on_order_rejected(rejection))
        return self._with_own(joined(planned, *answers.said), report.symbol)

    def _note_report(self, report: ExecutionReport) -> tuple[Intent | None, Rejection | None]:
        """Let desk, backoff and rollback take a step of an order; return what it refuses."""
        self._noted = report
        desk = self.desk
        intent = desk.intent(report.root_id or report.order_id)
        desk.record_report(report)
        if intent is None:
            return None, None
        rejection = rejection_of(intent, report)
        if self.backoff is not None:
            if report.fill is not None:
                self._forgive(intent)
            elif rejection is not None and rejection.final:  # else its policy has more to try
                self._count(intent, report.timestamp, rejection.causes)
        if ends(report, intent):
            self._roll_back(intent.intent_id, unfilled=not report.filled)
        return intent, rejection

    def _planned(
        self, intent: Intent | None, report: ExecutionReport, rejection: Rejection | None
    ) -> Iterable[Any]:
        """Return what the book's plan asks for after a step of an order, of whichever intent."""
        plans, fill = self.plans, report.fill
        intent_id = report.root_id or report.order_id
        told: list[Told] = []
        if fill is not None:
            book = (fill.symbol, fill.position_side)
            told += plans.note_fill(*book, intent_id, fill.quantity)
        if intent is not None and ends(report, intent):
            book = (intent.symbol, intent.position_side)
            plans.note_end(*book, intent_id, refused=rejection is not None)
        elif fill is None:
            return ()
        return self._told([*told, *plans.look(book)])

    def on_decision(self, decision: RiskDecision) -> Effects:
        """Take a refusal to the desk, then to everybody who has to do with it."""
        if not decision.causes or decision.verdict is not Verdict.DENIED:
            return None
        intent, over = self._note_decision(decision)
        if intent is None:
            return None
        planned: Iterable[Any] = ()
        if over and self.plans:
            book = (intent.symbol, intent.position_side)
            planned = self._told(self.plans.on_end(*book, intent.intent_id, refused=True))
        final = not intent.policy.pursues or not decision.root_id
        rejection = Rejection(
            intent.intent_id,
            decision.intent_id,
            decision.symbol,
            intent.position_side,
            intent.action,
            decision.causes,
            decision.decided_at,
            "risk",
            final,
        )
        then = self.strategy.on_order_rejected(rejection)
        return self._with_own(joined(planned, then), decision.symbol)

    def _note_decision(self, decision: RiskDecision) -> tuple[Intent | None, bool]:
        """Let desk, backoff and rollback take a refusal; return whether its intent is over."""
        self._noted = decision
        intent_id = decision.root_id or decision.intent_id
        intent, filled = self.desk.intent(intent_id), self.desk.filled(intent_id)
        self.desk.record_decision(decision)
        if intent is None:
            return None, False
        if any(cause.code is ReasonCode.DUPLICATE_INTENT for cause in decision.causes):
            return intent, False  # the first one lives
        self._count(intent, decision.decided_at, decision.causes)
        if decision.root_id and intent.policy.pursues:
            return intent, False  # the end of the pursuit comes by itself
        self._roll_back(intent_id, unfilled=not filled)
        return intent, True

    def on_intent_ended(self, ended: IntentEnded) -> Effects:
        """Take the end of an intent that needed more than one order to everybody."""
        intent = self._note_end(ended)
        planned: Iterable[Any] = ()
        if intent is not None and self.plans:
            refused = ended.cause is not None and ended.filled < ended.quantity
            planned = self._told(
                self.plans.on_end(
                    ended.symbol, intent.position_side, ended.intent_id, refused=refused
                )
            )
        return self._with_own(joined(planned, self.strategy.on_intent_ended(ended)), ended.symbol)

    def _note_end(self, ended: IntentEnded) -> Intent | None:
        """Let desk and rollback take the end of an intent; return the intent, if it was known."""
        self._noted = ended
        intent = self.desk.intent(ended.intent_id)
        self.desk.record_end(ended)
        self._roll_back(ended.intent_id, unfilled=not ended.filled)
        return intent

    def on_minimum(self, minimum: MinimumOrder) -> Effects:
        """Tell the strategy of another least order."""
        if minimum.symbol in self.desk.symbols:
            self._note_minimum(minimum)
        return self._with_own(None, minimum.symbol)

    def lost(self, message: Message) -> Effects:
        """
        Take news that the strategy failed on to everybody else: what happened is a fact.

        Desk, backoff and rollback are not the strategy's code, and do not depend on its health.
        """
        if message is not self._noted:
            self._note(message)
        self.plans.undo()
        if not self.plans:
            return self._said()
        # What the plans asked for in the step that failed was never sent. What protects does not
        # wait for the strategy's next incarnation; what adds does.
        self.desk.settle_drafts(())
        asked = tuple(self._told(self.plans.resume(adding=False)))
        self.desk.settle_drafts(asked)
        return (*self._said(), *asked)

    def _note(self, message: Message) -> None:
        """Let desk, backoff, rollback and plans take news that the strategy never had."""
        if isinstance(message, ExecutionReport):
            intent, rejection = self._note_report(message)
            self._planned(intent, message, rejection)
        elif isinstance(message, RiskDecision) and message.causes:
            intent, over = self._note_decision(message)
            if intent is not None and over:
                self._note_plan_end(intent, refused=True)
        elif isinstance(message, IntentEnded):
            intent = self._note_end(message)
            if intent is not None:
                refused = message.cause is not None and message.filled < message.quantity
                self._note_plan_end(intent, refused=refused)

    def _note_plan_end(self, intent: Intent, *, refused: bool) -> None:
        self.plans.note_end(intent.symbol, intent.position_side, intent.intent_id, refused=refused)

    # -- backoff and rollback

    def _count(self, intent: Intent, at: int, causes: Sequence[Cause]) -> None:
        family = FAMILIES[intent.action]
        backoff = self.backoff
        if backoff is not None and backoff.record_rejection(intent.symbol, family, at, causes):
            self._backoff_changed(backoff, intent.symbol, family)

    def _forgive(self, intent: Intent) -> None:
        backoff = self.backoff
        if backoff is None or backoff.is_clear:  # as nearly always
            return
        family = FAMILIES[intent.action]
        if backoff.record_success(intent.symbol, family):
            self._backoff_changed(backoff, intent.symbol, family)

    def _backoff_changed(
        self, backoff: StrategyRejectionBackoff, symbol: str, family: OrderFamily
    ) -> None:
        self.house.memory.backoff = backoff.export_state()
        self._own.append(self._backoff_now(symbol, family))

    def _backoff_now(self, symbol: str, family: OrderFamily) -> BackoffChanged:
        backoff = self.backoff
        assert backoff is not None, "only a strategy that has one tells of it"
        return BackoffChanged(
            self.desk.strategy,
            symbol,
            family,
            self.desk.now,
            backoff.failures(symbol, family),
            backoff.until(symbol, family),
        )

    def _roll_back(self, intent_id: str, *, unfilled: bool) -> None:
        if self.states is not None and intent_id in self.desk.kept:
            done = self.states.over(intent_id, unfilled=unfilled)
            if done is not None:
                self._own.append(done)

    # -- what goes out

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

    # -- state

    def snapshot(self) -> SnapshotTaken:
        """Return the state that a restart comes back with, having noted it for that."""
        text = self.state()
        self.house.save(text)
        return SnapshotTaken(f"strategy:{self.desk.strategy}", self.desk.now, text)

    def state(self) -> str:
        """Return everything that the strategy and what belongs to it are, as JSON."""
        backoff = None if self.backoff is None else self.backoff.export_state()
        try:
            return state_of(self.house, self.strategy.snapshot(), backoff)
        except (TypeError, ValueError) as error:  # of the strategy's own part: ours is plain
            raise UnreadyState("snapshot", error) from error

    # -- what went wrong

    def place_of(self, message: Message | None, error: BaseException) -> str:
        """Return the line of the strategy's own that an error came from; empty if none is known."""
        return self._answers.place_of(type(self.strategy), message, error)

    def withdrawn(self, effects: Iterable[Effect]) -> None:
        """Take intents that will not be sent off the desk."""
        each = tuple(effects)
        if any(isinstance(effect, PlanIntent) for effect in each):
            self.plans.unsettle()
        unsent = [effect.intent_id for effect in each if isinstance(effect, Intent)]
        self.desk.withdraw(unsent)
        self.plans.forget(unsent)
