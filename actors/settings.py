"""The sections of the configuration that belong to the actors: ``[risk]`` and ``[health]``."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


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


class HealthSettings(BaseModel):
    """``[health]``: when a circuit opens, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failure_streak: int | None = Field(
        None, gt=0, description="failures in a row that open a circuit"
    )
    pause_s: float | None = Field(None, gt=0, description="first pause of an open circuit, seconds")
    pause_growth: float | None = Field(
        None, ge=1, description="factor from one pause of a circuit to its next"
    )
