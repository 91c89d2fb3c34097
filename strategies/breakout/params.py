"""What can be set of a breakout, and what the settings come to."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from messages import ExecutionPolicy, IfAbsent, OrderType, PlanPlace, ReasonCode, Retry, Rollback
from strategies.contract import StrategyParams

NOTIONAL: Final = Decimal(1000)
"""What a position is worth where nothing says how large it is."""

TRAIL_ATR: Final = Decimal(3)
"""How far behind the trail is where nothing says how a position is to leave."""

SIZE_MAX: Final = Decimal(10) ** 12
PERIOD_MAX: Final = 10_000
RETRIED: Final = (ReasonCode.VENUE_REJECTED, ReasonCode.VENUE_RATE_LIMITED)
"""Refusals after which the same order may be tried again."""

LEAVE: Final = ExecutionPolicy(if_absent=IfAbsent.SYNC)
"""How a whole position leaves at once: at market, whatever is left of it by then."""

Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Size = Annotated[Decimal, Field(gt=0, le=SIZE_MAX)]
Ranges = Annotated[Decimal, Field(gt=0, le=100)]
Period = Annotated[int, Field(ge=1, le=PERIOD_MAX)]


class Sides(StrEnum):
    """Which breaks are followed."""

    LONG = "long"
    SHORT = "short"
    BOTH = "both"

    @property
    def ways(self) -> tuple[int, ...]:
        """Return the directions: 1 up, -1 down."""
        return {"long": (1,), "short": (-1,), "both": (1, -1)}[self.value]


class BreakoutParams(StrategyParams):
    """A channel to break out of, a stop and a trail in average true ranges, one size."""

    # -- in
    sides: Sides = Field(
        Sides.BOTH, description="which breaks are followed; spot is never sold short"
    )
    entry_period: Period = Field(20, description="bars of the channel that a close has to leave")
    atr_period: Period = Field(14, description="bars of the average true range (Wilder's)")
    cooldown_bars: int = Field(
        0, ge=0, le=100_000, description="bars without an entry after a position left at a loss"
    )

    # -- out
    stop_atr: Ranges = Field(Decimal(2), description="ranges from the entry price to the stop")
    trail_atr: Ranges | None = Field(
        None,
        description="ranges from the best price to the trailing stop "
        f"(default: {TRAIL_ATR}, unless there is an exit_period)",
    )
    exit_period: Period | None = Field(
        None, description="bars of the channel whose other end takes the position out at a close"
    )
    activate_atr: Decimal = Field(
        Decimal(1), ge=0, le=100, description="ranges in profit from which trail and channel count"
    )
    max_bars: int | None = Field(
        None, ge=1, le=1_000_000, description="bars from the break after which what is left goes"
    )

    # -- how large
    quantity: Size | None = Field(None, description="in base-asset units, or else:")
    notional: Size | None = Field(
        None, description="what it is worth, the quantity is Risk's to work out, or else:"
    )
    risk_quote: Size | None = Field(
        None, description=f"what is lost at the stop (default: a notional of {NOTIONAL})"
    )

    # -- how
    place: PlanPlace = Field(
        PlanPlace.VENUE, description="venue: stop and trail rest there; here: with the strategy"
    )
    stop_retries: int = Field(3, ge=0, le=100, description="further tries of a refused stop")
    entry_retries: int = Field(0, ge=0, le=100, description="further tries of a refused entry")
    entry_slippage_bps: Decimal | None = Field(
        None, ge=0, lt=10_000, description="how far the market may be from the close that broke out"
    )
    retry_delay_s: Seconds = Field(1.0, description="before the first further try; it doubles")

    # -- patience
    backoff_base_s: Seconds = Field(60.0, description="rest of a symbol's entries after a refusal")
    backoff_factor: float = Field(
        2.0, ge=1, le=100, allow_inf_nan=False, description="each further rest is so much longer"
    )
    backoff_max_s: Seconds = Field(3_600.0, description="longest rest")
    backoff_tolerated: int = Field(
        0, ge=0, le=100, description="refusals in a row that cost no rest"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_default(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        found = dict(given)
        if all(found.get(name) is None for name in ("quantity", "notional", "risk_quote")):
            found["notional"] = NOTIONAL
        if found.get("trail_atr") is found.get("exit_period") is None:
            found["trail_atr"] = TRAIL_ATR
        return found

    @model_validator(mode="after")
    def _agree(self) -> Self:
        sizes = [n for n in ("quantity", "notional", "risk_quote") if getattr(self, n) is not None]
        if len(sizes) > 1:
            raise ValueError(f"{' and '.join(sizes)}: expected only one of them")
        if self.backoff_max_s < self.backoff_base_s:
            raise ValueError(
                f"backoff_max_s is {self.backoff_max_s:g}, "
                f"expected at least backoff_base_s ({self.backoff_base_s:g})"
            )
        return self

    # -- what the settings come to

    def entry_policy(self) -> ExecutionPolicy:
        """Return how entries are executed: at market; one that fails leaves no trace."""
        return ExecutionPolicy(
            retry=self._retry(self.entry_retries),
            slippage_bps_max=self.entry_slippage_bps,
            rollback=Rollback.IF_UNFILLED,
        )

    def stop_policy(self, kind: OrderType) -> ExecutionPolicy:
        """Return how a stop or a trailing stop is executed, its price apart."""
        return ExecutionPolicy(kind, retry=self._retry(self.stop_retries))

    def _retry(self, times: int) -> Retry | None:
        delay_ms = max(1, round(self.retry_delay_s * 1000))
        if not times:
            return None
        return Retry(times, RETRIED, delay_ms, delay_ms_max=max(60_000, delay_ms))
