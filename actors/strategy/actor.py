"""
The actor that hosts one strategy object.

It keeps the strategy's desk up to date before the strategy's hooks run, and keeps the
strategy's durable state. The desk and the plans outlive a failing strategy object; the object is
made anew and restored from its last snapshot.

Order of things, for news of an order: the desk, the backoff, the rollback, the plan, and then the
strategy's own hooks. What goes out, and in which order, is in ``outgoing``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from actors.runtime import Effects, SetTimer
from actors.runtime.cell import Handler
from actors.strategy.asked import joined
from actors.strategy.border import UnreadyState
from actors.strategy.house import House, state_of
from actors.strategy.news import ends, rejection_of
from actors.strategy.outgoing import Outgoing
from actors.strategy.states import BookStates
from actors.strategy.warming import warm_up
from messages import (
    FAMILIES,
    BackoffChanged,
    Bar,
    Cause,
    ExecutionReport,
    Intent,
    IntentEnded,
    Message,
    MinimumOrder,
    OrderFamily,
    Quote,
    ReasonCode,
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


class StrategyActor(Outgoing):
    """One incarnation of a strategy."""

    def __init__(self, house: House, make: Callable[[Desk], Strategy], saved: str | None) -> None:
        """Make the strategy at its desk and restore it from ``saved``, if there is anything."""
        desk = house.desk
        house.plans.undo()
        desk.settle_drafts(())  # what an earlier incarnation made and never returned
        super().__init__(house, make(desk))
        self.backoff = self.strategy.execution_backoff()
        if saved is not None:
            self._restore(json.loads(saved))
        if self.backoff is not None and house.memory.backoff is not None:
            self.backoff.import_state(house.memory.backoff)  # newer than any snapshot
        for minimum in self._minimums():
            self._note_minimum(minimum)
        kind = type(self.strategy)
        if self._has_states:
            self.states = BookStates(self.strategy, desk, house.sides, house.books)
        self._wants_fills = kind.on_fill is not Strategy.on_fill
        self._wants_updates = kind.on_order_update is not Strategy.on_order_update
        self.eager = self._wants_updates and kind.hears_progress
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
