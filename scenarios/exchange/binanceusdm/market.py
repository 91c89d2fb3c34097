"""What the venue shows of its market: candles of every length, the last price, funding."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from brokers.virtual.wire import FundingAtMark, MarketData
from messages import Bar, Quote, Tick
from scenarios.exchange.binanceusdm.errors import BAD_INTERVAL, Refused
from state.money import ZERO, exact, plain, ratio

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
MONDAY_MS: Final = 4 * DAY_MS
"""The first Monday of the clock: weeks begin there."""

INTERVALS: Final = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}
FUNDING_MS: Final = 8 * 60 * MINUTE_MS


@dataclass(slots=True)
class Candle:
    """A candle of the venue's own making; ``closed`` once its time is over."""

    opened: int
    length: int
    open: float
    high: float
    low: float
    close: float
    volume: Decimal
    value: Decimal
    trades: int
    closed: bool = False

    def row(self) -> list[Any]:
        """Return it as ``klines`` tells it; half of what traded is taken to have bought."""
        return [
            self.opened,
            *(plain(exact(price)) for price in (self.open, self.high, self.low, self.close)),
            plain(self.volume),
            self.opened + self.length - 1,
            plain(self.value),
            self.trades,
            plain(ratio(self.volume, Decimal(2))),
            plain(ratio(self.value, Decimal(2))),
            "0",
        ]


@dataclass(frozen=True, slots=True)
class Day:
    """What a symbol did in the last 24 hours."""

    opened: int
    open: float
    high: float
    low: float
    volume: Decimal
    value: Decimal
    count: int


