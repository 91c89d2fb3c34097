"""Every limit at its edge: what equals it, and one step beyond, as data for several tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

from risk_bench import BUY, OTHER, PERP, SELL, SPOT, Bench, limit, stop

from actors.risk import RiskLimits
from messages import (
    CancelIntent,
    FundingRate,
    PositionSide,
    Quote,
    ReasonCode,
    RiskDecision,
)

R = ReasonCode
HAIR = Decimal("0.0001")
"""One step beyond, in units of the base asset."""

Ask = Callable[[Bench, bool], RiskDecision]


@dataclass(frozen=True)
class Edge:
    """One limit: ``ask`` returns the decision at the edge, or one step beyond it."""

    guard: str
    limits: RiskLimits
    code: ReasonCode
    ask: Ask
    label: str = ""
    bench: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.guard} {self.label}".strip()

    def decide(self, *, beyond: bool) -> RiskDecision:
        """Return the decision with the limit in force."""
        return self.ask(Bench(limits=self.limits, **self.bench), beyond)

    def without(self) -> RiskDecision:
        """Return the decision beyond the edge with the limit taken away: what an ablation shows."""
        unlimited = RiskLimits()
        given = {
            place.name: getattr(unlimited, place.name)
            for place in fields(RiskLimits)
            if getattr(self.limits, place.name) != getattr(unlimited, place.name)
        }
        assert len(given) == 1, "an edge is about one limit"
        return self.ask(Bench(limits=replace(self.limits, **given), **self.bench), True)


def sized(bench: Bench, beyond: bool, **terms: Any) -> RiskDecision:
    return bench.open(BUY, 1 + HAIR * beyond, **terms)


def held_and_on_its_way(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(BUY, 1))
    bench.open(BUY, 1)
    return sized(bench, beyond)


def long_and_short(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(BUY, 1))
    bench.fill(bench.open(SELL, 1, symbol=PERP))
    return sized(bench, beyond, symbol=OTHER)


def leaning_back(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(SELL, 1, symbol=PERP))  # 100 short
    bench.open(BUY, 1)  # on its way: flat at worst
    return sized(bench, beyond)


def short_leaning(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(BUY, 1))
    bench.open(SELL, 1, symbol=PERP)
    return bench.open(SELL, 1 + HAIR * beyond, symbol=PERP)


def with_a_close_on_its_way(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(SELL, 1, symbol=PERP))
    bench.reduce(BUY, 1, symbol=PERP)  # when it is done, the short no longer balances anything
    return sized(bench, beyond)


def two_strategies(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(BUY, 50, strategy="two"))
    bench.fill(bench.open(BUY, 1, strategy="one"))
    bench.open(BUY, 1, strategy="one", symbol=OTHER)
    return sized(bench, beyond, strategy="one")


def two_unfinished(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(BUY, 1))
    bench.reduce(SELL, 1)
    if beyond:
        bench.open(BUY, 1)
    return bench.open(BUY, 1)


def at_a_rate(bench: Bench, beyond: bool) -> RiskDecision:
    assert not bench.open(BUY).causes
    bench.open(BUY, 0)  # refused: not approved, not counted
    bench.advance(30_000)
    assert not bench.open(BUY).causes
    bench.advance(29_999 + (not beyond))
    return bench.open(BUY)


def after_cancels(bench: Bench, beyond: bool) -> RiskDecision:
    for number in range(2 + beyond):
        cancel = CancelIntent(f"c-{number}", "one", SPOT, bench.clock.now, f"o-{number}")
        assert bench.actor.handlers()[CancelIntent](cancel)
    bench.advance(59_999)
    return bench.open(BUY)


def after_one_cancel_of_many(bench: Bench, beyond: bool) -> RiskDecision:
    for _ in range(2 + beyond):
        bench.open(BUY)
    bench.open(BUY, strategy="two")
    bench.open(BUY, symbol=OTHER)
    cancel = CancelIntent("c", "one", SPOT, bench.clock.now)
    assert bench.actor.handlers()[CancelIntent](cancel)
    return bench.open(BUY)


def after_old_cancels(bench: Bench, beyond: bool) -> RiskDecision:
    for number in range(3):
        cancel = CancelIntent(f"c-{number}", "one", SPOT, bench.clock.now, f"o-{number}")
        assert bench.actor.handlers()[CancelIntent](cancel)
    bench.advance(59_999 + (not beyond))
    return bench.open(BUY)


def stacked_on_a_position(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(BUY, 2, symbol=PERP))
    return bench.open(BUY if beyond else SELL, 1, symbol=PERP)


def stacked_on_an_opening(bench: Bench, beyond: bool) -> RiskDecision:
    bench.open(BUY, 1)
    return bench.open(BUY, 1, strategy="one" if beyond else "two")


def colliding(price: str, further: str, kind: Callable[..., Any]) -> Ask:
    return lambda bench, beyond: bench.open(
        BUY, 1, symbol=PERP, policy=kind(further if beyond else price)
    )


def slipped(side: Any, price: float, further: float) -> Ask:
    def ask(bench: Bench, beyond: bool) -> RiskDecision:
        bench.mark(PERP, further if beyond else price)
        return bench.open(side, symbol=PERP, decision_price=Decimal(100))

    return ask


def spread(bench: Bench, beyond: bool) -> RiskDecision:
    bench.board.quotes[SPOT] = Quote(SPOT, 0, 99.5, 100.51 if beyond else 100.5, 1.0, 1.0)
    return bench.open(BUY)


def participating(bench: Bench, beyond: bool) -> RiskDecision:
    bench.mark(SPOT, 100.0, volume=10.0)
    return sized(bench, beyond)


def planned(side: Any, stop_at: str, target: str, further: str) -> Ask:
    return lambda bench, beyond: bench.open(
        side,
        symbol=PERP,
        planned_stop=Decimal(stop_at),
        planned_target=Decimal(further if beyond else target),
    )


def funded(side: Any, rate: float, higher: float) -> Ask:
    def ask(bench: Bench, beyond: bool) -> RiskDecision:
        bench.board.funding[PERP] = FundingRate(PERP, 0, higher if beyond else rate)
        return bench.open(side, symbol=PERP)

    return ask


def fallen(bench: Bench, beyond: bool) -> RiskDecision:
    """Long 5 at 100 of an account of 1,000: at 80 a hundred is lost."""
    bench.fill(bench.open(BUY, 5, symbol=PERP))
    bench.mark(PERP, 79.9999 if beyond else 80.0)
    if bench.memory.watch is not None:
        bench.close()
    return bench.open(BUY, "0.01", symbol=PERP)


def losing(bench: Bench, beyond: bool) -> RiskDecision:
    for _ in range(1 + beyond):
        bench.fill(bench.open(BUY), price=100)
        bench.fill(bench.reduce(SELL), price=99)
    return bench.open(BUY)


def margined(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(BUY, 4, symbol=PERP))
    bench.open(BUY, 5, symbol=PERP)
    return bench.open(BUY, 1 + HAIR * beyond, symbol=PERP)


def bound_by_a_move(bench: Bench, beyond: bool) -> RiskDecision:
    """Short 10 at 100: at 100 half of 1,000 is bound, above it more of less."""
    bench.fill(bench.open(SELL, 10, symbol=PERP))
    bench.mark(PERP, 100.01 if beyond else 100.0)
    if bench.memory.watch is not None:
        bench.close()
    return bench.open(BUY, 1)


def funding_paid(bench: Bench, beyond: bool) -> RiskDecision:
    bench.fill(bench.open(BUY, 1, symbol=PERP))
    amount = Decimal(-10) - HAIR * beyond
    bench.ledger.book_funding("one", PERP, PositionSide.BOTH, amount, bench.clock.now)
    if bench.memory.watch is not None:
        bench.close()
    return bench.open(BUY, 1)


MARGIN = {"initial_margin": Decimal("0.1")}
THOUSAND: dict[str, Any] = {"cash": 1000, **MARGIN}
HALF_MARGIN: dict[str, Any] = {"cash": 1000, "initial_margin": Decimal("0.5")}

EDGES: tuple[Edge, ...] = (
    Edge(
        "universe",
        RiskLimits(universe_deny=(OTHER,)),
        R.UNIVERSE_DENIED,
        lambda bench, beyond: bench.open(BUY, symbol=OTHER if beyond else SPOT),
        "denied",
    ),
    Edge(
        "universe",
        RiskLimits(universe_allow=(SPOT,)),
        R.UNIVERSE_DENIED,
        lambda bench, beyond: bench.open(BUY, symbol=OTHER if beyond else SPOT),
        "not allowed",
    ),
    Edge(
        "max_order_notional",
        RiskLimits(max_order_notional=Decimal(100)),
        R.MAX_ORDER_NOTIONAL,
        sized,
    ),
    Edge(
        "max_position_notional",
        RiskLimits(max_position_notional=Decimal(300)),
        R.MAX_POSITION_NOTIONAL,
        held_and_on_its_way,
    ),
    Edge(
        "max_gross_exposure",
        RiskLimits(max_gross_exposure=Decimal(300)),
        R.MAX_GROSS_EXPOSURE,
        long_and_short,
    ),
    Edge(
        "live_notional_cap",
        RiskLimits(live_notional_cap=Decimal(300)),
        R.LIVE_NOTIONAL_CAP,
        long_and_short,
    ),
    Edge(
        "max_net_exposure",
        RiskLimits(max_net_exposure=Decimal(100)),
        R.MAX_NET_EXPOSURE,
        leaning_back,
        "long",
    ),
    Edge(
        "max_net_exposure",
        RiskLimits(max_net_exposure=Decimal(100)),
        R.MAX_NET_EXPOSURE,
        short_leaning,
        "short",
    ),
    Edge(
        "max_net_exposure",
        RiskLimits(max_net_exposure=Decimal(100)),
        R.MAX_NET_EXPOSURE,
        with_a_close_on_its_way,
        "a close on its way",
    ),
    Edge(
        "symbol_budgets",
        RiskLimits(symbol_budgets={SPOT: Decimal(300), OTHER: Decimal(1)}),
        R.SYMBOL_BUDGET,
        held_and_on_its_way,
    ),
    Edge(
        "strategy_budget",
        RiskLimits(strategy_budgets={"one": Decimal(300)}),
        R.STRATEGY_BUDGET,
        two_strategies,
    ),
    Edge("max_open_orders", RiskLimits(max_open_orders=2), R.MAX_OPEN_ORDERS, two_unfinished),
    Edge("max_orders_per_minute", RiskLimits(max_orders_per_minute=2), R.ORDER_RATE, at_a_rate),
    Edge(
        "max_cancels_per_minute",
        RiskLimits(max_cancels_per_minute=2),
        R.CANCEL_RATE,
        after_cancels,
    ),
    Edge(
        "max_cancels_per_minute",
        RiskLimits(max_cancels_per_minute=2),
        R.CANCEL_RATE,
        after_one_cancel_of_many,
        "one for many orders",
    ),
    Edge(
        "max_cancels_per_minute",
        RiskLimits(max_cancels_per_minute=2),
        R.CANCEL_RATE,
        after_old_cancels,
        "a minute ago",
    ),
    Edge(
        "block_stacking",
        RiskLimits(block_stacking=True),
        R.STACKING_BLOCKED,
        stacked_on_a_position,
        "position",
    ),
    Edge(
        "block_stacking",
        RiskLimits(block_stacking=True),
        R.STACKING_BLOCKED,
        stacked_on_an_opening,
        "opening",
    ),
    Edge(
        "order_value_buffer_pct",
        RiskLimits(order_value_buffer_pct=Decimal(10)),
        R.ORDER_VALUE_BUFFER,
        sized,
        "cash",
        {"cash": 110},
    ),
    Edge(
        "order_value_buffer_pct",
        RiskLimits(order_value_buffer_pct=Decimal(10)),
        R.ORDER_VALUE_BUFFER,
        lambda bench, beyond: sized(bench, beyond, symbol=PERP),
        "margin",
        {"cash": 11, **MARGIN},
    ),
    Edge(
        "price_collar_bps",
        RiskLimits(price_collar_bps=Decimal(100)),
        R.PRICE_COLLAR,
        colliding("99", "98.99", limit),
        "limit below",
    ),
    Edge(
        "price_collar_bps",
        RiskLimits(price_collar_bps=Decimal(100)),
        R.PRICE_COLLAR,
        colliding("101", "101.01", stop),
        "stop above",
    ),
    Edge(
        "max_slippage_bps",
        RiskLimits(max_slippage_bps=Decimal(100)),
        R.SLIPPAGE_LIMIT,
        slipped(BUY, 101.0, 101.01),
        "buy",
    ),
    Edge(
        "max_slippage_bps",
        RiskLimits(max_slippage_bps=Decimal(100)),
        R.SLIPPAGE_LIMIT,
        slipped(SELL, 99.0, 98.99),
        "sell",
    ),
    Edge("max_spread_bps", RiskLimits(max_spread_bps=Decimal(100)), R.SPREAD_LIMIT, spread),
    Edge(
        "max_participation_pct",
        RiskLimits(max_participation_pct=Decimal(10)),
        R.LIQUIDITY_LIMIT,
        participating,
    ),
    Edge(
        "min_reward_to_risk",
        RiskLimits(min_reward_to_risk=Decimal(2)),
        R.REWARD_TO_RISK,
        planned(BUY, "99", "102", "101.9999"),
        "long",
    ),
    Edge(
        "min_reward_to_risk",
        RiskLimits(min_reward_to_risk=Decimal(2)),
        R.REWARD_TO_RISK,
        planned(SELL, "101", "98", "98.0001"),
        "short",
    ),
    Edge(
        "max_funding_rate_bps",
        RiskLimits(max_funding_rate_bps=Decimal(1)),
        R.FUNDING_COST,
        funded(BUY, 0.0001, 0.00010001),
        "long",
    ),
    Edge(
        "max_funding_rate_bps",
        RiskLimits(max_funding_rate_bps=Decimal(1)),
        R.FUNDING_COST,
        funded(SELL, -0.0001, -0.00010001),
        "short",
    ),
    Edge(
        "max_drawdown_pct",
        RiskLimits(max_drawdown_pct=Decimal(10)),
        R.MAX_DRAWDOWN,
        fallen,
        bench=THOUSAND,
    ),
    Edge(
        "max_daily_loss",
        RiskLimits(max_daily_loss=Decimal(100)),
        R.MAX_DAILY_LOSS,
        fallen,
        bench=THOUSAND,
    ),
    Edge(
        "max_session_loss",
        RiskLimits(max_session_loss=Decimal(100)),
        R.MAX_SESSION_LOSS,
        fallen,
        bench=THOUSAND,
    ),
    Edge(
        "max_consecutive_losses",
        RiskLimits(max_consecutive_losses=2),
        R.CONSECUTIVE_LOSSES,
        losing,
    ),
    Edge(
        "max_margin_use_pct",
        RiskLimits(max_margin_use_pct=Decimal(50)),
        R.MARGIN_USE,
        margined,
        "by the order",
        HALF_MARGIN,
    ),
    Edge(
        "max_margin_use_pct",
        RiskLimits(max_margin_use_pct=Decimal(50)),
        R.MARGIN_USE,
        bound_by_a_move,
        "by the market",
        HALF_MARGIN,
    ),
    Edge(
        "max_funding_cost",
        RiskLimits(max_funding_cost=Decimal(10)),
        R.FUNDING_COST,
        funding_paid,
    ),
)
