"""A desk, a keeper of plans and a venue that does what it is told, for the tests of plans."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from messages import (
    Booking,
    CancelIntent,
    Cause,
    ExecutionReport,
    Fill,
    Intent,
    IntentAction,
    Liquidity,
    OpenIntent,
    OrderEvent,
    OrderStatus,
    Plan,
    PlanAdd,
    PlanChanged,
    PlanStop,
    PlanTarget,
    PositionSide,
    Quote,
    ReasonCode,
    ReduceIntent,
    Side,
    Tick,
)
from state.instruments import Instrument
from state.money import exact, ratio
from strategies import Desk
from strategies.plans import PlanKeeper, Told
from strategies.plans.standing import Standing

BTC = "BTC/USDT"
BOTH = PositionSide.BOTH
ZERO = Decimal(0)
PROTECTIVE = (IntentAction.SET_STOP, IntentAction.TRAIL, IntentAction.SET_TAKE_PROFIT)


class Time:
    """A clock that is told the time."""

    now = 1_000


class Bench:
    """
    One book under a plan: its orders are accepted, refused, filled and cancelled as told.

    It ends what is replaced when the new one is accepted, and what protects when the book is
    flat, as Execution does.
    """

    def __init__(self, side: PositionSide = BOTH, tick: str | None = None) -> None:
        self.side = side
        self.clock = Time()
        self.price = Decimal(100)
        self.rules = Instrument.permissive(BTC)
        if tick is not None:
            made = {**{n: getattr(self.rules, n) for n in self.rules.__slots__}}
            self.rules = Instrument(**(made | {"price_tick": Decimal(tick)}))
        self.live: dict[str, Intent] = {}
        self.resting: set[str] = set()
        self.asked: list[Intent] = []
        self.cancels: list[CancelIntent] = []
        self.news: list[PlanChanged] = []
        self._make()

    def _make(self) -> None:
        sides = {BTC: (BOTH,) if self.side is BOTH else (PositionSide.LONG, PositionSide.SHORT)}
        self.desk = Desk("one", (BTC,), prefix="t-1", clock=self.clock, sides=sides)
        self.keeper = PlanKeeper(self.desk, lambda _: self.price, {BTC: self.rules})

    # -- what is there

    @property
    def held(self) -> Decimal:
        return self.desk.position(BTC, self.side)

    @property
    def standing(self) -> Standing | None:
        return self.keeper.standing.get((BTC, self.side))

    def rest(self, intent_id: str) -> Decimal:
        quantity = self.live[intent_id].quantity
        return (abs(self.held) if quantity is None else quantity) - self.desk.filled(intent_id)

    def tagged(self, tag: str) -> Intent:
        return [intent for intent in self.asked if intent.tag == tag][-1]

    def tags(self) -> list[str]:
        return [intent.tag for intent in self.asked]

    # -- what happens

    def plan(self, plan: Plan | None) -> list[str]:
        """Hand a plan in; return what is wrong with it."""
        intent = self.desk.update_plan(BTC, plan, position_side=self.side)
        problems, told = self.keeper.take(intent)
        self.take(told)
        return problems

    def take(self, told: Iterable[Told]) -> None:
        """Send what a plan asks for."""
        told = list(told)
        self.desk.settle_drafts(each for each in told if not isinstance(each, PlanChanged))
        for each in told:
            if isinstance(each, PlanChanged):
                self.news.append(each)
            elif isinstance(each, CancelIntent):
                self.cancels.append(each)
            else:
                assert isinstance(each, OpenIntent | ReduceIntent), "a plan asks for nothing else"
                self.asked.append(each)
                self.live[each.intent_id] = each

    def hold(self, quantity: int | str, price: int | str = 100) -> None:
        """Let the strategy's own order take so much on (or off), signed."""
        signed = Decimal(quantity)
        side = Side.BUY if signed > 0 else Side.SELL
        intent = self.desk.open(BTC, side, abs(signed), position_side=self.side)
        self.desk.settle_drafts([intent])
        self.live[intent.intent_id] = intent
        self.fill(intent.intent_id, None, price)

    def accept(self, intent_id: str) -> None:
        """Let an order rest; what it replaces ends."""
        self.resting.add(intent_id)
        older = getattr(self.live[intent_id], "replaces", "")
        while older:
            replaced = getattr(self.live.get(older), "replaces", "")
            if older in self.live:
                self.end(older, ReasonCode.REPLACED)
            older = replaced

    def fill(
        self, intent_id: str, quantity: Decimal | None = None, price: Decimal | int | str = 100
    ) -> None:
        """Fill an order, wholly by default."""
        intent, rest = self.live[intent_id], self.rest(intent_id)
        quantity = rest if quantity is None else min(quantity, rest)
        whole, at, before = quantity == rest, Decimal(price), self.held
        after = before + intent.side.sign * quantity
        average = self.desk.average_price(BTC, self.side)
        if not after or after * before < 0 or not before:
            average = at if after else ZERO
        elif abs(after) > abs(before):
            average = ratio(before * average + intent.side.sign * quantity * at, after)
        fill = Fill(
            "T", intent_id, "c", "one", BTC, intent.side, self.side, quantity, at, ZERO, "USDT",
            Liquidity.TAKER, self.clock.now,
        )  # fmt: skip
        report = self._report(
            intent_id,
            OrderEvent.FILLED if whole else OrderEvent.FILLED_PARTLY,
            OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
            fill=fill,
            booking=Booking(ZERO, ZERO, after, average, ZERO),
        )
        if whole:
            del self.live[intent_id]
            self.resting.discard(intent_id)
        self.desk.record_report(report)
        told = self.keeper.note_fill(BTC, self.side, intent_id, quantity)
        if whole:
            self.keeper.note_end(BTC, self.side, intent_id, refused=False)
        self.take([*told, *self.keeper.look((BTC, self.side))])
        if not after:
            for name, each in list(self.live.items()):
                if each.action in PROTECTIVE:
                    self.end(name, ReasonCode.POSITION_CLOSED)

    def end(self, intent_id: str, code: ReasonCode = ReasonCode.CANCEL_REQUESTED) -> None:
        """Let an order end that nobody refused."""
        self._over(intent_id, OrderEvent.CANCELLED, OrderStatus.CANCELLED, code)
        self.take(self.keeper.on_end(BTC, self.side, intent_id, refused=False))

    def refuse(self, intent_id: str) -> None:
        """Let the venue refuse an order."""
        self._over(intent_id, OrderEvent.REJECTED, OrderStatus.REJECTED, ReasonCode.VENUE_REJECTED)
        self.take(self.keeper.on_end(BTC, self.side, intent_id, refused=True))

    def _over(
        self, intent_id: str, event: OrderEvent, status: OrderStatus, code: ReasonCode
    ) -> None:
        del self.live[intent_id]
        self.resting.discard(intent_id)
        self.desk.record_report(self._report(intent_id, event, status, cause=Cause(code)))

    def _report(
        self, intent_id: str, event: OrderEvent, status: OrderStatus, **more: Any
    ) -> ExecutionReport:
        return ExecutionReport(
            intent_id, "c", "one", BTC, event, status, self.clock.now, ZERO, **more
        )

    def see(self, price: float | str) -> None:
        """See a trade at a price."""
        self.price = exact(float(price))
        self.take(self.keeper.on_market(Tick(BTC, self.clock.now, float(price), 1.0)))

    def quote(self, bid: float, ask: float) -> None:
        """See a quote."""
        self.price = exact((bid + ask) / 2)
        self.take(self.keeper.on_market(Quote(BTC, self.clock.now, bid, ask, 1.0, 1.0)))

    def later(self, ms: int) -> None:
        """Let time go on; a plan's timer that is due by then rings."""
        self.clock.now += ms
        for key, at in self.keeper.timers():
            if at <= self.clock.now:
                self.take(self.keeper.on_time(key))

    def accept_all(self) -> None:
        """Let whatever waits rest."""
        for intent_id in [name for name in self.live if name not in self.resting]:
            if intent_id in self.live:
                self.accept(intent_id)

    # -- across restarts

    def saved(self) -> str:
        """Return the durable state."""
        text = json.dumps([self.desk.snapshot(), self.keeper.snapshot()], sort_keys=True)
        return re.sub(r'"(-?\d+)\.0+"', r'"\1"', re.sub(r'"(-?\d+\.\d*?[1-9])0+"', r'"\1"', text))

    def twin(self) -> Bench:
        """Return another world at the same place, all of its state restored."""
        other = Bench(self.side)
        other.rules, other.price, other.clock.now = self.rules, self.price, self.clock.now
        other.live, other.resting = dict(self.live), set(self.resting)
        other.asked, other.cancels = list(self.asked), list(self.cancels)
        desk, plans = json.loads(self.saved())
        other._make()
        other.desk.restore(desk)
        other.keeper.restore(plans)
        return other

    def restart(self) -> None:
        """Go on from the durable state with everything made anew."""
        desk, plans = json.loads(self.saved())
        self._make()
        self.desk.restore(desk)
        self.keeper.restore(plans)


def bench(plan: Plan, held: int = 2, **terms: Any) -> Bench:
    """Return a book that holds so much and has a plan, everything at rest."""
    made = Bench(**terms)
    if held:
        made.hold(held)
    assert [] == made.plan(plan)
    made.accept_all()
    return made


D = Decimal
ONE = D(1)
TWO = D(2)
HALF = D("0.5")
STOP = PlanStop(price=D(90))
HALVES = (PlanTarget(price=D(105), share=HALF), PlanTarget(price=D(110), share=HALF))
RUNG = PlanAdd(price=D(95), quantity=ONE)
