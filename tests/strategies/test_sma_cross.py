"""sma_cross: long or flat, one order at a time, the same after a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from session_world import (
    BTC,
    DAY,
    ETH,
    MINUTE,
    START,
    World,
    closes,
    flat,
    make_spec,
    make_world,
    walk,
)

from actors.assembly import StrategySpec
from feeds.memory import MemoryFeed
from messages import (
    ActorRestarting,
    Bar,
    ExecutionReport,
    Intent,
    MinimumOrder,
    OpenIntent,
    OrderEvent,
    OrderFamily,
    ReduceIntent,
    RiskDecision,
    Side,
    Verdict,
)
from scenarios.faults import FaultyBroker
from scenarios.model.steps import FaultKind, VenueFault
from strategies.contract import Intents, missing_hooks
from strategies.sma_cross import SmaCross, SmaCrossParams


def sma(
    fast: int = 2, slow: int = 4, quantity: str = "1", symbols: tuple[str, ...] = (BTC,)
) -> StrategySpec:
    params = SmaCrossParams(fast=fast, slow=slow, quantity=Decimal(quantity))
    return StrategySpec("sma", SmaCross, params, symbols)  # type: ignore[arg-type]


def wanted(bars: list[Bar], fast: int, slow: int) -> list[bool | None]:
    """Return, at each close, whether a long position is wanted."""
    exact = [Fraction(repr(bar.close)) for bar in bars]
    return [
        None
        if end < slow
        else Fraction(sum(exact[end - fast : end]), fast)
        > Fraction(sum(exact[end - slow : end]), slow)
        for end in range(1, len(bars) + 1)
    ]


def orders_by_hand(bars: list[Bar], fast: int, slow: int) -> list[tuple[int, str]]:
    """Return (time, side) of every order of an account that fills at the next open."""
    found: list[tuple[int, str]] = []
    holds = False
    for bar, wants in zip(bars, wanted(bars, fast, slow), strict=True):
        if wants is not None and wants != holds:
            found.append((bar.timestamp + MINUTE, "buy" if wants else "sell"))
            holds = wants
    return found


def orders(world: World) -> list[tuple[int, str]]:
    return [(intent.created_at, intent.side.value) for intent in world.all(Intent)]


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
@pytest.mark.parametrize(("fast", "slow"), [(1, 2), (2, 4), (10, 30)])
def test_it_is_long_exactly_while_the_fast_average_is_above(
    fast: int, slow: int, queued: bool
) -> None:
    """Every change of what is wanted is one order, on its bar, and nothing else is."""
    bars = walk(BTC, 400, 11)
    world = make_world(bars, sma(fast, slow), queued=queued).run()
    opened = {type(intent) for intent in world.all(Intent) if intent.side is Side.BUY}
    closed = {type(intent) for intent in world.all(Intent) if intent.side is Side.SELL}

    assert orders_by_hand(bars, fast, slow) == orders(world)
    assert len(orders(world)) > 5
    assert (opened, closed) == ({OpenIntent}, {ReduceIntent})


@settings(max_examples=40)
@given(st.lists(st.sampled_from((99.0, 99.5, 100.0, 100.5, 101.0)), min_size=6, max_size=60))
def test_with_ties_too(prices: list[float]) -> None:
    """A tie is flat: a long position is closed on it, and none is opened."""
    bars = closes(BTC, prices)

    assert orders_by_hand(bars, 2, 4) == orders(make_world(bars, sma()).run())


def test_no_decision_before_the_slow_window_is_full() -> None:
    """``slow - 1`` bars decide nothing; bar number ``slow`` may."""
    rising = closes(BTC, [float(n) for n in range(1, 10)])
    world = make_world(rising, sma(2, 5)).run()

    assert orders(world) == [(START + 5 * MINUTE, "buy")]


def test_a_flat_market_is_never_bought() -> None:
    """Equal averages are a tie for ever."""
    assert orders(make_world(flat(BTC, 100), sma()).run()) == []


def test_the_order_carries_its_quantity_and_the_close_it_was_decided_on() -> None:
    """``quantity`` of the parameters; the decision price is the close's exact text."""
    bars = closes(BTC, [1.0, 1.0, 1.0, 1.0, 2.1, 0.3, 0.3, 0.3])
    world = make_world(bars, sma(quantity="0.37")).run()
    buy, sell = world.all(Intent)

    assert (buy.quantity, buy.decision_price) == (Decimal("0.37"), Decimal("2.1"))
    assert (sell.quantity, sell.decision_price) == (Decimal("0.37"), Decimal("0.3"))


