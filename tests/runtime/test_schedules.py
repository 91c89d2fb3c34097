"""Other schedules than depth first: many different traces, and every invariant in each."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import Watch, check_all, check_no_opening_order_left_while_held
from session_world import BTC, ETH, PERP, World, flat, instruments_of, make_world, on_bars
from workloads import busy_steps, market, trader

from actors.execution import ExecutionActor
from actors.risk import RiskLimits
from actors.runtime.entropy import DefaultTape, RecordedTape, SeededTape, Tape
from messages import ExecutionReport, HoldMode, OrderEvent, RiskDecision, Scope, Side, Verdict

BARS = 16
SEEDS = 100
STEPS = {name: busy_steps(seed, 3 * BARS, 1.4) for seed, name in enumerate(("one", "two"))}


def busy_world(tape: Tape) -> World:
    """Return a busy session of two strategies whose schedule comes from ``tape``."""
    world = make_world(
        market(BARS),
        trader(STEPS["one"]).spec("one", (BTC, ETH)),
        trader(STEPS["two"]).spec("two", (BTC, PERP)),
        cash=2_500,
        instruments=instruments_of((BTC, ETH, PERP), Decimal(10), lot_step=Decimal("0.25")),
        limits=RiskLimits(max_gross_exposure=Decimal(1500)),
        tape=tape,
        participation=Decimal("0.05"),
    )
    world.hold_between(4, 6, "stop", HoldMode.REFUSE, Scope(symbol=BTC))
    world.hold_between(8, 10, "pause", HoldMode.BLOCK, Scope(strategy="two"))
    world.hold_between(11, 13, "kill", HoldMode.DRAIN)
    return world


def trace(world: World) -> str:
    return hashlib.sha256(world.lines).hexdigest()


def test_seeded_schedules_differ_and_keep_every_invariant() -> None:
    """A hundred seeds give nearly a hundred traces; no schedule breaks a promise in any."""
    traces = set()
    for seed in range(SEEDS):
        world = busy_world(SeededTape(seed))
        watch = Watch(world)
        world.run()
        try:
            check_all(world, watch)
        except AssertionError as error:
            raise AssertionError(f"under SeededTape({seed})") from error
        traces.add(trace(world))

    assert len(traces) > SEEDS * 0.9


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4), max_size=400))
def test_any_recorded_schedule_keeps_every_invariant(choices: list[int]) -> None:
    """The choices themselves are the example, so a failure shrinks towards depth first."""
    world = busy_world(RecordedTape(choices))
    watch = Watch(world)
    world.run()

    check_all(world, watch)


def test_the_same_tape_gives_the_same_trace() -> None:
    """A seed replays its run, and the choices that it drew replay it too."""
    tape = SeededTape(7)
    first = busy_world(tape).run()

    assert first.lines == busy_world(SeededTape(7)).run().lines
    assert first.lines == busy_world(RecordedTape(tape.drawn)).run().lines


def test_the_boring_tape_is_depth_first() -> None:
    """Choice 0 everywhere is the schedule of a tape that always chooses 0."""
    assert busy_world(DefaultTape()).run().lines == busy_world(RecordedTape([])).run().lines


@pytest.mark.parametrize("cash", [150, 250])
def test_no_schedule_lets_two_intents_spend_the_same_cash(cash: int) -> None:
    """The verdict reserves in its own step: Risk cannot be raced by Execution, on any seed."""
    affordable = cash // 100

    def buy_three(desk: Any) -> list[Any]:
        return [desk.open(BTC, Side.BUY, Decimal(1)) for _ in range(3)]

    for seed in range(60):
        scripts = [on_bars({1: buy_three}) for _ in range(2)]
        world = make_world(
            flat(BTC, 4),
            *(script.spec(name) for script, name in zip(scripts, ("one", "two"), strict=True)),
            cash=cash,
            tape=SeededTape(seed),
        ).run()
        approved = [d for d in world.all(RiskDecision) if d.verdict is Verdict.APPROVED]

        assert len(approved) == affordable, f"under SeededTape({seed})"


def kill_at_a_fill(tape: Tape) -> tuple[World, Watch]:
    """
    Return a session whose strategy opens more on every fill, with a kill at the third fill.

    Telemetry hears of a fill before the strategy does: depth first the kill is there first.
    """
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1)) for _ in range(3)]})
    script.on_fill = lambda strategy, _fill: [strategy.desk.open(BTC, Side.BUY, Decimal(1))]
    world = make_world(flat(BTC, 6), script.spec(), tape=tape)
    supervisor = world.assembly.supervisor

    def kill(_report: Any, count: int) -> bool:
        if count == 3:
            supervisor.hold_open("kill", "drill", mode=HoldMode.DRAIN)
        return False

    world.poison("telemetry", ExecutionReport, when=kill)
    return world, Watch(world)


def test_no_schedule_lets_an_opening_order_out_after_a_kill() -> None:
    """A kill in the middle of anything stops every opening order that has not left."""
    suppressed = 0
    for seed in range(40):
        world, watch = kill_at_a_fill(SeededTape(seed))
        world.run()
        check_all(world, watch)
        suppressed += sum(report.event is OrderEvent.SUPPRESSED for report in world.reports())

    assert suppressed > 0


def leaks(tape: Tape) -> bool:
    world, watch = kill_at_a_fill(tape)
    world.run()
    try:
        check_no_opening_order_left_while_held(watch)
    except AssertionError:
        return True
    return False


def test_the_seeds_find_a_missing_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ablation: with the admission check alone, schedules leak an order and are caught."""
    monkeypatch.setattr(ExecutionActor, "last_look", lambda *_: ())

    assert any(leaks(SeededTape(seed)) for seed in range(40))
