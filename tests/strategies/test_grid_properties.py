"""Grids over random markets, venues and crashes: what must hold whatever happens."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from grid_makers import (
    asked,
    books_of,
    grid,
    grid_world,
    held_by_level,
    level_of,
    live_orders,
    traded,
    wrong_lots,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import (
    Watch,
    check_account_equation,
    check_books,
    check_each_intent_is_decided_once,
    check_journal,
    check_orders,
    check_reservations,
)
from ladder_makers import crash_at, fills_of, intents_of, most_held, strike_at, venue, wander
from session_world import MINUTE, World, flat, make_bar

from messages import Intent, OpenIntent, ReasonCode, ReduceIntent, RiskDecision
from scenarios.model.steps import FaultKind
from strategies.grid import Grid

pytestmark = pytest.mark.exhaustive

TURNS = 120
EXAMPLES = 20
SIDES = [("long", False), ("short", False), ("neutral", True)]

troubles = st.lists(
    st.tuples(
        st.integers(1, TURNS - 10),
        st.sampled_from(
            [
                FaultKind.REJECT,
                FaultKind.SPLIT_FILLS,
                FaultKind.DUPLICATE_FILLS,
                FaultKind.REORDER_FILLS,
                FaultKind.DELAY_FILLS,
                FaultKind.DELAY_ACCEPTANCE,
                FaultKind.LOSE_ANSWERS,
            ]
        ),
    ),
    max_size=5,
)
crashes = st.lists(st.integers(1, TURNS - 10), max_size=2, unique=True)


@st.composite
def grids(draw: Any) -> dict[str, Any]:
    """Return a grid's parameters that agree with each other."""
    params: dict[str, Any] = {
        "quantity": draw(st.decimals(Decimal("0.1"), Decimal(5), places=1)),
        "levels": 2 * draw(st.integers(1, 8)),
        "spacing": draw(st.sampled_from(["arithmetic", "geometric"])),
        "resting": draw(st.integers(1, 6)),
        "open_maker": draw(st.sampled_from(["any", "prefer", "only"])),
        "close_maker": draw(st.sampled_from(["any", "prefer", "only"])),
        "open_retries": draw(st.sampled_from([0, 2])),
        "close_retries": draw(st.sampled_from([0, 2])),
        "backoff_base_s": 1,
    }
    if draw(st.booleans()):
        params |= {"lower": 22, "upper": 28}
    else:
        params |= {"step_bps": draw(st.integers(20, 200))}
    if draw(st.booleans()):
        params |= {"stop_bps": draw(st.integers(10, 300))}
        if draw(st.booleans()):
            params |= {"stop_pause_s": draw(st.sampled_from([30, 300]))}
    return params


def world_of(direction: str, hedge: bool, params: dict[str, Any], seed: int, **more: Any) -> World:
    """Return the world of a grid over a random walk."""
    return grid_world(
        wander(TURNS, seed, dip=seed % 12),
        hedge=hedge,
        plain=False,
        direction=direction,
        **params,
        **more,
    )


def check_one_order_of_a_level(world: World) -> None:
    """No level ever has two orders at the venue, whether they open or close it."""
    for live in live_orders(world):
        roots: dict[Any, set[str]] = {}
        for name, intent in live.items():
            level = level_of(intent)
            if level is not None:
                roots.setdefault(level, set()).add(getattr(intent, "root_id", "") or name)

        assert [] == [level for level, names in roots.items() if len(names) > 1]


def check_resting(world: World, resting: int) -> None:
    """No more orders rest than are allowed, those apart that are being exchanged."""
    for live in live_orders(world):
        kinds = Counter((intent.position_side, intent.tag.split()[1]) for intent in live.values())

        assert max(kinds.values(), default=0) <= 2 * resting


def check_size(world: World, params: dict[str, Any]) -> None:
    """No book ever holds more than all its levels, no level more than its size."""
    for held in most_held(world).values():
        assert held <= params["quantity"] * params["levels"]
    for fill, levels in held_by_level(world):
        for level, held in levels.items():
            assert 0 <= held <= params["quantity"], f"{fill.trade_id}: {level} holds {held}"


def check_beliefs(world: World) -> None:
    """At the end the strategy, its desk and the ledger hold the same."""
    desk = grid(world).desk
    positions = {
        (p.symbol, p.position_side): p.quantity for p in world.assembly.books.ledger.positions()
    }
    for book in books_of(world):
        held = desk.position(book.symbol, book.side)

        assert held == book.quantity * book.sign
        assert held == positions.get((book.symbol, book.side), Decimal(0))


def check_kept_states(world: World) -> None:
    """What each book keeps of its state is its state, and a fresh object takes it back."""
    old = grid(world)
    for book in books_of(world):
        assert book.state() == json.loads(bytes(book.encoded()))
    saved = json.dumps(old.snapshot())
    fresh = Grid(old.desk, old._set)
    fresh.restore(json.loads(saved))

    assert saved == json.dumps(fresh.snapshot())


def check_no_closing_was_kept_back(world: World) -> None:
    """A backoff is never the cause for which something that reduces is refused."""
    reducing = {intent.intent_id for intent in world.all(ReduceIntent)}
    for decision in world.all(RiskDecision):
        if decision.intent_id in reducing:
            assert ReasonCode.STRATEGY_BACKOFF not in {cause.code for cause in decision.causes}


