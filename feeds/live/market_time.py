"""
What time it is at a venue: by its clock, or in a rehearsal by its market's own dates.

A virtual exchange plays recorded bars, at any speed: its market has a time of its own, which no
clock tells, and requests are still judged by the machine's. That time is read off its candles. One
that has begun says that it is so late, and that it is not yet as late as the next one's beginning:
however fast time should have passed since, nothing of the market is over that has not been seen to
be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from feeds.history import CandleVenue, VenueTrouble
from feeds.rows import Row

NEWEST_ROWS = 2
"""Candles asked for to find the newest: the one that runs, and the one before it."""


class MarketTime:
    """
    The time of a market, int ms UTC, from the machine's ``wall_ms``.

    ``speed`` is how many seconds of it pass in a real one. With ``own`` it never goes beyond the
    candle that has begun last, which ``has_begun`` tells.
    """

    def __init__(
        self, wall_ms: Callable[[], int], speed: float = 1.0, *, own: bool = False
    ) -> None:
        """Know no time yet: ``begin`` comes first."""
        assert speed > 0, "time passes"
        self.speed = speed
        self.own = own
        self._wall_ms = wall_ms
        self._origin = 0
        self._wall_origin = 0
        self._over = 0

    def begin(self, at: int, length_ms: int) -> None:
        """Let it be ``at`` now, in a candle of ``length_ms``."""
        self._origin, self._wall_origin = at, self._wall_ms()
        self._over = at // length_ms * length_ms + length_ms

    def has_begun(self, opened: int, length_ms: int) -> None:
        """Hear that a candle has begun; says nothing new of a venue that has a clock."""
        if not self.own or opened + length_ms <= self._over:
            return
        self._over = opened + length_ms
        if opened > self._estimate():
            self.begin(opened, length_ms)

    def now_ms(self) -> int:
        """Return what time it is, as far as is known."""
        now = self._estimate()
        return min(now, self._over - 1) if self.own else now

    def of_network(self, span_ms: int) -> int:
        """Return how much time of the market passes in ``span_ms`` of the network's."""
        return int(span_ms * self.speed)

    def real_s(self, span_ms: float) -> float:
        """Return how many real seconds ``span_ms`` of the market take."""
        return span_ms / 1000 / self.speed

    def _estimate(self) -> int:
        return self._origin + int((self._wall_ms() - self._wall_origin) * self.speed)


class ByItsCandles:
    """A venue that is asked for its candles when it is to say what time it is."""

    def __init__(self, venue: CandleVenue, symbols: Sequence[str], timeframe_ms: int) -> None:
        """Go by the newest candle of any of ``symbols``."""
        self.name = venue.name
        self.page_bars = venue.page_bars
        self._venue = venue
        self._symbols = symbols
        self._timeframe_ms = timeframe_ms

    async def server_time_ms(self) -> int:
        """Return when the newest candle opened; raises ``VenueTrouble`` where there is none yet."""
        newest = 0
        for symbol in self._symbols:
            rows = await self.candles(symbol, self._timeframe_ms, None, NEWEST_ROWS)
            newest = max([newest, *(row[0] for row in rows)])
        if not newest:
            raise VenueTrouble(f"{self.name}: there is no candle yet to know its market's time by")
        return newest

    async def candles(
        self, symbol: str, timeframe_ms: int, since: int | None, limit: int
    ) -> Sequence[Row]:
        """Return one page of candles; see ``feeds.history.CandleVenue``."""
        return await self._venue.candles(symbol, timeframe_ms, since, limit)
