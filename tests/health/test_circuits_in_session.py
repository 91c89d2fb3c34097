"""Circuits in a session: what opens and closes them, what they hold and what they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from session_world import BTC, MINUTE, START, World, flat, on_bars
from unwell import (
    ONE,
    VENUE,
    buys,
    held,
    plan_for,
    rejecting,
    unwell,
    watched,
)

from actors.health.actor import NO_FAILURE
from messages import (
    CircuitClosed,
    CircuitHalfOpen,
    CircuitOpened,
    ExecutionPolicy,
    ExecutionReport,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    OpenIntent,
    OrderEvent,
    OrderType,
    ReasonCode,
    ReduceIntent,
    Scope,
    Side,
    ToolReport,
)

REFUSING = ReasonCode.VENUE_REJECTED


def limited(after_ms: int | None, *, tool: str = VENUE) -> ToolReport:
    return ToolReport(tool, ok=False, at=0, detail="429", retry_after_ms=after_ms)


def test_a_rejection_storm_opens_the_venues_circuit_and_blocks_what_would_open():
    """Three unexplained rejections in a row are enough; the fourth order waits and never leaves."""
    world = watched(flat(BTC, 6), buys(0, 1, 2, 3)).before_turn(0, rejecting(REFUSING)).run()

    opened = world.all(CircuitOpened)[0]
    assert (VENUE, 3, 1) == (opened.tool, opened.failures, opened.openings)
    assert 3 == len(unwell(world).sent)
    hold = world.all(HoldPlaced)[0].hold
    assert f"circuit:{VENUE}" in held(world)
    assert (HoldMode.BLOCK, Scope(venue="paper"), "health", None) == (
        hold.mode,
        hold.scope,
        hold.set_by,
        hold.until,
    )
    assert "last=rejected order_id=" in hold.cause


def test_without_health_a_rejection_storm_goes_on():
    """The ablation: nobody counts, so every order leaves."""
    spec = replace(watched(flat(BTC, 6), buys(0, 1, 2, 3)).spec, health=None)
    bare = World(spec).before_turn(0, rejecting(REFUSING)).run()

    assert 4 == len(unwell(bare).sent)


@pytest.mark.parametrize("code", sorted(NO_FAILURE))
def test_a_rejection_that_is_the_orders_own_fault_opens_nothing(code: ReasonCode):
    """A strategy that asks for what cannot be does not stop the others' way to the venue."""
    world = watched(flat(BTC, 8), buys(*range(6))).before_turn(0, rejecting(code)).run()

    assert [] == world.all(CircuitOpened)
    assert 6 == len(unwell(world).sent)


def test_every_code_a_venue_may_reject_with_is_either_listed_or_a_failure():
    """The one that brokers use for what they cannot explain, and a lost answer, are failures."""
    assert not NO_FAILURE & {ReasonCode.VENUE_REJECTED, ReasonCode.ANSWER_LOST}


def test_an_accepted_order_ends_the_streak():
    """Two rejections, an acceptance, two rejections: nothing opens, though five orders left."""
    world = watched(flat(BTC, 8), buys(0, 1, 2, 3, 4))
    for turn, code in ((0, REFUSING), (2, None), (3, REFUSING)):
        world.before_turn(turn, rejecting(code))
    world.run()

    assert [] == world.all(CircuitOpened)
    assert 5 == len(unwell(world).sent)


def test_an_acceptance_alone_is_a_good_answer():
    """An order that rests, and fills never, says that the venue works."""
    resting = ExecutionPolicy(OrderType.LIMIT, limit_price=ONE)
    script = on_bars(
        {turn: lambda desk: (desk.open(BTC, Side.BUY, ONE, policy=resting),) for turn in range(5)}
    )
    world = watched(flat(BTC, 8), script)
    for turn, code in ((0, REFUSING), (2, None), (3, REFUSING)):
        world.before_turn(turn, rejecting(code))
    world.run()

    assert ["accepted"] == [r.event for r in world.reports() if r.event is OrderEvent.ACCEPTED]
    assert [] == world.all(CircuitOpened)


