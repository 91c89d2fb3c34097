"""donchian_breakout over random markets, venues and crashes: what must hold whatever happens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from breakout_makers import book_of, breakout, breakout_world, is_protected
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import Watch, check_all, check_books
from ladder_makers import crash_at, fills_of, intents_of, most_held, strike_at, venue, wander
from session_world import World

from messages import (
    IntentAction,
    OpenIntent,
    PositionSide,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    Verdict,
)
from scenarios.model.steps import FaultKind

TURNS = 120
EXAMPLES = 25

ranges = st.decimals(Decimal("0.5"), Decimal(4), places=1)


@st.composite
def breakouts(draw: Any) -> dict[str, Any]:
    """Return parameters that agree with each other; the quantity is always one."""
    leaves = draw(st.sampled_from(["trail", "channel", "both"]))
    return {
        "entry_period": draw(st.integers(1, 8)),
        "atr_period": draw(st.integers(1, 6)),
        "stop_atr": draw(ranges),
        "trail_atr": None if leaves == "channel" else draw(ranges),
        "exit_period": None if leaves == "trail" else draw(st.integers(1, 6)),
        "activate_atr": draw(st.decimals(0, Decimal(3), places=1)),
        "max_bars": draw(st.sampled_from([None, 1, 5])),
        "cooldown_bars": draw(st.integers(0, 3)),
        "stop_retries": draw(st.integers(0, 2)),
        "entry_retries": draw(st.integers(0, 2)),
        "backoff_base_s": draw(st.sampled_from([1, 300])),
        "sides": draw(st.sampled_from(["long", "short", "both"])),
    }


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
        st.integers(1, 6),
    ),
    max_size=6,
)
crashes = st.lists(st.integers(1, TURNS - 10), max_size=3, unique=True)


def books(hedge: bool) -> list[PositionSide]:
    return [PositionSide.LONG, PositionSide.SHORT] if hedge else [PositionSide.BOTH]


def check_protected(world: World, *, hedge: bool) -> None:
    """What is held has a stop, or is on its way out."""
    if not world.cell("strategy:one").runs:
        return
    desk = breakout(world).desk
    for side in books(hedge):
        book = book_of(world, side)
        if not desk.position(book.symbol, side):
            continue
        closes = [
            intent
            for intent in desk.unfinished(book.symbol, side)
            if intent.action is IntentAction.CLOSE
        ]

        assert is_protected(world, book) or closes or book.leaving, book


def check_one_position(world: World) -> None:
    """No book ever holds more than one entry's quantity."""
    for key, held in most_held(world).items():
        assert held <= 1, key


def check_exits_are_free(world: World) -> None:
    """No backoff, no circuit of the strategy's own keeps back what reduces."""
    reducing = {i.intent_id for i in world.all(ReduceIntent)}
    brakes = {ReasonCode.STRATEGY_BACKOFF, ReasonCode.STRATEGY_DECLINED}
    for decision in world.all(RiskDecision):
        if decision.intent_id in reducing and decision.verdict is Verdict.DENIED:
            assert not brakes & {cause.code for cause in decision.causes}


def check_beliefs(world: World, *, hedge: bool) -> None:
    """At the end the strategy, its desk and the ledger hold the same."""
    positions = {p.position_side: p.quantity for p in world.assembly.books.ledger.positions()}
    for side in books(hedge):
        book = book_of(world, side)

        assert breakout(world).desk.position(book.symbol, side) == book.size * book.sign
        assert book.size * book.sign == positions.get(side, Decimal(0))


def watched(world: World, *, hedge: bool) -> World:
    """Let it be looked at before every turn."""
    for turn in range(1, TURNS):
        world.before_turn(turn, lambda w: check_protected(w, hedge=hedge))
    return world


@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
@given(
    params=breakouts(),
    seed=st.integers(0, 10**6),
    share=st.sampled_from(["1", "0.3", "0.05"]),
    brackets=st.booleans(),
    place=st.sampled_from(["venue", "here"]),
)
@settings(max_examples=EXAMPLES)
def test_a_breakout_in_a_random_market(
    hedge: bool, params: dict[str, Any], seed: int, share: str, brackets: bool, place: str
) -> None:
    """One position per book, never without a stop, and the books balance."""
    world = breakout_world(
        wander(TURNS, seed),
        hedge=hedge,
        participation=Decimal(share),
        brackets=brackets,
        place=place,
        **params,
    )
    watch = Watch(world)
    if place == "venue":
        watched(world, hedge=hedge)
    world.run()

    check_all(world, watch)
    check_one_position(world)
    check_exits_are_free(world)
    check_beliefs(world, hedge=hedge)


@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
@given(
    params=breakouts(),
    seed=st.integers(0, 10**6),
    share=st.sampled_from(["1", "0.2"]),
    found=troubles,
    turns=crashes,
    brackets=st.booleans(),
)
@settings(max_examples=2 * EXAMPLES)
def test_a_breakout_in_trouble(
    hedge: bool,
    params: dict[str, Any],
    seed: int,
    share: str,
    found: list[tuple[int, FaultKind, int]],
    turns: list[int],
    brackets: bool,
) -> None:
    """Refusals, lost answers, pieces, repeats and crashes change none of it."""
    world = breakout_world(
        wander(TURNS, seed),
        hedge=hedge,
        participation=Decimal(share),
        brackets=brackets,
        **params,
    )
    for turn, fault, count in found:
        if fault is FaultKind.REORDER_FILLS:  # pieces that change places; else one would go missing
            strike_at(world, turn, FaultKind.SPLIT_FILLS, parts=3)
        strike_at(world, turn, fault, count if fault is FaultKind.REJECT else 1, by="90s")
    for turn in turns:
        crash_at(world, turn)
    watched(world, hedge=hedge).run()

    assert world.session.halted is None
    assert not world.assembly.supervisor.quarantined
    check_one_position(world)
    check_exits_are_free(world)
    if not venue(world).owes:  # what is still on its way at the end is nobody's yet
        check_books(world)
        check_beliefs(world, hedge=hedge)


@given(seed=st.integers(0, 10**6), params=breakouts(), turns=crashes)
@settings(max_examples=10)
def test_a_breakout_is_the_same_however_its_messages_are_delivered(
    seed: int, params: dict[str, Any], turns: list[int]
) -> None:
    """Every message through a mailbox, or none: the same journal, byte for byte."""
    journals = []
    for queued in (False, True):
        world = breakout_world(
            wander(TURNS, seed), hedge=True, participation=Decimal("0.2"), queued=queued, **params
        )
        for turn in turns:
            crash_at(world, turn)
        journals.append(world.run().lines)

    assert journals[0] == journals[1]


def test_the_random_markets_reach_what_they_are_for() -> None:
    """Over some seeds there are entries both ways, stops, trails, channels, time stops, pieces."""
    seen: set[str] = set()
    for seed in range(12):
        for more in ({}, {"trail_atr": None, "exit_period": 2}, {"max_bars": 4}):
            world = breakout_world(wander(TURNS, seed), participation=Decimal("0.1"), **more).run()
            tags = {i.intent_id: i.tag for i in intents_of(world)}
            seen |= {tags.get(fill.order_id, "") for fill, _ in fills_of(world)}
            seen |= {report.event.value for report in world.reports()}
            seen |= {i.side.value for i in intents_of(world) if isinstance(i, OpenIntent)}

    assert {"long entry", "short entry", "stop", "trail", "channel", "time stop"} <= seen
    assert {"filled_partly", "cancelled", "buy", "sell"} <= seen