@pytest.mark.parametrize("latency_ms", [60_000, 61_000, 150_000, 600_000])
def test_it_never_has_two_orders_on_their_way(latency_ms: int) -> None:
    """With latency beyond a bar it waits for its order's end before it orders again."""
    world = make_world(walk(BTC, 300, 4), sma(), latency_ms=latency_ms).run()
    live = 0
    most = 0
    for entry in world.entries:
        message: Any = entry.message
        event = getattr(message, "event", None)
        live += event is OrderEvent.JOURNALED
        live -= event in (OrderEvent.FILLED, OrderEvent.CANCELLED, OrderEvent.EXPIRED)
        most = max(most, live)

    assert most == 1
    assert len(orders(world)) > 5


def test_symbols_are_traded_apart() -> None:
    """One strategy over two symbols does in each what it would do there alone."""
    bars = {BTC: walk(BTC, 200, 1), ETH: walk(ETH, 200, 2)}
    together = make_world(bars, sma(symbols=(BTC, ETH))).run()
    for symbol in (BTC, ETH):
        alone = make_world({symbol: bars[symbol]}, sma(symbols=(symbol,))).run()

        assert orders(alone) == [
            (intent.created_at, intent.side.value)
            for intent in together.all(Intent)
            if intent.symbol == symbol
        ]


def test_a_refused_order_is_asked_for_again_while_it_is_wanted() -> None:
    """A refusal ends the order, so the next bar may ask anew; nothing waits for ever."""
    bars = closes(BTC, [1.0, 1.0, 1.0, 1.0, *[2.0 + n for n in range(6)]])
    world = make_world(bars, sma(), cash=1).run()

    assert [d.verdict for d in world.all(RiskDecision)] == [Verdict.DENIED] * 6


def test_a_partly_filled_order_is_closed_by_what_is_held() -> None:
    """The close asks for the position and not for what was once ordered."""
    bars = [
        Bar(b.symbol, b.timestamp, b.open, b.high, b.low, b.close, 0.4, MINUTE)
        for b in walk(BTC, 120, 9)
    ]
    world = make_world(bars, sma(), participation=Decimal("0.5")).run()
    script = [(i.side.value, i.quantity) for i in world.all(Intent)]
    fills = [report.fill for report in world.reports() if report.fill is not None]
    held = sum(fill.quantity * fill.side.sign for fill in fills)

    assert any(report.event is OrderEvent.FILLED_PARTLY for report in world.reports())
    assert all(quantity > 0 for _, quantity in script)
    assert 0 <= held <= 1
    assert not [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]


# -- restarts


def test_a_restart_with_a_fresh_snapshot_changes_nothing() -> None:
    """Restored from a snapshot that saw every bar, it decides as if nothing had happened."""
    bars = walk(BTC, 300, 6, start=START + DAY - 150 * MINUTE)
    calm = make_world(bars, sma(10, 30)).run()
    shaken = make_world(bars, sma(10, 30))
    # The first bar after midnight fails before the strategy sees it... and is lost with it.
    midnight = next(n for n, bar in enumerate(bars) if bar.timestamp == START + DAY)
    snapshot = shaken.before_turn(midnight, lambda w: w.session.take_snapshots())
    cell = shaken.cell("strategy:sma")
    snapshot.before_turn(
        midnight, lambda w: w.assembly.supervisor.actor_failed(cell, bars[0], RuntimeError("x"))
    ).run()

    assert len(shaken.all(ActorRestarting)) == 1
    assert orders(calm) == orders(shaken)


def test_bars_that_were_missed_start_the_averages_anew() -> None:
    """A hole in the averages is worse than a wait: after lost bars it warms up again."""
    bars = walk(BTC, 300, 6, start=START + DAY - 150 * MINUTE)
    world = make_world(bars, sma(10, 30))
    world.poison("strategy:sma", Bar, when=lambda bar, _c: bar is bars[200])
    world.run()
    lost = bars[200].timestamp + MINUTE
    after = [(at, side) for at, side in orders(world) if at > lost]

    assert len(world.all(ActorRestarting)) == 1
    assert after[0][0] >= lost + 30 * MINUTE
    # The position outlived the strategy: from then on it is long and flat by turns again.
    assert all(a != b for (_, a), (_, b) in pairwise(after))


def test_the_snapshot_is_plain_json() -> None:
    """What is journaled comes back the same."""
    world = make_world(walk(BTC, 50, 1), sma())
    world.start()
    world.play()
    actor: Any = world.cell("strategy:sma").actor
    snapshot = actor.strategy.snapshot()

    assert json.loads(json.dumps(snapshot)) == snapshot


