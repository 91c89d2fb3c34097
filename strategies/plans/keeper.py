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
    IntentAction,
    OpenIntent,
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
from state.money import ZERO
from strategies.desk import Asked, Desk
from strategies.plans.check import problems_of
from strategies.plans.levels import Levels
from strategies.plans.making import Maker
from strategies.plans.outlook import StepView, outlook
from strategies.plans.standing import BookKey, Standing, Step
from strategies.plans.wants import Span, Wants, follow

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
        self._wants = Wants(desk, self._levels, self._make)
        self.standing: dict[BookKey, Standing] = {}
        self._before: dict[BookKey, dict[str, Any] | None] = {}
        """What stood before plans that were handed in and have not been sent yet."""
        self._settled: dict[BookKey, dict[str, Any] | None] = {}

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
        if book not in self._before:
            self._before[book] = None if older is None else older.snapshot()
        if intent.plan is None:
            return [], self._drop(older) if older is not None else []
        problems = self._problems(intent, book)
        if problems:
            return problems, []
        told: list[Told] = []
        if older is not None:
            told.append(self._changed(older, PlanStatus.REPLACED, f"by {intent.intent_id}"))
        standing = self._stand(intent, intent.plan)
        told.append(self._changed(standing, PlanStatus.ADOPTED))
        if older is not None:
            self._take_over(standing, older)
        return [], [*told, *self.look(book)]

    def settle(self) -> None:
        """Let the plans that were handed in stand: they are about to be sent."""
        self._settled, self._before = self._before, {}

    def unsettle(self) -> None:
        """Go back on what was settled last: it is not sent after all."""
        self._before = self._settled
        self.undo()

    def undo(self) -> None:
        """Go back to the plans from before those that were handed in and never sent."""
        for book, kept in self._before.items():
            self.standing.pop(book, None)
            if kept is not None:
                self.standing[book] = Standing.of(kept)
        self._before.clear()

    def _problems(self, intent: PlanIntent, book: BookKey) -> list[str]:
        held, mark = self.desk.position(*book), self._levels.mark(intent.symbol)
        return [*self._misplaced(book), *problems_of(intent, held, mark, self.desk.now)]

    def _misplaced(self, book: BookKey) -> list[str]:
        symbol, side = book
        if symbol not in self.desk.symbols:
            return [f"symbol is {symbol}, expected one of the strategy's"]
        sides = self.desk.books(symbol)
        if side not in sides:
            names = ", ".join(each.value for each in sides)
            return [f"position_side is {side.value}, expected one of: {names}"]
        return []

    def _stand(self, intent: PlanIntent, plan: Plan) -> Standing:
        book = (intent.symbol, intent.position_side)
        standing = Standing(
            intent,
            plan,
            ZERO,
            targets=[Step() for _ in plan.targets],
            adds=[Step() for _ in plan.adds],
        )
        self._count(standing, self.desk.position(*book))
        self.standing[book] = standing
        return standing

    def _take_over(self, standing: Standing, older: Standing) -> None:
        """
        Let what an older plan has asked for be the new one's: the same stays where it rests.

        What is another now gives way to the new one when that is there; what the new plan does
        not want at all leaves, and what would be too much beside it waits until it has gone.
        """
        standing.closing, standing.closed_at = older.closing, older.closed_at
        standing.taken_back = older.taken_back
        standing.leaving = list(older.leaving)
        if standing.plan.place is PlanPlace.VENUE:  # what still rests, its own stop replaces
            standing.guards = [name for name in standing.leaving if self._guards(name)]
            standing.leaving = [name for name in standing.leaving if not self._guards(name)]
        at_venue = PlanPlace.HERE not in (standing.plan.place, older.plan.place)
        if at_venue:
            standing.stop.intents, standing.trail.intents = older.stop.intents, older.trail.intents
            standing.guards += older.guards
            standing.trailing = older.trailing and standing.plan.trail == older.plan.trail
            standing.best = older.best if standing.trailing else None
            for step, was in zip(standing.targets, older.targets, strict=False):
                step.intents, was.intents = was.intents, []
        else:
            standing.leaving += older.guards
        for step in older.targets:
            standing.leaving += step.intents
        for step in older.adds:
            for intent_id in step.intents:
                if not (at_venue and self._is_wanted(standing, intent_id)):
                    standing.leaving.append(intent_id)

    def _guards(self, intent_id: str) -> bool:
        live = self.desk.intent(intent_id)
        return live is not None and live.action in (IntentAction.SET_STOP, IntentAction.TRAIL)

    def _is_wanted(self, standing: Standing, intent_id: str) -> bool:
        """Let a rung that rests be the new plan's where that wants just the same."""
        live, held = self.desk.intent(intent_id), self.desk.position(*standing.book)
        if live is None or not held or self.desk.filled(intent_id):
            return False
        for step, rung in zip(standing.adds, standing.plan.adds, strict=True):
            terms = self._make.add_terms(standing, rung, held)
            same = all(getattr(live, name) == value for name, value in terms.items())
            if same and not step.asked and live.quantity == rung.quantity:
                price = self._levels.rung(standing, rung, held)
                step.note(intent_id, rung.quantity or ZERO, price)
                return True
        return False

    def _drop(self, standing: Standing) -> list[Told]:
        del self.standing[standing.book]
        ids = [intent_id for step in standing.steps() for intent_id in step.intents]
        return [
            self._changed(standing, PlanStatus.DROPPED),
            *self._wants.back(standing, ids),
        ]

    # -- what happens

    def on_fill(
        self, symbol: str, side: PositionSide, intent_id: str, quantity: Decimal
    ) -> list[Told]:
        """Take a fill of the book into account; the desk has it already."""
        told = self.note_fill(symbol, side, intent_id, quantity)
        return [*told, *self.look((symbol, side))]

    def note_fill(
        self, symbol: str, side: PositionSide, intent_id: str, quantity: Decimal
    ) -> list[Told]:
        """Take a fill into account, and ask for nothing."""
        standing = self.standing.get((symbol, side))
        if standing is None:
            return []
        self._think_again(standing)
        step = standing.step_of(intent_id)
        if step is None:
            return []
        step.filled += quantity
        detail = f"{standing.name_of(step)} filled {quantity}"
        return [self._changed(standing, PlanStatus.STEP, detail)]

    def on_end(
        self, symbol: str, side: PositionSide, intent_id: str, *, refused: bool
    ) -> list[Told]:
        """Take the end of one of the book's intents into account."""
        self.note_end(symbol, side, intent_id, refused=refused)
        return self.look((symbol, side))

    def note_end(self, symbol: str, side: PositionSide, intent_id: str, *, refused: bool) -> None:
        """Take an end into account, and ask for nothing."""
        standing = self.standing.get((symbol, side))
        if standing is None:
            return
        step = standing.step_of(intent_id)
        newest = step is not None and step.intent_id == intent_id
        standing.forget(intent_id)
        if not refused:
            self._think_again(standing)
        elif newest and step is not None:
            # One that was to replace what has itself gone meanwhile was judged by another book.
            stale = bool(step.replaced) and self.desk.intent(step.replaced) is None
            step.refused_at = None if stale else (step.quantity, step.price)

    def _think_again(self, standing: Standing) -> None:
        """Let what was refused be asked for again: the book is another now."""
        for step in (standing.stop, standing.trail, standing.closing, *standing.targets):
            step.refused_at = None

    def on_market(self, seen: Bar | Quote | Tick) -> list[Told]:
        """Look at the symbol's plans with a new price."""
        told: list[Told] = []
        for book, standing in list(self.standing.items()):
            if book[0] != seen.symbol:
                continue
            held = self.desk.position(*book)
            span = Span.of(seen, held)
            if held:
                follow(standing, held, span)
            standing.closing.refused_at = None
            told.extend(self.look(book, span))
        return told

    def on_time(self, key: str) -> list[Told]:
        """Look at the plan whose time stop a timer is; one of an older plan's is nobody's."""
        symbol, _, side = key.removeprefix(TIMER).rpartition("|")
        book = (symbol, PositionSide(side))
        standing = self.standing.get(book)
        if standing is None or standing.timed_out or not self._is_late(standing):
            return []
        standing.timed_out = True
        return self.look(book)

    def timers(self) -> list[tuple[str, int]]:
        """
        Return (key, time) of every time stop whose timer is still to go off.

        Armed again, one that has would go off at once: the next process of a session would look
        at the plan at a moment at which the one before it did not.
        """
        return [
            (f"{TIMER}{symbol}|{side.value}", standing.plan.time_stop)
            for (symbol, side), standing in self.standing.items()
            if standing.plan.time_stop is not None and not standing.timed_out
        ]

    def resume(self, *, adding: bool = True) -> list[Told]:
        """
        Return what every plan lacks after a failure, on which what was asked for may be lost.

        Without ``adding`` only what protects and leaves.
        """
        told: list[Told] = []
        for book, standing in list(self.standing.items()):
            ids = [*standing.leaving, *(name for each in standing.steps() for name in each.intents)]
            self.forget(name for name in ids if self.desk.intent(name) is None)
            told.extend(self.look(book, adding=adding))
        return told

    def forget(self, intent_ids: Iterable[str]) -> None:
        """Take off what was asked for and never sent: it is wanted as before."""
        for intent_id in list(intent_ids):
            for standing in self.standing.values():
                step = standing.step_of(intent_id)
                standing.forget(intent_id)
                if step is not None and not step.filled:
                    step.asked = False

    # -- what should be there, and what is

    def look(
        self,
        book: BookKey,
        span: Span | None = None,
        *,
        adding: bool = True,
    ) -> list[Told]:
        """Return what a book's plan lacks, with the price just seen in ``span``, if it was."""
        standing = self.standing.get(book)
        if standing is None:
            return []
        held = self.desk.position(*book)
        if standing.way * held < ZERO:  # turned round: what was planned for is gone
            del self.standing[book]
            return [
                *self._wants.back(standing, self._openings(standing)),
                self._changed(standing, PlanStatus.DONE, "turned round"),
            ]
        told: list[Told] = [*self._wants.back(standing, standing.leaving)]
        if not self._count(standing, held):
            return [*told, *self._end(standing)] if standing.held else told
        late = self._is_late(standing)
        if late:
            told += self._close(standing, held, "time stop")
            if standing.closing.intents:
                return told
        if standing.plan.place is PlanPlace.HERE:
            return told + (self._watch(standing, held, span) if span is not None else [])
        if standing.has_said_enough(self.desk.now):
            return told
        wanted: list[Told] = [
            *self._wants.protected(standing, held),
            *self._wants.aimed(standing, held),
        ]
        standing.said += len(wanted)
        if adding and not late and not standing.over:
            wanted += self._wants.added(standing, held)
        return [*told, *wanted]

    def _count(self, standing: Standing, held: Decimal) -> bool:
        """Take the position into account; return whether there is one."""
        size = abs(held)
        if size > standing.last:
            standing.size += size - standing.last
        standing.last = size
        if not size:
            return False
        if not standing.held:
            standing.way = 1 if held > ZERO else -1
            standing.base = self.desk.average_price(*standing.book)
        return True

    def _end(self, standing: Standing) -> list[Told]:
        """
        Return what a plan whose position is gone still has to do: taking back what would add.

        What protects ends with the position. The plan stands until the last rung has gone, for
        one that is filled meanwhile is a position without protection otherwise.
        """
        openings = self._openings(standing)
        if openings:
            standing.over = True
            return [*self._wants.back(standing, openings)]
        del self.standing[standing.book]
        return [self._changed(standing, PlanStatus.DONE)]

    def _openings(self, standing: Standing) -> list[str]:
        """Return the intents of the plan's that may still add to the position."""
        rungs = [intent_id for step in standing.adds for intent_id in step.intents]
        return [
            intent_id
            for intent_id in (*rungs, *standing.leaving)
            if isinstance(self.desk.intent(intent_id), OpenIntent)
        ]

    def _is_late(self, standing: Standing) -> bool:
        at = standing.plan.time_stop
        return at is not None and self.desk.now >= at

    def _close(self, standing: Standing, held: Decimal, why: str) -> list[Told]:
        now, closing = self.desk.now, standing.closing
        if closing.intents or standing.closed_at == now or closing.is_refused(abs(held), None):
            return []
        standing.closed_at = now
        close = self._make.close(standing, held, why)
        return [self._changed(standing, PlanStatus.STEP, why), close]

    # -- steps that wait here

    def _watch(self, standing: Standing, held: Decimal, span: Span) -> list[Told]:
        if standing.closing.intents:
            return []  # everything leaves already
        if self._wants.is_stopped(standing, held, span):
            return self._close(standing, held, "stop")
        return [*self._wants.met(standing, held, span)]

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
