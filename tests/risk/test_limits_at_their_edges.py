"""Every configurable limit: what equals it passes, one step beyond is refused, by its own code."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from limit_edges import EDGES, Edge, R
from risk_bench import BUY, NOW, OTHER, PERP, SELL, SPOT, Bench, codes, limit

from actors.risk import GUARDS, SPECS, RiskLimits, RiskMemory
from messages import (
    BreachAction,
    FundingRate,
    Intent,
    OpenIntent,
    OperatorReduce,
    PositionSide,
    Quote,
    ReasonCode,
    ReduceIntent,
    Side,
)

edges = pytest.mark.parametrize("edge", EDGES, ids=str)


def test_every_limit_has_its_edge_tried() -> None:
    """No limit is in the registry without a case here, and its code is the registry's."""
    assert {spec.name for spec in GUARDS} == {edge.guard for edge in EDGES}
    assert all(SPECS[edge.guard].code is edge.code for edge in EDGES)


@edges
def test_what_equals_a_limit_passes(edge: Edge) -> None:
    """The limit is the last value that is good."""
    assert [] == codes(edge.decide(beyond=False))


@edges
def test_one_step_beyond_a_limit_is_refused(edge: Edge) -> None:
    """By its own code alone, with its figures."""
    decision = edge.decide(beyond=True)

    assert [edge.code] == codes(decision)
    assert "=" in decision.causes[0].detail


@edges
def test_without_the_limit_the_same_order_passes(edge: Edge) -> None:
    """It is this limit that refuses, and nothing else: taken away, the order goes out."""
    assert [] == codes(edge.without())


@edges
def test_the_refusal_names_its_limit_with_fixed_point_figures(edge: Edge) -> None:
    """What an operator reads has no exponents in it."""
    assert re.search(r"\dE", edge.decide(beyond=True).causes[0].detail) is None


def test_limits_written_with_exponents_are_shown_without() -> None:
    """However it was written in the configuration."""
    bench = Bench(limits=RiskLimits(max_gross_exposure=Decimal("1E+2")))

    assert "after=200.0 limit=100" == bench.open(BUY, 2).causes[0].detail


# -- what is not known is refused


def quoted(bid: float, ask: float) -> Quote:
    return Quote(SPOT, NOW, bid, ask, 1.0, 1.0)


@pytest.mark.parametrize(
    "quote",
    [None, quoted(0.0, 100.0), quoted(float("nan"), 100.0), quoted(99.0, float("inf"))],
    ids=["no quote", "no bid", "not a number", "infinite"],
)
def test_an_unknown_spread_is_too_wide(quote: Quote | None) -> None:
    """Without a quote that can be traded at, a spread limit refuses."""
    bench = Bench(limits=RiskLimits(max_spread_bps=Decimal(10_000)))
    if quote is not None:
        bench.board.quotes[SPOT] = quote

    assert [R.SPREAD_LIMIT] == codes(bench.open(BUY))
    assert "spread=unknown" in bench.open(BUY).causes[0].detail


@pytest.mark.parametrize("decided", [None, Decimal(0)], ids=["none", "zero"])
def test_a_decision_without_its_price_cannot_be_compared(decided: Decimal | None) -> None:
    """A slippage limit refuses what does not say at which price it was decided."""
    bench = Bench(limits=RiskLimits(max_slippage_bps=Decimal(10_000)))

    assert [R.SLIPPAGE_LIMIT] == codes(bench.open(BUY, decision_price=decided))


def test_a_move_in_our_favour_is_no_slippage() -> None:
    """Only what goes against the order counts."""
    bench = Bench(limits=RiskLimits(max_slippage_bps=Decimal(1)))
    bench.mark(PERP, 50.0)

    assert [] == codes(bench.open(BUY, symbol=PERP, decision_price=Decimal(100)))
    assert [R.SLIPPAGE_LIMIT] == codes(bench.open(SELL, symbol=PERP, decision_price=Decimal(100)))


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"planned_stop": Decimal(99)},
        {"planned_target": Decimal(110)},
        {"planned_stop": Decimal(100), "planned_target": Decimal(110)},
        {"planned_stop": Decimal(101), "planned_target": Decimal(110)},
    ],
    ids=["nothing", "no target", "no stop", "no risk", "a stop on the wrong side"],
)
def test_a_plan_that_cannot_be_judged_is_refused(plan: dict[str, Decimal]) -> None:
    """A reward-to-risk limit needs a stop behind the entry and a target."""
    bench = Bench(limits=RiskLimits(min_reward_to_risk=Decimal("0.1")))

    assert [R.REWARD_TO_RISK] == codes(bench.open(BUY, **plan))


