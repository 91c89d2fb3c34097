"""Reservations: made in the step of the verdict, shrunk by fills, given back at the end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from risk_bench import BUY, OTHER, PERP, SELL, SPOT, Bench, codes, limit, stop

from actors.risk import RiskLimits, RiskView
from messages import (
    IntentAction,
    OrderEvent,
    OrderStatus,
    PositionMode,
    PositionSide,
    ReasonCode,
    RiskDecision,
    Side,
    Verdict,
)

R = ReasonCode

ENDINGS = [OrderEvent.CANCELLED, OrderEvent.REJECTED, OrderEvent.EXPIRED]


def test_two_intents_in_one_step_cannot_spend_the_same_cash() -> None:
    """The second is judged with the first one's reservation in place."""
    bench = Bench(150)

    assert codes(bench.open(BUY)) == []
    assert codes(bench.open(BUY)) == [R.CASH_INSUFFICIENT]


def test_two_strategies_share_one_account() -> None:
    """What one strategy has on its way, the other cannot spend."""
    bench = Bench(150)

    assert codes(bench.open(BUY, strategy="one")) == []
    assert codes(bench.open(BUY, strategy="two")) == [R.CASH_INSUFFICIENT]


def protecting(bench: Bench, quantity: int, replaces: str = "") -> RiskDecision:
    """Ask for a stop that may take another one's place."""
    terms = {"policy": stop(90), "action": IntentAction.SET_STOP, "replaces": replaces}
    return bench.reduce(SELL, quantity, **terms)


def test_a_chain_of_replacements_counts_once() -> None:
    """A stop made smaller and replaced again in one step: all but the last one will go."""
    bench = Bench()
    bought = bench.open(BUY, 2)
    bench.fill(bought)
    first = protecting(bench, 2)
    second = protecting(bench, 1, first.intent_id)
    third = protecting(bench, 2, second.intent_id)

    assert [[], [], []] == [codes(each) for each in (first, second, third)]
    assert [R.REDUCE_ONLY_WOULD_OPEN] == codes(protecting(bench, 1, "nobody"))
    assert [R.REDUCE_ONLY_WOULD_OPEN] == codes(protecting(bench, 3, third.intent_id))


def test_what_is_replaced_counts_again_where_its_successor_ends() -> None:
    """A link of the chain that was rejected replaces nothing any more."""
    bench = Bench()
    bench.fill(bench.open(BUY, 2))
    first = protecting(bench, 2)
    second = protecting(bench, 2, first.intent_id)

    bench.end(second, OrderEvent.REJECTED)

    assert [R.REDUCE_ONLY_WOULD_OPEN] == codes(protecting(bench, 1, second.intent_id))
    assert [] == codes(protecting(bench, 2, first.intent_id))


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_reserved_comes_back_when_the_order_ends(ending: OrderEvent) -> None:
    """Cancelled, rejected or expired: the money is free again, to the last digit."""
    bench = Bench("100.1", fee_bps=10)
    decision = bench.open(BUY)
    assert bench.view.free_cash() == 0

    bench.end(decision, ending)

    assert bench.view.free_cash() == Decimal("100.1")
    assert bench.view.reservations == {}
    assert codes(bench.open(BUY)) == []


def test_a_suppressed_order_gives_back_its_reservation() -> None:
    """The last look's refusal frees what the verdict reserved."""
    bench = Bench(100)
    decision = bench.open(BUY)
    request = bench.request(decision.intent_id)

    bench.report(request, OrderEvent.SUPPRESSED, OrderStatus.SUPPRESSED)

    assert bench.view.free_cash() == 100


def test_an_order_in_doubt_stays_reserved() -> None:
    """Silence never ends an order, and its worst case stays counted."""
    bench = Bench(100)
    decision = bench.open(BUY)
    request = bench.request(decision.intent_id)

    bench.report(request, OrderEvent.SILENCE, OrderStatus.IN_DOUBT)

    assert bench.view.free_cash() == 0
    assert codes(bench.open(BUY, "0.01")) == [R.CASH_INSUFFICIENT]


def test_partial_fills_shrink_the_reservation() -> None:
    """What was filled is cash spent; only the rest is still reserved."""
    bench = Bench(1000, fee_bps=10)
    decision = bench.open(BUY, 4, policy=limit(100))
    bench.fill(decision, 1, "90")

    assert bench.view.cash == Decimal("909.91")
    assert bench.view.reserved_cash == Decimal("300.3")
    bench.end(decision)
    assert bench.view.free_cash() == Decimal("909.91")


def test_partial_fills_of_a_close_shrink_what_is_being_closed() -> None:
    """Long 3, closing 2, filled 1: two are left and one of them is still on its way out."""
    bench = Bench()
    bench.fill(bench.open(BUY, 3))
    closing = bench.reduce(SELL, 2)
    bench.fill(closing, 1)

    assert codes(bench.reduce(SELL, "1.01")) == [R.REDUCE_ONLY_WOULD_OPEN]
    assert codes(bench.reduce(SELL, 1)) == []
    bench.fill(closing)
    assert bench.view.position(("one", SPOT, bench.request(closing.intent_id).position_side)) == 1


