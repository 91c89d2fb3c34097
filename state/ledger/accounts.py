"""
Accounts, postings and the rule that an entry sums to zero.

An amount is a debit when positive and a credit when negative: what the account holder has is
positive, what it came from is negative. Every account is kept in one *commodity*: a currency,
or the units of one symbol. An entry may touch several; it must sum to zero in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

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


class Chart:
    """All accounts, and the only way to move them: whole entries that sum to zero."""

    __slots__ = ("accounts", "entries", "last_entry")

    def __init__(self) -> None:
        """Begin without accounts."""
        self.accounts: dict[str, Account] = {}
        self.entries = 0
        self.last_entry: Sequence[Posting] = ()

    def account(self, name: str, commodity: str) -> Account:
        """Return the account of that name, opened if need be."""
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = Account(name, commodity)
        return account

    def post(self, postings: Sequence[Posting]) -> None:
        """
        Move the accounts by one entry, or raise ``LedgerImbalance`` with nothing moved.

        Postings of one commodity stand together, and each such run must sum to exactly zero.
        """
        check_entry(postings)
        for account, amount in postings:
            account.balance += amount
        self.entries += 1
        self.last_entry = postings

    def totals(self) -> dict[str, Decimal]:
        """Return the sum of all balances by commodity: all zero, or the books are broken."""
        totals: dict[str, Decimal] = {}
        for account in self.accounts.values():
            totals[account.commodity] = totals.get(account.commodity, ZERO) + account.balance
        return totals

    def snapshot(self) -> dict[str, Any]:
        """
        Return the state, JSON-ready: money as text, accounts in order of opening.

        The text is ``str``, digit for digit: what is restored writes the same journal.
        """
        return {
            "entries": self.entries,
            "accounts": [
                [account.name, account.commodity, str(account.balance)]
                for account in self.accounts.values()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``snapshot`` gave; accounts that it does not know are emptied."""
        for account in self.accounts.values():
            account.balance = ZERO
        for name, commodity, balance in state["accounts"]:
            self.account(name, commodity).balance = Decimal(balance)
        self.entries = state["entries"]
        self.last_entry = ()


def check_entry(postings: Sequence[Posting]) -> None:
    """Raise ``LedgerImbalance`` unless every run of one commodity sums to exactly zero."""
    commodity = ""
    total = ZERO
    for account, amount in postings:
        if account.commodity == commodity:
            total += amount
        else:
            if total:
                break
            commodity = account.commodity
            total = amount
    if total:
        entry = ", ".join(f"{account.name} {amount}" for account, amount in postings)
        raise LedgerImbalance(f"entry does not balance: {total} {commodity} over: {entry}")
