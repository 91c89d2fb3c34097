"""
What `tidegate replay` of `sma_cross` must do, written a second time and apart from it.

Nothing of the product is imported: this file reads the CSV by itself, computes both averages
anew at every bar, and keeps all numbers as decimals in a context where any rounding raises.
It is slow and plain on purpose; the replay rules it follows are those of ARCHITECTURE 6:

- long or flat; the first decision is made at the close of bar number ``slow``, counted from 1;
- long is wanted exactly when SMA(fast) > SMA(slow), so a tie is flat;
- an order is made when what is wanted differs from what is held;
- it is executed at the next bar's open plus slippage; a decision on the last bar never is;
- the fee is notional * bps / 10,000; an open position is marked at the last close.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, FloatOperation, Inexact, InvalidOperation, localcontext
from pathlib import Path

EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, FloatOperation])


@dataclass(frozen=True, slots=True)
class Row:
    """One bar as its text says; ``timestamp`` is its open in ms UTC."""

    timestamp: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution; ``timestamp`` is that of the bar in which it happened."""

    timestamp: int
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """All executions and what the account was worth at the last close."""

    trades: list[Trade]
    equity: Decimal


def read_rows(path: Path) -> list[Row]:
    """Return the bars of a CSV or CSV.gz with int ms timestamps, in file order."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [
        Row(
            int(row["timestamp"]),
            *(Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")),
        )
        for row in csv.DictReader(text.splitlines())
    ]


def averages_differ_by(closes: Sequence[Decimal], fast: int, slow: int) -> list[Decimal | None]:
    """
    Return ``(SMA(fast) - SMA(slow)) * fast * slow`` at every close, exactly.

    Scaled so that no division, hence no rounding, is needed. None before bar number ``slow``.
    """
    differences: list[Decimal | None] = []
    with localcontext(EXACT):
        for number in range(1, len(closes) + 1):
            if number < slow:
                differences.append(None)
                continue
            fast_sum = sum(closes[number - fast : number], Decimal(0))
            slow_sum = sum(closes[number - slow : number], Decimal(0))
            differences.append(fast_sum * slow - slow_sum * fast)
    return differences


def wants_long(closes: Sequence[Decimal], fast: int, slow: int) -> list[bool | None]:
    """Return at every close whether long is wanted; None while there is no decision yet."""
    return [None if d is None else d > 0 for d in averages_differ_by(closes, fast, slow)]


def replay(
    rows: Sequence[Row],
    wants: Sequence[bool | None],
    *,
    quantity: Decimal,
    cash: Decimal,
    fee_bps: Decimal,
    slippage_bps: Decimal = Decimal(0),
) -> Outcome:
    """Return what comes of trading the decisions ``wants``, one per bar."""
    trades: list[Trade] = []
    with localcontext(EXACT):
        held = Decimal(0)
        for row, wanted in zip(rows[1:], wants[:-1], strict=True):  # the decision before each bar
            if wanted is None or wanted == (held > 0):
                continue
            slip = slippage_bps / 10_000 if wanted else -slippage_bps / 10_000
            price = row.open * (1 + slip)
            fee = quantity * price * fee_bps / 10_000
            side = "buy" if wanted else "sell"
            trades.append(Trade(row.timestamp, side, price, quantity, fee))
            held = quantity if wanted else Decimal(0)
            cash += (-price if wanted else price) * quantity - fee
        return Outcome(trades, cash + held * rows[-1].close)


def sma_cross(
    rows: Sequence[Row],
    *,
    fast: int = 10,
    slow: int = 30,
    quantity: Decimal = Decimal(1),
    cash: Decimal = Decimal(1_000_000_000),
    fee_bps: Decimal = Decimal(10),
    slippage_bps: Decimal = Decimal(0),
) -> Outcome:
    """Return what `tidegate replay --strategy sma_cross` must give."""
    return replay(
        rows,
        wants_long([row.close for row in rows], fast, slow),
        quantity=quantity,
        cash=cash,
        fee_bps=fee_bps,
        slippage_bps=slippage_bps,
    )