def test_a_plan_is_measured_from_the_orders_own_price() -> None:
    """A limit at 95 with its stop at 94 has more to gain from a target than the market at 100."""
    bench = Bench(limits=RiskLimits(min_reward_to_risk=Decimal(5)))
    plan: dict[str, Any] = {"planned_stop": Decimal(94), "planned_target": Decimal(100)}

    assert [] == codes(bench.open(BUY, policy=limit(95), **plan))
    assert [R.REWARD_TO_RISK] == codes(bench.open(BUY, **plan))


def test_a_price_without_a_market_to_compare_it_with_is_refused() -> None:
    """A price collar refuses on a symbol that never traded, although a limit has its price."""
    bench = Bench(limits=RiskLimits(price_collar_bps=Decimal(10_000)))
    del bench.board.last[SPOT]

    assert [R.PRICE_COLLAR] == codes(bench.open(BUY, policy=limit(100)))


def test_liquidity_that_nobody_has_seen_is_none() -> None:
    """A participation limit refuses on a symbol without a bar."""
    bench = Bench(limits=RiskLimits(max_participation_pct=Decimal(100)))
    del bench.board.last[SPOT]

    assert [R.LIQUIDITY_LIMIT] == codes(bench.open(BUY, policy=limit(100)))


def test_funding_binds_only_who_would_pay_it_and_only_where_there_is_some() -> None:
    """The side that receives opens freely, and so does spot, and whatever has no rate yet."""
    bench = Bench(limits=RiskLimits(max_funding_rate_bps=Decimal(1)))

    assert [] == codes(bench.open(BUY, symbol=PERP))
    bench.board.funding[PERP] = FundingRate(PERP, NOW, 0.01)
    bench.board.funding[SPOT] = FundingRate(SPOT, NOW, 0.01)
    assert [R.FUNDING_COST] == codes(bench.open(BUY, symbol=PERP))
    assert [] == codes(bench.open(SELL, symbol=PERP))
    assert [] == codes(bench.open(BUY, symbol=SPOT))


def test_a_denied_symbol_without_an_instrument_is_refused_for_both_reasons() -> None:
    """The operator reads that the symbol is denied, not only that it is unknown."""
    bench = Bench(limits=RiskLimits(universe_deny=("DOGE/USDT",)))

    assert [R.UNIVERSE_DENIED, R.INSTRUMENT_UNKNOWN] == codes(bench.open(BUY, symbol="DOGE/USDT"))


# -- rates


def test_the_order_rate_counts_any_minute_and_not_the_clocks() -> None:
    """A burst across the full minute is one burst."""
    bench = Bench(limits=RiskLimits(max_orders_per_minute=3), at=NOW + 59_000)

    for _ in range(3):
        assert [] == codes(bench.open(BUY))
    bench.advance(2_000)  # the clock's minute is another one
    assert [R.ORDER_RATE] == codes(bench.open(BUY))
    bench.advance(58_000)
    assert [] == codes(bench.open(BUY))


def test_closes_count_in_no_order_rate() -> None:
    """Only what adds exposure is counted, and only that is refused."""
    bench = Bench(limits=RiskLimits(max_orders_per_minute=2))
    bench.fill(bench.open(BUY, 2))

    for _ in range(4):
        assert [] == codes(bench.reduce(SELL, "0.5"))
    assert [] == codes(bench.open(BUY))
    assert [R.ORDER_RATE] == codes(bench.open(BUY))


@pytest.mark.parametrize(
    "edge", [edge for edge in EDGES if "per_minute" in edge.guard and not edge.label], ids=str
)
def test_a_restarted_risk_remembers_its_rates(edge: Edge) -> None:
    """A crash of Risk opens no new minute."""
    bench = Bench(limits=edge.limits)
    refused = edge.ask(bench, True)
    bench.actor = bench.make()

    assert [edge.code] == codes(refused) == codes(bench.open(BUY))


# -- closes