def test_a_circuit_that_an_operator_resumed_is_held_again_when_its_probe_fails():
    """Who knows better may lift a hold; the venue has the last word."""
    world = watched(flat(BTC, 6), buys(0, 1, 2)).before_turn(0, rejecting(REFUSING))
    supervisor = world.assembly.supervisor
    world.before_turn(4, lambda _w: supervisor.lift(f"circuit:{VENUE}", "operator", "try again"))

    def silence(_world: World) -> None:
        unwell(world).code, unwell(world).silent = None, True

    world.before_turn(4, silence).run()

    assert 2 == len(world.all(HoldPlaced))
    assert f"circuit:{VENUE}" in held(world)


def test_lost_answers_are_failures_of_the_venue():
    """Silence says nothing of the order, and enough of the venue."""
    world = watched(flat(BTC, 6), buys(0, 1, 2, 3))
    unwell(world).silent = True
    world.run()

    opened = world.all(CircuitOpened)[0]
    assert opened.reason.startswith("no answer order_id=")
    assert 3 == len(unwell(world).sent)


def test_reducing_orders_and_cancels_pass_an_open_circuit():
    """What gets a position out is never held: the venue may well take it."""
    script = on_bars(
        {
            0: lambda desk: (desk.open(BTC, Side.BUY, ONE),),
            4: lambda desk: (desk.reduce(BTC, Side.SELL, ONE),),
        }
    )
    world = watched(flat(BTC, 8), script, buys(1, 2, 3))
    world.before_turn(1, rejecting(REFUSING)).before_turn(4, rejecting(None)).run()

    (reduced,) = world.all(ReduceIntent)
    assert "sent" in world.life(reduced.intent_id)
    assert "filled" in world.life(reduced.intent_id)
    assert [1] == [opened.openings for opened in world.all(CircuitOpened)]


def test_a_circuit_closes_by_probes_and_lets_go_what_waited():
    """Pause, half-open, a probe, later another, closed: and the order that waited is decided."""
    world = watched(flat(BTC, 8), buys(0, 1, 2, 3))
    world.before_turn(0, rejecting(REFUSING)).before_turn(3, rejecting(None)).run()

    (opened,) = world.all(CircuitOpened)
    (half,) = world.all(CircuitHalfOpen)
    (closed,) = world.all(CircuitClosed)
    assert (opened.until, 2) == (half.at, closed.successes)
    assert [half.at, half.at + 5_000] == unwell(world).probes
    assert half.at + 5_000 == closed.at
    assert {} == held(world)
    (lifted,) = [lifted for lifted in world.all(HoldLifted) if "circuit" in lifted.hold.hold_id]
    assert ("health", "successes=2", closed.at) == (lifted.lifted_by, lifted.reason, lifted.at)
    fourth = world.all(OpenIntent)[3].intent_id
    journaled = [r for r in world.reports(fourth) if r.event is OrderEvent.JOURNALED]
    assert [closed.at] == [report.timestamp for report in journaled]


def test_a_probe_that_fails_opens_it_again_for_longer():
    """The hold never goes: it stays through half-open."""
    world = watched(flat(BTC, 12), buys(0, 1, 2)).before_turn(0, rejecting(REFUSING)).run()

    assert [90_000, 180_000, 360_000][: len(world.all(CircuitOpened))] == [
        opened.until - opened.at for opened in world.all(CircuitOpened)
    ]
    assert len(world.all(CircuitOpened)) >= 2
    assert [] == world.all(HoldLifted)


