"""
The actors' sections of the configuration.

``[risk]``, ``[health]``, ``[execution]`` and ``[reconciliation]``.
"""

from __future__ import annotations

from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from actors.execution import DoubtPlan
from actors.risk.defaults import LIVE_NOTIONAL_CAP
from actors.risk.registry import SPECS
from messages import BreachAction
from state.reconciliation import MismatchKind
from state.reconciliation_policy import SENSIBLE, Policy, ReconciliationPlan


def _exact(value: object) -> object:
    """Let only exact numbers through: a float has already lost what was written."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('expected an exact amount in quotes, like "1000.50"')  # noqa: TRY004
    return value


Money = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(gt=0, allow_inf_nan=False),
]
"""An amount of the account's currency, written in quotes (or as a whole number)."""

Positive = Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, allow_inf_nan=False)]
"""An exact number above zero, written in quotes (or as a whole number)."""

Percent = Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, le=100, allow_inf_nan=False)]

Count = Annotated[int, Field(gt=0, le=1_000_000)]
"""A number of orders or trades; the bound keeps what is remembered of them within memory."""


def _known_guard(name: str) -> str:
    if name not in SPECS:
        near = get_close_matches(name, SPECS, n=1, cutoff=0.6)
        meant = f'; did you mean "{near[0]}"?' if near else ""
        raise ValueError(f"expected the name of a limit{meant}")
    return name


GuardName = Annotated[str, AfterValidator(_known_guard)]


class RiskSettings(BaseModel):
    """
    ``[risk]``: the limits of the one gate. A limit that is not given does not exist.

    `trade` sets some that are not given: see the guide to limits. What equals a limit passes.
    Limits concern orders that add exposure; no reducing order is refused by one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_order_notional: Money | None = Field(
        None, description="largest notional of one order, in the account's currency"
    )
    max_position_notional: Money | None = Field(
        None, description="largest notional of one symbol, what is on its way included"
    )
    max_gross_exposure: Money | None = Field(
        None, description="largest sum of all notionals, what is on its way included"
    )
    live_notional_cap: Money = Field(
        LIVE_NOTIONAL_CAP,
        description="live, shadow: largest sum of all notionals, what is on its way included, "
        "beside every other limit; raised by hand, in a configuration file only",
    )
    max_net_exposure: Money | None = Field(
        None, description="how far all positions may lean to one side: long less short, at worst"
    )
    symbol_budgets: dict[str, Money] = Field(
        default_factory=dict,
        description='largest notional of single symbols, as `{ "BTC/USDT" = "5000" }`',
    )
    max_drawdown_pct: Percent | None = Field(
        None, description="farthest fall of equity below its peak, open profit included, percent"
    )
    max_daily_loss: Money | None = Field(
        None, description="largest loss since UTC midnight, open loss included"
    )
    max_session_loss: Money | None = Field(
        None, description="the session's risk budget: largest loss since its start"
    )
    max_consecutive_losses: Count | None = Field(
        None, description="losing trades in a row after which nothing opens"
    )
    max_orders_per_minute: Count | None = Field(
        None, description="most orders that add exposure in any 60 s"
    )
    max_cancels_per_minute: Count | None = Field(
        None, description="most cancels in any 60 s; beyond, openings are refused, cancels never"
    )
    max_open_orders: Count | None = Field(None, description="most unfinished orders at a time")
    price_collar_bps: Positive | None = Field(
        None, description="farthest a limit or stop price may be from the mark, basis points"
    )
    max_slippage_bps: Positive | None = Field(
        None, description="farthest the mark may have moved against the decision's price"
    )
    max_spread_bps: Positive | None = Field(
        None, description="widest spread between bid and ask; without a quote nothing opens"
    )
    max_participation_pct: Positive | None = Field(
        None, description="largest order, in percent of the notional of the newest bar's volume"
    )
    min_reward_to_risk: Positive | None = Field(
        None, description="least distance to the planned target for one to the planned stop"
    )
    block_stacking: bool = Field(
        default=False, description="no adding to a position, nor to an opening on its way"
    )
    order_value_buffer_pct: Positive | None = Field(
        None, description="part of an order's cost that must stay free beside it, percent"
    )
    max_margin_use_pct: Percent | None = Field(
        None, description="largest initial margin, on its way included, in percent of equity"
    )
    max_funding_rate_bps: Positive | None = Field(
        None, description="highest funding rate that a new perpetual position may have to pay"
    )
    max_funding_cost: Money | None = Field(
        None, description="most funding paid in the session, net of what was received"
    )
    actions: dict[GuardName, BreachAction] = Field(
        default_factory=dict,
        description="what a breach brings about besides the refusal, by the limit's key: "
        "`refuse` (nothing), `reduce_only` (a hold), `halt` (a kill)",
    )


Seconds = Annotated[float, Field(gt=0, le=10**7, allow_inf_nan=False)]


class HealthSettings(BaseModel):
    """
    ``[health]``: when a circuit opens and for how long, and what the machine must have.

    In force for ``trade``; a replay watches nothing unless this section or
    ``feed.stale_after_s`` is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    failure_streak: int = Field(
        5, gt=0, le=10_000, description="failures in a row that open a circuit"
    )
    success_streak: int = Field(
        2, gt=0, le=10_000, description="good answers in a row that close it again"
    )
    pause_s: Seconds = Field(30.0, description="first pause of an open circuit, seconds")
    pause_growth: float = Field(
        2.0, ge=1, le=1000, description="factor from one pause of a circuit to its next"
    )
    pause_max_s: Seconds = Field(
        900.0,
        description="longest pause, seconds; closed for as long, its next pause is a first one",
    )
    rate_limit_pause_s: Seconds = Field(
        10.0, description="pause after a rate limit that does not say how long, seconds"
    )
    probe_timeout_s: Seconds = Field(
        10.0, description="seconds after which a probe without an answer has failed"
    )
    check_every_s: Seconds = Field(
        5.0, description="seconds between looks at the machine, and between probes of a circuit"
    )
    min_free_mb: int = Field(
        200, ge=0, description="least free disk space for opening anything, in MB of 10^6 bytes"
    )
    max_clock_offset_ms: int = Field(
        1000, gt=0, description="farthest the machine's clock may be off or be set, in ms"
    )
    stalls_per_minute: int = Field(
        10, ge=0, description="most stalls of the event loop within a minute"
    )
    handler_timeout_s: Seconds = Field(
        10.0, description="seconds after which a strategy's handler counts as stuck"
    )

    @model_validator(mode="after")
    def _check_pauses(self) -> HealthSettings:
        if self.pause_max_s < self.pause_s:
            raise ValueError(
                f"pause_max_s is {self.pause_max_s}, expected at least pause_s, {self.pause_s}"
            )
        return self


