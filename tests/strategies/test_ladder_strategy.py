"""Ladders in sessions: each hook, and what happens when things happen otherwise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from ladder_makers import (
    HYPE,
    book_of,
    books_of,
    crash_at,
    fills_of,
    intents_of,
    ladder,
    ladder_spec,
    ladder_world,
    strike_at,
    tags_of,
)
from session_world import START, World, closes, flat

from messages import (
    ActorFailed,
    Bar,
    CancelIntent,
    Cause,
    ExecutionReport,
    IntentAction,
    IntentEnded,
    MinimumOrder,
    OperatorReduce,
    OrderFamily,
    PositionSide,
    ReasonCode,
    RiskDecision,
    Side,
    Verdict,
)
from scenarios.model.steps import FaultKind
from strategies.contract import Rejection
from strategies.ladder.lots import STRAY, Order, Purpose

D = Decimal
LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
PLAIN: dict[str, Any] = {"quantity": 1, "rungs": 2, "step_bps": 100, "take_profit_bps": 100}


def run(prices: list[float], use: str = "dual_dca", **params: Any) -> World:
    return world_of(prices, use, **params).run()


def world_of(
    prices: list[float], use: str = "dual_dca", *, hedge: bool = False, **params: Any
) -> World:
    return ladder_world(closes(HYPE, prices), ladder_spec(use, **PLAIN | params), hedge=hedge)


def asked(world: World) -> list[str]:
    """Return the tags of what was asked for, in order."""
    return [intent.tag for intent in intents_of(world)]


def sold(world: World) -> list[tuple[Decimal, Decimal]]:
    """Return (quantity, price) of every fill that reduced."""
    tags = tags_of(world)
    return [
        (fill.quantity, fill.price)
        for fill, _ in fills_of(world)
        if not tags.get(fill.order_id, "").endswith("entry") and "rung" not in tags[fill.order_id]
    ]


def closes_by_somebody_else(
    quantity: str, side: Side = Side.SELL, book: PositionSide = BOTH
) -> Any:
    """Return what closes a part of the strategy's position without asking it."""

    def close(world: World) -> None:
        now = world.assembly.clock.now
        order = OperatorReduce(f"operator-{now}", "one", HYPE, side, D(quantity), now, book)
        world.assembly.dispatcher.publish("operator", order)

    return close


# -- the course of a cycle


def test_a_short_book_is_a_long_one_upside_down() -> None:
    """One-way mode goes the way that it is told."""
    world = run([25, 25, 25.3, 25.6, 25.6, 25, 24.7], one_way_side="short")

    assert ["short entry", "short exit 1", "short rung 1", "short exit 2", "short rung 2"] == asked(
        world
    )[:5]
    assert D(-3) == min(report.booking.quantity for _, report in fills_of(world) if report.booking)
    assert [D("24.75"), D("24.9975"), D("25.245")] == sorted(price for _, price in sold(world))


