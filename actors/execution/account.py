"""What the account is worth, and what funding each position of it bears."""

from __future__ import annotations

from actors.board import Board
from messages import FundingBooked, FundingSettled, PortfolioMarked
from state.ledger import Ledger


def valuation(ledger: Ledger, board: Board, at: int, occasion: str) -> PortfolioMarked:
    """Return the account valued at the board's marks."""
    value = ledger.valuation(board.known)
    return PortfolioMarked(
        at,
        occasion,
        ledger.currency,
        value.cash,
        value.equity,
        value.realized_pnl,
        value.unrealized_pnl,
        value.fees,
        value.funding,
        value.marks,
    )


def book_funding(ledger: Ledger, settled: FundingSettled) -> list[FundingBooked]:
    """
    Book what each strategy's position pays (negative) or receives, and return it.

    The venue settles the net position; strategies that share it each bear their own part.
    """
    found: list[FundingBooked] = []
    for position in ledger.positions():
        if position.symbol != settled.symbol or not position.quantity:
            continue
        amount = -position.quantity * settled.mark * settled.rate
        book = (position.strategy, position.symbol, position.position_side)
        ledger.book_funding(*book, amount, settled.at)
        found.append(
            FundingBooked(
                "execution",
                settled.at,
                position.strategy,
                position.symbol,
                position.position_side.value,
                amount,
                settled.rate,
            )
        )
    return found
