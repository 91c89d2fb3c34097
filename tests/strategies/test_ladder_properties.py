"""Ladders over random markets, venues and crashes: what must hold whatever happens."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import Watch, check_all, check_books
from ladder_makers import (
    BookKey,
    books_of,
    crash_at,
    fills_of,
    intents_of,
    ladder,
    ladder_spec,
    ladder_world,
    live_at_once,
    most_held,
    strike_at,
    tags_of,
    venue,
    wander,
)
from session_world import World

from messages import IntentAction, PositionSide, Side
from scenarios.model.steps import FaultKind
from state.money import use_exact_context

pytestmark = pytest.mark.exhaustive

TURNS = 120
EXAMPLES = 20

LADDERS = ["dual_dca lot", "dual_dca average", "dual_dca_lifo"]

sizes = st.decimals(Decimal("0.1"), Decimal(5), places=1)
bps = st.integers(20, 400).map(Decimal)
growths = st.decimals(Decimal(1), Decimal(2), places=1)

resting = st.fixed_dictionaries(
    {"dca_order_type": st.just("limit"), "resting_rungs": st.integers(1, 4)},
    optional={"dca_maker": st.sampled_from(["any", "prefer", "only"]), "dca_retries": st.just(2)},
)
here = st.one_of(
    st.just({"dca_order_type": "market"}),
    st.just({"dca_place": "here"}),
    st.just({"dca_place": "here", "dca_timeout_s": 90, "dca_market_fallback": "timeout,reject"}),
    st.just({"dca_place": "here", "dca_timeout_s": 150}),
)
entries = st.one_of(
    st.just({}),
    st.just({"entry_order_type": "limit", "entry_offset_bps": 10, "entry_timeout_s": 150}),
    st.just({"entry_retries": 2}),
    st.just(
        {
            "entry_order_type": "limit",
            "entry_timeout_s": 90,
            "entry_market_fallback": "timeout",
            "entry_maker": "prefer",
        }
    ),
)
exits = st.one_of(
    st.just({}),
    st.just({"exit_retries": 2, "exit_maker": "prefer"}),
    st.just({"exit_order_type": "market"}),
    st.just({"exit_place": "here", "exit_timeout_s": 90, "exit_market_fallback": "timeout"}),
)


@st.composite
def ladders(draw: Any) -> dict[str, Any]:
    """Return a ladder's parameters that agree with each other."""
    params = {
        "quantity": draw(sizes),
        "rungs": draw(st.integers(0, 5)),
        "step_bps": draw(bps),
        "step_growth": draw(st.sampled_from([Decimal(1), Decimal("1.3")])),
        "size_growth": draw(growths),
        "take_profit_bps": draw(bps),
        "cooldown_bars": draw(st.integers(0, 4)),
        "reopen_rungs": draw(st.booleans()),
        "backoff_base_s": 1,
        **draw(st.one_of(resting, here)),
        **draw(entries),
        **draw(exits),
    }
    if draw(st.booleans()):
        params["stop_bps"] = Decimal(9_000)
    return params


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


def world_of(
    use: str,
    params: dict[str, Any],
    seed: int,
    *,
    hedge: bool,
    participation: str = "1",
    **more: Any,
) -> World:
    """Return the world of a ladder over a random walk that falls first and rises then."""
    name, _, exit_ = use.partition(" ")
    exits = {"exit": exit_} if exit_ else {}
    return ladder_world(
        wander(TURNS, seed, dip=seed % 12),
        ladder_spec(name, **params, **exits),
        hedge=hedge,
        participation=Decimal(participation),
        **more,
    )


def check_depth(world: World, params: dict[str, Any]) -> None:
    """No book ever held more than its whole ladder."""
    most = Decimal(0)
    size = params["quantity"]
    for _ in range(params["rungs"] + 1):
        most += size
        size *= params["size_growth"]

    for book, held in most_held(world).items():
        assert held <= most, f"{book} held {held} of {most}"


