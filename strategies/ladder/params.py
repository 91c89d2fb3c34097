"""
What can be set of a ladder, and which settings contradict each other.

Of each family of orders, the entry, the adds (``dca``) and the exits, the settings come to one
``ExecutionPolicy``; nothing further in knows of timeouts, fallbacks or retries.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from messages import (
    ExecutionPolicy,
    FallbackOn,
    IfAbsent,
    Maker,
    MarketFallback,
    OrderType,
    PlanPlace,
    ReasonCode,
    Retry,
    Rollback,
)
from strategies.booked import PatientParams, Seconds
from strategies.ladder.levels import WHOLE_BPS, Levels, tidy

RUNGS_MAX: Final = 50
"""Rungs of one ladder: more of them than that are a slip of the pen, or a grid."""

NOTIONAL: Final = Decimal(1000)
"""What the base order is worth where nothing says how large it is."""

SIZE_MAX: Final = Decimal(10) ** 12
"""Most that one order of a ladder may come to, in either unit: growth makes slips large."""


class KindOfOrder(StrEnum):
    """The kinds of orders that a ladder is built of."""

    LIMIT = "limit"
    MARKET = "market"


class Direction(StrEnum):
    """Which way a book goes."""

    LONG = "long"
    SHORT = "short"


class BelowMinimum(StrEnum):
    """What becomes of an order that is smaller than the venue accepts."""

    RAISE = "raise"
    SKIP = "skip"


def words(value: Any) -> Any:
    """Let a list be written as the command line has it: ``reject,timeout``."""
    return (
        tuple(filter(None, value.replace(" ", "").split(","))) if isinstance(value, str) else value
    )


Reasons = Annotated[tuple[FallbackOn, ...], BeforeValidator(words)]
Codes = Annotated[tuple[ReasonCode, ...], BeforeValidator(words)]
Bps = Annotated[Decimal, Field(ge=0, lt=WHOLE_BPS)]


class LadderParams(PatientParams):
    """A base order, a ladder of adds below it (above, for shorts), an exit with a profit."""

    # -- how large
    quantity: Decimal | None = Field(
        None, gt=0, le=SIZE_MAX, description="base order in base-asset units, or else:"
    )
    notional: Decimal | None = Field(
        None,
        gt=0,
        le=SIZE_MAX,
        description=f"what it is worth, the quantity is Risk's to work out (default: {NOTIONAL})",
    )
    size_growth: Decimal = Field(
        Decimal(1), ge=Decimal("0.1"), le=10, description="each add is so many times the one before"
    )
    below_minimum: BelowMinimum = Field(
        BelowMinimum.RAISE,
        description="an order below the venue's minimum is raised to it, or skipped",
    )
    minimum_margin_bps: Bps = Field(
        Decimal(50), description="how far above the least notional a raised order is placed"
    )

    # -- where
    one_way_side: Direction = Field(
        Direction.LONG, description="which way the only book goes, in one-way mode"
    )
    rungs: int = Field(5, ge=0, le=RUNGS_MAX, description="adds of the ladder, base order apart")
    step_bps: Decimal = Field(
        Decimal(100), gt=0, lt=WHOLE_BPS, description="from the base price to the first add"
    )
    step_growth: Decimal = Field(
        Decimal(1), ge=1, le=10, description="each step is so many times the one before"
    )
    resting_rungs: int = Field(
        1,
        ge=1,
        le=RUNGS_MAX,
        description="rungs beyond the deepest one held that rest at the venue at once",
    )
    reopen_rungs: bool = Field(
        default=True, description="a rung whose lot has left may be taken again in the same cycle"
    )
    cooldown_bars: int = Field(
        0, ge=0, le=100_000, description="bars from a full exit to the next entry"
    )

    # -- out
    take_profit_bps: Decimal = Field(
        Decimal(100), gt=0, lt=WHOLE_BPS, description="from the price that was paid to the exit"
    )
    stop_bps: Decimal | None = Field(
        None,
        gt=0,
        lt=WHOLE_BPS,
        description="from the average price to a stop, once the ladder is exhausted; "
        "without, there is none",
    )

    # -- how: the entry
    entry_order_type: KindOfOrder = Field(KindOfOrder.MARKET, description="limit or market")
    entry_offset_bps: Bps = Field(Decimal(0), description="limit: from the close to a better price")
    entry_maker: Maker = Field(Maker.ANY, description="limit: any, prefer or only")
    entry_timeout_s: Seconds | None = Field(None, description="limit: how long it may rest")
    entry_market_fallback: Reasons = Field(
        (), description="limit: what the rest may go out at market for: reject, timeout"
    )
    entry_slippage_bps: Bps | None = Field(
        None, description="how far the market may be from the decision's price"
    )
    entry_retries: int = Field(0, ge=0, le=100, description="further tries after a refusal")

    # -- how: the adds
    dca_order_type: KindOfOrder = Field(KindOfOrder.LIMIT, description="limit or market")
    dca_place: PlanPlace | None = Field(
        None,
        description="venue: adds rest there; here: they go out at the close that reaches them "
        "(default: limit orders at the venue)",
    )
    dca_maker: Maker = Field(Maker.ANY, description="limit: any, prefer or only")
    dca_timeout_s: Seconds | None = Field(None, description="limit, here: how long it may rest")
    dca_market_fallback: Reasons = Field(
        (), description="limit, here: what the rest may go out at market for"
    )
    dca_slippage_bps: Bps | None = Field(
        None, description="how far the market may be from the rung's price, or the close's here"
    )
    dca_retries: int = Field(0, ge=0, le=100, description="further tries after a refusal")

    # -- how: the exits
    exit_order_type: KindOfOrder = Field(KindOfOrder.LIMIT, description="limit or market")
    exit_place: PlanPlace | None = Field(
        None,
        description="venue: take-profits rest there; here: they go out at the close that reaches "
        "them (default: limit orders at the venue)",
    )
    exit_maker: Maker = Field(Maker.ANY, description="limit: any, prefer or only")
    exit_timeout_s: Seconds | None = Field(None, description="limit, here: how long it may rest")
    exit_market_fallback: Reasons = Field(
        (), description="limit, here: what the rest may go out at market for"
    )
    exit_slippage_bps: Bps | None = Field(
        None, description="here: how far the market may be from the close that was seen"
    )
    exit_retries: int = Field(0, ge=0, le=100, description="further tries after a refusal")

    # -- patience
    retry_codes: Codes = Field(
        (ReasonCode.VENUE_REJECTED, ReasonCode.VENUE_RATE_LIMITED),
        description="refusals after which an order may be tried again",
    )
    retry_delay_s: Seconds = Field(1.0, description="before the first further try; it doubles")

    @model_validator(mode="before")
    @classmethod
    def _size_by_default(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("quantity") is given.get("notional") is None:
            return {**given, "notional": NOTIONAL}
        return given

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for problem in self.contradictions():
            raise ValueError(problem)
        return self

    # -- what the settings come to

    def levels(self) -> Levels:
        """Return the ladder's distances and sizes."""
        size = self.quantity or self.notional
        assert size is not None, "one of them is set where neither is given"
        return Levels.of(size, self.size_growth, self.step_bps, self.step_growth, self.rungs)

    @property
    def by_quantity(self) -> bool:
        """Return whether sizes are quantities; otherwise they are notionals."""
        return self.quantity is not None

    @property
    def adds_rest(self) -> bool:
        """Return whether adds rest at the venue."""
        return _rests(self.dca_order_type, self.dca_place)

    @property
    def exits_rest(self) -> bool:
        """Return whether take-profits rest at the venue."""
        return _rests(self.exit_order_type, self.exit_place)

    def entry_policy(self) -> ExecutionPolicy:
        """Return how base orders are executed, their price apart."""
        return ExecutionPolicy(
            OrderType(self.entry_order_type.value),
            maker=self.entry_maker,
            timeout_ms=_ms(self.entry_timeout_s),
            fallback=self._fallback(self.entry_market_fallback, self.entry_slippage_bps),
            retry=self._retry(self.entry_retries),
            slippage_bps_max=_unless_limit(self.entry_order_type, self.entry_slippage_bps),
            rollback=Rollback.IF_UNFILLED,
        )

    def dca_policy(self) -> ExecutionPolicy:
        """Return how adds are executed, their price apart."""
        return ExecutionPolicy(
            OrderType(self.dca_order_type.value),
            maker=self.dca_maker,
            timeout_ms=_ms(self.dca_timeout_s),
            fallback=self._fallback(self.dca_market_fallback, self.dca_slippage_bps),
            retry=self._retry(self.dca_retries),
            slippage_bps_max=_unless_limit(self.dca_order_type, self.dca_slippage_bps),
            rollback=Rollback.IF_UNFILLED,
        )

    def exit_policy(self) -> ExecutionPolicy:
        """
        Return how lots leave, their price apart.

        What rests at the venue has nothing to go back to: it is what should be there, and is
        asked for again while it is not.
        """
        return ExecutionPolicy(
            OrderType(self.exit_order_type.value),
            maker=self.exit_maker,
            timeout_ms=_ms(self.exit_timeout_s),
            fallback=self._fallback(self.exit_market_fallback, self.exit_slippage_bps),
            retry=self._retry(self.exit_retries),
            slippage_bps_max=_unless_limit(self.exit_order_type, self.exit_slippage_bps),
            rollback=Rollback.NEVER if self.exits_rest else Rollback.IF_UNFILLED,
            if_absent=IfAbsent.REFUSE if self.exits_rest else IfAbsent.SYNC,
        )

    def _fallback(self, on: tuple[FallbackOn, ...], limit: Decimal | None) -> MarketFallback | None:
        return MarketFallback(on, limit) if on else None

    def _retry(self, times: int) -> Retry | None:
        delay_ms = _ms(self.retry_delay_s)
        assert delay_ms is not None, "a delay is always set"
        if not times:
            return None
        return Retry(times, self.retry_codes, delay_ms, delay_ms_max=max(60_000, delay_ms))

    # -- which settings contradict each other

    def contradictions(self) -> Iterator[str]:
        """Yield every contradiction, most telling first."""
        if self.quantity is not None and self.notional is not None:
            yield "quantity and notional: found both, expected one of them"
        for family in ("entry", "dca", "exit"):
            yield from self._of_family(family)
        for family, place in (("dca", self.dca_place), ("exit", self.exit_place)):
            yield from self._of_place(family, place)
        if self.entry_offset_bps and self.entry_order_type is KindOfOrder.MARKET:
            yield "entry_offset_bps: a market order has no price of its own; expected 0"
        if self.resting_rungs > 1 and not self.adds_rest:
            yield "resting_rungs: adds wait here, none rests at the venue; expected 1"
        yield from self._of_patience()
        yield from self._of_the_ladder()

    def _of_family(self, family: str) -> Iterator[str]:
        def of(name: str) -> Any:
            return getattr(self, f"{family}_{name}")

        fallback = of("market_fallback")
        if of("retries") and not self.retry_codes:
            yield f"{family}_retries: found no retry_codes that they are for"
        if of("order_type") is KindOfOrder.MARKET:
            for name, unset in (("maker", Maker.ANY), ("timeout_s", None), ("market_fallback", ())):
                if of(name) != unset:
                    yield f"{family}_{name}: goes with {family}_order_type = limit only"
            return
        if FallbackOn.TIMEOUT in fallback and of("timeout_s") is None:
            yield f"{family}_market_fallback: timeout needs {family}_timeout_s"
        if fallback and of("maker") is Maker.ONLY:
            yield f"{family}_market_fallback: an order that never takes cannot go out at market"
        if of("slippage_bps") is not None and not fallback:
            yield f"{family}_slippage_bps: a limit order without a market_fallback cannot slip"

    def _of_place(self, family: str, place: PlanPlace | None) -> Iterator[str]:
        kind = getattr(self, f"{family}_order_type")
        if not _rests(kind, place):
            return
        if kind is KindOfOrder.MARKET:
            yield f"{family}_place: a market order cannot rest at the venue; expected here"
            return
        for name, unset in (("timeout_s", None), ("market_fallback", ())):
            if getattr(self, f"{family}_{name}") != unset:
                yield f"{family}_{name}: goes with {family}_place = here; at the venue it rests"

    def _of_the_ladder(self) -> Iterator[str]:
        levels = self.levels()
        if levels.depth >= 1:
            yield (
                f"rungs, step_bps and step_growth: the last of {self.rungs} rungs is "
                f"{tidy(levels.depth * WHOLE_BPS)} bps away, expected less than {WHOLE_BPS}"
            )
            return
        if max(levels.sizes) > SIZE_MAX:
            yield (
                f"size_growth: the last of {self.rungs} rungs comes to {max(levels.sizes):f}, "
                f"expected at most {SIZE_MAX:f}"
            )
        if self.stop_bps is None:
            return
        for sign, name in ((1, "long"), (-1, "short")):
            room = levels.room_for_stop(sign, by_quantity=self.by_quantity)
            if self.stop_bps <= room:
                yield (
                    f"stop_bps is {self.stop_bps}: a {name} ladder's last rung is {room:f} bps "
                    "from its average price already, expected more"
                )


def _rests(kind: KindOfOrder, place: PlanPlace | None) -> bool:
    return place is PlanPlace.VENUE or (place is None and kind is KindOfOrder.LIMIT)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds * 1000))


def _unless_limit(kind: KindOfOrder, bound: Decimal | None) -> Decimal | None:
    """Return the bound of a market order: a limit order has its price, its fallback a bound."""
    return None if kind is KindOfOrder.LIMIT else bound