@pytest.mark.parametrize(("cooldown", "bar"), [(0, 5), (1, 6), (3, 8)])
def test_after_a_full_exit_the_next_entry_waits_for_so_many_bars(cooldown: int, bar: int) -> None:
    """Counted from the close of the bar in which the book went flat."""
    world = run([25, 25, 25.1, 25.1, 25.3, *[25.3] * 6], cooldown_bars=cooldown, rungs=0)
    entries = [i for i in intents_of(world) if i.action is IntentAction.ENTRY]

    assert [1, bar] == [(intent.created_at - START) // 60_000 for intent in entries][:2]


def test_what_rests_to_add_is_cancelled_when_the_book_is_flat() -> None:
    """And no other cycle begins before it is gone."""
    world = run([25, 25, 25.3, 25.3, 25.3])
    (cancel,) = world.all(CancelIntent)

    assert "long rung 1" == cancel.tag
    assert "cancelled" == world.life(cancel.order_id)[-1]
    assert ["long entry", "long exit 1", "long rung 1", "long entry"] == asked(world)[:4]


def test_several_rungs_can_rest_at_once_and_be_taken_in_one_bar() -> None:
    """Each is one order; a fall through all of them fills each once."""
    world = run([25, 25, 24, 24], resting_rungs=2)

    assert ["long entry", "long exit 1", "long rung 1", "long rung 2"] == asked(world)[:4]
    assert D(3) == book_of(world).quantity
    assert [(0,), (1,), (2,)] == [lot.rungs for lot in book_of(world).lots]


def test_a_rung_that_is_free_again_is_taken_again() -> None:
    """A market that swings about a rung is sold to and bought from each time."""
    swings = [25, 25, 24.7, 25.05, 24.7, 25.05, 24.7]
    again, once = run(swings), run(swings, reopen_rungs=False)

    assert 3 == asked(again).count("long rung 1") - asked(again)[-1:].count("long rung 1")
    assert 1 == asked(once).count("long rung 1")
    assert [D("24.9975"), D("24.9975")] == [price for _, price in sold(again)]


def test_an_average_ladder_keeps_its_rungs_taken_until_the_cycle_ends() -> None:
    """Its lots leave together or not at all."""
    world = run([25, 25, 24.7, 24.7, 24.7], exit="average")

    assert {1, 2} == book_of(world).taken
    assert D("24.875") == ladder(world).desk.average_price(HYPE)
    assert D("25.12375") == [i for i in intents_of(world) if "exit" in i.tag][-1].policy.limit_price


# -- calm


def test_bars_in_which_nothing_is_due_are_not_looked_at() -> None:
    """While everything rests that should, a close is a comparison of floats."""
    world = ladder_world(flat(HYPE, 60, 25.0), ladder_spec("dual_dca", **PLAIN))
    world.start()
    looker = ladder(world)._looker
    looked: list[int] = []
    look = looker.look

    def counted(book: Any, bar: Bar | None) -> Any:
        looked.append(world.assembly.clock.now)
        return look(book, bar)

    looker.look = counted  # type: ignore[method-assign]
    world.play()
    world.finish()

    assert max(looked) <= START + 4 * 60_000


@pytest.mark.parametrize(
    ("params", "prices", "tag"),
    [
        ({"dca_order_type": "market"}, [25, 25, *[25.0] * 9, 24.75, 24.75], "long rung 1"),
        ({"exit_order_type": "market"}, [25, 25, *[25.0] * 9, 25.25, 25.25], "long exit 1"),
    ],
)
def test_the_close_that_a_price_waits_for_is_not_missed(
    params: dict[str, Any], prices: list[float], tag: str
) -> None:
    """To the last digit: a close right at the price is enough."""
    world = run(prices, **params)

    assert [12] == [
        (intent.created_at - START) // 60_000 for intent in intents_of(world) if intent.tag == tag
    ]


# -- minimums, restrictions, brakes


def test_an_order_below_the_minimum_is_skipped_until_the_venue_asks_for_less() -> None:
    """`set_broker_min_order` is heard at any time."""
    spec = ladder_spec("dual_dca", **PLAIN | {"quantity": "0.1", "below_minimum": "skip"})
    world = ladder_world(flat(HYPE, 8, 25.0), spec, rules={"min_notional": D(5)})
    lower = MinimumOrder(HYPE, 0, None, D(2))
    world.before_turn(4, lambda made: made.session.change_minimum(lower)).run()

    assert [START + 5 * 60_000] == [
        intent.created_at for intent in intents_of(world) if intent.tag == "long entry"
    ]
    assert [] == [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]


def test_rungs_that_are_too_small_are_passed_over() -> None:
    """The ladder goes on with the next one that is large enough."""
    spec = ladder_spec(
        "dual_dca", **PLAIN | {"size_growth": "0.5", "rungs": 3, "below_minimum": "skip"}
    )
    rules = {"min_quantity": D("0.2"), "lot_step": D("0.01")}
    world = ladder_world(closes(HYPE, [25, 25, 24.7, 24.4, 24.1, 24.1]), spec, rules=rules).run()

    assert {1, 2} == book_of(world).taken
    assert D("1.75") == book_of(world).quantity
    assert [] == [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]


def test_a_lot_that_the_venue_would_not_let_leave_leaves_with_another() -> None:
    """A rung filled for less than the least order joins the lot before it."""
    spec = ladder_spec("dual_dca", **PLAIN | {"dca_place": "here", "dca_timeout_s": 90})
    bars = closes(HYPE, [25, 25, 24.7, 24.65, 24.7, 24.71, 25.3, 25.3])
    thin = [*bars[:3], *(_thin(bar) for bar in bars[3:4]), *bars[4:]]
    world = ladder_world(thin, spec, rules={"min_quantity": D("0.5")}, participation=D("0.1")).run()

    assert [D("1.1")] == [fill.quantity for fill, _ in fills_of(world) if fill.side is Side.SELL][
        :1
    ]


def _thin(bar: Bar) -> Bar:
    return Bar(bar.symbol, bar.timestamp, bar.open, bar.high, bar.low, bar.close, 1.0, 60_000)


def test_a_restricted_symbol_is_not_even_asked_for() -> None:
    """Risk would refuse it; the strategy knows."""
    world = world_of([25] * 6)
    world.start()
    ladder(world).desk.restricted = frozenset({HYPE})
    world.play()
    world.finish()

    assert [] == intents_of(world)


def brake(tag: str, **state: Any) -> str | None:
    """Return what `can_submit_order` says of an opening, in a book with some state."""
    world = world_of([25] * 3)
    world.start()
    strategy, book = ladder(world), book_of(world)
    for name, value in state.items():
        setattr(book, name, value)
    intent = strategy.desk.open(HYPE, Side.BUY, D(1), tag=tag)
    return strategy.can_submit_order(intent)


def test_no_rung_may_have_two_orders() -> None:
    """The strategy's own brake is asked of every opening in its name."""
    orders = {"abc-1-0": Order(Purpose.RUNG, 1, D(1), D(24))}

    assert "long rung 1 is under way as abc-1-0" == brake("long rung 1", orders=orders)
    assert brake("long rung 2", orders=orders) is None


def test_nothing_is_added_on_top_of_what_the_ladder_has_not_asked_for() -> None:
    """Strays are to leave first."""
    world = run([25, 25, 25, 25])
    book = book_of(world)
    book._add(STRAY, D(5), D(25))
    strategy = ladder(world)
    rung = strategy.desk.add(HYPE, Side.BUY, D(1), tag="long rung 2")
    entry = strategy.desk.open(HYPE, Side.BUY, D(1), tag="long entry")

    assert "the book holds more than its ladder has asked for" == strategy.can_submit_order(rung)
    assert "the both book is not flat" == strategy.can_submit_order(entry)


def test_a_backoff_has_the_figures_that_were_set() -> None:
    """By parameter: base, factor, longest rest, tolerated refusals."""
    world = world_of(
        [25] * 3,
        backoff_base_s=7,
        backoff_factor=3,
        backoff_max_s=50,
        backoff_tolerated=1,
    )
    world.start()
    backoff = ladder(world).execution_backoff()

    assert [0.0, 7.0, 21.0, 50.0] == [backoff.pause_s(count) for count in (1, 2, 3, 4)]
    assert backoff is ladder(world).execution_backoff()


def test_an_order_that_would_have_taken_is_no_reason_to_rest() -> None:
    """Post-only says no; the next close tries at its own price."""
    world = run(
        [25, 25.2, 25.2, 25.1, 25.1, 25.1],
        entry_order_type="limit",
        entry_maker="only",
        rungs=0,
    )
    backoff = ladder(world).execution_backoff()

    assert 0 == backoff.failures(HYPE, OrderFamily.ENTRY)


# -- somebody else


def test_a_part_that_somebody_else_closes_comes_off_the_oldest_lots() -> None:
    """The exits of what is left follow, and what they were for is not sold twice."""
    world = world_of([25, 25, 24.7, 24.7, 24.7, 24.7, 25.3, 25.3])
    world.before_turn(4, closes_by_somebody_else("1.5")).run()

    assert [(D("1.5"), D("24.7")), (D("0.5"), D("24.9975"))] == [
        (fill.quantity, fill.price) for fill, _ in fills_of(world) if fill.side is Side.SELL
    ][:2]


def test_in_a_lifo_ladder_somebody_elses_close_takes_the_newest_lots() -> None:
    """As its ledger does; the exit of the lot that is newest then takes the place of the other."""
    world = world_of([25, 25, 24.7, 24.7, 24.7, 24.7], "dual_dca_lifo", reopen_rungs=False)
    world.before_turn(4, closes_by_somebody_else("1")).run()
    book = book_of(world)

    assert [(0,)] == [lot.rungs for lot in book.lots]
    assert ["long exit 1", "long exit 2", "long exit 1"] == [
        tag for tag in asked(world) if "exit" in tag
    ]
    assert [1] == [order.number for order in book.live(Purpose.EXIT).values()]


def test_a_book_that_somebody_else_closes_altogether_ends_its_cycle() -> None:
    """Exits end with the position, rungs are taken back, and after the cooldown it begins anew."""
    world = world_of([25] * 9, cooldown_bars=2, hedge=True)
    world.before_turn(3, closes_by_somebody_else("1", book=LONG)).run()
    entries = [
        (intent.created_at - START) // 60_000
        for intent in intents_of(world)
        if intent.tag == "long entry"
    ]

    assert [1, 6] == entries
    assert 1 == asked(world).count("short entry")


# -- bad news, late news, no news


def test_a_fill_that_comes_before_its_acceptance_is_taken_in_all_the_same() -> None:
    """News out of order changes when things are known, not what they come to."""
    late = world_of([25, 25, 24.7, 24.7, 24.7, 24.7])
    for turn in (1, 2, 3):
        strike_at(late, turn, FaultKind.DELAY_ACCEPTANCE, by="90s")
    late.run()
    plain = run([25, 25, 24.7, 24.7, 24.7, 24.7])

    assert book_of(plain).state()["lots"] == book_of(late).state()["lots"]
    assert book_of(plain).taken == book_of(late).taken


@pytest.mark.parametrize("kind", [ExecutionReport, RiskDecision, IntentEnded])
@pytest.mark.parametrize("which", range(1, 8))
def test_whatever_news_a_strategy_fails_on_it_goes_on_with_the_same_ladder(
    kind: type[Any], which: int
) -> None:
    """The desk has heard it; the next look makes up for what the book has not."""
    prices = [25, 25, 24.7, 24.7, 24.4, 24.4, 24.4, 24.4]
    params = {"reopen_rungs": False, "entry_retries": 1, "dca_retries": 1}
    world = world_of(prices, **params)
    strike_at(world, 1, FaultKind.REJECT)
    world.poison("strategy:one", kind, when=lambda _message, count: count == which)
    world.run()
    whole = world_of(prices, **params)
    strike_at(whole, 1, FaultKind.REJECT)
    whole.run()
    lots = [(lot.rungs, lot.quantity, lot.price) for lot in book_of(world).lots]

    assert len(world.all(ActorFailed)) <= 1
    assert [(lot.rungs, lot.quantity, lot.price) for lot in book_of(whole).lots] == lots
    assert book_of(whole).taken == book_of(world).taken


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_strategy_that_is_made_anew_at_any_moment_asks_for_nothing_twice(turn: int) -> None:
    """From its books as they were last seen, whenever that was."""
    prices = [25, 25, 24.7, 24.7, 24.4, 24.4, 25.3, 25.3, 25.3, 25.3]
    world = world_of(prices, reopen_rungs=False)
    crash_at(world, turn)
    world.run()
    whole = run(prices, reopen_rungs=False)

    assert asked(whole) == asked(world)
    assert [r.state() for r in books_of(whole)] == [r.state() for r in books_of(world)]


def test_a_strategy_comes_back_from_its_snapshot_alone() -> None:
    """`restore` of what `snapshot` gave is the same strategy."""
    first, second = run([25, 25, 24.7, 24.7], hedge=True), world_of([25] * 3, hedge=True)
    second.start()
    kept = ladder(first).snapshot()
    ladder(second).restore(kept)

    assert kept == ladder(second).snapshot()


def test_a_refusal_of_a_repeated_intent_ends_nothing() -> None:
    """The first one lives."""
    world = run([25, 25, 25])
    book = book_of(world)
    orders = dict(book.orders)
    name, order = next((n, o) for n, o in orders.items() if o.purpose is Purpose.RUNG)
    causes = (Cause(ReasonCode.DUPLICATE_INTENT),)
    rejection = Rejection(name, name, HYPE, BOTH, IntentAction.ADD, causes, 0, "risk")
    ladder(world).on_order_rejected(rejection)

    assert orders == book.orders
    assert order.number in book.taken
