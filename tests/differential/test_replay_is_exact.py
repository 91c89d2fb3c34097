"""The product against the reference: the same trades and the same equity, to the last digit."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import product
import pytest
import reference
from markets import MADE_UP, REAL_FILES, MadeUp, RealFile, write_csv

pytestmark = pytest.mark.exhaustive

CASH = 1_000_000_000


@pytest.mark.parametrize("file", REAL_FILES, ids=lambda file: file.name)
def test_replay_of_real_data_equals_the_reference(
    file: RealFile,
    replay: Callable[..., reference.Outcome],
    rows_of: Callable[[RealFile], list[reference.Row]],
) -> None:
    """Every trade's time, side, price, quantity and fee, and the final equity, are exact."""
    expected = reference.sma_cross(rows_of(file), quantity=Decimal(file.quantity))

    actual = replay(file.path, file.symbol, quantity=file.quantity, cash=CASH, fee_bps=10)

    assert expected == actual


@pytest.mark.parametrize("market", MADE_UP, ids=lambda market: market.name)
def test_replay_of_a_made_up_market_equals_the_reference(
    market: MadeUp, replay: Callable[..., reference.Outcome], tmp_path: Path
) -> None:
    """Ties, gaps at the open, and a market too short to decide on are traded by the same rules."""
    data = tmp_path / "bars.csv"
    write_csv(data, market.rows())
    expected = reference.sma_cross(market.rows())

    actual = replay(data, "BTC/USDT", quantity=1, cash=CASH, fee_bps=10)

    assert expected == actual


def test_replay_with_other_parameters_equals_the_reference(
    replay: Callable[..., reference.Outcome], tmp_path: Path
) -> None:
    """Windows, quantity, fee and slippage are what the command line says, and still exact."""
    market = MADE_UP[0]
    data = tmp_path / "bars.csv"
    write_csv(data, market.rows())
    expected = reference.sma_cross(
        market.rows(),
        fast=3,
        slow=7,
        quantity=Decimal("0.37"),
        fee_bps=Decimal("7.5"),
        slippage_bps=Decimal("2.5"),
    )

    actual = replay(
        data,
        "ETH/USDT",
        fast=3,
        slow=7,
        quantity="0.37",
        cash=CASH,
        fee_bps="7.5",
        slippage_bps="2.5",
    )

    assert expected == actual


def test_replay_of_several_markets_trades_each_as_if_alone(tmp_path: Path) -> None:
    """
    Merged by time, every symbol is traded as its own reference says, out of one account.

    Sufficient cash provided, the account's gain is the sum of what each would have gained.
    """
    markets = {"A/USDT": MADE_UP[0], "B/USDT:USDT": MADE_UP[1], "C/USDT": MADE_UP[2]}
    data = []
    for symbol, market in markets.items():
        path = tmp_path / f"{symbol[0]}.csv"
        write_csv(path, market.rows())
        data.append((path, symbol))
    alone = {symbol: reference.sma_cross(market.rows()) for symbol, market in markets.items()}
    out = tmp_path / "session"

    product.replay_by_command_line(data, out, quantity=1, cash=CASH, fee_bps=10)

    assert {symbol: outcome.trades for symbol, outcome in alone.items()} == (
        product.trades_by_symbol(out)
    )
    gained = sum((outcome.equity - CASH for outcome in alone.values()), Decimal(0))
    assert CASH + gained == product.final_equity(out)
