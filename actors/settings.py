"""The sections of the configuration that belong to the actors: ``[risk]`` and ``[health]``."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


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

Percent = Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, le=100, allow_inf_nan=False)]


class RiskSettings(BaseModel):
    """``[risk]``: the limits of the one gate. A limit that is not given does not exist."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_order_notional: Money | None = Field(
        None, description="largest notional of one order, in the account's currency"
    )
    max_position_notional: Money | None = Field(
        None, description="largest notional of one position, what is in flight included"
    )
    max_gross_exposure: Money | None = Field(
        None, description="largest sum of all positions' notionals, what is in flight included"
    )
    max_drawdown_pct: Percent | None = Field(
        None, description="halt when equity falls this far below its peak, in percent"
    )
    max_daily_loss: Money | None = Field(
        None, description="halt when the loss since UTC midnight reaches this"
    )
    max_orders_per_minute: int | None = Field(
        None, gt=0, description="most orders that add exposure in any 60 s"
    )
    price_collar_bps: Annotated[Decimal, BeforeValidator(_exact)] | None = Field(
        None, gt=0, description="farthest a price may be from the market, in basis points"
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