class Market:
    """Everything that was shown of each symbol, as far as the wire tells of it."""

    def __init__(self) -> None:
        """Know nothing."""
        self.bars: dict[str, list[Bar]] = {}
        self.funding: dict[str, list[FundingAtMark]] = {}
        self.last: dict[str, float] = {}
        self.quotes: dict[str, Quote] = {}
        self.sizes: dict[str, float] = {}
        self.count = 0

    def take(self, piece: MarketData) -> None:
        """Take in what was shown; bars that come late or again are left out."""
        if isinstance(piece, Bar):
            bars = self.bars.setdefault(piece.symbol, [])
            if bars and piece.timestamp <= bars[-1].timestamp:
                return
            bars.append(piece)
            self._print(piece.symbol, piece.close, piece.volume)
        elif isinstance(piece, Quote):
            self.quotes[piece.symbol] = piece
            self._print(piece.symbol, (piece.bid + piece.ask) / 2, 0.0)
        elif isinstance(piece, Tick):
            self._print(piece.symbol, piece.price, piece.size)
        elif isinstance(piece, FundingAtMark):
            self.funding.setdefault(piece.symbol, []).append(piece)

    def _print(self, symbol: str, price: float, size: float) -> None:
        self.last[symbol] = price
        self.sizes[symbol] = size
        self.count += 1

    def price(self, symbol: str) -> Decimal | None:
        """Return the last price, or None where nothing was shown yet."""
        last = self.last.get(symbol)
        return None if last is None else exact(last)

    def book(self, symbol: str) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
        """
        Return bid, its size, ask and its size, or None.

        Of bars alone no spread is known: both sides are the last price, at which the engine
        trades.
        """
        quote = self.quotes.get(symbol)
        if quote is not None:
            return (
                exact(quote.bid),
                exact(quote.bid_size),
                exact(quote.ask),
                exact(quote.ask_size),
            )
        price = self.price(symbol)
        size = exact(self.sizes.get(symbol, 0.0))
        return None if price is None else (price, size, price, size)

    def candles(
        self, symbol: str, interval: str, now: int, start: int | None, end: int | None, limit: int
    ) -> list[Candle]:
        """
        Return candles, oldest first: the first ``limit`` from ``start`` on, else the last ones.

        The last one runs: it has what is known of the time since it opened, which is one price
        and no volume where no finer bars were shown. Refuses lengths that the bars do not make up.
        """
        length = INTERVALS.get(interval)
        if length is None:
            raise Refused(BAD_INTERVAL)
        bars = self.bars.get(symbol, [])
        if not bars:
            return []
        if length % bars[0].timeframe_ms:
            raise Refused(BAD_INTERVAL)
        last = _bucket(now, length)
        stop = last if end is None else min(last, _bucket(end, length))
        if start is not None:
            first = -_bucket(-start, length) if length != 7 * DAY_MS else start
            stop = min(stop, first + (limit - 1) * length)
        else:
            first = stop - (limit - 1) * length
        low = bisect_left(bars, first, key=_opened)
        high = bisect_left(bars, stop + length, key=_opened)
        made = _merged(bars[low:high], length, now)
        if stop == last and (not made or made[-1].opened < last):
            previous = bars[high - 1].close if high else bars[0].open
            made.append(_untraded(last, length, previous))
        return made[:limit] if start is not None else made[-limit:]

    def newest(self, symbol: str, interval: str) -> list[Candle]:
        """
        Return the candle that the newest bar belongs to, and if that ends it the one that begins.

        Who listens is told of the next candle as the last one closes, as history has it from then
        on: one price, and no volume.
        """
        length = INTERVALS.get(interval)
        bars = self.bars.get(symbol)
        if length is None or not bars or length % bars[0].timeframe_ms:
            return []
        newest = bars[-1]
        first = _bucket(newest.timestamp, length)
        low = bisect_left(bars, first, key=_opened)
        candle = _merged(bars[low:], length, newest.timestamp + newest.timeframe_ms)[-1]
        if not candle.closed:
            return [candle]
        return [candle, _untraded(candle.opened + length, length, candle.close)]

    def day(self, symbol: str, now: int) -> Day | None:
        """Return the last 24 hours, or None where nothing was shown of them."""
        bars = self.bars.get(symbol, [])
        recent = bars[bisect_left(bars, now - DAY_MS, key=_opened) :]
        if not recent:
            return None
        return Day(
            recent[0].timestamp,
            recent[0].open,
            max(bar.high for bar in recent),
            min(bar.low for bar in recent),
            sum((exact(bar.volume) for bar in recent), ZERO),
            sum((exact(bar.volume) * exact(bar.close) for bar in recent), ZERO),
            len(recent),
        )

    def rate(self, symbol: str) -> Decimal:
        """Return the funding rate that was settled last."""
        settled = self.funding.get(symbol)
        return exact(settled[-1].rate) if settled else ZERO


def _opened(bar: Bar) -> int:
    return bar.timestamp


def _bucket(at: int, length: int) -> int:
    """Return when the candle that ``at`` falls into opened."""
    offset = MONDAY_MS if length == 7 * DAY_MS else 0
    return (at - offset) // length * length + offset


def _untraded(opened: int, length: int, price: float) -> Candle:
    return Candle(opened, length, price, price, price, price, ZERO, ZERO, 0)


def _merged(bars: Iterable[Bar], length: int, now: int) -> list[Candle]:
    made: list[Candle] = []
    for bar in bars:
        opened = _bucket(bar.timestamp, length)
        volume = exact(bar.volume)
        value = volume * exact(bar.close)
        if not made or made[-1].opened != opened:
            made.append(
                Candle(opened, length, bar.open, bar.high, bar.low, bar.close, volume, value, 1)
            )
        else:
            candle = made[-1]
            candle.high = max(candle.high, bar.high)
            candle.low = min(candle.low, bar.low)
            candle.close = bar.close
            candle.volume += volume
            candle.value += value
            candle.trades += 1
        made[-1].closed = opened + length <= now
    return made


def intervals_of(bars: Mapping[str, list[Bar]], symbol: str) -> list[str]:
    """Return the lengths that candles of a symbol can have."""
    shown = bars.get(symbol)
    if not shown:
        return []
    return [name for name, length in INTERVALS.items() if not length % shown[0].timeframe_ms]
