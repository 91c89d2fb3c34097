"""Freshness in a session: one hold per symbol, lifted before anybody decides, feeds opened anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from session_world import BTC, ETH, MINUTE, START, Script, World, flat, make_bar, on_bars
from unwell import ONE, buys, held, plan_for, unwell, watched

from actors.runtime.entropy import SeededTape, Tape
from feeds.contract import Group
from feeds.memory import MemoryFeed
from messages import (
    ActorRestarting,
    Bar,
    CircuitClosed,
    CircuitHalfOpen,
    CircuitOpened,
    DataFresh,
    DataStale,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    OpenIntent,
    ReasonCode,
    RiskDecision,
    Scope,
    Side,
    ToolReport,
)


def with_gap(symbol: str = BTC, before: int = 3, missing: int = 10, after: int = 3) -> list[Bar]:
    return flat(symbol, before) + flat(symbol, after, start=START + (before + missing) * MINUTE)


def test_a_symbol_without_bars_is_held_until_its_next_one():
    """Stale to the millisecond, refused while it lasts, and fresh again with the bar that comes."""
    world = watched(with_gap(), Script()).run()

    (stale,) = world.all(DataStale)
    last_close = START + 3 * MINUTE
    assert (last_close + MINUTE + 90_001, 90_001, True) == (
        stale.at,
        stale.overdue_ms,
        stale.silent,
    )
    placed = world.all(HoldPlaced)[0].hold
    assert (f"stale:{BTC}", HoldMode.REFUSE, Scope(symbol=BTC)) == (
        placed.hold_id,
        placed.mode,
        placed.scope,
    )
    (fresh,) = world.all(DataFresh)
    assert START + 14 * MINUTE == fresh.at
    assert fresh.at - stale.at == fresh.stale_ms
    assert {} == held(world)
    causes = [entry.causation for entry in world.entries if entry.message == fresh]
    assert [f"bar:{BTC}:{START + 13 * MINUTE}"] == causes


def waiting(until: int) -> Callable[[World], object]:
    """Return what makes the bar that is next come as late as that."""

    def wait(world: World) -> None:
        while world.session.fire_next(until):
            world.assembly.dispatcher.settle_all()
        world.assembly.clock.advance(until)

    return wait


@pytest.mark.parametrize("tape", [None, SeededTape(7)], ids=["fused", "queued"])
def test_a_silence_right_after_another_one_is_noticed_in_its_own_millisecond(tape: Tape | None):
    """However late the bar came that ended the first, and whenever that was to be looked at."""
    lone = make_bar(BTC, START + 6 * MINUTE, 100.0)  # closes two minutes before it comes
    bars = [*flat(BTC, 3), lone, *flat(BTC, 3, start=START + 16 * MINUTE)]
    world = watched(bars, Script(), tape=tape).before_turn(3, waiting(START + 9 * MINUTE)).run()

    assert [
        (START + 4 * MINUTE + 90_001, 90_001),
        (START + 8 * MINUTE + 90_001, 90_001),
    ] == [(stale.at, stale.overdue_ms) for stale in world.all(DataStale)]
    assert [START + 9 * MINUTE, START + 17 * MINUTE] == [fresh.at for fresh in world.all(DataFresh)]
    assert {} == held(world)


def test_the_bar_that_ends_a_silence_may_be_acted_on():
    """The hold is lifted before the strategy decides by that very bar."""
    world = watched(with_gap(), buys(3)).run()

    assert 1 == len(unwell(world).sent)


def test_without_that_the_bar_could_not_be_acted_on():
    """The ablation: when nobody is told of the bar first, its intent meets the hold."""
    world = watched(with_gap(), buys(3))
    world.session._fresh = lambda _group: None
    world.run()

    assert [] == unwell(world).sent


def test_an_intent_on_a_stale_symbol_is_refused_and_the_others_trade():
    """One stale symbol does not stop the rest."""
    script = on_bars(
        {
            7: lambda desk: (
                desk.open(BTC, Side.BUY, ONE),
                desk.open(ETH, Side.BUY, ONE),
            )
        }
    )
    world = watched({BTC: flat(BTC, 2), ETH: flat(ETH, 8)}, script).run()

    assert [BTC] == [stale.symbol for stale in world.all(DataStale)]
    decisions = {d.symbol: d for d in world.all(RiskDecision)}
    assert [ReasonCode.HELD] == [cause.code for cause in decisions[BTC].causes]
    assert f"hold=stale:{BTC}" in decisions[BTC].causes[0].detail
    assert [ETH] == [request.symbol for request in unwell(world).sent]


def test_without_health_a_stale_symbol_is_traded():
    """The ablation: nobody looks at the age of the data."""
    script = on_bars({7: lambda desk: (desk.open(BTC, Side.BUY, ONE),)})
    world = watched({BTC: flat(BTC, 2), ETH: flat(ETH, 8)}, script)
    bare = World(replace(world.spec, health=None)).run()

    assert [BTC] == [request.symbol for request in unwell(bare).sent]


def test_reducing_is_possible_while_stale():
    """Stale inputs never block a way out."""
    script = on_bars(
        {
            0: lambda desk: (desk.open(BTC, Side.BUY, ONE),),
            7: lambda desk: (desk.reduce(BTC, Side.SELL, ONE),),
        }
    )
    world = watched({BTC: flat(BTC, 3), ETH: flat(ETH, 9)}, script).run()

    assert [False, True] == [request.reduce_only for request in unwell(world).sent]


def test_a_silent_feed_is_opened_anew_and_loses_or_repeats_no_bar():
    """Connected but silent: a planned restart after each limit, every bar delivered once."""
    script = Script()
    bars = with_gap()
    world = watched(bars, script, plan=plan_for(reconnect=True)).run()

    assert bars == script.seen
    assert world.cell("feed").incarnation > 2
    assert 0 == world.cell("feed").failures
    silences = [r for r in world.all(ToolReport) if r.tool == "feed" and not r.ok]
    assert 3 == len(silences)
    assert "no bar of any symbol" in silences[0].detail


class CountedFeed(MemoryFeed):
    """A feed that counts how often it was opened."""

    opened = 0

    def groups(self) -> Iterator[Group]:
        self.opened += 1
        return super().groups()


def test_a_silent_feeds_source_is_opened_anew():
    """The incarnation that follows reads the source itself, after what was delivered."""
    feed = CountedFeed({BTC: with_gap()})
    script = Script()
    spec = replace(watched(with_gap(), script, plan=plan_for(reconnect=True)).spec, feed=feed)
    World(spec).run()

    assert 2 == feed.opened
    assert with_gap() == script.seen


def test_a_silent_feeds_probe_has_the_time_in_which_a_bar_must_come():
    """The feed was opened anew at the pause's end; a bar a minute later is its answer."""
    # Failures 150 s, 240 s and 330 s after the last bar; probed 90 s later, a bar 60 s after that.
    world = watched(with_gap(missing=7, after=4), Script(), plan=plan_for(reconnect=True)).run()

    (opened,) = world.all(CircuitOpened)
    (half,) = world.all(CircuitHalfOpen)
    (closed,) = world.all(CircuitClosed)
    assert opened.until == half.at
    assert 10_000 < world.all(DataFresh)[0].at - half.at
    restarts = [event.at for event in world.all(ActorRestarting) if event.actor == "feed"]
    assert half.at == restarts[-1]
    assert closed.at > half.at


