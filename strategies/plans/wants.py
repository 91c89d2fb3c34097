"""What a plan wants and has not: compared with what its intents stand for, and asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Final

from messages import (
    Bar,
    ExecutionPolicy,
    Intent,
    IntentAction,
    OpenIntent,
    OrderType,
    Quote,
    ReduceIntent,
    Tick,
)
from state.money import ZERO, exact
from strategies.desk import Asked, Desk
from strategies.plans.levels import Levels
from strategies.plans.making import Maker
from strategies.plans.standing import BookKey, Standing, Step

AGAIN_MS: Final = 60_000
"""When a cancel that came to nothing is asked for again."""

PROTECTIVE: Final = frozenset(
    {IntentAction.SET_STOP, IntentAction.TRAIL, IntentAction.SET_TAKE_PROFIT}
)


@dataclass(frozen=True, slots=True)
class Span:
    """
    The lowest and highest price at which a position could have been left, and added to.

    Of a quote a long is left at the bid and added to at the ask, a short the other way round.
    """

    left_low: Decimal
    left_high: Decimal
    added_low: Decimal
    added_high: Decimal

    @classmethod
    def of(cls, seen: Bar | Quote | Tick, held: Decimal) -> Span:
        """Return what a bar, quote or trade says for a position of ``held``."""
        if isinstance(seen, Bar):
            low, high = exact(seen.low), exact(seen.high)
            return cls(low, high, low, high)
        if isinstance(seen, Quote):
            bid, ask = exact(seen.bid), exact(seen.ask)
            return cls(bid, bid, ask, ask) if held > ZERO else cls(ask, ask, bid, bid)
        price = exact(seen.price)
        return cls(price, price, price, price)


class Wants:
    """The wants of plans, one kind of step at a time; each method returns what to ask for."""

    def __init__(self, desk: Desk, levels: Levels, make: Maker) -> None:
        """Look at what ``desk`` knows to be on its way."""
        self._desk = desk
        self._levels = levels
        self._make = make

    def back(self, standing: Standing, intent_ids: Iterable[str]) -> list[Asked]:
        """Return the cancels of intents that are no longer wanted, each asked for once a while."""
        now, told = self._desk.now, list[Asked]()
        for intent_id in list(intent_ids):
            intent, asked_at = self._desk.intent(intent_id), standing.taken_back.get(intent_id)
            if intent is not None and (asked_at is None or now - asked_at >= AGAIN_MS):
                standing.taken_back[intent_id] = now
                told.append(self._desk.cancel(intent.symbol, intent_id, tag="plan"))
        return told

    def protected(self, standing: Standing, held: Decimal) -> list[Asked]:
        """Return the stop or the trail that a position is without."""
        if standing.trailing or self._levels.trail_starts(standing, held):
            standing.trailing = True
            quantity = abs(held)
            if not standing.trail.is_refused(quantity, None):
                return self._trail(standing, quantity)
        plan = standing.plan  # a trail that is refused leaves its place to the stop
        if plan.stop is None:
            # With a trail still to come, an older plan's stop protects until then.
            return [] if plan.trail is not None else self.back(standing, standing.guards)
        price, quantity = self._levels.stop(standing, held), abs(held)
        policy = self._make.stop_policy(standing, held, price)
        if standing.stop.is_refused(quantity, price):
            return []
        if not self._differs(standing, standing.guards, IntentAction.SET_STOP, quantity, policy):
            return []
        return [self._make.stop(standing, quantity, price, policy)]

    def _trail(self, standing: Standing, quantity: Decimal) -> list[Asked]:
        # A smaller position needs no new one: a venue takes off no more than there is, and a new
        # one would forget how far the price has been.
        policy = self._make.trail_policy(standing)
        live = self._newest(standing.guards)
        trails = live is not None and live.action is IntentAction.TRAIL and live.policy == policy
        if live is not None and trails and quantity <= self._rest(live):
            return []
        return [self._make.trail(standing, quantity, policy)]

    def aimed(self, standing: Standing, held: Decimal) -> list[Asked]:
        """Return the targets that are not there, and the cancels of those that are too many."""
        told: list[Asked] = []
        quantities = self._levels.shares(standing, held)
        for number, target in enumerate(standing.plan.targets, start=1):
            step, quantity = standing.targets[number - 1], quantities[number - 1]
            if not quantity:
                told += self.back(standing, step.intents)
                continue
            price = self._levels.target(standing, target, held)
            policy = self._make.target_policy(target, price)
            kind = IntentAction.SET_TAKE_PROFIT
            if step.is_refused(quantity, price):
                continue
            if not self._differs(standing, step.intents, kind, quantity, policy):
                continue
            # Together no more than is held: what has no room yet comes when another one has gone.
            if quantity + self._aimed(standing, step) <= abs(held):
                told.append(self._make.target(standing, number, quantity, price, policy))
            elif any(self._too_much(intent_id, quantity) for intent_id in step.intents):
                told += self.back(standing, step.intents)  # two that are too large wait for nobody
        return told

    def _too_much(self, intent_id: str, quantity: Decimal) -> bool:
        intent = self._desk.intent(intent_id)
        return intent is not None and self._rest(intent) > quantity

    def _aimed(self, standing: Standing, but: Step) -> Decimal:
        """Return how much the other targets are about to take off, older plans' among them."""
        others = [step.intents for step in standing.targets if step is not but]
        total = ZERO
        for intent_id in chain(standing.leaving, *others):
            intent = self._desk.intent(intent_id)
            if intent is not None and intent.action is IntentAction.SET_TAKE_PROFIT:
                total += self._rest(intent)
        return total

    def added(self, standing: Standing, held: Decimal) -> list[Asked]:
        """Return the rungs that were not asked for yet."""
        # Each rung is asked for once: one that ended, ended. Beside an older plan's it waits.
        if self._openings_leave(standing):
            return []
        return [
            self._make.add(standing, number, rung, held)
            for number, rung in enumerate(standing.plan.adds, start=1)
            if not standing.adds[number - 1].asked
        ]

    def _openings_leave(self, standing: Standing) -> bool:
        live = map(self._desk.intent, standing.leaving)
        return any(isinstance(intent, OpenIntent) for intent in live)

    def _newest(self, intent_ids: list[str]) -> Intent | None:
        return self._desk.intent(intent_ids[-1]) if intent_ids else None

    def _rest(self, intent: Intent) -> Decimal:
        """Return how much of an intent is still to be filled."""
        assert intent.quantity is not None, "what rests for a plan says how much"
        return intent.quantity - self._desk.filled(intent.intent_id)

    def _differs(
        self,
        standing: Standing,
        intent_ids: list[str],
        action: IntentAction,
        quantity: Decimal,
        policy: ExecutionPolicy,
    ) -> bool:
        """Return whether what protects has to be asked for, anew or for the first time."""
        live = self._newest(intent_ids)
        if live is None:
            return True
        rest = self._rest(live)
        if rest > quantity and self._leaves_now(standing.book):
            return False  # Risk counts what leaves at this moment; there is more than enough
        return live.action is not action or rest != quantity or live.policy != policy

    def _leaves_now(self, book: BookKey) -> bool:
        """Return whether an order that is no protection is taking something off the book."""
        return any(
            isinstance(intent, ReduceIntent) and intent.action not in PROTECTIVE
            for intent in self._desk.unfinished(*book)
        )

    # -- steps that wait here

    def met(self, standing: Standing, held: Decimal, span: Span) -> list[Asked]:
        """Return the targets and rungs that the prices just seen have met."""
        told = self._taken(standing, held, span.left_high if held > ZERO else span.left_low)
        if standing.over or self._openings_leave(standing):
            return told
        sign = 1 if held > ZERO else -1
        against, in_favour = span.added_low, span.added_high
        if held < ZERO:
            against, in_favour = in_favour, against
        for number, rung in enumerate(standing.plan.adds, start=1):
            price = self._levels.rung(standing, rung, held)
            if rung.how.order_type is OrderType.STOP:
                met = (in_favour - price) * sign >= ZERO
            else:
                met = (price - against) * sign >= ZERO
            if met and not standing.adds[number - 1].asked:
                told.append(self._make.add(standing, number, rung, held))
        return told

    def _taken(self, standing: Standing, held: Decimal, in_favour: Decimal) -> list[Asked]:
        told: list[Asked] = []
        sign = 1 if held > ZERO else -1
        quantities = self._levels.shares(standing, held)
        for number, target in enumerate(standing.plan.targets, start=1):
            quantity, step = quantities[number - 1], standing.targets[number - 1]
            reached = (in_favour - self._levels.target(standing, target, held)) * sign >= ZERO
            if reached and quantity > ZERO and not step.intents:
                told.append(self._make.take(standing, number, quantity))
        return told

    def is_stopped(self, standing: Standing, held: Decimal, span: Span) -> bool:
        """Return whether the price has been where the position is to be left at a loss."""
        sign = 1 if held > ZERO else -1
        against = span.left_low if held > ZERO else span.left_high
        levels = []
        if standing.plan.stop is not None:
            levels.append(self._levels.stop(standing, held))
        if standing.plan.trail is not None and standing.best is not None:
            standing.trailing |= self._levels.trail_starts(standing, held)
            if standing.trailing:
                levels.append(self._levels.trail(standing, held, standing.best))
        return any((against - level) * sign <= ZERO for level in levels)


def follow(standing: Standing, held: Decimal, span: Span) -> None:
    """Remember the best price that the position has seen."""
    best = span.left_high if held > ZERO else span.left_low
    if standing.best is None or (best > standing.best if held > ZERO else best < standing.best):
        standing.best = best
