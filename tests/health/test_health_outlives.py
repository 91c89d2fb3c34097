"""What Health leaves behind: crashes, exhaustion, sessions; the machine; fused and queued alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from invariants import Watch, check_no_opening_order_left_while_held
from session_world import BTC, ETH, MINUTE, START, Script, World, flat, walk
from unwell import (
    VENUE,
    ScriptedVitals,
    UnwellBroker,
    buys,
    held,
    plan_for,
    rejecting,
    unwell,
    watched,
)

from actors.health import VitalRules
from actors.runtime.entropy import DefaultTape, SeededTape, Tape
from actors.session import run_paper
from actors.spec import SessionResult
from messages import (
    ActorFailed,
    ActorStopped,
    CircuitClosed,
    CircuitOpened,
    DataFresh,
    DataStale,
    ExecutionReport,
    Hold,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    ReasonCode,
    Scope,
    Wake,
)

REFUSING = ReasonCode.VENUE_REJECTED


def test_a_crash_of_health_leaves_its_holds_in_force_and_its_counts_alone():
    """The incarnation that follows closes what the one before it opened."""
    world = watched(flat(BTC, 12), buys(0, 1, 2))
    world.poison("health", Wake, when=lambda wake, _count: wake.key == "circuits" and one(world))
    world.before_turn(0, rejecting(REFUSING)).before_turn(3, rejecting(None)).run()

    assert 1 == len(world.all(ActorFailed))
    assert 2 == world.cell("health").incarnation
    assert [VENUE] == [closed.tool for closed in world.all(CircuitClosed)]
    (placed,), (lifted,) = world.all(HoldPlaced), world.all(HoldLifted)
    failed_at = world.all(ActorFailed)[0].at
    assert placed.hold.since < failed_at < lifted.at
    assert {} == held(world)


def one(world: World) -> bool:
    """Return whether no actor has failed yet."""
    return world.cell("health").failures == 0


def test_health_that_fails_too_often_is_done_without_and_nothing_opens():
    """A venue that nobody watches gets no new risk; the session goes on."""
    world = watched(flat(BTC, 30), buys(0, 20))
    world.poison("health", ExecutionReport, when=lambda _report, _count: True)
    for turn in range(1, 15):
        world.before_turn(turn, lambda w: w.assembly.dispatcher.tell(w.cell("health"), REPORT))
    world.run()

    hold = held(world)["abandoned:health"]
    assert (HoldMode.REFUSE, Scope()) == (hold.mode, hold.scope)
    assert "health failed more often than its restart intensity allows" == hold.cause
    assert "health" in [stopped.actor for stopped in world.all(ActorStopped)]
    assert world.session.halted is None
    assert 1 == len(unwell(world).sent)
    assert 30 == world.session.turns


REPORT = ExecutionReport(
    "o",
    "tg-o",
    "s1",
    BTC,
    "accepted",
    "accepted",
    START,
    0,  # type: ignore[arg-type]
)


def again(world: World, *holds: Hold) -> World:
    """Run ``world`` as the session after one that left ``holds``."""
    world.session.start(holds)
    world.play()
    world.finish()
    return world


def left(hold_id: str, scope: Scope = Scope(), mode: HoldMode = HoldMode.REFUSE) -> Hold:  # noqa: B008
    return Hold(hold_id, "an earlier session", mode, "health", START - 1, scope)


def test_a_circuits_hold_of_an_earlier_session_is_lifted_by_a_probe():
    """A restart is no evidence that the venue works; its answer is."""
    world = watched(flat(BTC, 4), buys(0))
    hold = left(f"circuit:{VENUE}", Scope(venue="paper"), HoldMode.BLOCK)
    again(world, hold)

    assert [START, START + 5_000] == unwell(world).probes
    (lifted,) = world.all(HoldLifted)
    assert ("health", START + 5_000) == (lifted.lifted_by, lifted.at)
    assert 1 == len(unwell(world).sent)


def test_a_circuits_hold_of_an_earlier_session_stays_while_the_venue_is_down():
    """The probe fails, so the circuit opens, and nothing leaves."""
    world = watched(flat(BTC, 4), buys(0))
    unwell(world).code = REFUSING
    again(world, left(f"circuit:{VENUE}", Scope(venue="paper"), HoldMode.BLOCK))

    assert [] == unwell(world).sent
    assert f"circuit:{VENUE}" in held(world)
    assert world.all(CircuitOpened)


def test_a_stale_hold_of_an_earlier_session_is_lifted_by_its_first_bar():
    """Data is the evidence."""
    world = again(watched(flat(BTC, 4), buys(0)), left(f"stale:{BTC}", Scope(symbol=BTC)))

    assert [BTC] == [fresh.symbol for fresh in world.all(DataFresh)]
    assert [] == world.all(DataStale)
    assert 1 == len(unwell(world).sent)


def test_a_stale_hold_of_a_symbol_that_is_no_longer_watched_goes():
    """Nobody would ever lift it."""
    world = again(watched(flat(BTC, 2), buys()), left(f"stale:{ETH}", Scope(symbol=ETH)))

    assert {} == held(world)
    assert "the session has no data of ETH/USDT" == world.all(HoldLifted)[0].reason


def test_the_hold_of_an_abandoned_health_ends_when_health_watches_again():
    """Its first incarnation is the evidence."""
    world = again(watched(flat(BTC, 3), buys(1)), left("abandoned:health"))

    assert {} == held(world)
    assert 1 == len(unwell(world).sent)


@pytest.mark.parametrize("hold_id", ["disk", "clock", "loop"])
def test_a_vitals_hold_of_an_earlier_session_ends_by_measuring(hold_id: str):
    """Measured and well: lifted; not measured: kept."""
    well = again(watched(flat(BTC, 3), plan=plan_for(vitals=ScriptedVitals())), left(hold_id))
    blind = again(watched(flat(BTC, 3)), left(hold_id))

    assert {} == held(well)
    assert [hold_id] == list(held(blind))


@pytest.mark.parametrize(
    ("hold_id", "field", "bad", "good", "words"),
    [
        ("disk", "free", 10_000_000, 10**12, "free_mb=10 min_free_mb=200"),
        ("clock", "offset", -5_000, 0, "clock_offset_ms=-5000 max_clock_offset_ms=1000"),
        ("loop", "stalled", 11, 0, "stalls=11 stalls_per_minute=10"),
    ],
)
def test_an_unwell_machine_opens_nothing_until_it_is_well(
    hold_id: str, field: str, bad: int, good: int, words: str
):
    """Refused everywhere from the look that finds it to the look that finds it over."""
    vitals = ScriptedVitals()
    world = watched(flat(BTC, 8), buys(1, 4, 7), plan=plan_for(vitals=vitals))
    world.before_turn(3, lambda _w: setattr(vitals, field, bad))
    world.before_turn(6, lambda _w: setattr(vitals, field, good)).run()

    (placed,), (lifted,) = world.all(HoldPlaced), world.all(HoldLifted)
    assert (hold_id, HoldMode.REFUSE, Scope(), "health", words) == (
        placed.hold.hold_id,
        placed.hold.mode,
        placed.hold.scope,
        placed.hold.set_by,
        placed.hold.cause,
    )
    assert START + 3 * MINUTE == placed.hold.since
    assert START + 6 * MINUTE == lifted.at
    assert 2 == len(unwell(world).sent)


def test_nobody_looks_at_a_machine_that_is_not_watched():
    """The ablation: without vitals a full disk stops nothing."""
    vitals = ScriptedVitals(free=0)
    watching = watched(flat(BTC, 4), buys(1), plan=plan_for(vitals=vitals)).run()
    blind = watched(flat(BTC, 4), buys(1)).run()

    assert (0, 1) == (len(unwell(watching).sent), len(unwell(blind).sent))


def test_a_full_disk_is_known_before_the_first_order():
    """The first look is at the start."""
    world = watched(flat(BTC, 2), buys(0), plan=plan_for(vitals=ScriptedVitals(free=0))).run()

    assert [] == unwell(world).sent
    assert START == world.all(HoldPlaced)[0].hold.since


def stormy(tape: Tape | None, on_watch: Callable[[Watch], object] = lambda _watch: None) -> World:
    """Return a session in which everything happens that Health knows of."""
    bars = {
        BTC: walk(BTC, 6, 1) + walk(BTC, 20, 2, start=START + 16 * MINUTE),
        ETH: walk(ETH, 40, 3),
    }
    vitals = ScriptedVitals()
    world = watched(
        bars,
        buys(0, 1, 2, 3, 4, 20, 30),
        buys(5, 6, 7, 25, symbol=ETH),
        plan=plan_for(vitals=vitals, reconnect=True),
        tape=tape,
    )
    world.poison("health", Wake, when=lambda _wake, count: count in (2, 9))
    world.before_turn(1, rejecting(REFUSING)).before_turn(4, rejecting(None))
    world.before_turn(12, lambda _w: setattr(vitals, "free", 1))
    world.before_turn(18, lambda _w: setattr(vitals, "free", 10**12))
    on_watch(Watch(world))
    return world.run()


def test_health_is_the_same_however_messages_are_scheduled():
    """Fused dispatch and the queue's default choices give the same journal, byte for byte."""
    fused, queued = stormy(None), stormy(DefaultTape())

    assert fused.story() == queued.story()
    assert fused.lines == queued.lines
    assert {"CircuitOpened", "CircuitClosed", "DataStale", "DataFresh"} <= set(fused.story())


