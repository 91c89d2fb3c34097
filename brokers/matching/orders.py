"""Working orders: what the venue keeps of an order from acceptance to its end."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

import msgspec

from brokers.matching.account import Position
from brokers.matching.config import DAY_MS
from brokers.matching.instruments import Listing
from messages import OrderRequest, OrderType, PositionSide, Side, TimeInForce
from state.money import exact


class Stage(IntEnum):
    """What a working order waits for."""

    AT_MARKET = 0  # the next open
    STOP = 1  # the price to run against it as far as its stop
    TRAIL = 2  # the same, behind a stop that follows the best price
    LIMIT = 3  # a price better than its limit
    TARGET = 4  # the price to run in its favour as far as its stop


FIRST_STAGE: Final = {
    OrderType.MARKET: Stage.AT_MARKET,
    OrderType.LIMIT: Stage.LIMIT,
    OrderType.STOP: Stage.STOP,
    OrderType.STOP_LIMIT: Stage.STOP,
    OrderType.TAKE_PROFIT: Stage.TARGET,
    OrderType.TAKE_PROFIT_LIMIT: Stage.TARGET,
    OrderType.TRAILING_STOP: Stage.TRAIL,
}
WITH_LIMIT: Final = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
WITH_STOP: Final = (
    OrderType.STOP,
    OrderType.STOP_LIMIT,
    OrderType.TAKE_PROFIT,
    OrderType.TAKE_PROFIT_LIMIT,
)
_MARKET: Final = OrderType.MARKET
_DAY: Final = TimeInForce.DAY
_BUY: Final = Side.BUY
_BOTH: Final = PositionSide.BOTH
_LONG: Final = PositionSide.LONG
_AT_MARKET: Final = Stage.AT_MARKET


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """A live order as the venue reports it; a trailing stop's price is where it stands now."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    order_type: OrderType
    quantity: Decimal
    filled: Decimal
    price: Decimal | None
    stop_price: Decimal | None


class Level:
    """
    A price that observed prices are compared with, exactly.

    Observed prices are floats that stand for their shortest decimal text. Comparing floats
    decides all cases but a tie (rounding to the nearest float keeps the order); a tie is
    decided by the decimals.
    """

    __slots__ = ("nearest", "price")

    def __init__(self, price: Decimal) -> None:
        """Keep the exact price and the float nearest to it."""
        self.price = price
        self.nearest = float(price)

    def compare(self, observed: float) -> int:
        """Return -1, 0 or 1 as ``observed`` is below, at or above the level."""
        if observed < self.nearest:
            return -1
        if observed > self.nearest:
            return 1
        seen = exact(observed)
        return (seen > self.price) - (seen < self.price)


class WorkingOrder:
    """
    One live order.

    ``number`` is its place in time. ``fresh`` says that its limit has not met the market yet:
    what it fills then, it takes. ``best`` is the best price a trailing stop has seen.
    """

    __slots__ = (
        "best",
        "client_order_id",
        "closing",
        "ends_at",
        "fresh",
        "is_buy",
        "limit",
        "listing",
        "number",
        "position",
        "remaining",
        "request",
        "sign",
        "stage",
        "stop",
        "submitted_at",
        "symbol",
        "time_in_force",
        "venue_order_id",
    )

    def __init__(
        self,
        request: OrderRequest,
        listing: Listing,
        position: Position,
        number: int,
        venue_order_id: str,
        submitted_at: int,
    ) -> None:
        """Take an admitted request in at ``submitted_at``."""
        self.request = request
        self.client_order_id = request.client_order_id
        self.symbol = request.symbol
        self.listing = listing
        self.position = position
        self.number = number
        self.venue_order_id = venue_order_id
        self.submitted_at = submitted_at
        self.remaining = request.quantity
        self.is_buy = request.side is _BUY
        self.sign = 1 if self.is_buy else -1
        self.time_in_force = request.time_in_force
        self.fresh = True
        self.limit: Level | None = None
        self.stop: Level | None = None
        self.best: float | None = None
        # A hedge book cannot turn round: what runs against it closes it, flag or no flag.
        self.closing = request.reduce_only or (
            position.side is not _BOTH and self.is_buy is not (position.side is _LONG)
        )
        kind = request.order_type
        if kind is _MARKET:
            self.stage = _AT_MARKET
        else:
            self.stage = FIRST_STAGE[kind]
            if kind in WITH_LIMIT and request.price is not None:
                self.limit = Level(request.price)
            if kind in WITH_STOP and request.stop_price is not None:
                self.stop = Level(request.stop_price)
        self.ends_at = request.expire_at
        if self.time_in_force is _DAY:
            midnight = (submitted_at // DAY_MS + 1) * DAY_MS
            self.ends_at = midnight if self.ends_at is None else min(midnight, self.ends_at)

    def view(self) -> OpenOrder:
        """Return the order as the venue reports it."""
        request = self.request
        return OpenOrder(
            self.client_order_id,
            self.venue_order_id,
            self.symbol,
            request.side,
            request.position_side,
            request.order_type,
            request.quantity,
            request.quantity - self.remaining,
            None if self.limit is None else self.limit.price,
            None if self.stop is None else self.stop.price,
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the order's state, JSON-ready."""
        return {
            "request": msgspec.to_builtins(self.request),
            "number": self.number,
            "venue_order_id": self.venue_order_id,
            "submitted_at": self.submitted_at,
            "remaining": str(self.remaining),
            "fresh": self.fresh,
            "stage": self.stage.name,
            "best": self.best,
            "stop": None if self.stop is None else str(self.stop.price),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Take back what changes in the course of an order's life."""
        self.remaining = Decimal(state["remaining"])
        self.fresh = state["fresh"]
        self.stage = Stage[state["stage"]]
        self.best = state["best"]
        self.stop = None if state["stop"] is None else Level(Decimal(state["stop"]))
