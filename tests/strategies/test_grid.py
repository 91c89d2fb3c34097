"""Grids in sessions: each hook, and what happens when things happen otherwise."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from grid_makers import (
    PLAIN,
    SPOT,
    asked,
    books_of,
    grid,
    grid_world,
    traded,
    wrong_lots,
)
from ladder_makers import HYPE, crash_at, fills_of, intents_of, ladder_spec, strike_at, venue
from session_world import MINUTE, START, World, flat

from messages import (
    BackoffChanged,
    CancelIntent,
    IntentAction,
    MinimumOrder,
    OpenIntent,
    OperatorReduce,
    OrderFamily,
    PositionSide,
    RiskDecision,
    Side,
)
from scenarios.model.steps import FaultKind, VenueFault
from state.ledger import LotMethod
from strategies.contract import missing_hooks
from strategies.grid import Grid
from strategies.loader import StrategyLoadError, load_strategy, resolve_lot_method
from strategies.trial import Candidate

D = Decimal
BOTH = PositionSide.BOTH
THREE: dict[str, Any] = {"upper": "25.5", "levels": 3}
"""No line above 25.5."""


def run(prices: list[float], **params: Any) -> World:
    return grid_world(prices, **params).run()


def held(world: World) -> dict[int, Decimal]:
    (book,) = books_of(world)
    return book.held


def closed_by_somebody_else(quantity: str) -> Any:
    """Return what closes a part of the strategy's position without asking it."""

    def close(world: World) -> None:
        now = world.assembly.clock.now
        order = OperatorReduce(f"operator-{now}", "one", HYPE, Side.SELL, D(quantity), now, BOTH)
        world.assembly.dispatcher.publish("operator", order)

    return close


def refuse(world: World, tag: str) -> None:
    """Cancel the order of ``tag``, and let the venue refuse the next one."""
    name = next(i.intent_id for i in intents_of(world) if i.tag == tag)
    venue(world).strike(VenueFault(fault=FaultKind.REJECT, count=1))
    cancel = CancelIntent("test-cancel", "one", HYPE, world.assembly.clock.now, name)
    world.assembly.dispatcher.publish("operator", cancel)


# -- the course of things


def test_a_level_is_bought_at_its_lower_line_and_sold_at_its_upper_one() -> None:
    """And each time anew."""
    world = run([25.2, 25.2, 24.9, 25.6, 24.9, 25.6], **THREE)

    assert [
        ("long open 3", D(1), D(25)),
        ("long close 3", D(1), D("25.5")),
    ] * 2 == traded(world)
    assert {} == held(world)


def test_a_step_is_earned_by_each_round() -> None:
    """What a round earns is the step times the quantity, before fees."""
    world = run([25.2, 25.2, 24.9, 25.6, 24.9, 25.6], **THREE, quantity=3)
    earned = [report.booking.realized_pnl for _, report in fills_of(world) if report.booking]

    assert [D(0), D("1.5"), D(0), D("1.5")] == earned


def test_a_fall_through_all_lines_fills_each_level_once_and_a_rise_leaves_nothing() -> None:
    """The nearest first both ways; at the end the book is flat."""
    world = run([26.2, 26.2, 23.9, 23.9, 26.1, 26.1])

    assert [f"long open {n}" for n in (4, 3, 2, 1)] == [tag for tag, *_ in traded(world)][:4]
    assert [f"long close {n}" for n in (1, 2, 3, 4)] == [tag for tag, *_ in traded(world)][4:]
    assert {} == held(world)
    assert [] == wrong_lots(world)


def test_a_short_grid_is_a_long_one_upside_down() -> None:
    """Levels are sold at their upper line and bought back at their lower one."""
    world = run([24.8, 24.8, 25.1, 24.4], direction="short")

    assert [("short open 2", D(1), D(25)), ("short close 2", D(1), D("24.5"))] == traded(world)


def test_a_neutral_grid_is_long_below_its_centre_and_short_above() -> None:
    """Two books of half the levels each, which know nothing of each other."""
    world = run([25, 25, 24.4, 25.6, 24.9], direction="neutral", hedge=True)
    long, short = books_of(world)

    assert (range(1, 3), range(3, 5)) == (long.levels, short.levels)
    assert [
        ("long open 2", D("24.5")),
        ("long close 2", D(25)),
        ("short open 3", D("25.5")),
        ("short close 3", D(25)),
    ] == [(tag, price) for tag, _, price in traded(world)]


