"""donchian_breakout: when it enters, how it is protected, how it leaves, and what fails."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from breakout_makers import (
    bars_of,
    book_of,
    breakout,
    breakout_world,
    is_protected,
    signals,
    step,
    still,
)
from ladder_makers import HYPE, fills_of, intents_of, strike_at, wander
from session_world import BTC, MINUTE, START, World

from messages import (
    Bar,
    Cause,
    IntentAction,
    MinimumOrder,
    OpenIntent,
    OrderFamily,
    OrderType,
    PlanIntent,
    PositionSide,
    ReasonCode,
    ReduceIntent,
    Rollback,
    Side,
    StateOccasion,
    StrategyState,
)
from scenarios.model.steps import FaultKind
from state.money import use_exact_context
from strategies.contract import Rejection

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


# -- in


@pytest.mark.parametrize(
    ("close", "expected"),
    [(100.5, []), (100.51, ["buy"]), (99.5, []), (99.49, ["sell"])],
)
def test_a_close_beyond_the_channel_of_the_bars_before_is_followed(
    close: float, expected: list[str]
) -> None:
    """At the channel's own end nothing happens, a hair beyond it does; the wick does not count."""
    world = run([*CALM, (100, 100.9, 99.1, close), *still(close)])

    assert expected == [intent.side.value for intent in entries(world)]


def test_nothing_is_entered_before_channel_and_range_are_there() -> None:
    """The channel needs ``entry_period`` bars before the one that breaks it; the range its own."""
    rising = [step(100 + n, 101 + n) for n in range(12)]
    assert START + 4 * MINUTE == entries(run(rising))[0].created_at
    assert START + 7 * MINUTE == entries(run(rising, atr_period=7))[0].created_at


def test_an_entry_says_what_it_is_for() -> None:
    """Its quantity, the close it was decided on, where its stop is meant to be; it rolls back."""
    world = run(UP, quantity="0.37")
    (entry,) = entries(world)

    assert (D("0.37"), D("101.0"), "long entry") == (
        entry.quantity,
        entry.decision_price,
        entry.tag,
    )
    assert D("101.0") - 2 * D("1.0") == entry.planned_stop
    assert Rollback.IF_UNFILLED is entry.policy.rollback


@pytest.mark.parametrize(
    ("sides", "expected"), [("long", ["buy"]), ("short", ["sell"]), ("both", ["buy", "sell"])]
)
@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
def test_only_the_wanted_sides_are_entered(sides: str, expected: list[str], hedge: bool) -> None:
    """Down first is a short, up first a long, each in its book."""
    ways = []
    for close in (101.0, 99.0):
        world = run([*CALM, step(100, close), *still(close, 2)], sides=sides, hedge=hedge)
        ways += [intent.side.value for intent in entries(world)]

    assert expected == ways


def test_spot_is_never_sold_short() -> None:
    """Of both sides the long one is left; the short one alone would be nothing at all."""
    down = [*CALM, step(100, 99), *still(99, 2)]

    assert [] == entries(run(down, BTC))
    assert ["buy"] == [intent.side.value for intent in entries(run(UP, BTC))]
    with pytest.raises(Exception, match="sides is short: BTC/USDT cannot be sold short"):
        run(down, BTC, sides="short")


@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
@pytest.mark.parametrize("seed", range(8))
def test_entries_are_those_of_a_plain_recomputation(seed: int, hedge: bool) -> None:
    """At every close at which a book is flat, and only there, a break is an entry."""
    bars = wander(250, seed)
    params = {"entry_period": 5, "atr_period": 4, "stop_atr": "1.5"}
    world = breakout_world(bars, hedge=hedge, **params).run()
    use_exact_context()
    found = {s.at: s for s in signals(bars, 5, 4)}
    books = [(LONG, (1,)), (SHORT, (-1,))] if hedge else [(BOTH, (1, -1))]
    expected = []
    for side, ways in books:
        held = D(0)
        waits = False
        fills = [f for f, _ in fills_of(world) if f.position_side is side]
        for bar in bars[:-1]:
            at = bar.timestamp + MINUTE
            for fill in fills:
                if fill.timestamp == bar.timestamp:  # told at its bar's close
                    held += fill.quantity * fill.side.sign
                    waits = False
            signal = found[at]
            if signal.sign in ways and not held and not waits and signal.range:
                expected.append((at, side, signal.sign))
                waits = True
    asked = [(i.created_at, i.position_side, i.side.sign) for i in entries(world)]

    assert sorted(expected) == sorted(
        each for each in asked if each[0] < bars[-1].timestamp + MINUTE
    )
    assert len(asked) > 5


