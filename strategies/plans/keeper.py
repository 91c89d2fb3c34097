"""
Plans: standing instructions of a strategy, carried out step by step in its name.

Theory of operation. A plan says what should be there: a stop for the whole position, targets for
shares of it, rungs that add. Whenever something happens to the book, its orders, the price or the
time, ``PlanKeeper`` compares what should be there with what is, and asks for the difference. So a
lost order, a partial fill or a restart needs no case of its own. What Risk or the venue refused is
not asked for again before the book has changed: trying again is the business of the step's policy.

A stop that changes takes the place of the older one (``replaces``): the position is never without.
Steps that wait *here* are looked at with every bar, quote and trade, the stop first; they leave
as ``close_how`` says, and again as long as their condition holds and the position is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from messages import (
    Bar,
    Intent,
    Plan,
    PlanChanged,
    PlanIntent,
    PlanPlace,
    PlanStatus,
    PositionSide,
    Quote,
    Tick,
)
from state.instruments import Instrument
from state.money import ZERO, exact
from strategies.desk import Asked, Desk
from strategies.plans.check import problems_of
from strategies.plans.levels import Levels
from strategies.plans.making import Maker
from strategies.plans.outlook import StepView, outlook
from strategies.plans.standing import BookKey, Standing, Step

Told = Asked | PlanChanged
TIMER: Final = "plan:"


class PlanKeeper:
    """
    The plans of one strategy; it outlives the strategy's incarnations.

    Methods return what is to be asked for in the strategy's name, and what is to be told.
    """

    def __init__(
        self,
        desk: Desk,
        mark: Callable[[str], Decimal | None],
        instruments: Mapping[str, Instrument],
    ) -> None:
        """Keep plans for the books of ``desk``; ``mark`` gives the newest price of a symbol."""
        self.desk = desk
        self._levels = Levels(desk, mark, instruments)
        self._make = Maker(desk, self._levels)
        self.standing: dict[BookKey, Standing] = {}

    def __bool__(self) -> bool:
        """Return whether there is any plan."""
        return bool(self.standing)

    # -- plans come and go

    def take(self, intent: PlanIntent) -> tuple[list[str], list[Told]]:
        """
        Take a plan up, in the older one's place; return what is wrong with it, or what follows.

        With problems nothing has changed.
        """
        book = (intent.symbol, intent.position_side)
        older = self.standing.get(book)
        if intent.plan is None:
            return [], self._drop(older) if older is not None else []
        desk = self.desk
        held = desk.position(*book)
        problems = problems_of(intent, held, self._levels.mark(intent.symbol), desk.now)
        if problems:
            return problems, []
        told: list[Told] = []
        if older is not None:
            told.append(self._changed(older, PlanStatus.REPLACED, f"by {intent.intent_id}"))
        standing = self._stand(intent, intent.plan, older)
        told.append(self._changed(standing, PlanStatus.ADOPTED))
        if older is not None:
            told.extend(self._cancel_steps([*older.targets, *older.adds]))
        return [], [*told, *self.look(book)]

    def _stand(self, intent: PlanIntent, plan: Plan, older: Standing | None) -> Standing:
        book = (intent.symbol, intent.position_side)
        held = self.desk.position(*book)
        standing = Standing(
            intent,
            plan,
            self.desk.average_price(*book),
            targets=[Step() for _ in plan.targets],
            adds=[Step() for _ in plan.adds],
        )
        if held:
            standing.held = True
            standing.size = standing.last = abs(held)
        if older is not None:  # its protection stays until the new one has taken its place
            standing.stop = Step(intent_id=older.stop.intent_id or older.trail.intent_id)
            standing.closing = older.closing
        self.standing[book] = standing
        return standing

    def _drop(self, standing: Standing) -> list[Told]:
        del self.standing[standing.book]
        return [
            self._changed(standing, PlanStatus.DROPPED),
            *self._cancel_steps([*standing.steps()]),
        ]

    def _cancel_steps(self, steps: Iterable[Step]) -> list[Told]:
        return [
            self.desk.cancel(intent.symbol, step.intent_id, tag="plan")
            for step in steps
            if (intent := self._live(step)) is not None
        ]

    def _live(self, step: Step) -> Intent | None:
        return self.desk.intent(step.intent_id) if step.intent_id else None

    # -- what happens

    def on_fill(
        self, symbol: str, side: PositionSide, intent_id: str, quantity: Decimal
    ) -> list[Told]:
        """Take a fill of the book into account; the desk has it already."""
        standing = self.standing.get((symbol, side))
        if standing is None:
            return []
        told: list[Told] = []
        step = standing.step_of(intent_id)
        if step is not None:
            step.filled += quantity
            detail = f"{standing.name_of(step)} filled {quantity}"
            told.append(self._changed(standing, PlanStatus.STEP, detail))
        return [*told, *self.look(standing.book)]

    def on_end(
        self, symbol: str, side: PositionSide, intent_id: str, *, refused: bool
    ) -> list[Told]:
        """Take the end of one of the book's intents into account."""
        standing = self.standing.get((symbol, side))
        if standing is None:
            return []
        step = standing.step_of(intent_id)
        if step is not None:
            if refused:
                step.refused_at = (step.quantity, step.price)
            step.intent_id = ""
        return self.look(standing.book)

    def on_market(self, seen: Bar | Quote | Tick) -> list[Told]:
        """Look at the symbol's plans with a new price."""
        told: list[Told] = []
        for book, standing in list(self.standing.items()):
            if book[0] != seen.symbol:
                continue
            low, high = _range(seen)
            if standing.held:
                self._follow(standing, low, high)
            if standing.plan.place is PlanPlace.HERE:
                told.extend(self._watch(standing, low, high))
            else:
                told.extend(self.look(book))
        return told

    def on_time(self, key: str) -> list[Told]:
        """Look at the plan that a timer belongs to."""
        symbol, _, side = key.removeprefix(TIMER).rpartition("|")
        standing = self.standing.get((symbol, PositionSide(side)))
        if standing is None:
            return []
        if standing.plan.place is PlanPlace.HERE and standing.held:
            return self._close(standing, "time stop") if self._is_late(standing) else []
        return self.look(standing.book)

    def timers(self) -> list[tuple[str, int]]:
        """Return (key, time) of every time stop that is still to come."""
        return [
            (f"{TIMER}{symbol}|{side.value}", standing.plan.time_stop)
            for (symbol, side), standing in self.standing.items()
            if standing.plan.time_stop is not None
        ]

    # -- what should be there, and what is

    def look(self, book: BookKey) -> list[Told]:
        """Return what a book's plan lacks at this moment."""
        standing = self.standing[book]
        held = self.desk.position(*book)
        if not self._count(standing, held):
            return self._done(standing) if standing.held else []
        if self._is_late(standing):
            return self._close(standing, "time stop")
        if standing.plan.place is PlanPlace.HERE:
            return []
        return [
            *self._protect(standing, held),
            *self._aim(standing, held),
            *self._ladder(standing, held),
        ]

    def _count(self, standing: Standing, held: Decimal) -> bool:
        """Take the position into account; return whether there is one."""
        size = abs(held)
        if size > standing.last:
            standing.size += size - standing.last
        standing.last = size
        if not size:
            return False
        if not standing.held:
            standing.held = True
            standing.base = self.desk.average_price(*standing.book)
        return True

    def _done(self, standing: Standing) -> list[Told]:
        del self.standing[standing.book]
        # What protects ends with the position; what would add to it is the plan's to take back.
        return [
            self._changed(standing, PlanStatus.DONE),
            *self._cancel_steps(standing.adds),
        ]

    def _is_late(self, standing: Standing) -> bool:
        at = standing.plan.time_stop
        return at is not None and self.desk.now >= at

    def _close(self, standing: Standing, why: str) -> list[Told]:
        now = self.desk.now
        if standing.closed_at == now or self._live(standing.closing) is not None:
            return []
        standing.closed_at = now
        return [self._changed(standing, PlanStatus.STEP, why), self._make.close(standing, why)]

    def _protect(self, standing: Standing, held: Decimal) -> list[Told]:
        plan = standing.plan
        if standing.trailing or self._levels.trail_starts(standing, held):
            return self._trail(standing, held)
        if plan.stop is None:
            if self._live(standing.stop) is None or plan.trail is not None:
                return []
            return self._cancel_steps([standing.stop])  # the older plan's
        price = self._levels.stop(standing, held)
        if not self._differs(standing.stop, abs(held), price):
            return []
        return [self._make.stop(standing, held, price)]

    def _trail(self, standing: Standing, held: Decimal) -> list[Told]:
        standing.trailing = True
        step, quantity = standing.trail, abs(held)
        # A smaller position needs no new one: a venue takes off no more than there is, and a new
        # one would forget how far the price has been.
        live = self._live(step) is not None
        if (live and quantity <= step.quantity) or step.is_refused(quantity, None):
            return []
        return [self._make.trail(standing, quantity)]

    def _aim(self, standing: Standing, held: Decimal) -> list[Told]:
        told: list[Told] = []
        quantities = self._levels.shares(standing, held)
        for number, target in enumerate(standing.plan.targets, start=1):
            price = self._levels.target(standing, target, held)
            quantity = quantities[number - 1]
            if quantity > ZERO and self._differs(standing.targets[number - 1], quantity, price):
                told.append(self._make.target(standing, number, target, quantity, price))
        return told

    def _ladder(self, standing: Standing, held: Decimal) -> list[Told]:
        # Each rung is asked for once: one that ended, ended.
        return [
            self._make.add(standing, number, rung, held)
            for number, rung in enumerate(standing.plan.adds, start=1)
            if not standing.adds[number - 1].quantity
        ]

    def _differs(self, step: Step, quantity: Decimal, price: Decimal) -> bool:
        """Return whether a step has to be asked for, anew or for the first time."""
        if step.is_refused(quantity, price):
            return False
        if self._live(step) is None:
            return True
        return step.price != price or step.quantity != quantity

    # -- steps that wait here

    def _follow(self, standing: Standing, low: Decimal, high: Decimal) -> None:
        """Remember the best price that the position has seen."""
        held = self.desk.position(*standing.book)
        best = high if held > ZERO else low
        if standing.best is None or (best > standing.best if held > ZERO else best < standing.best):
            standing.best = best

    def _watch(self, standing: Standing, low: Decimal, high: Decimal) -> list[Told]:
        book = standing.book
        held = self.desk.position(*book)
        if not self._count(standing, held):
            return self._done(standing) if standing.held else []
        if self._is_late(standing):
            return self._close(standing, "time stop")
        against = low if held > ZERO else high
        if self._is_stopped(standing, held, against):
            return self._close(standing, "stop")
        in_favour = high if held > ZERO else low
        told = self._take(standing, held, in_favour)
        sign = 1 if held > ZERO else -1
        for number, rung in enumerate(standing.plan.adds, start=1):
            waits = not standing.adds[number - 1].quantity
            if waits and (self._levels.rung(standing, rung, held) - against) * sign >= ZERO:
                told.append(self._make.add(standing, number, rung, held))
        return told

    def _take(self, standing: Standing, held: Decimal, in_favour: Decimal) -> list[Told]:
        told: list[Told] = []
        sign = 1 if held > ZERO else -1
        quantities = self._levels.shares(standing, held)
        for number, target in enumerate(standing.plan.targets, start=1):
            quantity, step = quantities[number - 1], standing.targets[number - 1]
            reached = (in_favour - self._levels.target(standing, target, held)) * sign >= ZERO
            if reached and quantity > ZERO and self._live(step) is None:
                told.append(self._make.take(standing, number, quantity))
        return told

    def _is_stopped(self, standing: Standing, held: Decimal, against: Decimal) -> bool:
        sign = 1 if held > ZERO else -1
        levels = []
        if standing.plan.stop is not None:
            levels.append(self._levels.stop(standing, held))
        if standing.plan.trail is not None and standing.best is not None:
            standing.trailing |= self._levels.trail_starts(standing, held)
            if standing.trailing:
                levels.append(self._levels.trail(standing, held, standing.best))
        return any((against - level) * sign <= ZERO for level in levels)

    def _changed(self, standing: Standing, status: PlanStatus, detail: str = "") -> PlanChanged:
        symbol, side = standing.book
        return PlanChanged(
            standing.intent.intent_id,
            self.desk.strategy,
            symbol,
            side,
            self.desk.now,
            status,
            detail,
        )

    def outlook(self, book: BookKey) -> list[StepView]:
        """Return the steps of a book's plan as an operator sees them, none without a plan."""
        standing = self.standing.get(book)
        return [] if standing is None else outlook(standing, self.desk, self._levels)

    # -- across restarts

    def snapshot(self) -> list[dict[str, Any]]:
        """Return every plan and how far it is, JSON-ready."""
        return [standing.snapshot() for standing in self.standing.values()]

    def restore(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Take back what ``snapshot`` gave."""
        found = [Standing.of(kept) for kept in state]
        self.standing = {standing.book: standing for standing in found}


def _range(seen: Bar | Quote | Tick) -> tuple[Decimal, Decimal]:
    """Return the lowest and highest price at which a position could have been left."""
    if isinstance(seen, Bar):
        return exact(seen.low), exact(seen.high)
    if isinstance(seen, Quote):
        return exact(seen.bid), exact(seen.ask)
    price = exact(seen.price)
    return price, price