def test_spot_can_be_held() -> None:
    """A long grid needs no perpetual."""
    world = run([25.2, 25.2, 24.9, 25.6], symbol=SPOT)

    assert ["long open 3", "long close 3"] == [tag for tag, *_ in traded(world)]


def test_a_grid_without_bounds_is_laid_around_the_close_that_it_begins_at() -> None:
    """And stays there."""
    world = run([25, 25, 24.9, 24.8], plain=False, quantity=1, step_bps=100, levels=2)
    (book,) = books_of(world)

    assert D(25) == book.anchor
    assert book.lines is not None
    assert (D("24.752475247525"), D(25), D("25.25")) == book.lines.prices


def test_only_the_nearest_levels_rest() -> None:
    """Openings and closings apart; a market that moves takes the bound along."""
    world = grid_world([25.9, 25.9, 25.9, 24.9, 24.9, 23.9, 23.9], resting=1)
    world.run()

    assert ["long open 4", "long open 3", "long open 2", "long open 1"] == asked(world, "open")[:4]
    assert ["long close 4", "long close 3"] == asked(world, "close")[:2]
    assert "long close 4" in [cancel.tag for cancel in world.all(CancelIntent)]


def test_an_opening_that_the_market_has_left_makes_room_for_a_nearer_one() -> None:
    """It is cancelled at the close at which the nearer one is asked for."""
    world = run([24.2, 24.2, 24.7, 24.7], resting=1)
    (cancel,) = world.all(CancelIntent)

    assert ["long open 1", "long open 2"] == asked(world)
    assert ("long open 1", START + 3 * MINUTE) == (cancel.tag, cancel.created_at)


def test_a_gap_in_the_levels_is_not_filled_while_a_nearer_one_is_held() -> None:
    """The ledger would take the lot that was bought last for the one that is sold first."""
    world = run([25.2, 25.2, 24.4])
    strategy = grid(world)
    (book,) = books_of(world)
    free = list(strategy._looker._free(book, book.lines, {}))  # type: ignore[arg-type]
    book.place = 2 * 3  # between 25 and 25.5, and level 3 lost
    book.held.pop(3)

    assert [1] == free
    assert [1] == list(strategy._looker._free(book, book.lines, {}))  # type: ignore[arg-type]


# -- calm


def test_bars_in_which_nothing_is_due_are_not_looked_at() -> None:
    """While everything rests that should, a close is a comparison of floats."""
    world = grid_world(flat(HYPE, 60, 25.2))
    world.start()
    looker = grid(world)._looker
    looked: list[int] = []
    look = looker.look

    def counted(*args: Any, **terms: Any) -> Any:
        looked.append(world.assembly.clock.now)
        return look(*args, **terms)

    looker.look = counted  # type: ignore[method-assign]
    world.play()
    world.finish()

    assert [START + MINUTE, START + 2 * MINUTE] == looked  # the second finds that all rest


# -- pieces


def test_a_level_that_was_filled_in_part_is_closed_when_the_market_has_left_it() -> None:
    """Half the way to its upper line the rest is cancelled; what was bought is sold."""
    prices = [25.2, 25.2, 24.99, 25.2, 25.3, 25.3, 25.6, 25.6, 25.6]
    world = run(prices, quantity=1500, participation="0.5")
    (first, *_) = traded(world)
    (cancel,) = [c for c in world.all(CancelIntent) if c.tag == "long open 3"]
    closing = next(i for i in intents_of(world) if "close" in i.tag)

    assert ("long open 3", D(500), D(25)) == first
    assert (START + 5 * MINUTE, D(1000)) == (cancel.created_at, closing.quantity)
    assert ["long close 3"] * 2 == [tag for tag, *_ in traded(world)][2:4]


# -- minimums, restrictions, brakes


def test_an_opening_below_the_minimum_is_raised_or_skipped() -> None:
    """`set_broker_min_order` is heard at any time."""
    rules = {"min_notional": D(5)}
    small = {"quantity": "0.1", "rules": rules}
    raised = run([25.2] * 3, **small)
    skipped = grid_world([25.2] * 8, **small, below_minimum="skip")
    lower = MinimumOrder(HYPE, 0, None, D(2))
    skipped.before_turn(4, lambda made: made.session.change_minimum(lower)).run()

    assert D("0.201") == intents_of(raised)[0].quantity
    assert START + 5 * MINUTE == intents_of(skipped)[0].created_at