@pytest.mark.parametrize("seed", range(20))
def test_no_order_that_opens_leaves_while_held_whatever_the_schedule(seed: int):
    """Under any schedule the holds that Health asks for hold."""
    seen: list[Watch] = []
    world = stormy(SeededTape(seed), seen.append)

    check_no_opening_order_left_while_held(seen[0])
    assert len(seen[0].left) >= 6
    assert world.session.halted is None


def test_a_session_without_health_has_nothing_of_it():
    """No cell, no route, no timer, nothing for a turn to look at."""
    spec = watched(flat(BTC, 5), Script()).spec
    world = World(replace(spec, health=None))

    assert world.assembly.health is None
    assert "health" not in world.assembly.dispatcher.cells
    assert ("risk", "telemetry", "strategy") == world.assembly.dispatcher.topology()[
        "ExecutionReport"
    ]
    assert not world.session._stale
    assert isinstance(world.assembly.broker, UnwellBroker)


def test_a_daemon_watches_the_machine_it_runs_on(tmp_path: Path):
    """With more free space asked for than any disk has, its first order meets the hold."""
    rules = VitalRules(min_free_bytes=10**18)
    spec = watched(flat(BTC, 5), buys(1), plan=plan_for(vital_rules=rules)).spec
    daemon = replace(spec, mode="paper", out=tmp_path / "out", runs_dir=tmp_path / "runs")

    async def run() -> SessionResult:
        return await run_paper(daemon, speed=0)

    result = anyio.run(run)
    events = (result.out / "events.ndjson").read_text()

    assert 1 == events.count('"type":"HoldPlaced","seq"')
    assert '"hold_id":"disk"' in events
    assert "hold=disk cause=free_mb=" in events
    assert '"event":"sent"' not in events
