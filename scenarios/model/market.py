"""What the market does: prices inline, generated, or from a file."""

from __future__ import annotations

from math import inf
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from scenarios.model.base import Price, Table, exactly_one, one_of

KINDS = ("closes", "rows", "flat", "walk", "file")

BARS_MAX = 100_000
"""Bars of one symbol that are made up: about two months of minutes."""


def close_of(item: object) -> object:
    """Return (price, how many bars); raise ``ValueError`` for anything else."""
    price, count = item if isinstance(item, list | tuple) and len(item) == 2 else (item, 1)
    if (
        isinstance(price, int | float)
        and not isinstance(price, bool)
        and 0 < price < inf
        and type(count) is int
        and 0 < count <= BARS_MAX
    ):
        return (float(price), count)
    raise ValueError("expected a price above zero, or [price, how many bars]")


Close = Annotated[
    tuple[float, int],
    BeforeValidator(close_of),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {
                    "type": "array",
                    "prefixItems": [
                        {"type": "number", "exclusiveMinimum": 0},
                        {"type": "integer", "minimum": 1, "maximum": BARS_MAX},
                    ],
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        }
    ),
]
"""A close and how many bars have it."""


class Flat(Table):
    """Bars that all stand at one price."""

    price: Price = Field(100.0, description="the price")
    bars: int = Field(gt=0, le=BARS_MAX, description="how many")


class Walk(Table):
    """A random walk, a function of the session's seed and the symbol."""

    price: Price = Field(100.0, description="the first close")
    bars: int = Field(gt=0, le=BARS_MAX, description="how many")
    step_bps: float = Field(
        20.0, ge=0, lt=5_000, allow_inf_nan=False, description="largest step from close to close"
    )


class Cut(Table):
    """Where a file stops in the middle of a row, as one that is still being written."""

    after_row: int = Field(ge=1, description="the last whole row, from 1")
    while_reading: bool = Field(
        default=True, description="true: whole when it was opened, cut by the time it is read on"
    )


class Market(Table):
    """
    One symbol's bars, by exactly one of closes, rows, flat, walk or file.

    ``closes``: each bar opens at the close before it; ``[price, n]`` stands for n bars.
    ``rows``: ``[open, high, low, close, volume]``, or with the bar's number in front; bars numbered
    0 and less are from before the start: strategies warm up with them.
    ``file``: a CSV beside the scenario, or ``fixture:NAME``.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra=exactly_one(KINDS)
    )

    closes: tuple[Close, ...] | None = Field(
        None, min_length=1, description="the closes, each a price or [price, how often]"
    )
    rows: tuple[tuple[float, ...], ...] | None = Field(
        None, min_length=1, description="[open, high, low, close, volume] of each bar"
    )
    flat: Flat | None = Field(None, description="bars that stand still")
    walk: Walk | None = Field(None, description="a random walk")
    file: str | None = Field(
        None, min_length=1, description="a CSV beside the scenario, or fixture:NAME"
    )
    bars: int | None = Field(None, gt=0, description="only so many bars of a file")
    cut: Cut | None = Field(None, description="cut a file off in the middle of a row")
    volume: float = Field(1000.0, ge=0, allow_inf_nan=False, description="of every inline bar")
    from_bar: int = Field(1, ge=1, description="number of the first bar: what is before is silence")

    @model_validator(mode="after")
    def _check(self) -> Market:
        kind = one_of(self, KINDS, "source")
        if self.cut is not None and kind != "file":
            raise ValueError("cut: only a file can be cut off")
        if self.bars is not None and kind != "file":
            raise ValueError(
                "bars: only a file can be limited; flat and walk have bars of their own"
            )
        for place, row in enumerate(self.rows or ()):
            if len(row) not in {5, 6}:
                raise ValueError(
                    f"rows[{place}]: found {len(row)} numbers, "
                    "expected open, high, low, close, volume, or the bar's number in front of them"
                )
        return self

    @property
    def kind(self) -> str:
        """Return which source it is."""
        return one_of(self, KINDS, "source")

    def as_table(self) -> dict[str, Any]:
        """Return the table without what is not given."""
        return self.model_dump(mode="json", exclude_unset=True)
