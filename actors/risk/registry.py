"""
The registry of limits: from one table follow the guards, their actions and the documentation.

A guard's name is the name of its key under ``[risk]`` wherever it has one there; it is what
``[risk.actions]`` and the hold ``risk:NAME`` call it, and never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from actors.risk import account, market_limits, order_limits
from actors.risk.guards import ALWAYS, Guard
from actors.risk.limits import RiskLimits
from messages import BreachAction, Cause, ReasonCode, RiskBreached


@dataclass(frozen=True, slots=True)
class GuardSpec:
    """
    One limit that a configuration can set.

    ``setting`` is the dotted key that sets it. ``make`` returns the guard, ``None`` where the
    limits do not ask for it. ``action`` is what a breach brings about unless configured
    otherwise. An ``account`` guard can also be breached without any order.
    """

    name: str
    setting: str
    code: ReasonCode
    action: BreachAction
    make: Callable[[RiskLimits], Guard | None]
    description: str
    account: bool = False

    def action_in(self, limits: RiskLimits) -> BreachAction:
        """Return what a breach of this guard brings about in a session of ``limits``."""
        return limits.actions.get(self.name, self.action)


REFUSE: Final = BreachAction.REFUSE
REDUCE_ONLY: Final = BreachAction.REDUCE_ONLY
HALT: Final = BreachAction.HALT


def _spec(
    name: str,
    code: ReasonCode,
    factory: Callable[[Any], Guard],
    description: str,
    action: BreachAction = REFUSE,
) -> GuardSpec:
    """Return the spec of a limit that is one value of ``RiskLimits``."""

    def make(limits: RiskLimits) -> Guard | None:
        value = getattr(limits, name)
        return factory(value) if value else None

    return GuardSpec(name, f"risk.{name}", code, action, make, description)


def _account(name: str, code: ReasonCode, action: BreachAction, description: str) -> GuardSpec:
    """Return the spec of a limit that the account's watch measures."""

    def make(limits: RiskLimits) -> Guard | None:
        return None if getattr(limits, name) is None else market_limits.account_limit(name)

    return GuardSpec(name, f"risk.{name}", code, action, make, description, account=True)


def _margin_guard(limits: RiskLimits) -> Guard | None:
    limit: Decimal | None = limits.max_margin_use_pct
    return None if limit is None else order_limits.max_margin_use_pct(limit)


def _universe_guard(limits: RiskLimits) -> Guard | None:
    return market_limits.universe if limits.universe_allow or limits.universe_deny else None


