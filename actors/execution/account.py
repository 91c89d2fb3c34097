"""What the account is worth, and what funding each position of it bears."""

from __future__ import annotations

from decimal import Decimal

from actors.board import Board
from messages import (
    EXTERNAL,
    FundingBooked,
    FundingSettled,
    PortfolioMarked,
    PositionSide,
    VenuePayment,
)
from state.ledger import Ledger
from state.money import EXACT, ZERO, share


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


def book_payment(ledger: Ledger, payment: VenuePayment) -> list[FundingBooked]:
    """
    Book a payment that the venue has made, to the last digit, and return what each position bears.

    The venue pays or takes for its net position: strategies that share it bear it by their parts of
    that. Where nothing is held any more it is borne by whoever had that position, all alike, and by
    nobody's book where nobody had.
    """
    found: list[FundingBooked] = []
    for book, amount in _borne(ledger, payment):
        strategy, side = book
        ledger.book_funding(strategy, payment.symbol, side, amount, payment.timestamp)
        found.append(
            FundingBooked(
                "execution",
                payment.timestamp,
                strategy,
                payment.symbol,
                side.value,
                amount,
                None,
                payment.payment_id,
            )
        )
    return found


def _borne(ledger: Ledger, payment: VenuePayment) -> list[tuple[tuple[str, PositionSide], Decimal]]:
    known = [
        position
        for position in ledger.books_of(payment.symbol)
        if payment.position_side in (None, position.position_side)
    ]
    if not known:
        return [((EXTERNAL, payment.position_side or PositionSide.BOTH), payment.amount)]
    bearers = [position for position in known if position.quantity] or known
    weights = [position.quantity for position in bearers]
    if payment.position_side is None or not sum(weights, ZERO):
        # Whose it was cannot be told: by size, or all alike.
        weights = [abs(each) for each in weights] if any(weights) else [Decimal(1)] * len(weights)
    whole = sum(weights, ZERO)
    amounts = [share(payment.amount, weight, whole) for weight in weights]
    # Whoever comes first bears what rounding leaves: all of it, where there is nobody else.
    amounts[0] = EXACT.subtract(payment.amount, sum(amounts[1:], ZERO))
    books = [(position.strategy, position.position_side) for position in bearers]
    return list(zip(books, amounts, strict=True))