def check_one_order_each(world: World) -> None:
    """No rung and no lot ever has two orders at the venue."""
    tags = tags_of(world)
    for intent, others in live_at_once(world):
        twins = [other.intent_id for other in others if other.tag == intent.tag]

        assert [] == twins, f"{intent.intent_id} {tags[intent.intent_id]}: {twins}"


def check_one_exit(world: World) -> None:
    """In a LIFO ladder only one exit is ever at the venue: the newest lot's."""
    for intent, others in live_at_once(world):
        if " exit " in intent.tag:
            assert [] == [other.tag for other in others if " exit " in other.tag]


def check_beliefs(world: World) -> None:
    """At the end the strategy, its desk and the ledger hold the same."""
    desk = ladder(world).desk
    positions = {
        (p.symbol, p.position_side): p.quantity for p in world.assembly.books.ledger.positions()
    }
    for book in books_of(world):
        held = desk.position(book.symbol, book.side)

        assert held == book.quantity * book.sign
        assert held == positions.get((book.symbol, book.side), Decimal(0))


def check_kept_states(world: World) -> None:
    """What each book keeps of its state is its state."""
    for book in books_of(world):
        assert book.state() == json.loads(bytes(book.encoded()))


def check_newest_first(world: World) -> None:
    """Every reduction takes the newest fills that are left, wholly or partly, and no others."""
    use_exact_context()
    open_: dict[BookKey, deque[list[Any]]] = defaultdict(deque)
    for fill, report in fills_of(world):
        assert report.booking is not None
        key = (fill.symbol, fill.position_side)
        lots = open_[key]
        opens = not lots or (lots[-1][2] is fill.side)
        if opens:
            lots.append([f"L-{fill.trade_id}", fill.quantity, fill.side])
            continue
        left, taken = fill.quantity, []
        while left:
            newest = lots[-1]
            part = min(left, newest[1])
            taken.append(newest[0])
            newest[1] -= part
            left -= part
            if not newest[1]:
                lots.pop()

        assert tuple(taken) == report.booking.lot_ids


@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
@pytest.mark.parametrize("use", LADDERS)
@given(
    params=ladders(),
    seed=st.integers(0, 10**6),
    share=st.sampled_from(["1", "0.3", "0.05"]),
    brackets=st.booleans(),
)
@settings(max_examples=EXAMPLES)
def test_a_ladder_in_a_random_market(
    use: str, hedge: bool, params: dict[str, Any], seed: int, share: str, brackets: bool
) -> None:
    """It holds no more than its ladder, has no two orders for one thing, and books balance."""
    world = world_of(use, params, seed, hedge=hedge, participation=share, brackets=brackets)
    watch = Watch(world)
    world.run()

    check_all(world, watch)
    check_depth(world, params)
    check_one_order_each(world)
    check_beliefs(world)
    if use == "dual_dca_lifo":
        check_one_exit(world)
        check_newest_first(world)


@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
@pytest.mark.parametrize("use", LADDERS)
@given(
    params=ladders(),
    seed=st.integers(0, 10**6),
    share=st.sampled_from(["1", "0.2"]),
    found=troubles,
    turns=crashes,
    brackets=st.booleans(),
)
@settings(max_examples=EXAMPLES)
def test_a_ladder_in_trouble(
    use: str,
    hedge: bool,
    params: dict[str, Any],
    seed: int,
    share: str,
    found: list[tuple[int, FaultKind]],
    turns: list[int],
    brackets: bool,
) -> None:
    """Refusals, lost answers, pieces, repeats and crashes change none of it."""
    world = world_of(use, params, seed, hedge=hedge, participation=share, brackets=brackets)
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
    check_one_order_each(world)
    check_depth(world, params)
    if not venue(world).owes:  # what is still on its way at the end is nobody's yet
        check_books(world)
        check_beliefs(world)
    if use == "dual_dca_lifo":
        check_newest_first(world)


