"""Market data. Prices and volumes are floats here: they are observations, not money."""

from __future__ import annotations

from typing import ClassVar

from messages.base import Lane, Message, Overflow


class MarketData(Message, frozen=True):
    """Base of what a feed publishes: conflated when a reader falls behind, newest per key wins."""

    abstract: ClassVar[bool] = True

    lane: ClassVar[Lane] = Lane.DATA
    overflow: ClassVar[Overflow] = Overflow.CONFLATE

    symbol: str

    @property
    def conflation_key(self) -> object:
        """Return (class, symbol): a newer observation of the same kind replaces an older one."""
        return (type(self), self.symbol)


class Bar(MarketData, frozen=True):
    """
    One closed OHLCV candle.

    ``timestamp`` is the bar's open, int milliseconds UTC; it is complete, and may be acted
    on, at ``timestamp + timeframe_ms``. Volume is in base-asset units.
    """

    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    timeframe_ms: int

    @property
    def conflation_key(self) -> object:
        """Return (class, symbol, time frame)."""
        return (Bar, self.symbol, self.timeframe_ms)


class Quote(MarketData, frozen=True):
    """Best bid and ask with their sizes at ``timestamp`` (int ms UTC)."""

    timestamp: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float


class Tick(MarketData, frozen=True):
    """One public trade at the venue at ``timestamp`` (int ms UTC); size in base-asset units."""

    timestamp: int
    price: float
    size: float


class FundingRate(MarketData, frozen=True):
    """Funding settled at ``timestamp``: a long pays ``rate * notional`` to a short (a fraction)."""

    timestamp: int
    rate: float