# -- parameters


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fast": 30, "slow": 10}, "fast is 30, expected less than slow"),
        ({"fast": 10, "slow": 10}, "fast is 10, expected less than slow"),
        ({"fast": 0}, "greater than or equal to 1"),
        ({"quantity": "0"}, "greater than 0"),
        ({"quantity": "NaN"}, "finite"),
        ({"quantity": "Infinity"}, "finite"),
        ({"speed": 3}, "Extra inputs are not permitted"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params: dict[str, Any], message: str) -> None:
    """Each names the field, what was found and what was expected."""
    with pytest.raises(ValidationError, match=message):
        SmaCrossParams(**params)


def test_the_defaults_are_the_documented_ones() -> None:
    """fast=10, slow=30, quantity=1."""
    params = SmaCrossParams()

    assert (params.fast, params.slow, params.quantity) == (10, 30, Decimal(1))


# -- what live needs


def rising(count: int) -> list[Bar]:
    return closes(BTC, [1.0, 1.0, 1.0, 1.0, *[2.0 + n for n in range(count)]])


def test_it_has_every_hook_that_real_money_needs() -> None:
    """`tidegate check` has nothing to warn of."""
    assert [] == missing_hooks(SmaCross)


def test_entries_that_the_venue_refuses_rest_and_exits_never_do() -> None:
    """30 s after the first refusal in a row, 60 s after the second, and so on; sells go out."""
    world = World(replace(make_spec(MemoryFeed({BTC: rising(8)}), sma()), broker=FaultyBroker))
    venue = world.assembly.broker
    assert isinstance(venue, FaultyBroker)
    venue.clock = world.assembly.clock
    venue.strike(VenueFault(fault=FaultKind.REJECT, count=3))
    world.run()
    minutes = [(at - START) // MINUTE for at, _ in orders(world)]

    assert [5, 6, 7, 9] == minutes  # rests of 30, 60 and 120 s
    assert [Verdict.APPROVED] * 4 == [d.verdict for d in world.all(RiskDecision)]

    strategy: Any = world.cell("strategy:sma").actor
    for _ in range(5):
        strategy.strategy.execution_backoff().record_rejection(BTC, OrderFamily.EXIT, START)
    sell = strategy.strategy._order(rising(8)[-1], wants_long=False)

    assert Side.SELL is sell[0].side


def test_its_own_circuit_names_what_must_not_open() -> None:
    """Nothing restricted, nothing below the broker's least order, nothing on top of a position."""
    world = make_world(rising(4), sma())
    world.start()
    actor: Any = world.cell("strategy:sma").actor
    strategy, desk = actor.strategy, actor.desk
    intent = desk.open(BTC, Side.BUY, Decimal(1))

    assert strategy.can_submit_order(intent) is None
    strategy.set_broker_min_order(MinimumOrder(BTC, START, Decimal(2), None))
    assert "quantity is 1, and the least order" in strategy.can_submit_order(intent)
    strategy.set_broker_min_order(MinimumOrder(BTC, START, None, Decimal(5)))
    assert strategy.can_submit_order(intent) is None
    desk.restricted = frozenset({BTC})
    assert "restricted" in strategy.can_submit_order(intent)
    desk.restricted = frozenset()
    world.play()
    assert f"{BTC} is not flat" == strategy.can_submit_order(intent)


def test_a_snapshot_taken_before_the_next_bar_does_not_hide_what_was_missed() -> None:
    """However often it is restarted: the windows say until when they have seen every bar."""
    world = make_world(walk(BTC, 50, 1), sma())
    world.start()
    world.play()
    actor: Any = world.cell("strategy:sma").actor
    kept = json.loads(json.dumps(actor.strategy.snapshot()))
    kept["windows"][BTC]["at"] -= 5 * MINUTE
    again = SmaCross(actor.desk, SmaCrossParams(fast=2, slow=4))
    again.restore(kept)

    assert kept == again.snapshot()


def test_it_is_told_of_fills_and_ends_and_of_nothing_in_between() -> None:
    """Steps on the way change nothing for it, and are not delivered."""
    told: list[OrderEvent] = []

    class Listening(SmaCross):
        def on_order_update(self, report: ExecutionReport) -> Intents:
            told.append(report.event)
            return super().on_order_update(report)

    spec = replace(sma(), factory=Listening)  # type: ignore[arg-type]
    make_world(rising(3), spec).run()

    assert [OrderEvent.FILLED] == told