EVERYTHING_TIGHT = RiskLimits(
    max_order_notional=Decimal(1),
    max_position_notional=Decimal(1),
    max_gross_exposure=Decimal(1),
    live_notional_cap=Decimal(1),
    max_net_exposure=Decimal(1),
    symbol_budgets={PERP: Decimal(1)},
    strategy_budgets={"one": Decimal(1)},
    max_drawdown_pct=Decimal("0.001"),
    max_daily_loss=Decimal("0.001"),
    max_session_loss=Decimal("0.001"),
    max_consecutive_losses=1,
    max_orders_per_minute=1,
    max_cancels_per_minute=1,
    max_open_orders=1,
    price_collar_bps=Decimal(1),
    max_slippage_bps=Decimal(1),
    max_spread_bps=Decimal(1),
    max_participation_pct=Decimal("0.001"),
    min_reward_to_risk=Decimal(1000),
    block_stacking=True,
    order_value_buffer_pct=Decimal(1_000_000),
    max_margin_use_pct=Decimal("0.001"),
    max_funding_rate_bps=Decimal("0.001"),
    max_funding_cost=Decimal("0.001"),
    universe_deny=(PERP,),
    actions={spec.name: BreachAction.REFUSE for spec in GUARDS},
)


def tight(side: Side = BUY) -> Bench:
    """Return a bench that holds 2 of ``side`` and is beyond every limit there is."""
    bench = Bench(100_000)
    bench.fill(bench.open(BUY, 1))
    bench.fill(bench.reduce(SELL, 1), price=99)  # a loss
    bench.fill(bench.open(BUY, 50, strategy="two"))
    bench.fill(bench.open(side, 2, symbol=PERP))
    bench.open(side, 1, symbol=PERP, policy=limit(50 if side is BUY else 200))  # on its way
    bench.limits = EVERYTHING_TIGHT
    bench.memory = RiskMemory.of(EVERYTHING_TIGHT, Decimal(100_000), NOW)
    memory = bench.memory
    assert memory.watch is not None
    assert memory.openings is not None
    assert memory.cancels is not None
    memory.openings.note(NOW)
    memory.cancels.note(NOW, 2)
    memory.watch.losses = 1
    bench.ledger.book_funding("one", PERP, PositionSide.BOTH, Decimal(-1), NOW)
    # Whoever closes would pay, did a close open anything.
    bench.board.funding[PERP] = FundingRate(PERP, NOW, 0.01 * -side.sign)
    bench.actor = bench.make()
    bench.mark(PERP, 100.0 - 5 * side.sign)
    bench.close()
    return bench


def leaving(bench: Bench, kind: type[Intent], side: Side) -> Intent:
    """Return a close at a price far away, long after the market has moved against it."""
    price, decided = (200, 1000) if side is SELL else (50, 1)
    return bench.intent(
        side,
        "0.5",
        symbol=PERP,
        kind=kind,
        policy=limit(price),
        decision_price=Decimal(decided),
    )


def test_every_limit_that_is_passed_is_named_at_once() -> None:
    """A refusal has all its causes, in the registry's order, whichever came first."""
    bench = tight()
    bench.board.funding[PERP] = FundingRate(PERP, NOW, 0.01)
    decision = bench.ask(bench.intent(BUY, 1, symbol=PERP, policy=limit(90)))

    assert [spec.code for spec in GUARDS] == codes(decision)


@pytest.mark.parametrize("side", [BUY, SELL], ids=["long", "short"])
@pytest.mark.parametrize("kind", [ReduceIntent, OperatorReduce])
def test_no_limit_stands_in_the_way_of_a_close(kind: type[Intent], side: Side) -> None:
    """With every limit passed at once, what reduces goes out, at whatever price it asks."""
    bench = tight(side)

    assert [] == codes(bench.ask(leaving(bench, kind, side.opposite)))


def test_a_close_on_its_way_stacks_nothing() -> None:
    """What leaves is no opening: the other direction may open beside it."""
    bench = Bench(limits=RiskLimits(block_stacking=True))
    bench.fill(bench.open(BUY, 2, symbol=PERP))
    bench.reduce(SELL, 1, symbol=PERP)

    assert [] == codes(bench.open(SELL, 1, symbol=PERP))


def test_a_limit_cannot_be_passed_by_calling_a_close_what_opens() -> None:
    """The one thing that still binds a close is correctness: it never exceeds the position."""
    bench = tight()
    more = bench.intent(SELL, "2.0001", symbol=PERP, kind=OperatorReduce)

    assert [R.REDUCE_ONLY_WOULD_OPEN] == codes(bench.ask(more))


# -- the operator's closes