@pytest.mark.parametrize(("direction", "hedge"), SIDES)
@given(params=grids(), seed=st.integers(0, 10**6), share=st.sampled_from(["1", "0.3", "0.05"]))
@settings(max_examples=EXAMPLES)
def test_a_grid_in_a_random_market(
    direction: str, hedge: bool, params: dict[str, Any], seed: int, share: str
) -> None:
    """It holds no more than its levels, each has one order, lots are its own, books balance."""
    world = world_of(direction, hedge, params, seed, participation=share)
    watch = Watch(world)
    world.run()

    check_each_intent_is_decided_once(world)
    check_orders(world, watch)
    check_books(world)
    check_reservations(world)
    check_journal(world)
    check_account_equation(world)
    check_one_order_of_a_level(world)
    check_resting(world, params["resting"])
    check_size(world, params)
    check_beliefs(world)
    # A closing that is refused for taking lets farther ones go before it; pieces overtake too.
    if share == "1" and params["close_maker"] == "any":
        assert [] == wrong_lots(world)


@pytest.mark.parametrize(("direction", "hedge"), SIDES)
@given(
    params=grids(),
    seed=st.integers(0, 10**6),
    share=st.sampled_from(["1", "0.2"]),
    found=troubles,
    turns=crashes,
)
@settings(max_examples=EXAMPLES)
def test_a_grid_in_trouble(
    direction: str,
    hedge: bool,
    params: dict[str, Any],
    seed: int,
    share: str,
    found: list[tuple[int, FaultKind]],
    turns: list[int],
) -> None:
    """Refusals, lost answers, pieces, repeats and crashes change none of it."""
    world = world_of(direction, hedge, params, seed, participation=share)
    for turn, fault in found:
        if fault is FaultKind.REORDER_FILLS:  # pieces that change places; else one would go missing
            strike_at(world, turn, FaultKind.SPLIT_FILLS, parts=3)
        strike_at(world, turn, fault, by="90s")
    for turn in turns:
        crash_at(world, turn)
    for turn in range(1, TURNS):
        world.before_turn(turn, check_kept_states)
    world.run()

    assert world.session.halted is None
    assert not world.assembly.supervisor.quarantined
    check_one_order_of_a_level(world)
    check_no_closing_was_kept_back(world)
    for held in most_held(world).values():
        assert held <= params["quantity"] * params["levels"]
    if not venue(world).owes:  # what is still on its way at the end is nobody's yet
        check_books(world)
        check_beliefs(world)


@pytest.mark.parametrize(("direction", "hedge"), SIDES)
@given(params=grids(), seed=st.integers(0, 10**6), turns=st.lists(st.integers(1, 110), max_size=3))
@settings(max_examples=10)
def test_a_grid_that_was_made_anew_goes_on_as_if_nothing_had_been(
    direction: str, hedge: bool, params: dict[str, Any], seed: int, turns: list[int]
) -> None:
    """
    The same intents with the same ids at the same times, and the same fills.

    What the venue has refused is put back at a start, and otherwise at the next close: so here it
    refuses nothing.
    """
    params = {**params, "open_maker": "any", "close_maker": "any"}
    whole = world_of(direction, hedge, params, seed, participation="0.3").run()
    broken = world_of(direction, hedge, params, seed, participation="0.3")
    for turn in sorted(set(turns)):
        crash_at(broken, turn)
    broken.run()

    def story(world: World) -> list[tuple[str, str, int]]:
        return [(i.intent_id, i.tag, i.created_at) for i in world.all(Intent)]

    assert story(whole) == story(broken)
    assert traded(whole) == traded(broken)


@given(seed=st.integers(0, 10**6), params=grids(), turns=crashes)
@settings(max_examples=8)
def test_a_grid_is_the_same_however_its_messages_are_delivered(
    seed: int, params: dict[str, Any], turns: list[int]
) -> None:
    """Every message through a mailbox, or none: the same journal, byte for byte."""
    journals = []
    for queued in (False, True):
        world = world_of("neutral", True, params, seed, participation="0.2", queued=queued)
        for turn in turns:
            crash_at(world, turn)
        journals.append(world.run().lines)

    assert journals[0] == journals[1]


@given(seed=st.integers(0, 10**6), levels=st.integers(1, 12))
@settings(max_examples=15)
def test_a_market_above_all_lines_leaves_a_long_grid_flat(seed: int, levels: int) -> None:
    """After all sells nothing is held, and every round has earned its step."""
    bars = wander(80, seed)
    last = bars[-1]
    after = last.timestamp + MINUTE
    up = [
        make_bar(last.symbol, after, 100.0, open_=last.close),
        *flat(last.symbol, 30, 100.0, start=after + MINUTE),
    ]
    world = grid_world(
        [*bars, *up], plain=False, quantity=1, lower=15, upper=40, levels=levels
    ).run()

    assert all(not book.held for book in books_of(world))
    for _, report in fills_of(world):
        assert report.booking is not None
        assert report.booking.realized_pnl >= 0


def test_the_random_markets_reach_what_they_are_for() -> None:
    """Over some seeds there are whole grids, stops, new beginnings, pieces and cancels."""
    seen: set[str] = set()
    for seed in range(12):
        params = {"quantity": Decimal(10), "levels": 6, "step_bps": 60, "stop_bps": 60}
        world = world_of(
            "neutral", True, {**params, "stop_pause_s": 60}, seed, participation="0.3"
        ).run()
        seen |= set(asked(world))
        seen |= {report.event.value for report in world.reports()}
        seen |= {
            "anew" for i in intents_of(world) if isinstance(i, OpenIntent) and _after(world, i)
        }

    assert {"long open 1", "long close 1", "short open 6", "short close 6"} <= seen
    assert {"long stop", "short stop", "filled_partly", "cancelled", "anew"} <= seen


def _after(world: World, intent: Intent) -> bool:
    """Return whether a stop of the same book came before an intent."""
    return any(
        other.tag.endswith(" stop")
        and other.position_side is intent.position_side
        and other.created_at < intent.created_at
        for other in intents_of(world)
    )
