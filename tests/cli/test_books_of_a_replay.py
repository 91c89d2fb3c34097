"""Which books a replay keeps, and which lots its reductions close."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from messages import PositionMode
from tidegate.commands import replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Process, Tidegate

PRICES = [100.0, 100.0, 101.0, 102.0, 103.0, 104.0]

LADDER = '''"""Buys twice, sells once: which lot goes is its lot method's."""

from decimal import Decimal

from messages import PositionSide, Side
from state.ledger import LotMethod
from strategies import Strategy


class Twice(Strategy):
    """Open two lots and close one."""

    {declared}

    def on_bar(self, bar):
        """Act by the number of the bar."""
        number = bar.timestamp // bar.timeframe_ms % 1440
        book = self.desk.books(bar.symbol)[0]
        if number < 2:
            return (self.desk.open(bar.symbol, Side.BUY, Decimal(1), position_side=book),)
        if number == 3:
            return (self.desk.partial_close(bar.symbol, Decimal(1), position_side=book),)
        return None
'''


def lots_closed(folder: str) -> list[tuple[str, Decimal]]:
    """Return (position side, realised profit) of every sale."""
    with Path(folder, "trades.csv").open() as file:
        return [
            (row["position_side"], Decimal(row["realized_pnl"]))
            for row in csv.DictReader(file)
            if row["side"] == "sell"
        ]


def strategies_in(folder: str) -> list[dict[str, Any]]:
    """Return the strategies as a session's manifest has them."""
    found: list[dict[str, Any]] = json.loads(Path(folder, "manifest.json").read_text())["config"][
        "strategies"
    ]
    return found


@pytest.mark.parametrize(
    ("declared", "configured", "resolved", "profit"),
    [
        ("", "", "fifo", "3"),
        ("", "lot_method = 'lifo'", "lifo", "2"),
        ("", "lot_method = 'average'", "average", "2.5"),
        ("lot_method = LotMethod.LIFO", "", "lifo", "2"),
        ("lot_method = LotMethod.LIFO", "lot_method = 'lifo'", "lifo", "2"),
    ],
)
def test_lots_are_closed_as_configured_else_as_the_strategy_declares_else_fifo(
    tidegate: Tidegate,
    bars: Callable[..., Path],
    declared: str,
    configured: str,
    resolved: str,
    profit: str,
) -> None:
    """The manifest shows what it came to, and a second run comes to the same."""
    bars("a.csv", PRICES)
    Path("twice.py").write_text(LADDER.format(declared=declared))
    Path("c.toml").write_text(
        f"[[strategies]]\nname = 'twice'\nuse = 'twice.py:Twice'\n{configured}\n"
    )

    tidegate("replay", "--data", "a.csv@X/USD", "--fee-bps", "0", "-c", "c.toml", "--out", "o")

    assert [resolved] == [strategy["lot_method"] for strategy in strategies_in("o")]
    assert [("both", Decimal(profit))] == lots_closed("o")
    assert 0 == tidegate("verify", "o").exit_code


def test_a_lot_method_that_a_strategy_cannot_do_with_is_one_clear_line(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """Exit 2, with the file, the strategy, what was found and what was expected."""
    bars("a.csv", PRICES)
    Path("twice.py").write_text(LADDER.format(declared="lot_method = LotMethod.LIFO"))
    Path("c.toml").write_text(
        "[[strategies]]\nname = 'twice'\nuse = 'twice.py:Twice'\nlot_method = 'fifo'\n"
    )

    ended = tidegate("replay", "--data", "a.csv@X/USD", "-c", "c.toml")

    assert 2 == ended.exit_code
    assert (
        "tidegate: c.toml: strategy twice: lot_method: found 'fifo', expected 'lifo' or none: "
        "the strategy needs its own\n" == ended.stderr
    )


def test_hedge_mode_keeps_a_long_and_a_short_book(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """The desk knows both books of a perpetual, and the first of them is the long one."""
    bars("a.csv", PRICES)
    Path("twice.py").write_text(LADDER.format(declared=""))
    line = ("--data", "a.csv@X/USD:USD", "--fee-bps", "0", "--strategy", "twice.py:Twice")

    tidegate("replay", *line, "--position-mode", "hedge", "--out", "h")
    tidegate("replay", *line, "--position-mode", "one_way", "--out", "w")

    assert [("long", Decimal(3))] == lots_closed("h")
    assert [("both", Decimal(3))] == lots_closed("w")


def test_a_position_mode_that_is_none_is_refused(process: Process) -> None:
    """The two that there are are named."""
    ended = process("replay", "--position-mode", "both")

    assert 2 == ended.returncode
    assert "'both' is not one of 'one_way', 'hedge'" in ended.stderr


def test_the_option_knows_the_position_modes_that_there_are() -> None:
    """The command line may not import the vocabulary before it is needed; it says the same."""
    assert [mode.value for mode in PositionMode] == [mode.value for mode in replay.PositionMode]
