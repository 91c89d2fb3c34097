"""An order takes the place of another intent's, whichever order that intent has by then."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from session_world import PERP, World, flat, make_bar, make_spec, on_bars

from brokers.matching import MatchingEngine
from brokers.paper import PaperBroker
from feeds.memory import MemoryFeed
from messages import (
    Bar,
    Cause,
    ExecutionPolicy,
    IntentEnded,
    OrderEvent,
    OrderRequest,
    OrderType,
    ReasonCode,
    Retry,
    Side,
    VenueReport,
)
from state.orders import Order
from strategies import Desk

ONE = Decimal(1)
TRYING_AGAIN = ExecutionPolicy(OrderType.LIMIT, retry=Retry(2, (ReasonCode.VENUE_REJECTED,)))


class Silent(PaperBroker):
    """Says nothing of an order that takes another's place, not even when it is asked."""

    def submit(self, request: OrderRequest, now: int) -> None:
        if not request.replaces:
            super().submit(request, now)
            return
        self.engine.submit(request, now)
        cause = Cause(ReasonCode.ANSWER_LOST)
        self._deliver(VenueReport(request.client_order_id, OrderEvent.SILENCE, now, None, cause))

    def query(self, client_order_id: str, now: int) -> None:
        """Leave the question open."""


class Refusing(PaperBroker):
    """Rejects the first so many take-profits."""

    def __init__(self, engine: MatchingEngine, refusals: int) -> None:
        super().__init__(engine)
        self.refusals = refusals

    def submit(self, request: OrderRequest, now: int) -> None:
        if not request.reduce_only or not self.refusals:
            super().submit(request, now)
            return
        self.refusals -= 1
        cause = Cause(ReasonCode.VENUE_REJECTED)
        self._deliver(VenueReport(request.client_order_id, OrderEvent.REJECTED, now, None, cause))


def world_of(bars: list[Bar], plans: Any, refusals: int = 0, **engine: Any) -> World:
    spec = make_spec(MemoryFeed({PERP: bars}), on_bars(plans).spec(symbols=(PERP,)), **engine)
    return World(replace(spec, broker=lambda made: Refusing(made, refusals)))


def live(world: World) -> list[Order]:
    return world.assembly.books.orders.live()


@pytest.mark.parametrize("refusals", [0, 1], ids=["its first order", "its second order"])
def test_what_an_intent_pursues_is_replaced_by_its_id(refusals: int) -> None:
    """Risk counts the older for nothing, and it goes, although its id is not the intent's."""
    ids: list[str] = []

    def protect(desk: Desk, price: int) -> Any:
        before = ids[-1] if ids else ""
        intent = desk.set_take_profit(PERP, Decimal(price), policy=TRYING_AGAIN, replaces=before)
        ids.append(intent.intent_id)
        return [intent]

    world = world_of(
        flat(PERP, 10),
        {
            0: lambda desk: [desk.open(PERP, Side.BUY, ONE)],
            2: lambda desk: protect(desk, 110),
            6: lambda desk: protect(desk, 120),
        },
        refusals,
    ).run()
    older, newer = ids
    last = f"{older}-2" if refusals else older

    assert ["cancelled"] == world.life(last)[-1:]
    assert ReasonCode.REPLACED is world.reports(last)[-1].cause.code  # type: ignore[union-attr]
    assert [newer] == [order.request.order_id for order in live(world)]
    assert [(older, ReasonCode.REPLACED)] == [
        (ended.intent_id, ended.cause.code) for ended in world.all(IntentEnded) if ended.cause
    ]


def test_a_retry_that_is_due_does_not_outlive_its_replacement() -> None:
    """Between two tries an intent has no order at all; replaced, it gets none any more."""
    slow = ExecutionPolicy(
        OrderType.LIMIT,
        retry=Retry(2, (ReasonCode.VENUE_REJECTED,), delay_ms=200_000, delay_ms_max=200_000),
    )
    ids: list[str] = []

    def protect(desk: Desk) -> Any:
        policy = slow if not ids else ExecutionPolicy(OrderType.LIMIT)
        intent = desk.set_take_profit(
            PERP, Decimal(110), policy=policy, replaces=ids[-1] if ids else ""
        )
        ids.append(intent.intent_id)
        return [intent]

    world = world_of(
        flat(PERP, 12),
        {0: lambda desk: [desk.open(PERP, Side.BUY, ONE)], 2: protect, 4: protect},
        1,
    ).run()
    older, newer = ids

    assert ["journaled", "sent", "rejected"] == world.life(older)
    assert [] == world.life(f"{older}-2")
    assert [ReasonCode.REPLACED] == [e.cause.code for e in world.all(IntentEnded) if e.cause]
    assert [newer] == [order.request.order_id for order in live(world)]


