"""A kill with ``flatten``: reducing orders only, until the venue says that nothing is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from invariants import Watch, check_books
from safety_world import FAR_BELOW, ONE, STOP_BELOW, Daemon, daemon, silent
from session_world import BTC, ETH, MINUTE, PERP, Script, flat, instruments_of, on_bars

from actors.kill import KillSwitch
from actors.risk import RiskLimits
from actors.runtime import limits
from messages import (
    Cause,
    KillReport,
    KillStage,
    KillStep,
    OperatorReduce,
    OrderEvent,
    Plan,
    PlanStop,
    PlanTarget,
    PositionMode,
    PositionSide,
    ReasonCode,
    RiskDecision,
    Side,
    StrategyQuarantined,
    VenueReport,
    Verdict,
)

WHOLE = [
    KillStage.LATCHED,
    KillStage.DRAINED,
    KillStage.CANCELLING,
    KillStage.CANCELLED,
    KillStage.FLATTENING,
    KillStage.FLAT,
    KillStage.CONFIRMED,
]


def opens(
    side: Side, quantity: Decimal | int = 1, symbol: str = BTC, book: PositionSide | None = None
) -> Script:
    """Return a script that opens one position at its first bar."""
    terms = {} if book is None else {"position_side": book}
    return on_bars({0: lambda desk: [desk.open(symbol, side, Decimal(quantity), **terms)]})


def venue_positions(world: Daemon) -> dict[str, Decimal]:
    return {
        f"{p.symbol} {p.position_side.value}": p.quantity for p in world.venue.engine.positions()
    }


def stages(world: Daemon) -> list[KillStage]:
    """Return the stages without an overdue one: fills take a bar, which is past the deadline."""
    return [stage for stage in world.steps() if stage is not KillStage.UNCONFIRMED]


def check_flat(world: Daemon, watch: Watch) -> None:
    """Check that nothing but reducing orders left, and that nothing is left."""
    world.play()
    report = world.newest_report()

    assert WHOLE == stages(world)
    assert (True, (), ()) == (report.confirmed, report.open_orders, report.positions)
    assert {} == venue_positions(world)
    assert [] == world.live_ids()
    assert watch.left
    assert all(request.reduce_only for request, _ in watch.left)
    check_books(world)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL], ids=["long", "short"])
def test_a_position_is_closed(side: Side) -> None:
    """One reducing order of the whole position, in its strategy's name."""
    world = daemon(flat(PERP, 10), opens(side, 3, PERP).spec("one", (PERP,))).begin().play(3)
    watch = Watch(world)
    world.kill(flatten=True)
    check_flat(world, watch)

    (order,) = world.all(OperatorReduce)
    assert ("abc-K1-1", "one", Decimal(3), side.opposite) == (
        order.intent_id,
        order.strategy,
        order.quantity,
        order.side,
    )


def test_both_books_of_a_hedge_are_closed() -> None:
    """Long and short of one symbol are two positions."""
    script = on_bars(
        {
            0: lambda desk: [
                desk.open(PERP, Side.BUY, Decimal(3), position_side=PositionSide.LONG),
                desk.open(PERP, Side.SELL, Decimal(2), position_side=PositionSide.SHORT),
            ]
        }
    )
    world = (
        daemon(flat(PERP, 10), script.spec("one", (PERP,)), position_mode=PositionMode.HEDGE)
        .begin()
        .play(3)
    )
    assert 2 == len(venue_positions(world))
    watch = Watch(world)
    world.kill(flatten=True)
    check_flat(world, watch)


def test_positions_of_several_strategies_and_symbols_are_closed() -> None:
    """Each in the name of whose it is, so that every ledger ends flat."""
    bars = {BTC: flat(BTC, 10), ETH: flat(ETH, 10)}
    world = (
        daemon(
            bars,
            opens(Side.BUY, 1, BTC).spec("one", (BTC,)),
            opens(Side.BUY, 2, ETH).spec("two", (ETH,)),
        )
        .begin()
        .play(3)
    )
    watch = Watch(world)
    world.kill(flatten=True)
    check_flat(world, watch)

    assert world.assembly.books.ledger.flat
    assert {"one", "two"} == {order.strategy for order in world.all(OperatorReduce)}


