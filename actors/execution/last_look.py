"""
The last look: whether an order may leave at this very moment.

Taken twice at a venue elsewhere: in the step in which an order is handed to the broker, and in the
step in which its request leaves, for a broker has it wait (for its turn, for a stream, for a
connection) and a kill that was acknowledged meanwhile must find it here.
"""

from __future__ import annotations

from dataclasses import dataclass

from actors.board import Board
from actors.runtime import HoldSet
from messages import ApprovedOpen, Cause, OrderRequest, ReasonCode, Side
from state.money import ZERO, plain


@dataclass(frozen=True, slots=True)
class LastLook:
    """
    Look at the order's deadline, at the market, and at the holds.

    An opening without a deadline may wait for ``waits_ms_max``: what waited for longer, for a disk
    or for its turn at the venue, was decided for a market that is gone.
    """

    board: Board
    holds: HoldSet
    waits_ms_max: int | None = None

    def __call__(self, request: OrderRequest, now: int) -> tuple[Cause, ...]:
        """Return why an order may not leave any more at ``now``, if there is a reason."""
        if request.valid_until is not None and now > request.valid_until:
            return (
                Cause(ReasonCode.INTENT_EXPIRED, f"valid_until={request.valid_until} now={now}"),
            )
        most, waited = self.waits_ms_max, now - request.created_at
        is_free = request.valid_until is None and not request.reduce_only
        if most is not None and is_free and waited > most:
            return (Cause(ReasonCode.INTENT_EXPIRED, f"waited={waited} limit={most}"),)
        worst = request.worst_price
        if worst is not None:
            mark = self.board.mark(request.symbol)
            buys = request.side is Side.BUY
            if mark is None or (mark - worst if buys else worst - mark) > ZERO:
                seen = "none" if mark is None else plain(mark)
                return (Cause(ReasonCode.SLIPPAGE_LIMIT, f"mark={seen} worst={plain(worst)}"),)
        if self.holds.active and not request.reduce_only:
            return self.holds.causes(ApprovedOpen(request))
        return ()
