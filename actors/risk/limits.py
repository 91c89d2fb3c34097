"""The limits that Risk enforces; what is ``None``, empty or false is no limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal

from messages import BreachAction, Cause, ReasonCode


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """
    All limits of a session: money in the account's currency, percentages and basis points exact.

    Each limit's guard is described in ``actors.risk.registry``; a value that equals its limit
    passes. ``actions`` says, by a guard's name, what a breach brings about besides the refusal;
    a guard that it does not name has its own default.
    """

    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_gross_exposure: Decimal | None = None
    live_notional_cap: Decimal | None = None
    max_net_exposure: Decimal | None = None
    symbol_budgets: Mapping[str, Decimal] = field(default_factory=dict)
    strategy_budgets: Mapping[str, Decimal] = field(default_factory=dict)
    max_drawdown_pct: Decimal | None = None
    max_daily_loss: Decimal | None = None
    max_session_loss: Decimal | None = None
    max_consecutive_losses: int | None = None
    max_orders_per_minute: int | None = None
    max_cancels_per_minute: int | None = None
    max_open_orders: int | None = None
    price_collar_bps: Decimal | None = None
    max_slippage_bps: Decimal | None = None
    max_spread_bps: Decimal | None = None
    max_participation_pct: Decimal | None = None
    min_reward_to_risk: Decimal | None = None
    block_stacking: bool = False
    order_value_buffer_pct: Decimal | None = None
    max_margin_use_pct: Decimal | None = None
    max_funding_rate_bps: Decimal | None = None
    max_funding_cost: Decimal | None = None
    universe_allow: tuple[str, ...] = ()
    universe_deny: tuple[str, ...] = ()
    actions: Mapping[str, BreachAction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse limits that are zero or negative."""
        for place in fields(self):
            name = place.name
            value = getattr(self, name)
            if isinstance(value, Mapping):
                for key, amount in value.items():
                    if isinstance(amount, Decimal) and amount <= 0:
                        raise ValueError(f"{name}[{key}] is {amount}, expected a positive amount")
            elif isinstance(value, Decimal | int) and not isinstance(value, bool) and value <= 0:
                raise ValueError(f"{name} is {value}, expected a positive amount")

    def watches_the_account(self) -> bool:
        """Return whether there is a limit that the account itself can pass, without any order."""
        return any(
            limit is not None
            for limit in (
                self.max_drawdown_pct,
                self.max_daily_loss,
                self.max_session_loss,
                self.max_consecutive_losses,
                self.max_margin_use_pct,
                self.max_funding_cost,
            )
        )

    def denied(self, symbol: str) -> Cause | None:
        """Return why ``symbol`` may not be traded, or ``None`` if it may."""
        if symbol in self.universe_deny:
            return Cause(ReasonCode.UNIVERSE_DENIED, f"symbol={symbol} list=deny")
        if self.universe_allow and symbol not in self.universe_allow:
            return Cause(ReasonCode.UNIVERSE_DENIED, f"symbol={symbol} list=allow")
        return None
