"""Sessions in which breakouts trade, and their signals computed a second time, plainly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ladder_makers import HYPE, ladder_spec, ladder_world
from session_world import MINUTE, START, World

from actors.strategy import StrategyActor
from messages import Bar, IntentAction, PositionSide
from strategies.breakout import Book
from strategies.donchian_breakout import DonchianBreakout

D = Decimal
SMALL: dict[str, Any] = {
    "quantity": 1,
    "entry_period": 3,
    "atr_period": 2,
    "stop_atr": 2,
    "trail_atr": 3,
    "activate_atr": 1,
}
"""A breakout that has warmed up after three bars."""


def bars_of(rows: Sequence[tuple[float, ...]], symbol: str = HYPE) -> list[Bar]:
    """Return minute bars of (open, high, low, close)."""
    return [
        Bar(symbol, START + number * MINUTE, *map(float, row), 1000.0, MINUTE)
        for number, row in enumerate(rows)
    ]


def still(price: float, count: int = 1, swing: float = 0.5) -> list[tuple[float, ...]]:
    """Return rows that swing about a price and close there."""
    return [(price, price + swing, price - swing, price)] * count


def step(first: float, last: float, swing: float = 0.0) -> tuple[float, ...]:
    """Return a row that goes from one price to another."""
    return (first, max(first, last) + swing, min(first, last) - swing, last)


def breakout_world(
    bars: Sequence[Bar], *, hedge: bool = False, rules: dict[str, Any] | None = None, **params: Any
) -> World:
    """Return the world of a small breakout; names of ``session_world`` settings go through."""
    settings = {
        name: params.pop(name)
        for name in ("latency_ms", "participation", "brackets", "queued", "cash")
        if name in params
    }
    spec = ladder_spec("donchian_breakout", (bars[0].symbol,), **SMALL | params)
    return ladder_world(bars, spec, hedge=hedge, rules=rules, **settings)


def breakout(world: World) -> DonchianBreakout:
    """Return the strategy's newest incarnation."""
    actor = world.cell("strategy:one").actor
    assert isinstance(actor, StrategyActor)
    assert isinstance(actor.strategy, DonchianBreakout)
    return actor.strategy


def book_of(world: World, side: PositionSide = PositionSide.BOTH, symbol: str = HYPE) -> Book:
    """Return one book of the newest incarnation."""
    found = breakout(world)._book(symbol, side)
    assert found is not None
    return found


def is_protected(world: World, book: Book) -> bool:
    """Return whether a stop or trailing stop of a book is not finished."""
    unfinished = breakout(world).desk.unfinished(book.symbol, book.side)
    return any(i.action in (IntentAction.SET_STOP, IntentAction.TRAIL) for i in unfinished)


# -- the same signals, computed from all bars anew


@dataclass(frozen=True, slots=True)
class Signal:
    """What one close says: the way of a break, and the range by then."""

    at: int
    sign: int
    range: float | None


def signals(bars: Sequence[Bar], entry_period: int, atr_period: int) -> list[Signal]:
    """Return the signal of every bar, each channel looked up in the list of all bars."""
    found = []
    range_: float | None = None
    true_ranges: list[float] = []
    for number, bar in enumerate(bars):
        reach = bar.high - bar.low
        if number:
            before = bars[number - 1].close
            reach = max(reach, abs(bar.high - before), abs(bar.low - before))
        true_ranges.append(reach)
        if number + 1 == atr_period:
            range_ = math.fsum(true_ranges) / atr_period
        elif range_ is not None:
            range_ = (range_ * (atr_period - 1) + reach) / atr_period
        sign = 0
        if number >= entry_period:
            channel = bars[number - entry_period : number]
            if bar.close > max(each.high for each in channel):
                sign = 1
            elif bar.close < min(each.low for each in channel):
                sign = -1
        found.append(Signal(bar.timestamp + bar.timeframe_ms, sign, range_))
    return found
