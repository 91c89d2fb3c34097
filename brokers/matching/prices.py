"""The last known price of each symbol, and for how long it counts as known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from brokers.matching.orders import Level
from messages import Bar, Cause, OrderRequest, OrderType, ReasonCode, Side

PRINT_LIFE_MS: Final = 60_000
"""How long a quote or trade counts as the last known price: a quiet minute makes it unknown."""


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_BUY: Final = Side.BUY
_LIMIT: Final = OrderType.LIMIT


class LastPrices:
    """
    Best bid and ask as last seen; a bar's close is both.

    A bar counts until the one after next would be due: a symbol without live orders is not
    shown to the engine, so what it saw last may be long past. An unknown price refuses nothing.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Know nothing."""
        self._known: dict[str, tuple[float, float, int]] = {}

    def note_bar(self, bar: Bar) -> None:
        """Know the close of ``bar``."""
        close = bar.close
        self._known[bar.symbol] = (close, close, bar.timestamp + 2 * bar.timeframe_ms)

    def note_print(self, symbol: str, bid: float, ask: float, timestamp: int) -> None:
        """Know a quote, or a trade as both sides of one."""
        self._known[symbol] = (bid, ask, timestamp + PRINT_LIFE_MS)

    def would_take(self, request: OrderRequest, now: int) -> Cause | None:
        """Return why a post-only limit cannot rest at the last known price, or None."""
        if request.order_type is not _LIMIT or request.price is None:
            return None  # What waits for a stop meets the market of a later time.
        bid, ask, until = self._known.get(request.symbol, (0.0, 0.0, 0))
        if now >= until:
            return None
        is_buy = request.side is _BUY
        market = ask if is_buy else bid
        if request.side.sign * Level(request.price).compare(market) > 0:
            return None
        return Cause(ReasonCode.POST_ONLY_WOULD_TAKE, f"price={request.price} market={market!r}")

    def side(self, symbol: str, *, is_buy: bool) -> float | None:
        """Return what a taker last saw on the other side, however long ago, or None."""
        known = self._known.get(symbol)
        if known is None:
            return None
        return known[1] if is_buy else known[0]

    def mark(self, symbol: str) -> float | None:
        """Return the middle of what was last seen, however long ago, or None."""
        known = self._known.get(symbol)
        return None if known is None else (known[0] + known[1]) / 2

    def snapshot(self) -> dict[str, list[float | int]]:
        """Return what is known, JSON-ready."""
        return {symbol: list(known) for symbol, known in self._known.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave."""
        self._known = {symbol: (bid, ask, until) for symbol, (bid, ask, until) in state.items()}
