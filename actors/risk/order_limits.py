"""
Limits on what an order would add: size, exposure, budgets, number, money.

Each function takes a limit and returns the guard that holds it. A value that equals its limit
passes. All of them concern openings only.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from actors.risk.account import HUNDRED, margin_cause
from actors.risk.guards import Guard
from actors.risk.proposal import Proposal
from actors.risk.view import RiskView
from messages import Cause, InstrumentKind, ReasonCode, Side
from state.money import ZERO, plain

_SPOT: Final = InstrumentKind.SPOT
_BUY: Final = Side.BUY


def max_order_notional(limit: Decimal) -> Guard:
    """Return a guard that refuses opening orders of a larger notional."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:  # noqa: ARG001 - one signature
        if proposal.reducing or proposal.notional <= limit:
            return None
        return Cause(
            ReasonCode.MAX_ORDER_NOTIONAL,
            f"notional={plain(proposal.notional)} limit={plain(limit)}",
        )

    return guard


def max_position_notional(limit: Decimal) -> Guard:
    """Return a guard that bounds each symbol's worst-case notional."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        after = view.exposure(proposal.intent.symbol) + proposal.notional
        if after <= limit:
            return None
        return Cause(ReasonCode.MAX_POSITION_NOTIONAL, f"after={plain(after)} limit={plain(limit)}")

    return guard


def max_gross_exposure(limit: Decimal, code: ReasonCode = ReasonCode.MAX_GROSS_EXPOSURE) -> Guard:
    """Return a guard that bounds the worst-case notional of all positions together."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        after = view.exposure() + proposal.notional
        if after <= limit:
            return None
        return Cause(code, f"after={plain(after)} limit={plain(limit)}")

    return guard


def live_notional_cap(limit: Decimal) -> Guard:
    """Return the guard of the cap that every session for real money has, whatever else it has."""
    return max_gross_exposure(limit, ReasonCode.LIVE_NOTIONAL_CAP)


def max_net_exposure(limit: Decimal) -> Guard:
    """
    Return a guard that bounds how far all positions together may lean to one side.

    An order that leans against what is held passes until it leans too far itself.
    """

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        side = proposal.intent.side
        after = view.net_exposure(side) + proposal.notional
        if after <= limit:
            return None
        leaning = "long" if side is _BUY else "short"
        return Cause(
            ReasonCode.MAX_NET_EXPOSURE, f"after={plain(after)} side={leaning} limit={plain(limit)}"
        )

    return guard


def symbol_budgets(budgets: Mapping[str, Decimal]) -> Guard:
    """Return a guard that bounds the worst-case notional of each symbol that has a budget."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        symbol = proposal.intent.symbol
        budget = budgets.get(symbol)
        if budget is None or proposal.reducing:
            return None
        after = view.exposure(symbol) + proposal.notional
        if after <= budget:
            return None
        return Cause(
            ReasonCode.SYMBOL_BUDGET, f"symbol={symbol} after={plain(after)} budget={plain(budget)}"
        )

    return guard


def strategy_budgets(budgets: Mapping[str, Decimal]) -> Guard:
    """Return a guard that bounds the worst-case notional of each strategy that has a budget."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        strategy = proposal.intent.strategy
        budget = budgets.get(strategy)
        if budget is None or proposal.reducing:
            return None
        after = view.invested(strategy) + proposal.notional
        if after <= budget:
            return None
        return Cause(
            ReasonCode.STRATEGY_BUDGET,
            f"strategy={strategy} after={plain(after)} budget={plain(budget)}",
        )

    return guard


def max_open_orders(limit: int) -> Guard:
    """Return a guard that bounds the number of unfinished orders, closes counted."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing or len(view.reservations) < limit:
            return None
        return Cause(
            ReasonCode.MAX_OPEN_ORDERS, f"unfinished={len(view.reservations)} limit={limit}"
        )

    return guard


def max_orders_per_minute(limit: int) -> Guard:
    """Return a guard that bounds the openings approved within any 60 s."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        openings = view.openings
        assert openings is not None, "the memory was made for these limits"
        if proposal.reducing or not openings.full(proposal.now):
            return None
        return Cause(ReasonCode.ORDER_RATE, f"last_60s={limit} limit={limit}")

    return guard


def max_cancels_per_minute(limit: int) -> Guard:
    """Return a guard that refuses openings after more cancels than this within 60 s."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        cancels = view.cancels
        assert cancels is not None, "the memory was made for these limits"
        if proposal.reducing or not cancels.full(proposal.now):
            return None
        return Cause(ReasonCode.CANCEL_RATE, f"last_60s_above={limit} limit={limit}")

    return guard


def block_stacking(proposal: Proposal, view: RiskView) -> Cause | None:
    """Refuse to add to a position, or to open while the book has an unfinished opening."""
    if proposal.reducing:
        return None
    side = proposal.intent.side
    held = view.position(proposal.book)
    if held * side.sign > ZERO:
        return Cause(ReasonCode.STACKING_BLOCKED, f"position={plain(held)}")
    for order_id, reservation in view.reservations.items():
        if not reservation.reducing and reservation.book == proposal.book:
            return Cause(ReasonCode.STACKING_BLOCKED, f"unfinished={order_id}")
    return None


def order_value_buffer_pct(buffer: Decimal) -> Guard:
    """Return a guard that keeps ``buffer`` percent of an order's cost free beside it."""
    factor = (HUNDRED + buffer) / HUNDRED

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        per_unit = proposal.cash_per_unit
        if proposal.reducing or not per_unit or proposal.quantity <= ZERO:
            return None
        need = proposal.quantity * per_unit * factor
        spot = proposal.instrument.kind is _SPOT
        free = view.free_cash() if spot else view.free_margin()
        if need <= free:
            return None
        return Cause(
            ReasonCode.ORDER_VALUE_BUFFER,
            f"need={plain(need)} free={plain(free)} buffer_pct={plain(buffer)}",
        )

    return guard


def max_margin_use_pct(limit: Decimal) -> Guard:
    """Return a guard that bounds the margin of positions and openings, in percent of equity."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        watch = view.watch
        assert watch is not None, "the memory was made for these limits"
        margin = view.margin() + view.margin_on_its_way()
        if proposal.instrument.kind is not _SPOT:
            margin += proposal.notional * proposal.instrument.initial_margin
        return margin_cause(margin, watch.state.equity, limit)

    return guard