@pytest.mark.parametrize(("long", "short"), [(3, 2), (2, 3), (2, 2), (3, 1)])
def test_strategies_that_offset_each_other_are_closed_by_what_remains(
    long: int, short: int
) -> None:
    """The venue has one position: an order for more than that would be refused, or open one."""
    world = (
        daemon(
            flat(PERP, 10),
            opens(Side.BUY, long, PERP).spec("one", (PERP,)),
            opens(Side.SELL, short, PERP).spec("two", (PERP,)),
        )
        .begin()
        .play(3)
    )
    world.kill(flatten=True)
    world.play()

    assert {} == venue_positions(world)
    assert world.newest_report().confirmed
    assert [abs(long - short)] * (long != short) == [o.quantity for o in world.all(OperatorReduce)]
    assert not [r for r in world.reports() if r.event is OrderEvent.REJECTED]


def test_the_position_of_a_quarantined_strategy_is_closed_too() -> None:
    """It runs no more and may ask for nothing; the operator may."""
    script = opens(Side.BUY, 2)
    first = script.on_bar

    def fails(strategy: Any, bar: Any) -> Any:
        if len(script.seen) > 3:
            raise RuntimeError("a bug")
        return first(strategy, bar)

    script.on_bar = fails
    world = daemon(flat(BTC, 30), script.spec()).begin().play(20)
    assert world.all(StrategyQuarantined)
    watch = Watch(world)
    world.kill(flatten=True)
    check_flat(world, watch)


def test_protective_orders_go_before_positions_do() -> None:
    """A stop that stayed would reserve what is to be sold, and outlive its position."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            1: lambda desk: [desk.reduce(BTC, Side.SELL, ONE, policy=STOP_BELOW)],
        }
    )
    world = daemon(flat(BTC, 10), script.spec()).begin().play(3)
    assert ["abc-1-2"] == world.live_ids()
    watch = Watch(world)
    world.kill(flatten=True)
    check_flat(world, watch)

    assert ["abc-K1-1"] == [request.order_id for request, _ in watch.left]


def test_a_strategy_that_reduces_by_itself_meanwhile_is_not_sold_twice() -> None:
    """Both want out: together never for more than there is."""
    script = opens(Side.BUY, 2)
    first = script.on_bar

    def gets_out(strategy: Any, bar: Any) -> Any:
        held = strategy.desk.position(BTC)
        if len(script.seen) > 3 and held:
            return [strategy.desk.reduce(BTC, Side.SELL, held)]
        return first(strategy, bar)

    script.on_bar = gets_out
    world = daemon(flat(BTC, 14), script.spec()).begin().play(3)
    world.kill(flatten=True)
    world.play()

    assert world.newest_report().confirmed
    assert {} == venue_positions(world)
    check_books(world)


def test_flattening_in_a_thin_market_takes_the_bars_that_it_takes() -> None:
    """One order, filled in parts; meanwhile overdue, at the end confirmed."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(100))]})
    world = daemon(flat(BTC, 30), script.spec(), participation=Decimal("0.1")).begin().play(3)
    watch = Watch(world)
    world.kill(flatten=True)
    check_flat(world, watch)


# -- what cannot be closed


def test_dust_below_a_lot_is_reported_as_left() -> None:
    """It is tried, it is refused, it is not called flat."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal("1.1"))]})
    world = daemon(flat(BTC, 30), script.spec()).begin().play(2)
    risk = world.cell("risk").actor
    coarse = instruments_of((BTC,), lot_step=Decimal("0.25"))
    risk.view.instruments = coarse  # type: ignore[union-attr]
    world.kill(flatten=True)
    world.play()

    report = world.newest_report()
    assert (False, ("BTC/USDT both 0.10",)) == (report.confirmed, report.positions)
    assert KillStage.FLAT not in world.steps()
    assert "kill" in world.holds
    assert len(world.all(OperatorReduce)) <= limits.KILL_FLATTEN_ORDERS_MAX


def test_a_position_that_cannot_be_closed_keeps_no_other_from_being(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each has its own number of tries."""
    monkeypatch.setattr(limits, "KILL_FLATTEN_ORDERS_MAX", 3)
    bars = {BTC: flat(BTC, 30), ETH: flat(ETH, 30)}
    world = (
        daemon(
            bars,
            opens(Side.BUY, 1, BTC).spec("one", (BTC,)),
            opens(Side.BUY, 2, ETH).spec("two", (ETH,)),
        )
        .begin()
        .play(3)
    )
    submit, refused = world.venue.submit, []

    def refuses(request: Any, now: int) -> None:
        if request.symbol == BTC or len(refused) < 2:
            refused.append(request.symbol)
            raise_rejected(world, request, now)
        else:
            submit(request, now)

    world.venue.submit = refuses  # type: ignore[method-assign]
    world.kill(flatten=True)
    world.play()

    assert {"BTC/USDT both": Decimal(1)} == venue_positions(world)
    assert 3 == refused.count(BTC)
    assert ("BTC/USDT both 1",) == world.newest_report().positions


