"""
The actor that hosts one strategy object.

It keeps the strategy's desk up to date before the strategy's hooks run, and keeps the
strategy's durable state. The desk and the plans outlive a failing strategy object; the object is
made anew and restored from its last snapshot.

Order of things, for news of an order: the desk, the backoff, the rollback, the plan, and then the
strategy's own hooks. Order of effects, for whatever a hook returned: what became of states,
backoffs and plans first, then the intents, in the order in which they were returned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec

from actors.runtime import Actor, Effect, Effects, SetTimer
from actors.runtime.cell import Handler
from actors.strategy.border import (
    MalformedIntent,
    StrategyFault,
    UnreadyState,
    listed,
    own_intents,
)
from actors.strategy.states import BookStates
from messages import (
    FAMILIES,
    MARKET,
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
    OrderEvent,
    OrderFamily,
    PauseIntent,
    PlanChanged,
    PlanIntent,
    PositionSide,
    Quote,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    SnapshotTaken,
    Tick,
    Verdict,
    Wake,
)
from state.instruments import Instrument
from strategies import Desk, Strategy
from strategies.blame import own_files, place_of_error, place_of_hook
from strategies.contract import Rejection
from strategies.desk import FINAL, Asked
from strategies.plans import PlanKeeper, Told

LATE_REFUSALS: Final = frozenset(
    {
        ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        ReasonCode.VENUE_REDUCE_ONLY,
        ReasonCode.POST_ONLY_WOULD_TAKE,
    }
)
"""Causes of an order's end that are refusals, although the venue had accepted it."""

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

Data = TypeVar("Data", Bar, Quote, Tick)

# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_REJECTED: Final = OrderEvent.REJECTED
_SUPPRESSED: Final = OrderEvent.SUPPRESSED


@dataclass(frozen=True, slots=True)
class House:
    """
    What a strategy's actor is given by its session, the same for every incarnation.

    ``sides`` are the books of each symbol; ``pause`` places the hold that a PAUSE_TRADING asks for.
    """

    desk: Desk
    plans: PlanKeeper
    instruments: Mapping[str, Instrument]
    sides: Mapping[str, Sequence[PositionSide]]
    pause: Callable[[PauseIntent], object]
    save: Callable[[str], None]
    books: dict[tuple[str, PositionSide], str] = field(default_factory=dict)
    """The strategy's own state of each book, as it was last seen."""