# -- how much


def test_a_risk_is_what_is_lost_at_the_stop() -> None:
    """The quantity is the risk by the distance of the stop, down to the instrument's step."""
    world = run(UP, quantity=None, risk_quote=7, rules={"lot_step": D("0.1")})
    (entry,) = entries(world)

    assert D("3.5") == entry.quantity  # two ranges of 1.0 each
    assert (
        D("3.4")
        == entries(run(UP, quantity=None, risk_quote="6.99", rules={"lot_step": D("0.1")}))[
            0
        ].quantity
    )


def test_a_risk_that_does_not_divide_is_never_exceeded() -> None:
    """Rounding goes down, wherever the digits end."""
    use_exact_context()
    for risk in ("1", "10", "0.7", "1e-7", "123456.789"):
        world = run(ONCE, quantity=None, risk_quote=risk, stop_atr=3, cash=10**9)
        (entry,) = entries(world)
        assert entry.quantity is not None
        lost = entry.quantity * 3

        assert D(0) <= D(risk) - lost < D("1e-11")


@pytest.mark.parametrize(
    "rules", [{"min_quantity": D(4)}, {"min_notional": D(400)}, {"lot_step": D(5)}]
)
def test_what_would_risk_more_to_reach_a_minimum_is_not_entered(rules: dict[str, Any]) -> None:
    """3.5 at 101 would be refused, and 4 would risk more than was said."""
    assert [] == entries(run(ONCE, quantity=None, risk_quote=7, rules=rules))


def test_the_minimum_may_change() -> None:
    """What the broker says last counts."""
    world = breakout_world(bars_of(ONCE), quantity=None, risk_quote=7)
    world.before_turn(
        3, lambda w: breakout(w).set_broker_min_order(MinimumOrder(HYPE, 0, D(4), None))
    )

    assert [] == entries(world.run())


def test_a_notional_is_left_to_risk() -> None:
    """The intent delegates, and Risk divides."""
    world = run(UP, quantity=None, notional=202)
    (entry,) = entries(world)

    assert (None, D(202)) == (entry.quantity, entry.notional)
    assert D(2) == next(fill.quantity for fill, _ in fills_of(world))


# -- out


def test_the_stop_is_ranges_from_the_entry_price_and_asked_for_with_the_fill() -> None:
    """The fill's price, not the close's; the range of the break, on the instrument's grid."""
    rows = [*UP[:-1], (101.2, 102, 101.1, 101.9)]
    world = run(rows, stop_atr="1.3337", rules={"price_tick": D("0.01")})
    (stop,) = exits(world)
    fill, _ = fills_of(world)[0]

    assert D("101.2") == fill.price
    assert IntentAction.SET_STOP is stop.action
    assert stop.policy.stop_price == D("99.86")  # 101.2 - 1.3337 down to the tick
    assert START + 6 * MINUTE == stop.created_at == fill.timestamp + MINUTE
    assert (1, OrderType.STOP) == (len(world.all(PlanIntent)), stop.policy.order_type)


def test_the_stop_follows_an_entry_that_comes_in_pieces() -> None:
    """From the first piece on it covers what is held; whole, it is at the mean price's distance."""
    rows = [*UP[:-1], (101.0, 101.3, 101, 101.3), (101.4, 101.6, 101.2, 101.4), *still(101.4, 2)]
    bars = [
        Bar(b.symbol, b.timestamp, b.open, b.high, b.low, b.close, 1.2, MINUTE)
        for b in bars_of(rows)
    ]
    world = breakout_world(bars, participation=D("0.5"), trail_atr=None, exit_period=99).run()
    stops = [(s.quantity, s.policy.stop_price) for s in exits(world)]
    mean = D("0.6") * D("101.0") + D("0.4") * D("101.4")

    assert (D("0.6"), D("99.0")) == stops[0]
    assert (D(1), mean - 2) == stops[-1]
    assert is_protected(world, book_of(world))


def test_the_trail_takes_over_once_it_is_active() -> None:
    """``trail_atr`` ranges behind the best price; from ``activate_atr`` ranges in profit on."""
    rows = [*UP, step(101.5, 103.5), step(103.5, 104), step(104, 100)]
    world = run(rows, trail_atr=2, activate_atr=2)
    stop, trail = exits(world)

    assert [IntentAction.SET_STOP, IntentAction.TRAIL] == [stop.action, trail.action]
    assert START + 7 * MINUTE == trail.created_at  # the high of that bar is 103.5
    # Two ranges at the price that activates it: 2 of 103.
    assert trail.policy.trail_bps == pytest.approx(D(20_000) / D(103), abs=D("1e-12"))
    assert [("trail", D("104.0") * (1 - trail.policy.trail_bps / 10_000))] == sold(world)


