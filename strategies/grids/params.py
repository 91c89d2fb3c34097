"""What can be set of a grid, and which settings contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Self

from pydantic import Field, model_validator

from messages import ExecutionPolicy, Maker, OrderType, ReasonCode, Retry
from state.money import BASIS_POINT, plain
from strategies.booked import PatientParams, Seconds
from strategies.grids.lines import ONE, Lines, Spacing, tidy
from strategies.ladder.levels import WHOLE_BPS
from strategies.ladder.params import SIZE_MAX, BelowMinimum, Bps, Codes

LEVELS_MAX: Final = 500
"""Levels of one grid: a state with more of them would be a burden to journal at every change."""

RESTING_MAX: Final = 50
"""Orders of one kind that rest at the venue at once: venues allow some 200 of a symbol."""

NOTIONAL: Final = Decimal(1000)
"""What a level is worth where nothing says how large it is."""

STEP_BPS: Final = Decimal(50)
"""From line to line where nothing says where the lines are."""


class Direction(StrEnum):
    """Which books a grid has."""

    LONG = "long"
    SHORT = "short"
    NEUTRAL = "neutral"


class GridParams(PatientParams):
    """A range of prices in levels: each buys at its lower line and sells at its upper one."""

    # -- how large
    quantity: Decimal | None = Field(
        None, gt=0, le=SIZE_MAX, description="of each level in base-asset units, or else:"
    )
    notional: Decimal | None = Field(
        None,
        gt=0,
        le=SIZE_MAX,
        description="what a level is worth, the quantity is Risk's to work out "
        f"(default: {NOTIONAL})",
    )
    below_minimum: BelowMinimum = Field(
        BelowMinimum.RAISE,
        description="an opening below the venue's minimum is raised to it, or skipped",
    )
    minimum_margin_bps: Bps = Field(
        Decimal(50), description="how far above the least notional a raised order is placed"
    )

    # -- where
    direction: Direction = Field(
        Direction.LONG,
        description="long; short (perpetuals only); neutral: long below the centre, short above "
        "(hedge mode only)",
    )
    lower: Decimal | None = Field(
        None, gt=0, le=SIZE_MAX, description="lowest line, with upper; or else:"
    )
    upper: Decimal | None = Field(None, gt=0, le=SIZE_MAX, description="highest line, with lower")
    centre: Decimal | None = Field(
        None,
        gt=0,
        le=SIZE_MAX,
        description="middle line (default: the close that the grid begins at)",
    )
    step_bps: Decimal | None = Field(
        None,
        gt=0,
        lt=WHOLE_BPS,
        description=f"from line to line, without lower and upper (default: {STEP_BPS})",
    )
    spacing: Spacing = Field(
        Spacing.GEOMETRIC, description="geometric: equal ratios; arithmetic: equal differences"
    )
    levels: int = Field(20, ge=1, le=LEVELS_MAX, description="levels between the outermost lines")
    resting: int = Field(
        5,
        ge=1,
        le=RESTING_MAX,
        description="openings that rest at the venue at once, nearest first; and as many closings",
    )

    # -- out
    stop_price: Decimal | None = Field(
        None, gt=0, le=SIZE_MAX, description="a close there ends everything, or else:"
    )
    stop_bps: Decimal | None = Field(
        None, gt=0, lt=WHOLE_BPS, description="how far beyond the outermost line that is"
    )
    stop_pause_s: Seconds | None = Field(
        None, description="how long the grid pauses after a stop (default: for good)"
    )

    # -- how
    open_maker: Maker = Field(Maker.ANY, description="of openings: any, prefer or only")
    open_retries: int = Field(0, ge=0, le=100, description="further tries after a refusal")
    close_maker: Maker = Field(Maker.ANY, description="of closings: any, prefer or only")
    close_retries: int = Field(0, ge=0, le=100, description="further tries after a refusal")

    # -- patience
    retry_codes: Codes = Field(
        (ReasonCode.VENUE_REJECTED, ReasonCode.VENUE_RATE_LIMITED),
        description="refusals after which an order may be tried again",
    )
    retry_delay_s: Seconds = Field(1.0, description="before the first further try; it doubles")

    @model_validator(mode="before")
    @classmethod
    def _by_default(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        more = {}
        if given.get("quantity") is given.get("notional") is None:
            more["notional"] = NOTIONAL
        if given.get("lower") is given.get("upper") is given.get("step_bps") is None:
            more["step_bps"] = STEP_BPS
        return {**given, **more}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for problem in self.contradictions():
            raise ValueError(problem)
        return self

    # -- what the settings come to

    @property
    def by_quantity(self) -> bool:
        """Return whether a level's size is a quantity; otherwise it is a notional."""
        return self.quantity is not None

    @property
    def size(self) -> Decimal:
        """Return a level's size, in either unit."""
        size = self.quantity or self.notional
        assert size is not None, "one of them is set where neither is given"
        return size

    @property
    def floats(self) -> bool:
        """Return whether the grid is laid around the close that it begins at."""
        return self.lower is None and self.centre is None

    def lines(self, close: Decimal) -> Lines:
        """Return the grid's lines; ``close`` is their centre if they have none of their own."""
        if self.lower is not None and self.upper is not None:
            return Lines.between(self.lower, self.upper, self.levels, self.spacing)
        assert self.step_bps is not None, "a step is set where no bounds are"
        return Lines.around(self.centre or close, self.step_bps, self.levels, self.spacing)

    def levels_of(self, sign: int) -> range:
        """Return the levels of the long (``sign`` 1) or the short book, counted from 1."""
        whole, middle = self.levels + 1, self.levels // 2 + 1
        match self.direction:
            case Direction.NEUTRAL:
                return range(1, middle) if sign > 0 else range(middle, whole)
            case Direction.LONG:
                return range(1, whole if sign > 0 else 1)
            case Direction.SHORT:
                return range(1, whole if sign < 0 else 1)

    def stop(self, lines: Lines, sign: int) -> Decimal | None:
        """Return the price that ends everything of a book of that direction, if there is one."""
        if self.stop_bps is None:
            return self.stop_price
        outermost = lines.prices[0 if sign > 0 else -1]
        return tidy(outermost * (ONE - sign * self.stop_bps * BASIS_POINT))

    def open_policy(self) -> ExecutionPolicy:
        """Return how levels are opened, their price apart."""
        return self._policy(self.open_maker, self.open_retries)

    def close_policy(self) -> ExecutionPolicy:
        """Return how levels are closed, their price apart."""
        return self._policy(self.close_maker, self.close_retries)

    def _policy(self, maker: Maker, retries: int) -> ExecutionPolicy:
        retry = None
        if retries:
            delay_ms = max(1, round(self.retry_delay_s * 1000))
            longest = max(60_000, delay_ms)
            retry = Retry(retries, self.retry_codes, delay_ms, delay_ms_max=longest)
        return ExecutionPolicy(OrderType.LIMIT, maker=maker, retry=retry)

    # -- which settings contradict each other

    def contradictions(self) -> Iterator[str]:
        """Yield every contradiction, most telling first."""
        if self.quantity is not None and self.notional is not None:
            yield "quantity and notional: found both, expected one of them"
        yield from self._of_the_lines()
        yield from self._of_the_stop()
        for family in ("open", "close"):
            if getattr(self, f"{family}_retries") and not self.retry_codes:
                yield f"{family}_retries: found no retry_codes that they are for"
        yield from self._of_patience()

    def _of_the_lines(self) -> Iterator[str]:
        if (self.lower is None) is not (self.upper is None):
            there, missing = ("upper", "lower") if self.lower is None else ("lower", "upper")
            yield f"{there}: found no {missing}, which it goes with"
            return
        if self.lower is not None and self.upper is not None:
            for name in ("centre", "step_bps"):
                if getattr(self, name) is not None:
                    yield f"{name}: found lower and upper, which say where the lines are"
            if self.lower >= self.upper:
                yield f"lower is {plain(self.lower)}, expected less than upper ({self.upper:f})"
                return
        if self.direction is Direction.NEUTRAL and self.levels % 2:
            yield f"levels is {self.levels}, expected an even number with direction = neutral"
        if not self.lines(ONE).ascend:
            yield (
                f"levels: {self.levels} of them do not fit: a line is not above zero, or not above "
                "the one before it"
            )

    def _of_the_stop(self) -> Iterator[str]:
        if self.stop_pause_s is not None and self.stop_price is self.stop_bps is None:
            yield "stop_pause_s: found neither stop_price nor stop_bps that it follows"
        if self.stop_price is None:
            return
        if self.stop_bps is not None:
            yield "stop_price and stop_bps: found both, expected one of them"
        if self.direction is Direction.NEUTRAL:
            yield "stop_price: two books need two; expected stop_bps with direction = neutral"
        elif self.floats:
            yield "stop_price: the grid is laid around a close; expected stop_bps, or a centre"
        else:
            prices = self.lines(ONE).prices
            is_long = self.direction is Direction.LONG
            outermost = prices[0] if is_long else prices[-1]
            if (self.stop_price < outermost) is not is_long or self.stop_price == outermost:
                where = "below" if is_long else "above"
                yield (
                    f"stop_price is {plain(self.stop_price)}, "
                    f"expected {where} the outermost line ({plain(outermost)})"
                )
