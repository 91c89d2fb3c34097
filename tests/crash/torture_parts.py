"""Parts of a torture: many short tests instead of a long one."""

from __future__ import annotations

from typing import Final

PARTS: Final = 3
"""Tests that share one workload's moments: each of them is short, on a slow machine too."""


def part_of(text: str) -> slice:
    """Return which of all attempts the part ``N/OF`` has: every ``OF``th, from the ``N``th on."""
    number, of = map(int, text.split("/"))
    if not 1 <= number <= of:
        raise ValueError(f"{text}: found part {number} of {of}")
    return slice(number - 1, None, of)
