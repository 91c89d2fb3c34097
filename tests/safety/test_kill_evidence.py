"""The evidence of a kill: what the venue says, and what is said where it does not."""

from __future__ import annotations

import pytest
from invariants import Watch
from safety_world import CALM, FAR_BELOW, ONE, buys, daemon, silent
from session_world import BTC, START, Script, flat, on_bars

from actors.health import HealthPlan
from actors.runtime import limits
from messages import KillReport, KillStage, KillStep, Side, ToolReport
from state.projections.timestamps import iso_ms


@pytest.mark.parametrize("error", [silent(), OSError("broken pipe"), RuntimeError("bug")])
def test_a_venue_that_does_not_answer_delays_the_evidence_and_not_the_hold(
    error: Exception,
) -> None:
    """Overdue at the deadline, from our own books; asked on; confirmed when it answers again."""
    world = daemon(flat(BTC, 12), buys(FAR_BELOW).spec()).begin().play(1)
    watch = Watch(world)
    world.venue.silent = error
    world.kill()
    world.play(3)

    overdue = world.newest_report()
    assert "kill" in world.holds
    assert [*CALM[:-1], KillStage.UNCONFIRMED] == world.steps()
    assert (False, ()) == (overdue.confirmed, overdue.open_orders)
    assert "the venue does not answer" in overdue.detail
    at = {s.stage: s.elapsed_ms for s in world.all(KillStep)}[KillStage.UNCONFIRMED]
    assert limits.KILL_CONFIRM_MS <= at < 2 * limits.KILL_CONFIRM_MS

    world.venue.silent = None
    world.play()

    assert world.newest_report().confirmed
    assert [] == watch.left
    assert 2 == len(world.all(KillReport))


def test_an_overdue_kill_says_what_our_own_books_know() -> None:
    """Orders that still live and positions, when the venue says nothing of them."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            1: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)],
        }
    )
    world = daemon(flat(BTC, 8), script.spec()).begin().play(2)
    world.venue.silent = silent()
    world.venue.deaf = True
    world.kill()
    world.play()

    overdue = world.newest_report()
    assert (("tg-abc-1-2",), ("BTC/USDT both 1",)) == (overdue.open_orders, overdue.positions)


def test_a_kill_says_at_once_what_it_waits_for_and_until_when() -> None:
    """
    A venue that wants to be left alone delays cancels; that is reported long before the deadline.

    Once for each such time, and it stands in what is reported past the deadline, too.
    """
    world = daemon(flat(BTC, 8), buys(FAR_BELOW).spec(), health=HealthPlan()).begin().play(2)
    world.venue.silent = silent()
    world.venue.deaf = True
    watch = world.assembly.health
    assert watch is not None
    watch.report(
        ToolReport("venue:paper", ok=False, at=0, detail="http=429", retry_after_ms=600_000)
    )
    world.settle()
    until = world.holds["rate-limit:venue:paper"].until
    world.kill()
    world.play(1)
    first, *later = world.all(KillReport)

    assert until is not None
    words = f"venue:paper wants to be left alone until {iso_ms(until)}"
    assert words in first.detail
    assert "http=429" in first.detail
    assert first.at - world.all(KillStep)[0].at < limits.KILL_CONFIRM_MS
    assert [True] == [words in each.detail for each in later]


def test_a_venue_that_ignores_cancels_is_asked_again_and_reported() -> None:
    """Pauses grow; nothing is called cancelled before the venue says so."""
    world = daemon(flat(BTC, 20), buys(FAR_BELOW).spec()).begin().play(1)
    world.venue.deaf = True
    world.kill()
    world.play(3)
    asked = len(world.venue.cancels)

    assert KillStage.CANCELLED not in world.steps()
    assert 5 < asked < 30
    assert ("tg-abc-1-1",) == world.newest_report().open_orders

    world.venue.deaf = False
    world.play()

    assert world.newest_report().confirmed


def test_an_order_that_only_the_venue_knows_is_evidence_against_us() -> None:
    """Somebody else's, or one that a crash made us forget: never confirmed, always named."""
    world = daemon(flat(BTC, 6), Script().spec()).begin().play(1)
    script = buys(FAR_BELOW)
    other = daemon(flat(BTC, 2), script.spec()).begin().play(1)
    (foreign,) = other.assembly.books.orders.live()
    world.venue.engine.submit(foreign.request, START)
    world.kill()
    world.play()

    assert (False, ("tg-abc-1-1",)) == (
        world.newest_report().confirmed,
        world.newest_report().open_orders,
    )
