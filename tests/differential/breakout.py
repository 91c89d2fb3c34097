"""
What `tidegate replay` of `donchian_breakout` must do, written a second time and apart from it.

Nothing of the product is imported. Every bar looks its channels up in the list of all bars; the
average true range is Wilder's, in floats, because an indicator is one; prices are decimals. The
rules are those of docs/strategies/donchian_breakout.md and docs/explanation/matching.md:

- a close beyond the channel of the bars before it enters at the next open, unless a position is
  there, or a rest after a loss is not over;
- the stop, ranges from the entry price, works from the close of the bar of the fill on;
- the trail takes its place at the first close by which the best price has been far enough in
  profit, if it is no worse than the stop at that close; it follows opens and then extremes;
- a close beyond the exit channel leaves at the next open, once a close was far enough in profit;
- a stop is filled at its price, or at the open beyond it; what happens at an open comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext

from reference import Outcome, Row, Trade

EXACT = Context(prec=76)
QUOTIENT = Context(prec=28)
FINEST = Decimal("1e-18")
TWELVE_DECIMALS = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Terms:
    """The parameters."""

    quantity: Decimal
    entry_period: int = 20
    atr_period: int = 14
    stop_atr: Decimal = Decimal(2)
    trail_atr: Decimal | None = Decimal(3)
    exit_period: int | None = None
    activate_atr: Decimal = Decimal(1)
    cooldown_bars: int = 0
    both: bool = False
    """Whether breaks downwards are followed too."""


@dataclass(slots=True)
class Position:
    """One position: what it was entered by, and how it is protected."""

    sign: int
    range: Decimal
    price: Decimal | None = None
    stop: Decimal = Decimal(0)
    activate: Decimal = Decimal(0)
    best: Decimal | None = None
    trail_bps: Decimal | None = None
    peak: Decimal | None = None
    active: bool = False
    leaving: bool = False


def true_ranges(rows: Sequence[Row], period: int) -> list[float | None]:
    """Return Wilder's average true range at every close."""
    found: list[float | None] = []
    reaches: list[float] = []
    for number, row in enumerate(rows):
        high, low = float(row.high), float(row.low)
        reach = high - low
        if number:
            before = float(rows[number - 1].close)
            reach = max(reach, abs(high - before), abs(low - before))
        reaches.append(reach)
        if number + 1 < period:
            found.append(None)
        elif number + 1 == period:
            found.append(math.fsum(reaches) / period)
        else:
            last = found[-1]
            assert last is not None, "it goes on from the bar before"
            found.append((last * (period - 1) + reach) / period)
    return found


def broken(rows: Sequence[Row], number: int, period: int) -> int:
    """Return the way in which a close leaves the channel of the bars before it."""
    if number < period:
        return 0
    channel = rows[number - period : number]
    if rows[number].close > max(row.high for row in channel):
        return 1
    return -1 if rows[number].close < min(row.low for row in channel) else 0


def replay(rows: Sequence[Row], terms: Terms, cash: Decimal, fee_bps: Decimal) -> Outcome:
    """Return every execution and the final equity."""
    with localcontext(EXACT):
        ranges = true_ranges(rows, terms.atr_period)
        trades: list[Trade] = []
        position: Position | None = None
        rest_until = 0
        for number, row in enumerate(rows):
            if position is not None:
                price = executed(position, row)
                if price is not None:
                    way = position.sign if position.price is None else -position.sign
                    fee = terms.quantity * price * fee_bps / 10_000
                    side = "buy" if way > 0 else "sell"
                    trades.append(Trade(row.timestamp, side, price, terms.quantity, fee))
                    cash -= way * terms.quantity * price + fee
                    if position.price is None:
                        enter(position, price, terms)
                    else:
                        if (price - position.price) * position.sign < 0:
                            rest_until = number + terms.cooldown_bars
                        position = None
            if position is not None:
                look(position, rows, number, terms)
                continue
            way = broken(rows, number, terms.entry_period)
            range_ = ranges[number]
            if range_ and (way > 0 or (way < 0 and terms.both)) and number >= rest_until:
                position = Position(way, Decimal(repr(range_)))
        if position is not None and position.price is not None:
            cash += position.sign * terms.quantity * rows[-1].close
        return Outcome(trades, cash)


def enter(position: Position, price: Decimal, terms: Terms) -> None:
    """Protect what was filled at ``price``."""
    sign, range_ = position.sign, position.range
    position.price = price
    away = ROUND_FLOOR if sign > 0 else ROUND_CEILING
    position.stop = on_grid(price - sign * terms.stop_atr * range_, away)
    # A target is never reached earlier than asked: rounded away from the entry price.
    away = ROUND_CEILING if sign > 0 else ROUND_FLOOR
    position.activate = on_grid(price + sign * terms.activate_atr * range_, away)


def on_grid(price: Decimal, rounding: str) -> Decimal:
    rounded = price.quantize(FINEST, rounding)
    return price if rounded == price else rounded


def executed(position: Position, row: Row) -> Decimal | None:
    """Return the price at which a bar fills what is there for it: an entry, a close, a stop."""
    sign = position.sign
    if position.price is None or position.leaving:
        return row.open
    level = position.stop
    if position.trail_bps is not None:
        position.peak = better(position.peak, row.open, sign)
        level = position.peak * (1 - sign * position.trail_bps / 10_000)
    if (row.open - level) * sign <= 0:
        return row.open
    worst = row.low if sign > 0 else row.high
    if (worst - level) * sign <= 0:
        return level
    if position.trail_bps is not None:
        position.peak = better(position.peak, row.high if sign > 0 else row.low, sign)
    return None


def look(position: Position, rows: Sequence[Row], number: int, terms: Terms) -> None:
    """Let a close decide what protects a position from the next bar on, and whether it leaves."""
    if position.price is None:
        return
    row, sign = rows[number], position.sign
    position.best = better(position.best, row.high if sign > 0 else row.low, sign)
    if terms.trail_atr is not None and position.trail_bps is None:
        distance = terms.trail_atr * position.range
        bps = QUOTIENT.divide(distance * 10_000, position.activate).quantize(TWELVE_DECIMALS)
        trailed = row.close * (1 - sign * bps / 10_000)
        reached = (position.best - position.activate) * sign >= 0
        if reached and (trailed - position.stop) * sign >= 0:
            position.trail_bps = bps
    if terms.exit_period is not None:
        gain = (row.close - position.price) * sign
        position.active |= gain >= terms.activate_atr * position.range
        position.leaving |= position.active and broken(rows, number, terms.exit_period) == -sign


def better(known: Decimal | None, price: Decimal, sign: int) -> Decimal:
    return price if known is None or (price - known) * sign > 0 else known
