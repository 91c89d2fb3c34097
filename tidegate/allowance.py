"""One allowance for all that asks a venue: the feed's questions take turns behind the broker's."""

from __future__ import annotations

from dataclasses import dataclass

from brokers.ccxt.lanes import Lane, lanes_at


@dataclass(frozen=True, slots=True)
class AccountsAllowance:
    """
    The allowance of an account at a venue behind ccxt, for questions about the market there.

    They wait in the lane of questions: behind cancels and orders, and never in the share of the
    allowance that is reserved for those. As long as no broker of the account has asked anything
    there is nobody to be considerate of, and they go at once.
    """

    exchange: str
    account: str

    async def turn(self) -> None:
        """Return when it is a question's turn."""
        lanes = lanes_at(self.exchange, self.account)
        if lanes is not None:
            turn = await lanes.turn(Lane.READ, lanes.allowance.weights.read)
            # Its weight is used; it keeps no place among those that are under way at one time,
            # for nobody tells when it is over.
            lanes.over(turn)

    def left_alone(self, wait_s: float) -> None:
        """Let nobody ask the venue for so long, the broker included."""
        lanes = lanes_at(self.exchange, self.account)
        if lanes is not None:
            lanes.left_alone(wait_s)
