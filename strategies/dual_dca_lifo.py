"""
DCA for perpetuals, strictly last in, first out: only the newest lot may leave.

An older lot's exit is armed when the newer ones are gone, and whatever leaves the book, a stop, a
close of somebody else's, takes the newest lots. Its ledger closes lots in the same order: what a
lot has earned in the artifacts is what it has earned here.
"""

from __future__ import annotations

from state.ledger import LotMethod
from strategies.contract import Desk
from strategies.ladder import LadderParams, LadderStrategy, NewestLot


class DualDcaLifoParams(LadderParams):
    """A ladder's parameters: which lot leaves is not a matter of choice here."""


class DualDcaLifo(LadderStrategy):
    """A ladder of adds whose lots leave one by one, the newest first, each at its own profit."""

    Params = DualDcaLifoParams
    lot_method = LotMethod.LIFO
    newest_first = True

    def __init__(self, desk: Desk, params: DualDcaLifoParams) -> None:
        """Start flat."""
        super().__init__(desk, params, NewestLot(params.take_profit_bps))
