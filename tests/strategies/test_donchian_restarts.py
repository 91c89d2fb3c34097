"""donchian_breakout across restarts: nothing is forgotten, nothing grows."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from breakout_makers import (
    SMALL,
    bars_of,
    book_of,
    breakout,
    breakout_world,
    is_protected,
    step,
    still,
)
from ladder_makers import HYPE, crash_at, fills_of, intents_of, wander
from session_world import MINUTE, START, World

from messages import (
    ActorRestarting,
    Bar,
    ExecutionReport,
    OpenIntent,
    PositionSide,
    ReduceIntent,
    StrategyState,
)
from strategies.donchian_breakout import DonchianBreakout, DonchianBreakoutParams

D = Decimal
LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
CALM: Any = still(100, 4)
UP: Any = [*CALM, step(100, 101), (101, 101.5, 101, 101.5)]
"""Breaks out upwards at the fifth bar; the sixth opens at 101."""
ONCE: Any = [*CALM, step(100, 101), *still(101)]
"""The same, and nothing breaks out after that."""


def run(rows: Any, symbol: str = HYPE, **params: Any) -> World:
    return breakout_world(bars_of(rows, symbol), **params).run()


def entries(world: World) -> list[OpenIntent]:
    return [i for i in intents_of(world) if isinstance(i, OpenIntent)]


def exits(world: World) -> list[ReduceIntent]:
    return [i for i in intents_of(world) if isinstance(i, ReduceIntent)]


def sold(world: World) -> list[tuple[str, Decimal]]:
    """Return (tag, price) of every fill of an exit."""
    tags = {intent.intent_id: intent.tag for intent in exits(world)}
    return [
        (tags[fill.order_id], fill.price) for fill, _ in fills_of(world) if fill.order_id in tags
    ]


def _states(world: World) -> list[str]:
    return [state.state for state in world.all(StrategyState)]


@pytest.mark.parametrize("params", [{}, {"trail_atr": None, "exit_period": 2, "stop_atr": 9}])
@pytest.mark.parametrize("turn", range(3, 12))
def test_a_restart_with_a_fresh_snapshot_changes_nothing(turn: int, params: Any) -> None:
    """Whenever it is: warming up, entering, held, trailing, flat again; the events are the same."""
    rows = [*UP, step(101.5, 103), step(103, 105), step(105, 106), step(106, 100), *still(100, 4)]
    bars = bars_of([*rows, step(100, 98), *still(98, 2)])
    calm = breakout_world(bars, **params).run()
    shaken = breakout_world(bars, **params)
    shaken.before_turn(turn, lambda w: w.session.take_snapshots())
    crash_at(shaken, turn)
    shaken.run()

    assert 1 == len(shaken.all(ActorRestarting))
    assert len(entries(calm)) > 1
    assert [_plain(i) for i in intents_of(calm)] == [_plain(i) for i in intents_of(shaken)]
    assert _states(calm) == _states(shaken)


def _plain(intent: Any) -> tuple[Any, ...]:
    return (
        intent.intent_id,
        intent.created_at,
        intent.tag,
        intent.side,
        intent.quantity,
        intent.policy,
    )


def test_what_is_restored_is_bit_for_bit_what_was_kept() -> None:
    """In mid position too: a fresh object has the same snapshot, channels and range."""
    params = {"entry_period": 5, "atr_period": 4, "exit_period": 3, "quantity": 1}
    bars = wander(400, 3)
    world = breakout_world(bars, **params)
    seen = []

    def look(w: World) -> None:
        old = breakout(w)
        state = json.loads(json.dumps(old.snapshot()))
        new = DonchianBreakout(old.desk, DonchianBreakoutParams(**SMALL | params))
        new.restore(state)
        seen.append(bool(book_of(w).size))

        assert state == json.loads(json.dumps(new.snapshot()))
        for symbol, market in old._markets.items():
            assert [market.state(), market.upper, market.lower, market.atr] == [
                new._markets[symbol].state(),
                new._markets[symbol].upper,
                new._markets[symbol].lower,
                new._markets[symbol].atr,
            ]

    for turn in range(5, 400, 7):
        world.before_turn(turn, look)
    world.run()

    assert {True, False} == set(seen)


def test_a_crash_between_fill_and_plan_leaves_no_position_bare() -> None:
    """The hook that failed has made no plan: the next incarnation does, first of all."""
    world = breakout_world(bars_of([*UP, *still(101.5, 4)]))
    world.poison("strategy:one", ExecutionReport, when=lambda r, _c: r.fill is not None)
    world.run()

    assert 1 == len(world.all(ActorRestarting))
    assert is_protected(world, book_of(world))
    assert book_of(world).settled


def test_bars_that_were_missed_start_the_channel_anew() -> None:
    """A hole in the channel is worse than a wait."""
    rows = [*CALM, *still(100, 4), step(100, 101), *still(101, 2), step(101, 103), *still(103)]
    world = breakout_world(bars_of(rows))
    world.before_turn(5, lambda w: w.session.take_snapshots())
    world.poison("strategy:one", Bar, when=lambda bar, _c: bar.timestamp == START + 6 * MINUTE)
    world.run()

    assert 1 == len(world.all(ActorRestarting))
    assert START + 12 * MINUTE == entries(world)[0].created_at  # not at 9: two bars since


def test_a_snapshot_taken_before_the_next_bar_does_not_hide_what_was_missed() -> None:
    """However often it is restarted: the channels say until when they have seen every bar."""
    old = breakout(run(UP))
    kept = json.loads(json.dumps(old.snapshot()))
    kept["markets"][0][1] -= 5 * MINUTE
    again = DonchianBreakout(old.desk, DonchianBreakoutParams(**SMALL))
    again.restore(kept)

    assert kept == again.snapshot()


def test_indicators_of_other_periods_begin_anew() -> None:
    """The snapshot of other parameters is no error, and the books stay."""
    world = run(UP)
    old = breakout(world)
    new = DonchianBreakout(old.desk, DonchianBreakoutParams(**SMALL | {"entry_period": 7}))
    new.restore(json.loads(json.dumps(old.snapshot())))

    assert {} == new._markets
    assert book_of(world).state() == new._books[HYPE][0].state()


def test_memory_is_bounded() -> None:
    """No list of its indicators grows with time."""
    world = breakout_world(wander(3_000, 1)).run()
    market = breakout(world)._markets[HYPE]
    lengths = {**market._atr.lengths(), **market._entry.lengths()}

    assert max(lengths.values()) <= 2 * max(market._atr.keep, market._entry.keep)
