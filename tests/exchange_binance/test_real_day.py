"""
Hours of a real market in two processes: truth log, journal and ledger are one, to the last digit.

A whole day is ``python tests/exchange_binance/real_day.py``.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from day_house import (
    DAY,
    FIRST_DAY,
    MINUTE,
    SHARED_DATA,
    Market,
    made_market,
    often_funded,
    problems,
    real_market,
    trade,
)

from messages import PositionMode, PositionSide

pytestmark = pytest.mark.exhaustive

pytest.importorskip("ccxt", reason="needs the extra `ccxt`")

BARS = 180
SPEED = 600.0


def market(folder: Path) -> Market:
    """Return some hours of the shared files, or made ones where these are not beside us."""
    if (SHARED_DATA / "perp").is_dir():
        return often_funded(folder, real_market(folder, BARS))
    return made_market(folder, BARS)


@pytest.mark.parametrize("mode", list(PositionMode))
def test_hours_of_trading_leave_three_accounts_that_agree(
    mode: PositionMode, tmp_path: Path
) -> None:
    """Every order, fill, position, fee, payment and balance; in hedge mode both sides are held."""
    day = trade(tmp_path, market(tmp_path), mode, speed=SPEED, limits_times=4)
    counts = day.counts()
    sides = {PositionSide.BOTH}
    if mode is PositionMode.HEDGE:
        sides = {PositionSide.LONG, PositionSide.SHORT}

    assert [] == problems(day), f"{day.folder}: {day.errors[-3000:]}"
    assert 128 + signal.SIGINT == day.exit_code, day.errors[-3000:]
    assert sides == day.sides
    assert len(day.truth.fills) >= 4, counts
    assert counts["funding booked"] >= 1, counts


def test_a_made_market_is_one_that_can_be_played(tmp_path: Path) -> None:
    """What stands in for the shared files has their form, and as many bars."""
    made = made_market(tmp_path, 10)

    assert FIRST_DAY + 10 * MINUTE == made.until
    for path in made.bars.values():
        header, *rows = path.read_text().splitlines()
        assert "timestamp,open,high,low,close,volume" == header
        assert 130 == len(rows)
    (rates,) = set(made.funding.values())
    assert made.until - DAY == int(rates.read_text().splitlines()[1].split(",")[0])
