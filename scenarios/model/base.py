"""What the parts of a scenario file are made of: offsets of time, exact numbers, tables."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

UNIT_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "ms": 1, "s": 1_000}

_PARTS = re.compile(r"(?:[0-9]+(?:ms|[dhms]))+", re.ASCII)
_PART = re.compile(r"([0-9]+)(ms|[dhms])", re.ASCII)
_CLOCK = re.compile(r"([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{3}))?", re.ASCII)

OFFSET_FORM = 'a time like "90s", "5m", "1h30m", "250ms" or "00:05:00"'
OFFSET_PATTERN = r"^(([0-9]+(ms|[dhms]))+|[0-9]{1,4}:[0-5][0-9]:[0-5][0-9](\.[0-9]{3})?)$"


def parse_offset(text: object) -> int:
    """Return a span of time in ms: ``90s``, ``1h30m``, ``250ms``, ``00:05:00`` or a bare 0."""
    if text == 0 and not isinstance(text, bool):
        return 0
    if isinstance(text, str):
        if (clock := _CLOCK.fullmatch(text)) is not None:
            hours, minutes, seconds, millis = clock.groups()
            total_s = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
            return total_s * 1000 + int(millis or 0)
        if _PARTS.fullmatch(text):
            return sum(int(count) * UNIT_MS[unit] for count, unit in _PART.findall(text))
    raise ValueError(f"expected {OFFSET_FORM}")


def parse_signed_offset(text: object) -> int:
    """Return a span of time in ms that may go backwards: ``-5m``."""
    if isinstance(text, str) and text.startswith("-"):
        return -parse_offset(text[1:])
    return parse_offset(text)


def format_offset(offset_ms: int) -> str:
    """Return ``HH:MM:SS.mmm``, with the days in the hours."""
    sign = "-" if offset_ms < 0 else ""
    total_s, millis = divmod(abs(offset_ms), 1000)
    minutes, seconds = divmod(total_s, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours:02}:{minutes:02}:{seconds:02}.{millis:03}"


Offset = Annotated[
    int,
    BeforeValidator(parse_offset),
    WithJsonSchema({"type": "string", "pattern": OFFSET_PATTERN, "examples": ["5m", "00:05:00"]}),
]
"""Time since the first bar opened, or a length of time: ms once it is read."""

SignedOffset = Annotated[
    int,
    BeforeValidator(parse_signed_offset),
    WithJsonSchema({"type": "string", "pattern": OFFSET_PATTERN.replace("^(", "^-?(", 1)}),
]


def _exact(value: object) -> object:
    """Let only exact numbers through: a float has already lost what was written."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('expected an exact number in quotes, like "0.5"')  # noqa: TRY004
    return value


Exact = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(allow_inf_nan=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"},
                {"type": "integer"},
            ]
        }
    ),
]
"""A number of money or quantity, written in quotes or as a whole number."""

Price = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A price of the market: an observation, therefore a float."""


class Table(BaseModel):
    """Base of every table of a scenario: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def exactly_one(names: tuple[str, ...]) -> dict[str, Any]:
    """Return the part of a JSON Schema that asks for exactly one of ``names``."""
    return {"oneOf": [{"required": [name]} for name in names]}


def one_of(table: BaseModel, names: tuple[str, ...], what: str) -> str:
    """Return which of ``names`` is given; raise ``ValueError`` unless it is exactly one."""
    given = [name for name in names if name in table.model_fields_set]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ValueError(f"found {found}, expected exactly one {what} of: {', '.join(names)}")
    return given[0]
