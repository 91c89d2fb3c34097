"""The ledger: exact, double-entry, by lots."""

from state.ledger.accounts import Account, ImpossibleFill, LedgerError, LedgerImbalance, Posting
from state.ledger.book import Position
from state.ledger.ledger import Ledger, Valuation
from state.ledger.lots import Lot, LotMethod

__all__ = [
    "Account",
    "ImpossibleFill",
    "Ledger",
    "LedgerError",
    "LedgerImbalance",
    "Lot",
    "LotMethod",
    "Position",
    "Posting",
    "Valuation",
]
