"""Equity at closes: the figures of a track are those of looking at every value."""

from __future__ import annotations

import random
from decimal import Decimal

from actors.portfolio import EquityTrack
from messages import (
    Bar,
    Booking,
    ExecutionReport,
    Fill,
    Liquidity,
    OrderEvent,
    OrderStatus,
    PositionSide,
    Side,
)
from state.instruments import Instrument

SYMBOL = "BTC/USDT"
CASH = 100


def test_the_largest_drawdown_is_the_largest_of_all_closes() -> None:
    """No close counts for less because an earlier one was lower, or belonged to another peak."""
    chance = random.Random(7)
    track = _holding_one_unit()
    peak, largest, price = float(CASH), 0.0, 100.0
    for at in range(1, 2_000):
        price = round(price * (1.0 + chance.uniform(-0.03, 0.033)), 2)
        track.close(at, {SYMBOL: Bar(SYMBOL, at, price, price, price, price, 1.0, 60_000)})
        equity = CASH - 100 + price
        peak = max(peak, equity)
        largest = max(largest, 1.0 - equity / peak)

        assert (peak, largest) == (track.peak, track.max_drawdown)

    assert largest > 0.0


def _holding_one_unit() -> EquityTrack:
    """Return the track of an account that has bought one unit at 100."""
    instruments = {SYMBOL: Instrument.permissive(SYMBOL, Decimal(0))}
    track = EquityTrack(float(CASH), instruments, 60_000)
    price, zero = Decimal(100), Decimal(0)
    fill = Fill(
        "t-1",
        "o-1",
        "c-1",
        "s",
        SYMBOL,
        Side.BUY,
        PositionSide.BOTH,
        Decimal(1),
        price,
        zero,
        "USDT",
        Liquidity.TAKER,
        0,
    )
    booking = Booking(zero, zero, Decimal(1), price, Decimal(CASH) - price, ("t-1",))
    track.record(
        ExecutionReport(
            "o-1",
            "c-1",
            "s",
            SYMBOL,
            OrderEvent.FILLED,
            OrderStatus.FILLED,
            0,
            Decimal(1),
            None,
            fill,
            booking,
        )
    )
    return track
