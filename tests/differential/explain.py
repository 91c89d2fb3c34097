"""
Why a peer that computes its averages in floats decides otherwise: every bar gets its reason.

A tie of the exact averages is where rounding decides instead; so is a difference that is
smaller than what a float of that size can tell. backtesting.py also begins a bar late: it
skips every bar on which an indicator has no value, and one more. Nothing else may differ.

``python tests/differential/explain.py`` prints the table for all markets at hand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import reference
from reference import Row

FAST = 10
SLOW = 30
# What float sums of some dozens of closes can be off by, relative to their size. pandas keeps
# one running sum with compensation for the whole series; it stays within this as well.
FLOAT_ERROR = Decimal(2) ** -44


@dataclass(frozen=True, slots=True)
class Differences:
    """The bars on which a peer decided otherwise, by reason; ``unexplained`` must be empty."""

    exact_ties: int  # in the whole market, whether or not the peer differed there
    not_begun: list[int]
    ties: list[int]
    roundings: list[int]
    unexplained: list[int]


def differences(rows: Sequence[Row], decided: Sequence[bool | None]) -> Differences:
    """Compare a peer's decisions with the exact ones, bar by bar."""
    closes = [row.close for row in rows]
    margins = reference.averages_differ_by(closes, FAST, SLOW)
    found = Differences(sum(1 for margin in margins if margin == 0), [], [], [], [])
    for number, (margin, theirs) in enumerate(zip(margins, decided, strict=True)):
        if margin is None or theirs == (margin > 0):
            continue
        noise = closes[number] * FAST * SLOW * FLOAT_ERROR
        if theirs is None:
            # Only the first decision may be missing, and only because of the late beginning.
            (found.not_begun if number == SLOW - 1 else found.unexplained).append(number)
        elif margin == 0:
            found.ties.append(number)
        elif abs(margin) <= noise:
            found.roundings.append(number)
        else:
            found.unexplained.append(number)
    return found


def main() -> int:
    """Print, for every market at hand, how each peer fares on its own float averages."""
    import peers
    from markets import MADE_UP, REAL_FILES

    header = ("peer", "bars", "trades", "own", "ties", "not begun", "tie", "rounding", "unexpl.")
    print(f"{'market':<40}{header[0]:<16}" + "".join(f"{name:>10}" for name in header[1:]))
    failures = 0
    real = [
        (file.name, reference.read_rows(file.path), file.quantity)
        for file in REAL_FILES
        if file.path.exists()
    ]
    made_up = [(market.name, market.rows(), 1) for market in MADE_UP if market.bars > SLOW]
    for name, rows, quantity in [*real, *made_up]:
        exact = reference.sma_cross(rows, quantity=Decimal(quantity))
        for peer, run in peers.PEERS.items():
            own = run(rows, None, quantity=quantity, cash=1_000_000_000, fee_rate=0.001)
            found = differences(rows, own.decided)
            failures += len(found.unexplained)
            counts = (
                len(rows),
                len(exact.trades),
                len(own.trades),
                found.exact_ties,
                len(found.not_begun),
                len(found.ties),
                len(found.roundings),
                len(found.unexplained),
            )
            print(f"{name:<40}{peer:<16}" + "".join(f"{count:>10,}" for count in counts))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