def test_a_trail_that_would_be_as_wide_as_the_price_is_left_out() -> None:
    """It protects nothing, and no venue takes it; the stop stays."""
    rows = [(2, 3, 1.2, 2), (2, 3, 1.2, 2), (2, 3, 1.2, 2), (2, 3.2, 1.5, 3.1), (3.1, 3.2, 3, 3.1)]
    world = run(rows, stop_atr="0.5", trail_atr=100)

    assert world.all(PlanIntent)[0].plan.trail is None  # type: ignore[union-attr]
    assert is_protected(world, book_of(world))


def test_the_other_end_of_the_exit_channel_takes_a_profit_out() -> None:
    """Not before the position has been so far in profit; then at market, at the close that does."""
    rows = [*UP, step(101.5, 103), step(103, 104), step(104, 105), step(105, 102.5)]
    rows += still(102.5, 2)
    world = run(rows, trail_atr=None, exit_period=2, stop_atr=4)
    never = run(rows, trail_atr=None, exit_period=2, stop_atr=4, activate_atr=50)

    assert [("channel", D("102.5"))] == sold(world)
    assert [] == sold(never)


def test_the_exit_channel_is_that_of_the_bars_before() -> None:
    """A close at its end does not leave, one beyond it does."""
    rows = [*UP, step(101.5, 103), step(103, 104)]
    at, beyond = ([*rows, step(104, last), *still(last, 2)] for last in (101.5, 101.49))
    params = {"trail_atr": None, "exit_period": 2, "stop_atr": 9}

    assert [] == sold(run(at, **params))
    assert ["channel"] == [tag for tag, _ in sold(run(beyond, **params))]


def test_after_so_many_bars_what_is_left_goes() -> None:
    """Counted from the break's close."""
    world = run([*UP, *still(101.5, 6)], max_bars=3, trail_atr=None, exit_period=90, stop_atr=9)
    (stop, close) = exits(world)

    assert ("time stop", START + 8 * MINUTE) == (close.tag, close.created_at)
    assert IntentAction.SET_STOP is stop.action
    assert not world.session.halted


def test_a_fill_far_from_the_last_close_is_protected_from_where_it_is() -> None:
    """A stop above the close that broke out is no contradiction: the market has gone on."""
    world = run([*UP[:-1], (110, 110.5, 109.5, 110), *still(110, 2)])
    (stop,) = exits(world)

    assert D("108.0") == stop.policy.stop_price
    assert is_protected(world, book_of(world))


def test_a_plan_that_is_refused_is_handed_in_by_distance_and_then_the_position_leaves() -> None:
    """The last price seen may be old: the venue is asked, and only if that fails all is sold."""
    world = run(ONCE)
    strategy, book = breakout(world), book_of(world)

    def refuse() -> Any:
        return next(iter(strategy.on_order_rejected(_refusal(IntentAction.UPDATE_PLAN)) or ()))

    plan, close = refuse(), refuse()

    assert plan.plan.stop.price is None
    assert plan.plan.stop.distance_bps == pytest.approx(D(20_000) / D(101), abs=D("1e-12"))
    assert (IntentAction.CLOSE, "unprotected") == (close.action, close.tag)
    assert book.leaving


def _refusal(action: IntentAction, *, final: bool = True) -> Rejection:
    cause = Cause(ReasonCode.PLAN_INVALID, "a drill")
    return Rejection("x-1", "", HYPE, BOTH, action, (cause,), START, "strategy", final)


def test_a_price_that_falls_through_the_stop_in_the_entry_bar_is_left_at_the_next_open() -> None:
    """The stop is there from the close on, and the venue triggers it at once."""
    world = run([*UP[:-1], step(101, 90), *still(90, 3)])

    assert [("stop", D("90.0"))] == sold(world)


@pytest.mark.parametrize("place", ["venue", "here"])
def test_a_loss_is_followed_by_a_rest(place: str) -> None:
    """``cooldown_bars`` from the exit on no break is followed; after a profit every one is."""
    fall = [step(101.5, 98.5), step(98.5, 97), step(97, 96), step(96, 95), step(95, 94)]
    rows = [*UP, *fall, *still(94, 2)]
    eager = run(rows, place=place, sides="both", activate_atr=50)
    calm = run(rows, place=place, sides="both", activate_atr=50, cooldown_bars=2)

    assert [5, 7 if place == "venue" else 8] == _minutes(eager)
    assert [5, 9 if place == "venue" else 10] == _minutes(calm)