def test_a_fill_after_the_cancel_moves_the_position_and_frees_nothing_twice() -> None:
    """The venue moved the money: the position and the cash follow, the reservation is gone."""
    bench = Bench(1000)
    decision = bench.open(BUY, 2)
    bench.end(decision)
    bench.fill(decision, 1)

    assert bench.view.reserved_cash == 0
    assert bench.view.cash == 900
    assert codes(bench.reduce(SELL, 1)) == []


# -- the live view equals a rebuilt one


def views_agree(live: RiskView, rebuilt: RiskView) -> None:
    def reserved(view: RiskView) -> dict[str, tuple[Any, ...]]:
        return {
            order_id: (r.book, r.side, r.quantity, r.price, r.cash_per_unit, r.reducing)
            for order_id, r in view.reservations.items()
        }

    assert live.cash == rebuilt.cash
    assert live.positions == rebuilt.positions
    assert live.averages == rebuilt.averages
    assert reserved(live) == reserved(rebuilt)
    assert live.reserved_cash == rebuilt.reserved_cash
    assert live.free_cash() == rebuilt.free_cash()
    assert live.free_margin() == rebuilt.free_margin()
    assert live.exposure() == rebuilt.exposure()
    for book in {r.book for r in live.reservations.values()} | set(live.positions):
        assert live.reducing(book) == rebuilt.reducing(book)
        for side in Side:
            assert live.opening(book, side) == rebuilt.opening(book, side)


class RiskMachine(RuleBasedStateMachine):
    """Any flow of intents, fills and endings; a restart at any moment changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(
            2000,
            fee_bps=10,
            initial_margin=Decimal("0.2"),
            limits=RiskLimits(max_gross_exposure=Decimal(3000)),
        )
        self.live: list[RiskDecision] = []

    @rule(
        reduce=st.booleans(),
        side=st.sampled_from(Side),
        lots=st.integers(1, 12),
        symbol=st.sampled_from((SPOT, OTHER, PERP)),
        strategy=st.sampled_from(("one", "two")),
        policy=st.sampled_from((None, limit(95), limit(105), stop(104), stop(96))),
    )
    def ask(self, reduce: bool, lots: int, policy: Any, **terms: Any) -> None:
        ask = self.bench.reduce if reduce else self.bench.open
        decision: RiskDecision = ask(quantity=Decimal(lots) / 4, policy=policy, **terms)
        if decision.verdict is Verdict.APPROVED:
            self.live.append(decision)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), part=st.sampled_from((None, Decimal("0.25"))))
    def fill(self, data: st.DataObject, part: Decimal | None) -> None:
        decision = data.draw(st.sampled_from(self.live))
        order = self.bench.orders.by_order_id(decision.intent_id)
        assert order is not None
        self.bench.fill(decision, None if part is None else min(part, order.remaining))
        if not order.live:
            self.live.remove(decision)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), ending=st.sampled_from(ENDINGS))
    def end(self, data: st.DataObject, ending: OrderEvent) -> None:
        decision = data.draw(st.sampled_from(self.live))
        order = self.bench.orders.by_order_id(decision.intent_id)
        assert order is not None
        if order.status is OrderStatus.PARTIALLY_FILLED and ending is OrderEvent.REJECTED:
            return
        self.bench.end(decision, ending)
        self.live.remove(decision)

    @invariant()
    def a_restart_changes_nothing(self) -> None:
        views_agree(self.bench.view, self.bench.make().view)

    @invariant()
    def spot_is_never_short(self) -> None:
        for (_, symbol, _), held in self.bench.view.positions.items():
            assert held > 0 or symbol == PERP

    @invariant()
    def what_is_being_sold_is_there(self) -> None:
        view = self.bench.view
        for book, held in view.positions.items():
            if book[1] != PERP:
                assert view.reducing(book) + view.opening(book, SELL) <= held


TestRiskMachine = RiskMachine.TestCase
TestRiskMachine.settings = settings(max_examples=80, stateful_step_count=30)


@given(st.integers(1, 500), st.floats(50.0, 150.0).map(lambda price: round(price, 2)))
@settings(max_examples=25)
def test_a_market_order_in_flight_survives_a_restart_of_risk(bps: int, price: float) -> None:
    """What was reserved with slippage is reserved with slippage again, at the price of then."""
    bench = Bench(1000, slippage_bps=bps)
    bench.open(BUY, 1)
    bench.mark(SPOT, price)

    views_agree(bench.view, bench.make().view)


def test_a_restarted_risk_knows_what_was_decided_before() -> None:
    """An intent whose order is finished is still a duplicate for the next incarnation."""
    bench = Bench()
    decision = bench.open(BUY, 1)
    bench.fill(decision)
    bench.actor = bench.make()

    again = bench.intent(BUY, 1, intent_id=decision.intent_id)

    assert codes(bench.ask(again)) == [R.DUPLICATE_INTENT]


def test_a_hedge_account_is_rebuilt_by_book() -> None:
    """Long and short books come back apart."""
    bench = Bench(mode=PositionMode.HEDGE)
    bench.fill(bench.open(BUY, 1, symbol=PERP, position_side=PositionSide.LONG))
    bench.fill(bench.open(SELL, 2, symbol=PERP, position_side=PositionSide.SHORT))
    bench.reduce(SELL, 1, symbol=PERP, position_side=PositionSide.LONG)

    views_agree(bench.view, bench.make().view)