def test_a_feed_that_stays_silent_opens_its_circuit_and_data_closes_it():
    """Reconnecting is rationed by the circuit; a bar is the answer to its probe."""
    world = watched(with_gap(missing=40, after=8), Script(), plan=plan_for(reconnect=True)).run()

    openings = [opened for opened in world.all(CircuitOpened) if opened.tool == "feed"]
    assert len(openings) >= 2
    assert ["feed"] == [closed.tool for closed in world.all(CircuitClosed)]
    holds = [event.hold for event in world.all(HoldPlaced) if event.hold.hold_id == "circuit:feed"]
    assert {Scope()} == {hold.scope for hold in holds}
    assert {} == held(world)
    assert "circuit:feed" in [event.hold.hold_id for event in world.all(HoldLifted)]
    assert len(world.all(ToolReport)) < 12


def test_history_with_a_gap_is_not_read_again():
    """A gap in a file is a gap: stale it is, a fault of the feed it is not."""
    world = watched(with_gap(missing=100), Script()).run()

    assert 1 == world.cell("feed").incarnation
    assert [] == world.all(ToolReport)
    assert 1 == len(world.all(DataStale))


def test_stale_is_not_silent_while_the_feed_is_down():
    """What is disconnected is said to be so."""
    bars = {BTC: flat(BTC, 3), ETH: flat(ETH, 12)}
    world = watched(bars, Script())

    def down(_world: object) -> None:
        world.cell("feed").direct = False
        world.cell("feed").state = world.cell("feed").state.RESTARTING

    world.before_turn(4, down).run()

    assert [(BTC, False)] == [(stale.symbol, stale.silent) for stale in world.all(DataStale)]


def test_a_well_fed_session_looks_once_in_a_while_and_never_per_bar():
    """One timer, set anew when it fires: one look every two minutes of minute bars."""
    world = watched(flat(BTC, 1_000), Script()).run()

    assert [] == world.all(DataStale)
    assert world.cell("health").handled <= 510


@pytest.mark.parametrize("turn", [0, 3])
def test_a_session_that_has_no_bar_yet_is_not_stale(turn: int):
    """Unknown is not stale: the first interval may end first."""
    seen: list[int] = []
    world = watched(flat(BTC, 5), Script())
    world.before_turn(turn, lambda _w: seen.append(len(held(world)))).run()

    assert [0] == seen
    assert [] == world.all(OpenIntent)