@pytest.mark.parametrize("how", ["silent", "raises"])
def test_a_probe_that_gets_no_answer_has_failed(how: str):
    """Whether nothing comes back or the call itself fails, the circuit opens again."""
    world = watched(flat(BTC, 6), buys(0, 1, 2)).before_turn(0, rejecting(REFUSING))

    def worse(_world: object) -> None:
        unwell(world).code = None
        setattr(unwell(world), how, True)

    world.before_turn(3, worse).run()

    again = world.all(CircuitOpened)[1]
    wait_ms = {"silent": 10_000, "raises": 0}[how]
    assert world.all(CircuitOpened)[0].until + wait_ms == again.at
    assert {"silent": "the probe was not answered", "raises": "ConnectionError"}[
        how
    ] in again.reason


def test_a_rate_limit_blocks_the_venue_exactly_as_long_as_it_said():
    """The clock lifts it, to the millisecond, and no circuit opens."""
    world = watched(flat(BTC, 6), buys(1, 2))
    watch = world.assembly.health
    assert watch is not None
    world.before_turn(1, lambda _w: [watch.report(limited(70_123)) for _ in range(9)]).run()

    (placed, lifted) = world.all(HoldPlaced)[0].hold, world.all(HoldLifted)[0]
    assert (f"rate-limit:{VENUE}", HoldMode.BLOCK, START + MINUTE + 70_123) == (
        placed.hold_id,
        placed.mode,
        placed.until,
    )
    assert (placed.until, "clock") == (lifted.at, lifted.lifted_by)
    assert 1 == len(world.all(HoldPlaced))
    assert [] == world.all(CircuitOpened)
    assert 2 == len(unwell(world).sent)


def test_a_shorter_rate_limit_later_changes_nothing():
    """The hold in force already lasts longer."""
    world = watched(flat(BTC, 6), buys())
    watch = world.assembly.health
    assert watch is not None
    world.before_turn(1, lambda _w: watch.report(limited(200_000)))
    world.before_turn(2, lambda _w: watch.report(limited(1_000))).run()

    assert [START + MINUTE + 200_000] == [event.hold.until for event in world.all(HoldPlaced)]


def test_a_rate_limit_without_a_time_waits_the_configured_one():
    """Zero says that the tool named none."""
    world = watched(flat(BTC, 4), buys())
    watch = world.assembly.health
    assert watch is not None
    world.before_turn(1, lambda _w: watch.report(limited(0))).run()

    assert START + MINUTE + 45_000 == world.all(HoldPlaced)[0].hold.until


@pytest.mark.parametrize(
    ("tool", "scope"),
    [
        ("venue:elsewhere", Scope(venue="elsewhere")),
        ("feed", Scope()),
        ("feed:ccxt", Scope()),
        (f"feed:{BTC}", Scope(symbol=BTC)),
        ("clock", Scope()),
        ("disk", Scope()),
        ("notify:mail", None),
    ],
)
def test_a_circuit_holds_what_depends_on_its_tool(tool: str, scope: Scope | None):
    """A venue its orders, a symbol's feed that symbol, a feed everything, a notifier nothing."""
    world = watched(flat(BTC, 3), buys())
    watch = world.assembly.health
    assert watch is not None
    failure = ToolReport(tool, ok=False, at=0, detail="down")
    world.before_turn(1, lambda _w: [watch.report(failure) for _ in range(3)]).run()

    assert [tool] == [opened.tool for opened in world.all(CircuitOpened)]
    placed = [event.hold.scope for event in world.all(HoldPlaced)]
    assert ([] if scope is None else [scope]) == placed


def test_acceptances_reach_health_and_change_nothing_else():
    """A session that is well has the same events with Health as without, its own life excepted."""
    script = buys(0, 2, 4)
    world = watched(flat(BTC, 8), script, plan=plan_for()).run()
    bare = World(replace(watched(flat(BTC, 8), buys(0, 2, 4)).spec, health=None)).run()

    def told(some: World) -> list[ExecutionReport]:
        return some.all(ExecutionReport)

    assert told(bare) == told(world)
    assert 2 == len(world.story()) - len(bare.story())