def test_what_is_too_small_to_be_sold_is_bought_up_first() -> None:
    """A level that holds less than the venue accepts is opened again for what it lacks."""
    world = grid_world([25.2, 25.2, 24.9, 25.2, 25.2, 25.2], rules={"min_quantity": D("0.5")})
    world.before_turn(3, closed_by_somebody_else("0.6")).run()

    assert [D(1), D("0.6")] == [i.quantity for i in intents_of(world) if i.tag == "long open 3"]


def test_a_level_under_way_is_not_asked_for_again() -> None:
    """The strategy's own circuit says which order is in the way."""
    world = grid_world([25.2] * 3)
    world.run()
    strategy = grid(world)
    twin = next(i for i in intents_of(world) if i.tag == "long open 3")
    other = OpenIntent("x", "one", HYPE, Side.BUY, D(1), 0, tag="long open 3")

    assert None is strategy.can_submit_order(twin)  # type: ignore[arg-type]
    assert str(strategy.can_submit_order(other)).startswith("level 3 has open order ")


def test_nothing_is_opened_after_a_stop() -> None:
    """Whatever asks."""
    world = run([25.2, 25.2, 23.4], stop_price="23.5")
    other = OpenIntent("x", "one", HYPE, Side.BUY, D(1), 0, tag="long open 3")

    assert "the grid has stopped" == grid(world).can_submit_order(other)


def test_refused_openings_rest_and_keep_no_closing_back() -> None:
    """A level is free again after the backoff; what is held leaves meanwhile."""
    world = grid_world(
        [25.2, 25.2, 24.9, 24.9, 24.9, 25.6, *[25.2] * 10], backoff_base_s=300, **THREE
    )
    world.before_turn(4, lambda made: refuse(made, "long open 2"))
    world.run()
    backoff = [b for b in world.all(BackoffChanged) if b.failures]
    refused = {cause.code for d in world.all(RiskDecision) for cause in d.causes}

    assert [(OrderFamily.ENTRY, 1)] == [(b.family, b.failures) for b in backoff]
    assert ["long open 3", "long close 3"] == [tag for tag, *_ in traded(world)][:2]
    assert set() == refused
    again = [i.created_at for i in intents_of(world) if i.tag == "long open 2"]
    assert again[-1] >= backoff[0].until


def test_a_closing_that_was_refused_is_asked_for_at_the_next_close() -> None:
    """What closes never rests."""
    world = grid_world([25.2, 25.2, 24.9, 24.9, 25.6])
    strike_at(world, 2, FaultKind.REJECT)
    world.run()

    assert 2 == asked(world).count("long close 3")
    assert {} == held(world)


def test_a_post_only_order_that_would_take_is_no_refusal() -> None:
    """It is asked for again at each close, and nothing rests."""
    world = run([25.2, 25.2, 23.9, 26.2, 26.2, 26.2], open_maker="only", close_maker="only")

    assert [] == grid(world).execution_backoff().known()


# -- the stop


def test_a_close_at_the_stop_closes_all_and_cancels_what_would_open() -> None:
    """And for good, unless a pause is set."""
    world = run([25.2, 25.2, 24.3, 23.4, 23.4, 25.2, 25.2], stop_price="23.5", resting=2)
    (stop,) = [i for i in intents_of(world) if i.action is IntentAction.CLOSE]
    (book,) = books_of(world)

    assert ("long stop", START + 4 * MINUTE) == (stop.tag, stop.created_at)
    assert "stopped" == book.phase
    assert {} == held(world)
    assert {} == book.orders
    assert [] == [i for i in intents_of(world) if i.created_at > stop.created_at]


def test_a_refused_stop_is_asked_for_again_at_the_next_close() -> None:
    """It never rests; the grid stays stopped."""
    world = grid_world([25.2, 25.2, 23.9, 23.9, 23.4, 23.4, 23.4], stop_price="23.5")
    strike_at(world, 4, FaultKind.REJECT)
    world.run()

    assert 2 == asked(world).count("long stop")
    assert {} == held(world)


