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
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from messages import (
    Bar,
    ExecutionPolicy,
    Intent,
    OrderType,
    Plan,
    PlanAdd,
    PlanChanged,
    PlanIntent,
    PlanPlace,
    PlanStatus,
    PlanTarget,
    PositionSide,
    Quote,
    Side,
    Tick,
)
from state.instruments import Instrument
from state.money import BASIS_POINT, EXACT, ZERO, exact
from strategies.desk import Asked, Desk
from strategies.plan_check import problems_of

BookKey = tuple[str, PositionSide]
Told = Asked | PlanChanged
TIMER: Final = "plan:"
ONE: Final = Decimal(1)


@dataclass(slots=True)
class Step:
    """One order that a plan wants: what it wants, and the intent that stands for it."""

    price: Decimal | None = None
    quantity: Decimal = ZERO
    intent_id: str = ""
    filled: Decimal = ZERO
    refused_at: tuple[Decimal, Decimal | None] | None = None
    """The quantity and price that were refused: not to be asked for again."""

    def is_refused(self, quantity: Decimal, price: Decimal | None) -> bool:
        """Return whether just this was refused."""
        return self.refused_at == (quantity, price)


@dataclass(slots=True)
class Standing:
    """One book's plan and how far it is."""

    intent: PlanIntent
    plan: Plan
    base: Decimal
    """The price that rungs are counted from: the mean entry price when it was known first."""
    held: bool = False
    size: Decimal = ZERO
    """All that was ever held under the plan: what shares are shares of."""
    last: Decimal = ZERO
    best: Decimal | None = None
    stop: Step = field(default_factory=Step)
    trail: Step = field(default_factory=Step)
    trailing: bool = False
    targets: list[Step] = field(default_factory=list)
    adds: list[Step] = field(default_factory=list)
    closing: Step = field(default_factory=Step)

    @property
    def book(self) -> BookKey:
        """Return the plan's book."""
        return self.intent.symbol, self.intent.position_side

    def steps(self) -> list[Step]:
        """Return every step."""
        return [self.stop, self.trail, self.closing, *self.targets, *self.adds]

    def step_of(self, intent_id: str) -> Step | None:
        """Return the step that an intent stands for."""
        return next((step for step in self.steps() if step.intent_id == intent_id), None)


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
        self._mark = mark
        self._instruments = instruments
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
        problems = problems_of(intent, held, self._mark(intent.symbol), desk.now)
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
            detail = f"{self._name(standing, step)} filled {quantity}"
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
        return [*self._protect(standing, held), *self._aim(standing, held), *self._ladder(standing)]

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
        step = standing.closing
        if self._live(step) is not None:
            return []
        symbol, side = standing.book
        intent = self.desk.close(
            symbol,
            position_side=side,
            policy=standing.plan.close_how,
            decision_price=self._mark(symbol),
            tag=why,
            plan_id=standing.intent.intent_id,
        )
        step.intent_id = intent.intent_id
        return [self._changed(standing, PlanStatus.STEP, why), intent]

    def _protect(self, standing: Standing, held: Decimal) -> list[Told]:
        plan, desk = standing.plan, self.desk
        symbol, side = standing.book
        if standing.trailing or self._trail_starts(standing, held):
            return self._trail(standing, held)
        if plan.stop is None:
            if self._live(standing.stop) is None or plan.trail is not None:
                return []
            return self._cancel_steps([standing.stop])  # the older plan's
        price = self._stop_price(standing, held)
        step, quantity = standing.stop, abs(held)
        if not self._differs(step, quantity, price):
            return []
        how = plan.stop.how
        if plan.stop.limit_offset_bps is not None:
            away = price * plan.stop.limit_offset_bps * BASIS_POINT
            limit = price - away if held > ZERO else price + away
            how = msgspec.structs.replace(how, limit_price=limit)
        intent = desk.set_stop(
            symbol,
            price,
            quantity,
            position_side=side,
            policy=how,
            decision_price=price,
            tag="stop",
            plan_id=standing.intent.intent_id,
            replaces=step.intent_id,
        )
        step.intent_id, step.price, step.quantity = intent.intent_id, price, quantity
        return [intent]

    def _trail_starts(self, standing: Standing, held: Decimal) -> bool:
        trail = standing.plan.trail
        mark = self._mark(standing.book[0])
        if trail is None or mark is None:
            return False
        sign = 1 if held > ZERO else -1
        activate = trail.activate_price
        if trail.activate_distance_bps is not None:
            average = self.desk.average_price(*standing.book)
            activate = average + sign * average * trail.activate_distance_bps * BASIS_POINT
        reached = mark if standing.best is None else standing.best
        if activate is not None and (reached - activate) * sign < ZERO:
            return False
        if standing.plan.stop is None:
            return True
        level = mark - sign * mark * trail.trail_bps * BASIS_POINT
        return (level - self._stop_price(standing, held)) * sign >= ZERO

    def _trail(self, standing: Standing, held: Decimal) -> list[Told]:
        trail = standing.plan.trail
        assert trail is not None, "only a plan with a trail trails"
        standing.trailing = True
        step, quantity = standing.trail, abs(held)
        # A smaller position needs no new one: a venue takes off no more than there is, and a new
        # one would forget how far the price has been.
        live = self._live(step) is not None
        if (live and quantity <= step.quantity) or step.is_refused(quantity, None):
            return []
        symbol, side = standing.book
        policy = msgspec.structs.replace(trail.how, trail_bps=trail.trail_bps)
        intent = self.desk.trail(
            symbol,
            trail.trail_bps,
            quantity,
            position_side=side,
            policy=policy,
            decision_price=self._mark(symbol),
            tag="trail",
            plan_id=standing.intent.intent_id,
            replaces=step.intent_id or standing.stop.intent_id,
        )
        step.intent_id, step.quantity = intent.intent_id, quantity
        standing.stop = Step()
        return [intent]

    def _aim(self, standing: Standing, held: Decimal) -> list[Told]:
        told: list[Told] = []
        symbol, side = standing.book
        quantities = self._shares(standing, held)
        for number, (target, step) in enumerate(
            zip(standing.plan.targets, standing.targets, strict=True), start=1
        ):
            price = self._target_price(standing, target, held)
            quantity = quantities[number - 1]
            if quantity <= ZERO or not self._differs(step, quantity, price):
                continue
            intent = self.desk.set_take_profit(
                symbol,
                price,
                quantity,
                position_side=side,
                policy=target.how,
                decision_price=price,
                tag=f"target {number}",
                plan_id=standing.intent.intent_id,
                replaces=step.intent_id,
            )
            step.intent_id, step.price, step.quantity = intent.intent_id, price, quantity
            told.append(intent)
        return told

    def _ladder(self, standing: Standing) -> list[Told]:
        told: list[Told] = []
        for number, (rung, step) in enumerate(
            zip(standing.plan.adds, standing.adds, strict=True), start=1
        ):
            if step.quantity or step.filled or step.refused_at is not None:
                continue  # asked for once: a rung that ended, ended
            told.append(self._add(standing, rung, step, number))
        return told

    def _add(self, standing: Standing, rung: PlanAdd, step: Step, number: int) -> Intent:
        symbol, side = standing.book
        held = self.desk.position(symbol, side)
        price = self._rung_price(standing, rung, held)
        stop = None if standing.plan.stop is None else self._stop_price(standing, held)
        target = next(iter(standing.plan.targets), None)
        intent = self.desk.add(
            symbol,
            Side.BUY if held > ZERO else Side.SELL,
            rung.quantity,
            notional=rung.notional,
            position_side=side,
            policy=_priced(rung.how, price),
            decision_price=price,
            tag=f"add {number}",
            plan_id=standing.intent.intent_id,
            planned_stop=stop,
            planned_target=(None if target is None else self._target_price(standing, target, held)),
        )
        step.intent_id, step.price = intent.intent_id, price
        step.quantity = rung.quantity or ONE
        return intent

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
        told: list[Told] = []
        sign = 1 if held > ZERO else -1
        in_favour = high if held > ZERO else low
        quantities = self._shares(standing, held)
        for number, target in enumerate(standing.plan.targets, start=1):
            step = standing.targets[number - 1]
            reached = (in_favour - self._target_price(standing, target, held)) * sign >= ZERO
            if reached and quantities[number - 1] > ZERO and self._live(step) is None:
                told.append(self._take(standing, step, quantities[number - 1], number))
        for number, rung in enumerate(standing.plan.adds, start=1):
            step = standing.adds[number - 1]
            if step.quantity or (self._rung_price(standing, rung, held) - against) * sign < ZERO:
                continue
            told.append(self._add(standing, rung, step, number))
        return told

    def _is_stopped(self, standing: Standing, held: Decimal, against: Decimal) -> bool:
        sign = 1 if held > ZERO else -1
        levels = []
        if standing.plan.stop is not None:
            levels.append(self._stop_price(standing, held))
        trail = standing.plan.trail
        if trail is not None and standing.best is not None:
            standing.trailing = standing.trailing or self._trail_starts(standing, held)
            if standing.trailing:
                levels.append(standing.best - sign * standing.best * trail.trail_bps * BASIS_POINT)
        return any((against - level) * sign <= ZERO for level in levels)

    def _take(self, standing: Standing, step: Step, quantity: Decimal, number: int) -> Intent:
        symbol, side = standing.book
        intent = self.desk.partial_close(
            symbol,
            quantity,
            position_side=side,
            policy=standing.plan.close_how,
            decision_price=self._mark(symbol),
            tag=f"target {number}",
            plan_id=standing.intent.intent_id,
        )
        step.intent_id, step.quantity = intent.intent_id, quantity
        return intent

    # -- prices and quantities

    def _stop_price(self, standing: Standing, held: Decimal) -> Decimal:
        stop = standing.plan.stop
        assert stop is not None, "asked of a plan with a stop"
        return self._price_at(standing, stop.price, stop.distance_bps, -1, held)

    def _target_price(self, standing: Standing, target: PlanTarget, held: Decimal) -> Decimal:
        return self._price_at(standing, target.price, target.distance_bps, 1, held)

    def _price_at(
        self,
        standing: Standing,
        price: Decimal | None,
        distance_bps: Decimal | None,
        way: int,
        held: Decimal,
    ) -> Decimal:
        """Return a price, or the mean entry price so far in favour (1) or against (-1)."""
        if price is not None:
            return price
        assert distance_bps is not None, "the plan was checked"
        average = self.desk.average_price(*standing.book)
        sign = way if held > ZERO else -way
        return average + sign * average * distance_bps * BASIS_POINT

    def _rung_price(self, standing: Standing, rung: PlanAdd, held: Decimal) -> Decimal:
        if rung.price is not None:
            return rung.price
        assert rung.distance_bps is not None, "the plan was checked"
        sign = -1 if held > ZERO else 1
        return standing.base + sign * standing.base * rung.distance_bps * BASIS_POINT

    def _shares(self, standing: Standing, held: Decimal) -> list[Decimal]:
        """
        Return how much each target is to take off now: its share, less what it has taken.

        Together never more than is held. The last one takes what rounding left, where all shares
        are the whole.
        """
        targets = standing.plan.targets
        instrument = self._instruments[standing.book[0]]
        left = abs(held)
        whole = EXACT.copy_abs(_total(target.share for target in targets)) == ONE
        found = []
        for number, (target, step) in enumerate(
            zip(targets, standing.targets, strict=True), start=1
        ):
            wanted = instrument.round_quantity(standing.size * target.share) - step.filled
            if whole and number == len(targets):
                wanted = left
            quantity = max(ZERO, min(wanted, left))
            left -= quantity
            found.append(quantity)
        return found

    def _name(self, standing: Standing, step: Step) -> str:
        for name, own in (
            ("stop", standing.stop),
            ("trail", standing.trail),
            ("close", standing.closing),
            *((f"target {n}", own) for n, own in enumerate(standing.targets, start=1)),
            *((f"add {n}", own) for n, own in enumerate(standing.adds, start=1)),
        ):
            if own is step:
                return name
        raise AssertionError("a step of this plan")

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

    # -- across restarts

    def snapshot(self) -> list[dict[str, Any]]:
        """Return every plan and how far it is, JSON-ready."""
        return [
            {
                "intent": msgspec.to_builtins(standing.intent),
                "base": str(standing.base),
                "held": standing.held,
                "size": str(standing.size),
                "last": str(standing.last),
                "best": None if standing.best is None else str(standing.best),
                "trailing": standing.trailing,
                "stop": _kept(standing.stop),
                "trail": _kept(standing.trail),
                "closing": _kept(standing.closing),
                "targets": [_kept(step) for step in standing.targets],
                "adds": [_kept(step) for step in standing.adds],
            }
            for standing in self.standing.values()
        ]

    def restore(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Take back what ``snapshot`` gave."""
        self.standing = {}
        for kept in state:
            intent = msgspec.convert(kept["intent"], PlanIntent)
            assert intent.plan is not None, "only plans stand"
            standing = Standing(
                intent,
                intent.plan,
                Decimal(kept["base"]),
                kept["held"],
                Decimal(kept["size"]),
                Decimal(kept["last"]),
                None if kept["best"] is None else Decimal(kept["best"]),
                _step(kept["stop"]),
                _step(kept["trail"]),
                kept["trailing"],
                [_step(step) for step in kept["targets"]],
                [_step(step) for step in kept["adds"]],
                _step(kept["closing"]),
            )
            self.standing[standing.book] = standing


def _total(shares: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for share in shares:
        total = EXACT.add(total, share)
    return total


def _priced(how: ExecutionPolicy, price: Decimal) -> ExecutionPolicy:
    """Return a rung's policy with its price where its kind of order has it."""
    if how.order_type is OrderType.LIMIT:
        return msgspec.structs.replace(how, limit_price=price)
    if how.order_type is OrderType.STOP:
        return msgspec.structs.replace(how, stop_price=price)
    return how


def _range(seen: Bar | Quote | Tick) -> tuple[Decimal, Decimal]:
    """Return the lowest and highest price at which a position could have been left."""
    if isinstance(seen, Bar):
        return exact(seen.low), exact(seen.high)
    if isinstance(seen, Quote):
        return exact(seen.bid), exact(seen.ask)
    price = exact(seen.price)
    return price, price


def _kept(step: Step) -> list[Any]:
    refused = step.refused_at
    return [
        None if step.price is None else str(step.price),
        str(step.quantity),
        step.intent_id,
        str(step.filled),
        None
        if refused is None
        else [str(refused[0]), None if refused[1] is None else str(refused[1])],
    ]


def _step(kept: list[Any]) -> Step:
    price, quantity, intent_id, filled, refused = kept
    return Step(
        None if price is None else Decimal(price),
        Decimal(quantity),
        intent_id,
        Decimal(filled),
        None
        if refused is None
        else (Decimal(refused[0]), None if refused[1] is None else Decimal(refused[1])),
    )
