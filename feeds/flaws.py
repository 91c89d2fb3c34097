"""The names of what can be wrong with a row."""

from __future__ import annotations

from enum import StrEnum


class Flaw(StrEnum):
    """Why a row is bad; the values are the ``reason`` column of ``quarantine.csv``."""

    FIELD_COUNT = "field_count"
    NOT_UTF8 = "not_utf8"
    PARTIAL_LAST_LINE = "partial_last_line"
    BAD_TIMESTAMP = "bad_timestamp"
    NAIVE_TIMESTAMP = "naive_timestamp"
    TIMESTAMP_UNIT = "timestamp_unit"
    DUPLICATE_TIMESTAMP = "duplicate_timestamp"
    BACKWARD_JUMP = "backward_jump"
    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    PRICE_NOT_POSITIVE = "price_not_positive"
    HIGH_BELOW_LOW = "high_below_low"
    HIGH_BELOW_BODY = "high_below_open_or_close"
    LOW_ABOVE_BODY = "low_above_open_or_close"
    NEGATIVE_VOLUME = "negative_volume"


class BadRow(Exception):
    """One row's flaw on its way to the quarantine; never leaves this package."""

    def __init__(self, flaw: Flaw, found: str, expected: str) -> None:
        """Keep the flaw and the two halves of its sentence."""
        self.flaw = flaw
        self.found = found
        self.expected = expected
        super().__init__(f"{found}; expected {expected}")
