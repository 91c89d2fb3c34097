"""What is refused, in Alpaca's words, codes and statuses."""

from __future__ import annotations

from typing import Final

from messages import Cause, OrderRequest, ReasonCode, Side
from state.money import plain

WRONG_FIELD: Final = 40010001
NOT_TAKEN: Final = 42210000
FORBIDDEN: Final = 40310000
NOT_FOUND: Final = 40410000
TOO_MANY: Final = 42910000


class Refused(Exception):
    """A request that is answered with a code and words."""

    def __init__(self, status: int, code: int | None, message: str) -> None:
        """Refuse; ``code`` is left out where Alpaca leaves it out."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    @property
    def body(self) -> dict[str, object]:
        """Return what is answered."""
        code = {} if self.code is None else {"code": self.code}
        return {**code, "message": self.message}


def unauthorized() -> Refused:
    """Return the refusal of a key."""
    return Refused(401, None, "unauthorized.")


def no_order(what: str) -> Refused:
    """Return the refusal of an order that is not known."""
    return Refused(404, NOT_FOUND, f"order not found for {what}")


def refused_for(cause: Cause, request: OrderRequest) -> Refused:
    """Return how Alpaca words the core's refusal of an order."""
    if cause.code is ReasonCode.VENUE_INSUFFICIENT_FUNDS:
        if request.side is Side.SELL:
            asked = f"requested: {plain(request.quantity)}, available: 0"
            return Refused(403, FORBIDDEN, f"insufficient qty available for order ({asked})")
        return Refused(403, FORBIDDEN, "insufficient buying power")
    if "price_tick" in cause.detail:
        return Refused(
            422,
            NOT_TAKEN,
            "sub-penny increment does not fulfill minimum pricing criteria",
        )
    return Refused(422, WRONG_FIELD, cause.detail or cause.code.value)
