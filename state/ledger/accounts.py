"""
Accounts, postings and the rule that an entry sums to zero.

An amount is a debit when positive and a credit when negative: what the account holder has is
positive, what it came from is negative. Every account is kept in one *commodity*: a currency,
or the units of one symbol. An entry may touch several; it must sum to zero in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from state.money import ZERO


class LedgerError(Exception):
    """Base of what the ledger raises."""


class ImpossibleFill(LedgerError):
    """A fill that cannot be booked; nothing was changed."""


class LedgerImbalance(LedgerError):
    """The books do not balance: the session must halt."""


class Account:
    """One balance in one commodity."""

    __slots__ = ("balance", "commodity", "name")

    def __init__(self, name: str, commodity: str) -> None:
        """Open the account, empty."""
        self.name = name
        self.commodity = commodity
        self.balance = ZERO

    def __repr__(self) -> str:
        """Show the balance."""
        return f"<Account {self.name} {self.balance} {self.commodity}>"


Posting = tuple[Account, Decimal]


def check_entry(postings: Sequence[Posting]) -> None:
    """Raise ``LedgerImbalance`` unless the postings sum to exactly zero in every commodity."""
    totals: dict[str, Decimal] = {}
    for account, amount in postings:
        commodity = account.commodity
        if commodity in totals:
            totals[commodity] += amount
        else:
            totals[commodity] = amount
    for commodity, total in totals.items():
        if total:
            entry = ", ".join(f"{account.name} {amount}" for account, amount in postings)
            raise LedgerImbalance(f"entry does not balance: {total} {commodity} over: {entry}")