def test_the_operator_closes_what_a_quarantined_strategy_holds() -> None:
    """The strategy's own intents are refused, closes included; the operator's pass."""
    bench = Bench()
    bench.fill(bench.open(BUY, 1))
    bench.quarantined["one"] = "failed too often"

    assert [R.STRATEGY_QUARANTINED] == codes(bench.reduce(SELL, 1))
    assert [R.STRATEGY_QUARANTINED] == codes(bench.open(BUY, 1))
    assert [] == codes(bench.ask(bench.intent(SELL, 1, kind=OperatorReduce)))


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("0.001", R.QUANTITY_NOT_POSITIVE), ("1.5", R.REDUCE_ONLY_WOULD_OPEN)],
)
def test_the_operators_closes_are_correct_orders(quantity: str, expected: ReasonCode) -> None:
    """No capability makes an order that the instrument or the position does not allow."""
    bench = Bench(lot_step=Decimal("0.01"))
    bench.fill(bench.open(BUY, 1))

    assert expected in codes(bench.ask(bench.intent(SELL, quantity, kind=OperatorReduce)))


# -- age


@pytest.mark.parametrize(("waited", "expected"), [(60_000, []), (60_001, [R.INTENT_EXPIRED])])
def test_an_opening_without_an_end_is_good_for_one_time_frame(
    waited: int, expected: list[ReasonCode]
) -> None:
    """At one time frame it passes, a millisecond later it is refused with what it waited."""
    bench = Bench(intent_age_ms_max=60_000)
    intent = bench.intent(BUY)
    bench.advance(waited)
    decision = bench.ask(intent)

    assert expected == codes(decision)
    assert all("waited=60001 limit=60000" in str(cause) for cause in decision.causes)


def test_an_intent_with_its_own_end_and_a_close_may_be_older() -> None:
    """``valid_until`` is the strategy's word; a late close still only reduces."""
    bench = Bench(intent_age_ms_max=60_000)
    bench.fill(bench.open(BUY, 1))
    long_lived = bench.intent(BUY, valid_until=NOW + 300_000)
    close = bench.intent(SELL, 1, reduce=True)
    bench.advance(300_000)

    assert [] == codes(bench.ask(long_lived))
    assert [] == codes(bench.ask(close))


def test_without_a_bound_no_age_is_too_great() -> None:
    """The ablation: what waited for a day goes out."""
    bench = Bench()
    intent = bench.intent(BUY)
    bench.advance(86_400_000)

    assert isinstance(intent, OpenIntent)
    assert [] == codes(bench.ask(intent))


# -- the limits themselves


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_net_exposure": Decimal(0)},
        {"max_orders_per_minute": 0},
        {"max_consecutive_losses": -1},
        {"symbol_budgets": {SPOT: Decimal(0)}},
        {"strategy_budgets": {"one": Decimal(-5)}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_limit_that_would_refuse_everything_is_a_mistake(wrong: dict[str, Any]) -> None:
    """Zero and less is said at once, by name."""
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}.* is .*, expected a positive"):
        RiskLimits(**wrong)


def test_a_symbol_without_a_budget_has_none() -> None:
    """Budgets bind the symbols and strategies that they name, and nobody else."""
    terms = RiskLimits(symbol_budgets={SPOT: Decimal(1)}, strategy_budgets={"two": Decimal(1)})
    bench = Bench(limits=terms)

    assert [] == codes(bench.open(BUY, 50, symbol=OTHER))
    assert [R.SYMBOL_BUDGET] == codes(bench.open(BUY, symbol=SPOT))
    assert [R.STRATEGY_BUDGET] == codes(bench.open(BUY, symbol=OTHER, strategy="two"))


def test_a_close_below_the_instruments_minimum_notional_passes() -> None:
    """Venues ask it of openings only, and so does Risk: dust can be closed."""
    bench = Bench(min_notional=Decimal(100))
    bench.fill(bench.open(BUY, 1))

    assert [] == codes(bench.reduce(SELL, "0.5"))
    assert [R.NOTIONAL_BELOW_MIN] == codes(bench.open(BUY, "0.5"))


def test_replacing_one_limit_leaves_the_others() -> None:
    """Limits are values: a session's are never changed under it."""
    terms = replace(EVERYTHING_TIGHT, max_order_notional=None)

    assert EVERYTHING_TIGHT.max_order_notional == Decimal(1)
    assert terms.max_daily_loss == EVERYTHING_TIGHT.max_daily_loss
