"""
Limits on when and at what price to open: collar, slippage, spread, liquidity, plan, funding.

Each function takes a limit and returns the guard that holds it. A value that equals its limit
passes. All of them concern openings only. A guard whose figures are not known refuses: asked to
compare with a market that nobody sees, the answer is no. Funding is the exception, because
rates are announced at intervals and most instruments have none.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from actors.risk.account import HUNDRED
from actors.risk.guards import Guard
from actors.risk.proposal import Proposal
from actors.risk.view import RiskView
from messages import Cause, InstrumentKind, Quote, ReasonCode, Side
from state.money import BASIS_POINT, ZERO, exact, plain, ratio

_PERPETUAL: Final = InstrumentKind.LINEAR_PERPETUAL
_BUY: Final = Side.BUY
TWO: Final = Decimal(2)
TEN_THOUSAND: Final = Decimal(10_000)


def universe(proposal: Proposal, view: RiskView) -> Cause | None:
    """Refuse symbols that the universe's lists do not let through."""
    return None if proposal.reducing else view.limits.denied(proposal.intent.symbol)


def price_collar_bps(limit: Decimal) -> Guard:
    """Return a guard that refuses limit and stop prices too far from the mark, either way."""
    share = limit * BASIS_POINT

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        for name, price in (("limit", proposal.limit_price), ("stop", proposal.stop_price)):
            if price is None:
                continue
            mark = view.board.mark(proposal.intent.symbol)
            if mark is None:
                return Cause(ReasonCode.PRICE_COLLAR, f"{name}_price={plain(price)} mark=unknown")
            if abs(price - mark) > share * mark:
                away = plain(ratio(abs(price - mark), mark * BASIS_POINT))
                return Cause(
                    ReasonCode.PRICE_COLLAR,
                    f"{name}_price={plain(price)} mark={plain(mark)} bps={away} "
                    f"limit={plain(limit)}",
                )
        return None

    return guard


def max_slippage_bps(limit: Decimal) -> Guard:
    """Return a guard that refuses to open after the market has moved against the decision."""
    share = limit * BASIS_POINT

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        decided = proposal.intent.decision_price
        mark = view.board.mark(proposal.intent.symbol)
        if decided is None or decided <= ZERO or mark is None:
            known = f"decision_price={_shown(decided)} mark={_shown(mark)}"
            return Cause(ReasonCode.SLIPPAGE_LIMIT, known)
        against = (mark - decided) * proposal.intent.side.sign
        if against <= share * decided:
            return None
        bps = plain(ratio(against, decided * BASIS_POINT))
        return Cause(
            ReasonCode.SLIPPAGE_LIMIT,
            f"decision_price={plain(decided)} mark={plain(mark)} bps={bps} limit={plain(limit)}",
        )

    return guard


def max_spread_bps(limit: Decimal) -> Guard:
    """Return a guard that refuses to open while bid and ask are too far apart."""
    share = limit * BASIS_POINT

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        symbol = proposal.intent.symbol
        quote = view.board.quotes.get(symbol)
        sides = None if quote is None else _sides(quote)
        if sides is None:
            return Cause(ReasonCode.SPREAD_LIMIT, f"symbol={symbol} spread=unknown")
        bid, ask = sides
        middle = (bid + ask) / TWO
        if ask - bid <= share * middle:
            return None
        bps = plain(ratio(ask - bid, middle * BASIS_POINT))
        return Cause(
            ReasonCode.SPREAD_LIMIT,
            f"bid={plain(bid)} ask={plain(ask)} bps={bps} limit={plain(limit)}",
        )

    return guard


def _sides(quote: Quote) -> tuple[Decimal, Decimal] | None:
    """Return bid and ask exactly, ``None`` where the quote has none that can be traded at."""
    try:
        bid, ask = exact(quote.bid), exact(quote.ask)
    except ValueError:
        return None
    return (bid, ask) if bid > ZERO and ask > ZERO else None


def max_participation_pct(limit: Decimal) -> Guard:
    """Return a guard that bounds an order by the notional of the newest bar's volume."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        symbol = proposal.intent.symbol
        bar = view.board.last.get(symbol)
        if bar is None:
            return Cause(ReasonCode.LIQUIDITY_LIMIT, f"symbol={symbol} volume=unknown")
        traded = exact(bar.volume) * exact(bar.close)
        if proposal.notional * HUNDRED <= limit * traded:
            return None
        return Cause(
            ReasonCode.LIQUIDITY_LIMIT,
            f"notional={plain(proposal.notional)} bar_notional={plain(traded)} "
            f"limit_pct={plain(limit)}",
        )

    return guard


def min_reward_to_risk(least: Decimal) -> Guard:
    """Return a guard that refuses plans whose target is too near, or whose stop is too far."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:  # noqa: ARG001 - one signature
        if proposal.reducing:
            return None
        intent = proposal.intent
        stop, target, entry = intent.planned_stop, intent.planned_target, _entry(proposal)
        figures = f"entry={_shown(entry)} stop={_shown(stop)} target={_shown(target)}"
        if stop is None or target is None or entry is None:
            return Cause(ReasonCode.REWARD_TO_RISK, figures)
        risk = (entry - stop) * intent.side.sign
        reward = (target - entry) * intent.side.sign
        if risk > ZERO and reward >= least * risk:
            return None
        found = plain(ratio(reward, risk)) if risk > ZERO else "none"
        return Cause(ReasonCode.REWARD_TO_RISK, f"{figures} ratio={found} limit={plain(least)}")

    return guard


def _entry(proposal: Proposal) -> Decimal | None:
    """Return the price at which the plan begins: the order's own, else the market's."""
    if proposal.limit_price is not None:
        return proposal.limit_price
    return proposal.stop_price if proposal.stop_price is not None else proposal.price


def max_funding_rate_bps(limit: Decimal) -> Guard:
    """Return a guard that refuses to open on the side that pays a higher rate of funding."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing or proposal.instrument.kind is not _PERPETUAL:
            return None
        newest = view.board.funding.get(proposal.intent.symbol)
        if newest is None:
            return None
        pays = exact(newest.rate) * proposal.intent.side.sign * TEN_THOUSAND
        if pays <= limit:
            return None
        side = "long" if proposal.intent.side is _BUY else "short"
        return Cause(
            ReasonCode.FUNDING_COST, f"side={side} pays_bps={plain(pays)} limit={plain(limit)}"
        )

    return guard


def account_limit(name: str) -> Guard:
    """Return the guard of one of the account's own limits: it asks the watch."""

    def guard(proposal: Proposal, view: RiskView) -> Cause | None:
        if proposal.reducing:
            return None
        assert view.watch is not None, "the memory was made for these limits"
        return view.watch.cause(name, proposal.now)

    return guard


def _shown(value: Decimal | None) -> str:
    return "unknown" if value is None else plain(value)
