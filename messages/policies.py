"""
How an intent may be executed: the typed policy that every intent carries.

Whatever a policy does not permit does not happen: without one there is no fallback, no retry, no
new price and no timeout. Prices are ``Decimal``, spans int ms, distances basis points.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from messages.codes import ReasonCode
from messages.enums import (
    FallbackOn,
    IfAbsent,
    Maker,
    OrderType,
    PartialFill,
    Rollback,
    TimeInForce,
)

# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_PREFER: Final = Maker.PREFER


class MarketFallback(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    Permit what is left of a limit order to go out at market, for the reasons in ``on``.

    ``slippage_bps_max`` bounds how far the market may have moved against the intent's
    ``decision_price`` by then; beyond it the rest is given up.
    """

    on: tuple[FallbackOn, ...]
    slippage_bps_max: Decimal | None = None


class Reprice(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    Permit a resting limit order to follow the market.

    After every ``every_ms`` without an end, at most ``times`` times, what is left is cancelled and
    placed anew ``offset_bps`` on the passive side of the mark, never beyond ``worst_price``.
    """

    every_ms: int
    times: int
    worst_price: Decimal
    offset_bps: Decimal = Decimal(0)


class Retry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    Permit an order that the venue refused for one of ``codes`` to be tried again.

    At most ``times`` times, the first after ``delay_ms``, each next after ``factor`` times as long,
    at most ``delay_ms_max``.
    """

    times: int
    codes: tuple[ReasonCode, ...]
    delay_ms: int = 1_000
    factor: int = 2
    delay_ms_max: int = 60_000


class ExecutionPolicy(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """
    How an intent may be executed; whatever it does not permit does not happen.

    ``limit_price`` is needed by limit, stop-limit and take-profit-limit orders, ``stop_price`` by
    stop and take-profit kinds, ``trail_bps`` (distance behind the best price since activation)
    by trailing stops. ``expire_at`` (int ms UTC) is the order's own end at the venue.

    ``timeout_ms`` counts from the first order's sending: then what is left is cancelled, its final
    fills are asked for, and ``fallback`` may go on with the rest. ``slippage_bps_max`` refuses an
    order whose market has moved farther than that against the intent's ``decision_price``.
    """

    order_type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.GTC
    maker: Maker = Maker.ANY
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_bps: Decimal | None = None
    expire_at: int | None = None
    timeout_ms: int | None = None
    reprice: Reprice | None = None
    fallback: MarketFallback | None = None
    retry: Retry | None = None
    slippage_bps_max: Decimal | None = None
    partial: PartialFill = PartialFill.PURSUE
    rollback: Rollback = Rollback.NEVER
    if_absent: IfAbsent = IfAbsent.REFUSE

    @property
    def pursues(self) -> bool:
        """Return whether it permits anything beyond one order that lives and ends by itself."""
        return (
            self.timeout_ms is not None
            or self.reprice is not None
            or self.fallback is not None
            or self.retry is not None
            or self.maker is _PREFER
        )


MARKET: Final = ExecutionPolicy()
"""Market order, good till cancelled, nothing else permitted: the plainest policy."""