class StrategyActor(Actor):
    """One incarnation of a strategy."""

    def __init__(self, house: House, make: Callable[[Desk], Strategy], saved: str | None) -> None:
        """Make the strategy at its desk and restore it from ``saved``, if there is anything."""
        desk = house.desk
        desk.settle_drafts(())  # what an earlier incarnation made and never returned
        self.house = house
        self.desk = desk
        self.plans = house.plans
        self.strategy = make(desk)
        self.backoff = self.strategy.execution_backoff()
        if saved is not None:
            self._restore(json.loads(saved))
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
        self.eager = self._wants_updates
        self._answers: list[Answer] = []
        """What each hook answered to the last news of an order."""
        self._own: list[Effect] = []
        """What this actor has to say itself, before what the strategy asks for."""

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
        """Tell the strategy that it starts; arm its plans' timers, tell of its backoff."""
        if self.backoff is not None:
            self._own.extend(self._backoff_now(*key) for key in self.backoff.known())
        self._own.extend(SetTimer(key, at) for key, at in self.plans.timers())
        return self._with_own(self.strategy.on_start())

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
        return self._with_own(_joined(planned, decide(seen)), seen.symbol)

    def on_wake(self, wake: Wake) -> Effects:
        """Let the plan that a timer belongs to look at the time."""
        return self._with_own(self._told(self.plans.on_time(wake.key)))

    # -- what became of its orders

    def on_report(self, report: ExecutionReport) -> Effects:
        """Take one step of an order to the desk, then to everybody who has to do with it."""
        desk, strategy = self.desk, self.strategy
        intent = desk.intent(report.root_id or report.order_id)
        desk.record_report(report)
        fill = report.fill
        rejection = None if intent is None else self._rejection(intent, report)
        planned = () if intent is None else self._after(intent, report, rejection)
        self._answers = answers = []
        if fill is not None and self._wants_fills:
            answers.append(self._now("on_fill", strategy.on_fill(fill)))
        if self._wants_updates:
            answers.append(self._now("on_order_update", strategy.on_order_update(report)))
        if rejection is not None:
            answers.append(self._now("on_order_rejected", strategy.on_order_rejected(rejection)))
        return self._with_own(_joined(planned, *(said for _, said in answers)), report.symbol)

    def _now(self, hook: str, effects: Iterable[Any] | None) -> Answer:
        """Let a generator run here, before the next hook does; keep whose answer it is."""
        return hook, () if effects is None else listed(self.desk.strategy, effects, hook)

    def _after(
        self, intent: Intent, report: ExecutionReport, rejection: Rejection | None
    ) -> Iterable[Any]:
        """Let backoff, rollback and plan take a step of an order; return what the plan asks for."""
        intent_id = intent.intent_id
        fill = report.fill
        over = report.status in FINAL and report.then is None
        if self.backoff is not None:
            if fill is not None:
                self._forgive(intent)
            elif rejection is not None:
                self._count(intent, report.timestamp, rejection.causes)
        if over and not intent.policy.pursues:
            self._roll_back(intent_id, unfilled=not report.filled)
        if not self.plans:
            return ()
        side = intent.position_side
        told: list[Told] = []
        if fill is not None:
            told += self.plans.on_fill(report.symbol, side, intent_id, fill.quantity)
        if over and not intent.policy.pursues:
            refused = rejection is not None
            told += self.plans.on_end(report.symbol, side, intent_id, refused=refused)
        return self._told(told)

    def on_decision(self, decision: RiskDecision) -> Effects:
        """Take a refusal to the desk, then to everybody who has to do with it."""
        if not decision.causes or decision.verdict is not Verdict.DENIED:
            return None
        intent_id = decision.root_id or decision.intent_id
        intent = self.desk.intent(intent_id)
        self.desk.record_decision(decision)
        if intent is None:
            return None
        if any(cause.code is ReasonCode.DUPLICATE_INTENT for cause in decision.causes):
            planned: Iterable[Any] = ()  # the first one lives
        else:
            planned = self._refused(intent, decision)
        final = not intent.policy.pursues or not decision.root_id
        rejection = Rejection(
            intent_id,
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
        return self._with_own(_joined(planned, then), decision.symbol)

    def _refused(self, intent: Intent, decision: RiskDecision) -> Iterable[Any]:
        self._count(intent, decision.decided_at, decision.causes)
        if decision.root_id and intent.policy.pursues:
            return ()  # the end of the pursuit comes by itself
        self._roll_back(intent.intent_id, unfilled=not self.desk.filled(intent.intent_id))
        if not self.plans:
            return ()
        return self._told(
            self.plans.on_end(intent.symbol, intent.position_side, intent.intent_id, refused=True)
        )

    def on_intent_ended(self, ended: IntentEnded) -> Effects:
        """Take the end of an intent that needed more than one order to everybody."""
        intent = self.desk.intent(ended.intent_id)
        self.desk.record_end(ended)
        self._roll_back(ended.intent_id, unfilled=not ended.filled)
        planned: Iterable[Any] = ()
        if intent is not None and self.plans:
            refused = ended.cause is not None and ended.filled < ended.quantity
            planned = self._told(
                self.plans.on_end(
                    ended.symbol, intent.position_side, ended.intent_id, refused=refused
                )
            )
        return self._with_own(_joined(planned, self.strategy.on_intent_ended(ended)), ended.symbol)

    def on_minimum(self, minimum: MinimumOrder) -> Effects:
        """Tell the strategy of another least order."""
        if minimum.symbol in self.desk.symbols:
            self._note_minimum(minimum)
        return self._with_own(None, minimum.symbol)

    def _rejection(self, intent: Intent, report: ExecutionReport) -> Rejection | None:
        """Return what an order's step refuses, ``None`` where it refuses nothing."""
        event, cause = report.event, report.cause
        late = cause is not None and cause.code in LATE_REFUSALS and report.status in FINAL
        if event is not _REJECTED and event is not _SUPPRESSED and not late:
            return None
        return Rejection(
            intent.intent_id,
            report.order_id,
            report.symbol,
            intent.position_side,
            intent.action,
            () if cause is None else (cause,),
            report.timestamp,
            "execution" if event is _SUPPRESSED else "venue",
            report.then is None,
        )

    # -- backoff and rollback

    def _count(self, intent: Intent, at: int, causes: Sequence[Cause]) -> None:
        family = FAMILIES[intent.action]
        backoff = self.backoff
        if backoff is not None and backoff.record_rejection(intent.symbol, family, at, causes):
            self._own.append(self._backoff_now(intent.symbol, family))

    def _forgive(self, intent: Intent) -> None:
        family = FAMILIES[intent.action]
        backoff = self.backoff
        if backoff is not None and backoff.record_success(intent.symbol, family):
            self._own.append(self._backoff_now(intent.symbol, family))

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
        if self._plain and not self._own and not self._asks and _are_plain(asked):
            return asked
        own, self._own = self._own, []
        out: list[Effect] = []
        for intent in asked:
            out.extend(self._prepared(intent))
        if self.states is not None:
            own.extend(self.states.changes(self.desk.symbols))
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
        if self._asks and isinstance(intent, OpenIntent):
            why_not = self.strategy.can_submit_order(intent)
            if why_not:
                intent = msgspec.structs.replace(intent, withheld=str(why_not))
        return (*before, intent)

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
        hook = "on_order_rejected"
        _, said = self._now(hook, self.strategy.on_order_rejected(rejection))
        self._answers.append((hook, said))
        then = own_intents(self.desk, said)
        return (intent, decision, *chain.from_iterable(self._prepared(each) for each in then))

    # -- state

    def snapshot(self) -> SnapshotTaken:
        """Return the state that a restart comes back with, having noted it for that."""
        state = {
            "strategy": self.strategy.snapshot(),
            "desk": self.desk.snapshot(),
            "plans": self.plans.snapshot(),
            "backoff": None if self.backoff is None else self.backoff.export_state(),
            "books": [
                [symbol, side.value, text]
                for (symbol, side), text in sorted(self.house.books.items())
            ],
        }
        try:
            text = json.dumps(state, separators=(",", ":"), sort_keys=True)
        except (TypeError, ValueError) as error:  # of the strategy's own part: ours is plain
            raise UnreadyState("snapshot", error) from error
        self.house.save(text)
        return SnapshotTaken(f"strategy:{self.desk.strategy}", self.desk.now, text)

    # -- what went wrong

    def place_of(self, message: Message | None, error: BaseException) -> str:
        """
        Return the line of the strategy's own that an error came from; empty if none is known.

        What is noticed only here, after a hook has returned, is put down to that hook.
        """
        kind = type(self.strategy)
        place = place_of_error(error, own_files(kind))
        if place is None and isinstance(error, StrategyFault):
            place = place_of_hook(kind, error.hook or self._hook_of(message, error.effect))
        return "" if place is None else str(place)

    def _hook_of(self, message: Message | None, effect: object) -> str:
        for hook, said in self._answers:
            if any(each is effect for each in said):
                return hook
        return "on_start" if message is None else HOOKS.get(type(message), "")

    def withdrawn(self, effects: Iterable[Effect]) -> None:
        """Take intents that will not be sent off the desk."""
        self.desk.withdraw(effect.intent_id for effect in effects if isinstance(effect, Intent))


def _are_plain(asked: Sequence[Asked]) -> bool:
    """Return whether nothing among ``asked`` needs more than to be sent."""
    for intent in asked:
        kind = type(intent)
        if kind is OpenIntent or kind is ReduceIntent:
            policy = intent.policy  # type: ignore[union-attr]
            if policy is not MARKET and policy.rollback is not MARKET.rollback:
                return False
        elif kind is PlanIntent or kind is PauseIntent:
            return False
    return True


def _joined(*parts: Iterable[Any] | None) -> Iterable[Any] | None:
    """Return the parts one after the other, ``None`` where there is nothing at all."""
    found = [part for part in parts if part]
    if not found:
        return None
    return found[0] if len(found) == 1 else chain.from_iterable(found)


__all__ = ["House", "StrategyActor"]