def _minutes(world: World) -> list[int]:
    return [(entry.created_at - START) // MINUTE for entry in entries(world)]


# -- what goes wrong


def test_a_refused_entry_leaves_the_book_as_it_was_and_rests() -> None:
    """Rolled back, journaled; the next break after the rest is followed."""
    rows = [*CALM, *(step(100 + n, 101 + n) for n in range(6))]
    world = breakout_world(bars_of(rows), backoff_base_s=90)
    strike_at(world, 4, FaultKind.REJECT)
    world.run()
    (back,) = [s for s in world.all(StrategyState) if s.occasion is StateOccasion.ROLLED_BACK]

    assert '"phase":"flat"' in back.state
    assert [5, 7] == _minutes(world)
    assert is_protected(world, book_of(world))


def test_a_backoff_of_entries_and_stops_keeps_no_exit_back() -> None:
    """However often entries and stops were refused, the position leaves by its close."""
    rows = [*UP, *still(101.5, 6)]
    world = breakout_world(bars_of(rows), backoff_base_s=3600, stop_retries=0)
    world.before_turn(4, lambda w: _count(w, OrderFamily.EXIT))
    strike_at(world, 5, FaultKind.REJECT)  # the stop; the entry has been sent by then
    world.run()

    assert ["stop", "unprotected"] == [intent.tag for intent in exits(world)][:2]
    assert [D("101.5")] == [price for _, price in sold(world)]


def _count(world: World, family: OrderFamily) -> None:
    backoff = breakout(world).execution_backoff()
    for _ in range(9):
        backoff.record_rejection(HYPE, family, START)


def test_a_refused_stop_is_tried_again_and_the_position_stays() -> None:
    """As often as its policy says; only then would the position have to leave."""
    world = breakout_world(bars_of([*UP, *still(101.5, 6)]), stop_retries=2)
    strike_at(world, 5, FaultKind.REJECT, count=2)
    world.run()

    assert [] == sold(world)
    assert is_protected(world, book_of(world))


def test_a_close_that_is_refused_is_asked_for_again_at_every_close() -> None:
    """Until the venue takes it."""
    world = breakout_world(bars_of([*UP, *still(101.5, 8)]), stop_retries=0)
    strike_at(world, 5, FaultKind.REJECT, count=4)
    world.run()
    tags = [intent.tag for intent in exits(world)]

    assert ["stop", "unprotected", "again", "again"] == tags[:4]
    assert 1 == len(sold(world))
    assert not book_of(world).size


def test_nothing_restricted_is_opened() -> None:
    """The hint is taken; asked all the same, the strategy says why not."""
    world = breakout_world(bars_of(UP))
    world.start()
    desk = breakout(world).desk
    desk.restricted = frozenset({HYPE})
    world.play()
    intent = desk.open(HYPE, Side.BUY, D(1))

    assert [] == entries(world)
    assert f"{HYPE} is restricted" == breakout(world).can_submit_order(intent)


def test_nothing_is_opened_on_top_of_a_position_or_an_entry() -> None:
    """The strategy's own circuit, whoever asks."""
    world = breakout_world(bars_of(UP[:-1]))
    world.start()
    world.play()
    strategy = breakout(world)
    another = strategy.desk.open(HYPE, Side.BUY, D(1))
    full = run(UP)
    held = breakout(full)

    assert "long entry is under way" in str(strategy.can_submit_order(another))
    assert "the both book is not flat" == held.can_submit_order(another)


def test_a_position_that_nobody_asked_for_is_protected_by_todays_range() -> None:
    """Or leaves, where there is no range yet."""
    world = run(CALM)
    strategy = breakout(world)
    desk = strategy.desk
    desk._positions[HYPE, BOTH] = D(-1)
    desk._averages[HYPE, BOTH] = D(100)
    (plan,) = strategy._follow(book_of(world), None)

    assert plan.plan.stop.price == D(102)  # type: ignore[union-attr]
    assert -1 == book_of(world).sign
    fresh = breakout_world(bars_of(CALM))
    fresh.start()
    desk = breakout(fresh).desk
    desk._positions[HYPE, BOTH] = D(1)
    (close,) = breakout(fresh)._follow(book_of(fresh), None)

    assert IntentAction.CLOSE is close.action  # type: ignore[union-attr]