def raise_rejected(world: Daemon, request: Any, now: int) -> None:
    report = VenueReport(
        request.client_order_id,
        OrderEvent.REJECTED,
        now,
        None,
        Cause(ReasonCode.VENUE_RATE_LIMITED),
    )
    world.assembly.dispatcher.tell_what_follows(world.assembly.execution_cell, report)


def test_a_venue_that_is_silent_is_not_believed_to_be_flat() -> None:
    """Our own books are flat; only its own word confirms."""
    world = daemon(flat(BTC, 20), opens(Side.BUY, 1).spec()).begin().play(3)
    world.venue.silent = silent()
    world.kill(flatten=True)
    world.play(6)

    assert KillStage.FLAT in world.steps()
    assert not any(report.confirmed for report in world.all(KillReport))

    world.venue.silent = None
    world.play()

    assert world.newest_report().confirmed


# -- flatten added, taken back, interrupted


def test_flatten_can_be_added_to_a_kill_that_is_confirmed() -> None:
    """The stages after the latch are gone through again, timed anew, with a new deadline."""
    world = daemon(flat(BTC, 20), opens(Side.BUY, 1).spec()).begin().play(3)
    watch = Watch(world)
    first = world.kill()
    world.play(5)
    assert [True] == [report.confirmed for report in world.all(KillReport)]

    second = world.kill(flatten=True)
    world.pass_time(world.assembly.clock.now + 1_000)
    assert KillStage.UNCONFIRMED not in world.steps()
    world.play()

    report = world.newest_report()
    assert first.kill_id == second.kill_id
    assert (True, True, ()) == (report.confirmed, report.flatten, report.positions)
    assert {} == venue_positions(world)
    assert all(request.reduce_only for request, _ in watch.left)
    at = dict(stage.split("=") for stage in report.stages)
    assert int(at["latched"]) < int(at["cancelled"]) <= int(at["flat"]) <= int(at["confirmed"])


def test_a_kill_without_flatten_takes_none_back() -> None:
    """Whoever pulls again without the word does not mean less."""
    world = daemon(flat(BTC, 10), opens(Side.BUY, 1).spec()).begin().play(3)
    watch = Watch(world)
    world.kill(flatten=True)
    world.kill()
    check_flat(world, watch)


def test_resuming_stops_flattening() -> None:
    """What is at the venue stays there; nothing more is sent."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(300))]})
    world = daemon(flat(BTC, 30), script.spec(), participation=Decimal("0.1")).begin().play(5)
    world.kill(flatten=True)
    world.play(1)
    world.resume(unlatch=True, reason="a mistake")
    world.play()

    assert 1 == len(world.all(OperatorReduce))


@pytest.mark.parametrize("name", ["risk", "execution"])
def test_flattening_while_an_actor_restarts_sends_each_order_once(name: str) -> None:
    """Nothing is queued at an actor that is down, look after look."""
    world = daemon(flat(BTC, 10), opens(Side.BUY, 2).spec()).begin().play(3)
    watch = Watch(world)
    world.assembly.supervisor.actor_failed(world.cell(name), None, RuntimeError("planted"))
    world.kill(flatten=True)
    check_flat(world, watch)

    assert 1 == len(world.all(OperatorReduce))
    assert 1 == len(watch.left)


def test_without_that_care_a_restart_would_be_asked_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ablation: each look queues one more."""
    monkeypatch.setattr(KillSwitch, "_runs", lambda _self, *_names: True)
    world = daemon(flat(BTC, 10), opens(Side.BUY, 2).spec()).begin().play(3)
    world.assembly.supervisor.actor_failed(world.cell("risk"), None, RuntimeError("planted"))
    world.kill(flatten=True)
    world.play()

    assert len(world.all(OperatorReduce)) > 3


def test_no_limit_of_risk_stands_between_a_position_and_its_end() -> None:
    """Order rate, notional, exposure: limits are for what adds risk."""
    world = (
        daemon(
            flat(BTC, 12),
            opens(Side.BUY, 5).spec(),
            limits=RiskLimits(max_orders_per_minute=1, max_order_notional=Decimal(600)),
        )
        .begin()
        .play(3)
    )
    risk = world.cell("risk").actor
    watch = Watch(world)
    world.kill(flatten=True)
    check_flat(world, watch)

    assert risk is not None
    assert not [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]


