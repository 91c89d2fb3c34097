"""
DCA for perpetuals: a ladder in each direction, lots that leave with a profit.

In hedge mode a long and a short book stand side by side on every symbol; in one-way mode there is
one, in the direction that a parameter says.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from strategies.contract import Desk
from strategies.ladder import AllAtOnce, EachLot, LadderParams, LadderStrategy


class ExitBy(StrEnum):
    """What a take-profit is counted from."""

    LOT = "lot"
    AVERAGE = "average"


class DualDcaParams(LadderParams):
    """A ladder's parameters, and whether lots leave one by one."""

    exit: ExitBy = Field(
        ExitBy.LOT,
        description="lot: each leaves by itself, at its own profit; average: all leave together, "
        "at a profit on their mean price",
    )


class DualDca(LadderStrategy):
    """
    A ladder of adds below (above, for shorts) a base order, and a take-profit.

    A perpetual's two books in hedge mode know nothing of each other. Which lots the ledger closes
    is configured, FIFO by default: the strategy's exits do not depend on it.
    """

    Params = DualDcaParams

    def __init__(self, desk: Desk, params: DualDcaParams) -> None:
        """Start flat."""
        rule = EachLot if params.exit is ExitBy.LOT else AllAtOnce
        super().__init__(desk, params, rule(params.take_profit_bps))