def test_a_stop_that_was_put_back_is_replaced_by_its_intents_id() -> None:
    """Where a stop had made room for a take-profit, the one put back has another id."""
    ids: list[str] = []

    def stop(desk: Desk, price: int) -> Any:
        intent = desk.set_stop(PERP, Decimal(price), replaces=ids[-1] if ids else "")
        ids.append(intent.intent_id)
        return [intent]

    touched = make_bar(PERP, flat(PERP, 5)[-1].timestamp, 100.0)
    touched = Bar(PERP, touched.timestamp, 100.0, 105.0, 100.0, 100.0, 1000.0, 60_000)
    bars = [*flat(PERP, 4), touched, *flat(PERP, 8)[5:]]
    world = world_of(
        bars,
        {
            0: lambda desk: [desk.open(PERP, Side.BUY, ONE)],
            1: lambda desk: [
                *stop(desk, 90),
                desk.set_take_profit(PERP, Decimal(105), Decimal("0.5")),
            ],
            6: lambda desk: stop(desk, 95),
        },
        brackets=False,
    ).run()
    older, newer = ids

    assert ["journaled", "sent", "accepted", "cancelled"] == world.life(f"{older}-b1")
    assert ReasonCode.REPLACED is world.reports(f"{older}-b1")[-1].cause.code  # type: ignore[union-attr]
    assert newer in [order.request.order_id for order in live(world)]


def test_a_further_try_still_takes_the_place_that_the_first_was_to_take() -> None:
    """What was refused has replaced nothing; the order that is accepted does."""
    ids: list[str] = []

    def protect(desk: Desk, price: int, policy: ExecutionPolicy) -> Any:
        intent = desk.set_take_profit(
            PERP, Decimal(price), policy=policy, replaces=ids[-1] if ids else ""
        )
        ids.append(intent.intent_id)
        return [intent]

    world = world_of(
        flat(PERP, 10),
        {
            0: lambda desk: [desk.open(PERP, Side.BUY, ONE)],
            2: lambda desk: protect(desk, 110, ExecutionPolicy(OrderType.LIMIT)),
            6: lambda desk: protect(desk, 120, TRYING_AGAIN),
        },
    )
    broker = world.assembly.broker
    assert isinstance(broker, Refusing)

    def refuse(_world: World) -> None:
        broker.refusals = 1

    world.before_turn(6, refuse).run()
    older, newer = ids

    assert ["journaled", "sent", "rejected"] == world.life(newer)
    assert ["journaled", "sent", "accepted", "cancelled"] == world.life(older)
    assert [f"{newer}-2"] == [order.request.order_id for order in live(world)]


def test_a_replacement_in_doubt_that_trades_has_taken_its_place() -> None:
    """A fill is evidence enough: the older one goes although no acceptance ever came."""
    ids: list[str] = []

    def protect(desk: Desk, price: int) -> Any:
        intent = desk.set_take_profit(
            PERP, Decimal(price), Decimal(2), replaces=ids[-1] if ids else ""
        )
        ids.append(intent.intent_id)
        return [intent]

    bars = [
        *flat(PERP, 7),
        *(make_bar(PERP, bar.timestamp, 106.0, volume=1.0) for bar in flat(PERP, 10)[7:]),
    ]
    plans = {
        0: lambda desk: [desk.open(PERP, Side.BUY, Decimal(2))],
        2: lambda desk: protect(desk, 110),
        4: lambda desk: protect(desk, 105),
    }
    spec = make_spec(MemoryFeed({PERP: bars}), on_bars(plans).spec(symbols=(PERP,)))
    spec = replace(spec, engine=replace(spec.engine, participation=Decimal("0.5")))
    world = World(replace(spec, broker=Silent)).run()
    older, newer = ids

    assert ["journaled", "sent", "silence", "filled_partly"] == world.life(newer)[:4]
    assert ["journaled", "sent", "accepted", "cancelled"] == world.life(older)
    assert ReasonCode.REPLACED is world.reports(older)[-1].cause.code  # type: ignore[union-attr]


def test_what_only_waits_here_takes_its_place_at_once() -> None:
    """Of two take-profits that no venue has seen, the newer one is the only one from then on."""
    ids: list[str] = []

    def protect(desk: Desk, price: int) -> Any:
        intent = desk.set_take_profit(PERP, Decimal(price), replaces=ids[-1] if ids else "")
        ids.append(intent.intent_id)
        return [intent]

    world = world_of(
        flat(PERP, 8),
        {
            0: lambda desk: [desk.open(PERP, Side.BUY, ONE)],
            2: lambda desk: protect(desk, 110),
            4: lambda desk: protect(desk, 120),
        },
        brackets=False,
    ).run()
    older, newer = ids

    assert ["journaled", "suppressed"] == world.life(older)
    assert ReasonCode.REPLACED is world.reports(older)[-1].cause.code  # type: ignore[union-attr]
    assert [newer] == list(world.assembly.books.brackets.kept)