class ExecutionSettings(BaseModel):
    """
    ``[execution]``: what is done about an order whose answer does not come.

    It is never sent again; the venue is asked for it until it is accounted for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer_timeout_s: Seconds = Field(
        10.0, description="seconds without an answer after which an order, or a cancel, is in doubt"
    )
    receive_window_s: Seconds = Field(
        5.0, description="seconds after which the venue takes a request no more"
    )
    clock_skew_s: float = Field(
        1.0, ge=0, le=3600, description="most seconds that the venue's clock may be from ours"
    )
    doubt_margin_s: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="seconds added to both before an order that the venue does not know is taken "
        "for one that never arrived",
    )
    ask_pause_s: Seconds = Field(
        1.0, description="seconds from the first question about an order to the second"
    )
    ask_pause_growth: int = Field(
        2, ge=1, le=100, description="factor from one pause between questions to the next"
    )
    ask_pause_max_s: Seconds = Field(
        30.0, description="longest pause between questions, seconds; the asking does not end"
    )
    doubt_budget_s: Seconds = Field(
        60.0, description="seconds of a doubt after which nothing opens in the order's symbol"
    )

    @model_validator(mode="after")
    def _check_pauses(self) -> ExecutionSettings:
        if self.ask_pause_max_s < self.ask_pause_s:
            raise ValueError(
                f"ask_pause_max_s is {self.ask_pause_max_s}, expected at least ask_pause_s, "
                f"{self.ask_pause_s}"
            )
        return self

    def plan(self) -> DoubtPlan:
        """Return the plan that Execution goes by."""
        return DoubtPlan(
            _ms(self.answer_timeout_s),
            _ms(self.receive_window_s),
            _ms(self.clock_skew_s),
            _ms(self.doubt_margin_s),
            _ms(self.ask_pause_s),
            self.ask_pause_growth,
            _ms(self.ask_pause_max_s),
            _ms(self.doubt_budget_s),
        )


class ReconciliationSettings(BaseModel):
    """
    ``[reconciliation]``: what is done when the venue's account is not what our books say.

    Guide: [Reconciliation](../explanation/reconciliation.md), with all classes of differences.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Policy = Field(
        Policy.REFUSE,
        description="for every class that `policies` does not name: `refuse` (no start; while "
        "running, nothing opens), `adopt` (the venue's word goes into the books), `cancel` "
        "(own stray orders are cancelled, all else is refused)",
    )
    policies: dict[MismatchKind, Policy] = Field(
        default_factory=dict,
        description='by class, as `{ external_position = "adopt" }`; without a word here '
        "`missing_fill` and `stale_order` are `adopt`: the venue's evidence about our own orders",
    )
    every_s: float | None = Field(
        None,
        ge=0,
        le=10**7,
        allow_inf_nan=False,
        description="seconds from one comparison to the next; 0 is never; by default 30 with a "
        "venue elsewhere and never with one in this process, beside start, midnight and end",
    )
    grace_s: float = Field(
        10.0,
        ge=0,
        le=10**7,
        allow_inf_nan=False,
        description="seconds after which a difference with a venue elsewhere counts though it was "
        "seen only once; the second sighting makes it count in any case",
    )

    @field_validator("policies")
    @classmethod
    def _check_policies(cls, value: dict[MismatchKind, Policy]) -> dict[MismatchKind, Policy]:
        for kind, policy in value.items():
            if policy not in SENSIBLE[kind]:
                expected = " or ".join(sorted(f"'{each.value}'" for each in SENSIBLE[kind]))
                raise ValueError(f"{kind.value}: found {policy.value!r}, expected {expected}")
        return value

    def plan(self, *, elsewhere: bool) -> ReconciliationPlan:
        """Return the plan that the Reconciler goes by; ``elsewhere`` is where the venue is."""
        every_s = self.every_s if self.every_s is not None else EVERY_S if elsewhere else 0.0
        return ReconciliationPlan(
            self.policy,
            dict(self.policies),
            _ms(every_s),
            _ms(self.grace_s),
            patient=elsewhere,
        )


EVERY_S: Final = 30.0
"""How often a venue elsewhere is compared with: often enough that nobody trades long on an error,
seldom enough to cost no venue's rate limit anything."""


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0
