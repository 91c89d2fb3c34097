"""
Which of its symbols a strategy trades, and which it only hears of.

A symbol that the universe's lists restrict is not opened by anybody: Risk sees to that. What a
strategy is told of it beforehand is decided here, the same way for a session and for a scenario.
A strategy that names its symbols itself gets the data of all of them, so that it can still leave
a position in one that was restricted later, or go by the prices of one that it never trades. A
strategy that takes the universe as it is gets what it may trade. Both find the restricted ones in
``desk.restricted``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from actors.risk import RiskLimits


@dataclass(frozen=True, slots=True)
class Share:
    """
    What one strategy is given: the symbols whose data it gets, and those that may not be opened.

    A restricted symbol is among ``symbols`` only where the strategy names it itself.
    """

    symbols: tuple[str, ...]
    restricted: tuple[str, ...]


def share_of(own: Sequence[str], listed: Sequence[str], limits: RiskLimits) -> Share:
    """Return the share of a strategy with symbols of its ``own``, else of all that are listed."""
    restricted = tuple(symbol for symbol in own or listed if limits.denied(symbol) is not None)
    return Share(tuple(own) or tradable(listed, limits), restricted)


def tradable(symbols: Iterable[str], limits: RiskLimits) -> tuple[str, ...]:
    """Return the symbols that may be opened, in the order of their listing."""
    return tuple(symbol for symbol in symbols if limits.denied(symbol) is None)