def test_a_session_that_ends_while_it_flattens_says_what_is_left() -> None:
    """No order is sent at the very end that nobody would see filled."""
    world = daemon(flat(BTC, 4), opens(Side.BUY, 2).spec()).begin().play()
    watch = Watch(world)
    world.kill(flatten=True)
    world.end("completed")

    report = world.newest_report()
    assert (False, ("BTC/USDT both 2",)) == (report.confirmed, report.positions)
    assert [] == watch.left


def test_an_opening_order_that_fills_while_it_is_cancelled_is_flattened_too() -> None:
    """The cancel crossed the fill: what it left behind is closed like the rest."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = daemon(flat(BTC, 14), script.spec()).begin().play(1)
    world.venue.deaf = True
    watch = Watch(world)
    world.kill(flatten=True)
    world.play(1)
    world.venue.deaf = False
    assert {"BTC/USDT both": ONE} == venue_positions(world)
    check_flat(world, watch)


def test_only_the_operator_can_make_the_order_of_a_kill() -> None:
    """A strategy that returns one fails: it is a capability."""
    script = opens(Side.BUY, 1)
    first = script.on_bar

    def forges(strategy: Any, bar: Any) -> Any:
        if len(script.seen) != 3:
            return first(strategy, bar)
        order = strategy.desk.reduce(BTC, Side.SELL, ONE)
        return [OperatorReduce(order.intent_id, "one", BTC, Side.SELL, ONE, order.created_at)]

    script.on_bar = forges
    world = daemon(flat(BTC, 6), script.spec()).begin().play()

    assert [] == world.all(OperatorReduce)
    assert 1 == world.cell("strategy:one").failures


def test_a_kill_confirms_in_the_moment_in_which_the_venue_is_heard_of() -> None:
    """A flatten's fill is followed at once, however long the pauses between looks are by then."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = daemon(flat(BTC, 8), script.spec())
    world.before_turn(3, lambda w: w.kill(flatten=True))  # type: ignore[attr-defined]
    world.begin().play()

    confirmed = next(s for s in world.all(KillStep) if s.stage is KillStage.CONFIRMED)
    filled = [r for r in world.reports() if r.fill is not None][-1]

    assert filled.order_id.startswith(confirmed.kill_id)
    # The fill is the bar's, the turn in which it is heard of ends with the bar.
    assert confirmed.at == filled.timestamp + MINUTE


def test_a_venue_that_answers_each_cancel_with_a_refusal_is_not_asked_without_end() -> None:
    """An answer brings one more look, and no second cancel before the next look's time."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)]})
    world = daemon(flat(BTC, 8), script.spec())

    def contradict(client_order_id: str, now: int) -> None:
        world.venue.cancels.append(client_order_id)
        report = VenueReport(client_order_id, OrderEvent.ACCEPTED, now)
        world.venue._hand_over([report])

    world.venue.cancel = contradict  # type: ignore[method-assign]
    world.before_turn(3, lambda w: w.kill())  # type: ignore[attr-defined]
    world.begin().play()

    growing = (limits.KILL_LOOK_MS_MAX // limits.KILL_FIRST_LOOK_MS).bit_length()
    steady = 5 * MINUTE // limits.KILL_LOOK_MS_MAX
    # Execution asks on by itself, with pauses of its own that grow as well.
    assert growing < len(world.venue.cancels) <= 2 * (1 + growing + steady)


@pytest.mark.parametrize("brackets", [True, False], ids=["both rest", "one rests"])
@pytest.mark.parametrize("who", ["plan", "strategy"])
def test_a_stop_that_would_be_put_back_at_once_does_not_keep_a_position(
    who: str, brackets: bool
) -> None:
    """What protects a position stays until that is gone: nobody fights about it, and it ends."""
    plan = Plan(PlanStop(price=Decimal(90)), (PlanTarget(price=Decimal(120)),))
    asks = (
        (lambda desk: [desk.update_plan(BTC, plan)])
        if who == "plan"
        else (lambda desk: [desk.set_stop(BTC, 90.0)])
    )
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)], 2: asks})

    def put_back(strategy: Any, report: Any) -> Any:
        held = strategy.desk.position(BTC)
        again = who == "strategy" and report.event is OrderEvent.CANCELLED and held
        return [strategy.desk.set_stop(BTC, 90.0)] if again else None

    script.on_update = put_back
    world = daemon(flat(BTC, 12), script.spec(), brackets=brackets).begin().play(5)
    assert world.live_ids()
    watch = Watch(world)
    world.kill(flatten=True)
    check_flat(world, watch)
