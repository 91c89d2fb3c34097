"""A kill before the first turn, after the last, at the end, and from session to session."""

from __future__ import annotations

from invariants import Watch
from safety_world import CALM, FAR_BELOW, ONE, Daemon, buys, daemon, keeps_buying
from session_world import BTC, MINUTE, START, Script, flat

from messages import (
    Hold,
    HoldMode,
    HoldPlaced,
    KillReport,
    KillStep,
    OrderEvent,
    ReasonCode,
    RiskDecision,
    Side,
)

# -- first and last


def test_a_kill_before_the_first_turn_lets_nothing_out() -> None:
    """Not even what strategies ask for as they start."""
    script = keeps_buying()
    script.on_start = lambda strategy: [strategy.desk.open(BTC, Side.BUY, ONE)]
    world = daemon(flat(BTC, 4), script.spec())
    watch = Watch(world)
    world.disk = False
    world.begin()
    world.kill()
    world.disk = True
    world.play()

    assert [] == watch.left
    assert world.newest_report().confirmed


def test_a_kill_after_the_last_turn_has_its_evidence() -> None:
    """The session ends before the first look at what is left: it is looked at then."""
    world = daemon(flat(BTC, 3), buys(FAR_BELOW).spec()).begin().play()
    world.kill()
    assert [] == world.all(KillReport)

    assert ("killed", 4) == world.end("completed")
    assert world.newest_report().confirmed
    assert CALM == world.steps()
    assert "SessionEnded" == world.story()[-1]


def test_a_session_that_ends_before_the_venue_confirms_says_so() -> None:
    """Not silence: an unconfirmed report with what the venue has."""
    world = daemon(flat(BTC, 3), buys(FAR_BELOW).spec()).begin().play()
    world.venue.deaf = True
    world.kill()
    world.end("completed")

    report = world.newest_report()
    assert (False, "the session ends", ("tg-abc-1-1",)) == (
        report.confirmed,
        report.detail,
        report.open_orders,
    )


def test_an_orderly_end_without_a_kill_reports_none() -> None:
    """Nothing is made up."""
    world = daemon(flat(BTC, 3), buys(FAR_BELOW).spec()).begin().play()

    assert ("completed", 0) == world.end("completed")
    assert [] == world.all(KillStep)


def test_a_replay_ends_with_a_guards_kill_at_once() -> None:
    """Not at the end of its data."""
    world = daemon(flat(BTC, 50), keeps_buying(FAR_BELOW).spec())
    world.before_turn(
        5, lambda w: w.assembly.kill.pull("21 %", "risk", hold_id="risk:max_drawdown")
    )
    world.begin()
    super(Daemon, world).play()

    assert 5 == world.session.turns
    assert ("risk_halted", 3) == world.end("completed")
    assert world.newest_report().confirmed


# -- across sessions


def test_a_session_that_starts_killed_is_held_before_anything_runs() -> None:
    """The hold is journaled before the first actor starts; the kill goes on from there."""
    hold = Hold("kill", "drill", HoldMode.DRAIN, "cli:ann", START - MINUTE, latched=True)
    script = keeps_buying()
    script.on_start = lambda strategy: [strategy.desk.open(BTC, Side.BUY, ONE)]
    world = daemon(flat(BTC, 4), script.spec())
    watch = Watch(world)
    world.begin([hold]).play()

    story = world.story()
    assert ["SessionStarted", "HoldPlaced", "ActorStarted"] == story[:3]
    assert [hold] == [placed.hold for placed in world.all(HoldPlaced)]
    assert [] == watch.left
    assert world.newest_report().confirmed
    assert "drill" == world.newest_report().cause
    assert ("killed", 4) == world.end()


def test_a_restart_goes_on_with_every_kill_that_was_in_force() -> None:
    """The guard's and the operator's, each with its own words, in one sequence."""
    holds = [
        Hold("risk:max_drawdown", "21 %", HoldMode.DRAIN, "risk", START, latched=True),
        Hold("kill", "drill", HoldMode.DRAIN, "cli:ann", START, latched=True),
    ]
    world = daemon(flat(BTC, 4), Script().spec()).begin(holds).play()

    assert holds == list(world.holds.values())
    assert CALM == world.steps()
    assert "21 %; drill" == world.newest_report().cause


def test_refusals_of_a_kill_carry_its_code_and_words() -> None:
    """What the strategy, the journal and ``explain`` are told."""
    world = daemon(flat(BTC, 4), keeps_buying(FAR_BELOW).spec()).begin().play(1)
    world.kill(reason="drill")
    world.play(1)

    cause = world.all(RiskDecision)[-1].causes[0]
    assert ReasonCode.HELD is cause.code
    assert "hold=kill cause=drill by=cli:ann" == cause.detail
    cancelled = [r for r in world.reports() if r.event is OrderEvent.CANCELLED]
    assert 1 == len(cancelled)