def test_a_late_acceptance_does_not_end_an_exit_that_has_a_follow_up() -> None:
    """The venue says so after its cancel; what was out for the lot by then got a twin."""
    params = {
        "quantity": Decimal("3.2"),
        "rungs": 5,
        "step_bps": Decimal(36),
        "step_growth": Decimal(1),
        "size_growth": Decimal("1.6"),
        "take_profit_bps": Decimal(157),
        "cooldown_bars": 0,
        "reopen_rungs": False,
        "backoff_base_s": 1,
        "dca_place": "here",
        "exit_place": "here",
        "exit_timeout_s": 90,
        "exit_market_fallback": "timeout",
    }
    world = world_of("dual_dca lot", params, 0, hedge=True, participation="0.2", brackets=False)
    strike_at(world, 94, FaultKind.DELAY_ACCEPTANCE, by="90s")
    world.run()

    check_one_order_each(world)
    check_beliefs(world)


@given(seed=st.integers(0, 10**6), params=ladders())
@settings(max_examples=10)
def test_in_hedge_mode_the_books_are_the_ladders_that_stand_alone(
    seed: int, params: dict[str, Any]
) -> None:
    """A long and a short book side by side do what each of them does alone in one-way mode."""
    # Whether an order would take, the venue knows by the prices that it has been shown, and it is
    # shown more of them when there are orders of both books.
    params = {name: value for name, value in params.items() if not name.endswith("_maker")}
    pair = world_of("dual_dca lot", params, seed, hedge=True).run()
    alone = {
        side: world_of(
            "dual_dca lot", {**params, "one_way_side": side.value}, seed, hedge=False
        ).run()
        for side in (PositionSide.LONG, PositionSide.SHORT)
    }
    for side, world in alone.items():
        of_pair = [
            (fill.timestamp, fill.side, fill.quantity, fill.price)
            for fill, _ in fills_of(pair)
            if fill.position_side is side
        ]
        of_one = [
            (fill.timestamp, fill.side, fill.quantity, fill.price) for fill, _ in fills_of(world)
        ]

        assert of_one == of_pair


@pytest.mark.parametrize("use", LADDERS)
@given(seed=st.integers(0, 10**6), params=ladders(), turns=crashes)
@settings(max_examples=5)
def test_a_ladder_is_the_same_however_its_messages_are_delivered(
    use: str, seed: int, params: dict[str, Any], turns: list[int]
) -> None:
    """Every message through a mailbox, or none: the same journal, byte for byte."""
    journals = []
    for queued in (False, True):
        world = world_of(use, params, seed, hedge=True, participation="0.2", queued=queued)
        for turn in turns:
            crash_at(world, turn)
        journals.append(world.run().lines)

    assert journals[0] == journals[1]


def test_the_random_markets_reach_what_they_are_for() -> None:
    """Over some seeds there are whole ladders, exits of every kind, stops and partial fills."""
    seen: set[str] = set()
    for seed in range(12):
        for use in LADDERS:
            params = {
                "quantity": Decimal(1),
                "rungs": 3,
                "step_bps": Decimal(80),
                "take_profit_bps": Decimal(60),
                "stop_bps": Decimal(300),
            }
            world = world_of(use, params, seed, hedge=True, participation="0.1").run()
            seen |= {intent.tag for intent in intents_of(world)}
            seen |= {intent.action.value for intent in intents_of(world)}
            seen |= {fill.side.value for fill, _ in fills_of(world)}
            seen |= {report.event.value for report in world.reports()}

    assert {"long rung 3", "short rung 3", "long stop", "short stop", "long exit all"} <= seen
    assert {IntentAction.SET_TAKE_PROFIT.value, IntentAction.SET_STOP.value} <= seen
    assert {"filled_partly", "cancelled", Side.BUY.value, Side.SELL.value} <= seen