def test_after_the_pause_a_grid_begins_anew_when_the_market_is_back_in_its_range() -> None:
    """Not before both; the close after the one that finds it so is the first to open."""
    prices = [25.2, 25.2, 24.3, 23.4, *[23.4] * 5, 25.2, 25.2]
    world = run(prices, stop_price="23.5", stop_pause_s=120)
    again = [i for i in intents_of(world) if i.tag == "long open 3"]

    assert [1, 11] == [(i.created_at - START) // MINUTE for i in again]
    assert "trading" == books_of(world)[0].phase


def test_a_grid_without_bounds_is_laid_anew_after_the_pause() -> None:
    """Around the close at which it begins anew."""
    params = {"plain": False, "quantity": 1, "step_bps": 100, "levels": 2, "stop_bps": 100}
    world = run([25, 25, 24.6, 24, 24, 24, 24, 24], stop_pause_s=60, **params)
    (book,) = books_of(world)

    assert D(24) == book.anchor


def test_in_hedge_mode_each_book_has_its_stop() -> None:
    """The other one goes on."""
    world = run(
        [25, 25, 24.4, 23.6, 23.4, 23.4],
        direction="neutral",
        hedge=True,
        stop_bps=100,
    )
    long, short = books_of(world)

    assert ("stopped", "trading") == (long.phase, short.phase)


# -- somebody else, and crashes


def test_what_somebody_else_has_closed_is_taken_off_the_nearest_level() -> None:
    """What is left of it has a closing of its size."""
    world = grid_world([25.2, 25.2, 24.4, 24.4, 24.4, 24.4])
    world.before_turn(3, closed_by_somebody_else("0.25")).run()

    assert {2: D("0.75"), 3: D(1)} == held(world)
    assert [D("0.75")] == [i.quantity for i in intents_of(world) if i.tag == "long close 2"][-1:]


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_grid_that_was_made_anew_goes_on_as_if_nothing_had_been(turn: int) -> None:
    """The same intents with the same ids, the same fills."""
    prices = [25.2, 25.2, 24.9, 24.2, 25.1, 25.7, 24.4, 26.2, 24.1, 25]
    whole = grid_world(prices).run()
    broken = grid_world(prices)
    crash_at(broken, turn)
    broken.run()

    assert [(i.intent_id, i.tag, i.created_at) for i in intents_of(whole)] == [
        (i.intent_id, i.tag, i.created_at) for i in intents_of(broken)
    ]
    assert traded(whole) == traded(broken)


def test_a_snapshot_comes_back_on_a_fresh_object() -> None:
    """To the last figure, in the middle of things."""
    world = grid_world([25.2, 25.2, 24.9, 24.2, 25.1, 25.7, 24.4])
    compared: list[bool] = []

    def compare(made: World) -> None:
        old = grid(made)
        saved = json.dumps(old.snapshot())
        fresh = Grid(old.desk, old._set)
        fresh.restore(json.loads(saved))
        compared.append(json.dumps(fresh.snapshot()) == saved)

    for turn in range(1, 7):
        world.before_turn(turn, compare)
    world.run()

    assert [True] * 6 == compared


def test_an_order_lost_in_a_crash_is_put_back_when_it_starts() -> None:
    """Without waiting for a close."""
    world = grid_world([25.2, 25.2, 24.9, 24.9])
    world.run()
    strategy = grid(world)
    (book,) = books_of(world)
    for name in list(book.orders):
        book.ended(name)

    tags = [each.tag for each in strategy.on_start() or ()]

    assert ["long close 3", "long open 2", "long open 1"] == tags


# -- what it declares


def test_every_hook_is_its_own_and_lots_are_last_in_first_out() -> None:
    """It may trade live, and its ledger closes the level that was bought last."""
    loaded = load_strategy("grid")

    assert [] == missing_hooks(loaded.factory)
    assert LotMethod.LIFO is resolve_lot_method(loaded, None)
    with pytest.raises(StrategyLoadError, match="expected 'lifo' or none"):
        resolve_lot_method(loaded, LotMethod.FIFO)


@pytest.mark.parametrize(
    ("symbol", "hedge", "params", "message"),
    [
        (HYPE, False, {"direction": "neutral"}, "has one net book, expected hedge mode"),
        (SPOT, False, {"direction": "short"}, "is spot, which can only be held"),
        (SPOT, False, {"levels": 400}, "less than the price tick of HYPE/USDT"),
    ],
)
def test_a_grid_that_cannot_be_is_not_made(
    symbol: str, hedge: bool, params: dict[str, Any], message: str
) -> None:
    """What a symbol cannot do is said before anything is traded."""
    spec = ladder_spec("grid", (symbol,), **PLAIN | params)
    world = grid_world([25.0], symbol=symbol, rules={"price_tick": D("0.01")})
    instruments = world.spec.instruments
    sides = {symbol: (BOTH,)}
    candidate = Candidate("one", spec.factory, spec.params, sides, (), instruments)

    with pytest.raises(StrategyLoadError, match=message):
        candidate.made()
    assert not hedge