GUARDS: Final[tuple[GuardSpec, ...]] = (
    GuardSpec(
        "universe",
        "universe.allow, universe.deny",
        ReasonCode.UNIVERSE_DENIED,
        REFUSE,
        _universe_guard,
        "symbols that are denied, or missing from the list of the allowed",
    ),
    _spec(
        "max_order_notional",
        ReasonCode.MAX_ORDER_NOTIONAL,
        order_limits.max_order_notional,
        "largest notional of one order",
    ),
    _spec(
        "max_position_notional",
        ReasonCode.MAX_POSITION_NOTIONAL,
        order_limits.max_position_notional,
        "largest notional of one symbol: held, and on its way",
    ),
    _spec(
        "max_gross_exposure",
        ReasonCode.MAX_GROSS_EXPOSURE,
        order_limits.max_gross_exposure,
        "largest sum of all notionals, long and short: held, and on their way",
    ),
    _spec(
        "live_notional_cap",
        ReasonCode.LIVE_NOTIONAL_CAP,
        order_limits.live_notional_cap,
        "live and shadow sessions only, and always: the same sum, under a cap that is small until "
        "it is raised by hand",
    ),
    _spec(
        "max_net_exposure",
        ReasonCode.MAX_NET_EXPOSURE,
        order_limits.max_net_exposure,
        "how far all positions together may lean to one side: long less short, at worst",
    ),
    _spec(
        "symbol_budgets",
        ReasonCode.SYMBOL_BUDGET,
        order_limits.symbol_budgets,
        "largest notional of each symbol named: held, and on its way",
    ),
    GuardSpec(
        "strategy_budget",
        "strategies.budget",
        ReasonCode.STRATEGY_BUDGET,
        REFUSE,
        lambda limits: (
            order_limits.strategy_budgets(limits.strategy_budgets)
            if limits.strategy_budgets
            else None
        ),
        "largest notional of one strategy over its symbols: held, and on its way",
    ),
    _spec(
        "max_open_orders",
        ReasonCode.MAX_OPEN_ORDERS,
        order_limits.max_open_orders,
        "most unfinished orders at a time, closes counted",
    ),
    _spec(
        "max_orders_per_minute",
        ReasonCode.ORDER_RATE,
        order_limits.max_orders_per_minute,
        "most openings approved in any 60 s",
    ),
    _spec(
        "max_cancels_per_minute",
        ReasonCode.CANCEL_RATE,
        order_limits.max_cancels_per_minute,
        "most orders cancelled by strategies in any 60 s; beyond, openings are refused: "
        "a cancel never is",
    ),
    _spec(
        "block_stacking",
        ReasonCode.STACKING_BLOCKED,
        lambda _on: order_limits.block_stacking,
        "no adding to a position, no second opening beside an unfinished one of the same book",
    ),
    _spec(
        "order_value_buffer_pct",
        ReasonCode.ORDER_VALUE_BUFFER,
        order_limits.order_value_buffer_pct,
        "part of an order's cost that must stay free beside it, in percent",
    ),
    _spec(
        "price_collar_bps",
        ReasonCode.PRICE_COLLAR,
        market_limits.price_collar_bps,
        "farthest a limit or stop price may be from the mark, either way",
    ),
    _spec(
        "max_slippage_bps",
        ReasonCode.SLIPPAGE_LIMIT,
        market_limits.max_slippage_bps,
        "farthest the mark may have moved against the intent's `decision_price`; "
        "an intent without one is refused",
    ),
    _spec(
        "max_spread_bps",
        ReasonCode.SPREAD_LIMIT,
        market_limits.max_spread_bps,
        "widest spread between bid and ask, of their middle; without a quote it is unknown, "
        "and refused",
    ),
    _spec(
        "max_participation_pct",
        ReasonCode.LIQUIDITY_LIMIT,
        market_limits.max_participation_pct,
        "largest order, in percent of the newest bar's volume times its close",
    ),
    _spec(
        "min_reward_to_risk",
        ReasonCode.REWARD_TO_RISK,
        market_limits.min_reward_to_risk,
        "least distance to `planned_target` for one to `planned_stop`; an intent without both "
        "is refused",
    ),
    _spec(
        "max_funding_rate_bps",
        ReasonCode.FUNDING_COST,
        market_limits.max_funding_rate_bps,
        "highest newest funding rate that a perpetual's new position may have to pay, if known",
    ),
    _account(
        account.DRAWDOWN,
        ReasonCode.MAX_DRAWDOWN,
        HALT,
        "farthest fall of equity, open profit included, below its peak, in percent of the peak",
    ),
    _account(
        account.DAILY_LOSS,
        ReasonCode.MAX_DAILY_LOSS,
        HALT,
        "largest loss of equity, open loss included, since UTC midnight",
    ),
    _account(
        account.SESSION_LOSS,
        ReasonCode.MAX_SESSION_LOSS,
        HALT,
        "largest loss of equity, open loss included, since the session began",
    ),
    _account(
        account.CONSECUTIVE_LOSSES,
        ReasonCode.CONSECUTIVE_LOSSES,
        REDUCE_ONLY,
        "losing trades in a row after which nothing opens; a trade is what one order realised, "
        "gross of fees",
    ),
    GuardSpec(
        account.MARGIN_USE,
        f"risk.{account.MARGIN_USE}",
        ReasonCode.MARGIN_USE,
        REFUSE,
        _margin_guard,
        "largest initial margin of perpetuals, held and on their way, in percent of equity",
        account=True,
    ),
    _account(
        account.FUNDING_COST,
        ReasonCode.FUNDING_COST,
        REDUCE_ONLY,
        "most funding paid in the session, net of what was received",
    ),
)
"""Every limit that can be configured, in the order in which the guards run."""

SPECS: Final[Mapping[str, GuardSpec]] = {spec.name: spec for spec in GUARDS}


@dataclass(frozen=True, slots=True)
class GuardSet:
    """
    The guards of one session: ``checks`` in the order in which they run.

    ``escalating`` are those of which a breach brings about more than a refusal.
    """

    checks: tuple[Guard, ...]
    escalating: Mapping[Guard, GuardSpec]
    limits: RiskLimits

    def breach(
        self, spec: GuardSpec, cause: Cause, at: int, equity: Decimal | None
    ) -> RiskBreached:
        """Return the message about a breach."""
        return RiskBreached("risk", at, spec.name, spec.action_in(self.limits), cause, equity)


def guards_for(limits: RiskLimits) -> GuardSet:
    """Return the guards of a session: the ones that are always on, then its limits."""
    configured: list[Guard] = []
    escalating: dict[Guard, GuardSpec] = {}
    for spec in GUARDS:
        guard = spec.make(limits)
        if guard is None:
            continue
        configured.append(guard)
        if spec.action_in(limits) is not REFUSE:
            escalating[guard] = spec
    return GuardSet((*ALWAYS, *configured), escalating, limits)


def account_breaches(
    found: list[account.Breach], limits: RiskLimits, at: int, equity: Decimal
) -> list[RiskBreached]:
    """Return the messages about what the account's watch found; a mere refusal needs none."""
    messages = []
    for breach in found:
        action = SPECS[breach.guard].action_in(limits)
        if action is not REFUSE:
            messages.append(RiskBreached("risk", at, breach.guard, action, breach.cause, equity))
    return messages
