"""The Reconciler: differences are named, hold opening, and let go when they are gone."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from session_world import BTC, DAY, MINUTE, START, Script, World, flat, make_world, on_bars

from actors.runtime import Mailbox
from messages import (
    ExecutionPolicy,
    HoldLifted,
    HoldPlaced,
    Lane,
    OrderEvent,
    OrderType,
    Reconciled,
    RiskDecision,
    Side,
    VenueReport,
    Verdict,
)

ONE = Decimal(1)


def add_to_the_venues_cash(amount: int) -> Callable[[World], object]:
    def act(world: World) -> None:
        world.assembly.broker.engine.account.cash += amount

    return act


def test_a_difference_holds_opening_until_a_comparison_finds_none() -> None:
    """Cash that appears at the venue for one day is named at one midnight and gone at the next."""
    script = Script()
    script.on_bar = lambda strategy, _bar: [strategy.desk.open(BTC, Side.BUY, ONE)]
    bars = [
        bar for day in range(3) for bar in flat(BTC, 4, start=START + (day + 1) * DAY - 2 * MINUTE)
    ]
    world = make_world(bars, script.spec())
    world.before_turn(1, add_to_the_venues_cash(7))
    world.before_turn(5, add_to_the_venues_cash(-7))
    world.run()
    found = [(r.occasion, len(r.differences)) for r in world.all(Reconciled)]
    (placed,) = world.all(HoldPlaced)
    (lifted,) = world.all(HoldLifted)
    denied = {d.decided_at for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED}

    assert found == [
        ("start", 0),
        ("midnight", 1),
        ("midnight", 0),
        ("midnight", 0),
        ("close", 0),
    ]
    assert "balance_drift" in placed.hold.cause
    assert (placed.hold.since, lifted.at) == (START + DAY, START + 2 * DAY)
    assert denied
    assert all(START + DAY < at <= START + 2 * DAY for at in denied)


def test_equal_books_say_so_at_every_occasion() -> None:
    """Start, midnight and close are compared even when nothing is wrong."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 6, start=START + DAY - 3 * MINUTE), script.spec()).run()

    assert [(r.occasion, r.differences) for r in world.all(Reconciled)] == [
        ("start", ()),
        ("midnight", ()),
        ("close", ()),
    ]


def test_an_order_that_the_venue_forgot_is_a_difference() -> None:
    """What we believe to be open and the venue does not have is named by its client id."""
    far = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=far)]})
    world = make_world(flat(BTC, 5), script.spec())
    world.before_turn(
        3, lambda w: w.assembly.broker.engine.cancel("tg-abc-1-1", w.assembly.clock.now)
    ).run()
    closing = world.all(Reconciled)[-1]

    assert len(closing.differences) == 1
    assert "stale_order tg-abc-1-1" in closing.differences[0]


def test_a_lane_that_overflowed_is_reconciled_and_then_let_go() -> None:
    """Full of what may not be dropped: OPEN is held, books are compared, and if equal it opens."""
    script = on_bars({6: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 10), script.spec())
    execution = world.cell("execution")
    execution.mailbox = Mailbox("execution", {Lane.REDUCE: 1})
    world.poison("execution", VenueReport)  # it is down when the others of the burst arrive

    def burst(world: World) -> None:
        for number in range(4):
            news = VenueReport(f"stranger-{number}", OrderEvent.ACCEPTED, world.assembly.clock.now)
            world.assembly.dispatcher.tell(execution, news)

    world.before_turn(2, burst).run()
    overflowed = next(p.hold.since for p in world.all(HoldPlaced) if "overflow" in p.hold.hold_id)

    assert [r for r in world.all(Reconciled) if r.at >= overflowed and r.occasion != "close"]
    assert world.assembly.holds.view() == {}
    assert world.reports()[-1].event is OrderEvent.FILLED
