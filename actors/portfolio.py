"""
Equity at every bar's close: the statistics that rows at fills cannot give.

Floats, because these are observations of the exact books and decide nothing. Series are
bounded: when one is full every second point is dropped and the spacing doubles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.runtime.limits import CHART_POINTS_MAX
from messages import (
    AccountAdopted,
    Bar,
    Booking,
    EquitySampled,
    ExecutionReport,
    Fill,
    MarketSampled,
    PositionSide,
)
from state.instruments import Instrument


class Sampler:
    """
    One bounded series of (time, value) pairs, evenly spaced.

    ``due`` is the time from which the next point is wanted; the caller compares it with the
    clock before it makes the point.
    """

    __slots__ = ("due", "points", "spacing_ms")

    def __init__(self, spacing_ms: int) -> None:
        """Start with points ``spacing_ms`` apart."""
        self.spacing_ms = spacing_ms
        self.due = 0
        self.points: list[tuple[int, float]] = []

    def add(self, at: int, value: float) -> None:
        """Take a point and say when the next one is due."""
        self.points.append((at, value))
        if len(self.points) >= 2 * CHART_POINTS_MAX:
            del self.points[1::2]
            self.spacing_ms *= 2
        self.due = at + self.spacing_ms

    def snapshot(self) -> dict[str, Any]:
        """Return the series, JSON-ready."""
        return {"spacing_ms": self.spacing_ms, "due": self.due, "points": self.points}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave."""
        self.spacing_ms, self.due = int(state["spacing_ms"]), int(state["due"])
        self.points = [(int(at), float(value)) for at, value in state["points"]]


class EquityTrack:
    """The account as a float, valued at closes: peak, largest drawdown, time in the market."""

    def __init__(self, cash: float, instruments: Mapping[str, Instrument], spacing_ms: int) -> None:
        """Start flat with ``cash``."""
        self.cash = cash
        self.peak = cash
        self.max_drawdown = 0.0
        self._trough = cash
        """The lowest value since the peak: nothing above it makes the drawdown larger."""
        self.exposed = 0
        self.due = 0
        self.holdings: dict[tuple[str, str, PositionSide], tuple[str, float, float]] = {}
        self._instruments = instruments
        self.sampler = Sampler(spacing_ms)
        self._prices: dict[str, Sampler] = {}
        self._assumed: dict[str, float] = {}

    def record(self, report: ExecutionReport) -> None:
        """Take a fill's booking into account."""
        fill = report.fill
        booking = report.booking
        if fill is not None and booking is not None:
            self._hold(fill, booking)

    def adopt(self, adopted: AccountAdopted) -> None:
        """Take what came into the account into it; money that came is neither gain nor loss."""
        came = float(adopted.cash) - self.cash
        fill, booking = adopted.adoption.fill, adopted.booking
        if fill is not None and booking is not None:
            self._assumed[fill.symbol] = float(fill.price)
            self._hold(fill, booking)
        elif adopted.adoption.transfer:
            self.peak += came
            self._trough = self.peak
        self.cash = float(adopted.cash)

    def _hold(self, fill: Fill, booking: Booking) -> None:
        key = (fill.strategy, fill.symbol, fill.position_side)
        self.cash = float(booking.cash)
        if not booking.quantity:
            self.holdings.pop(key, None)
            if not self.holdings:
                self._observe(self.cash)  # flat until the next fill: nothing to value at closes
            return
        quantity = float(booking.quantity)
        is_spot = self._instruments[fill.symbol].is_spot
        entry = 0.0 if is_spot else quantity * float(booking.average_price)
        self.holdings[key] = (fill.symbol, quantity, entry)

    def close(self, at: int, last: Mapping[str, Bar]) -> None:
        """
        Value the account at the closes of one moment.

        Needed at every moment with a position, and at ``due``; while flat nothing changes.
        """
        equity = self.cash
        if self.holdings:
            self.exposed += 1
            for symbol, quantity, entry in self.holdings.values():
                bar = last.get(symbol)
                price = self._assumed.get(symbol, 0.0) if bar is None else bar.close
                equity += quantity * price - entry
            if equity > self.peak or equity < self._trough:
                self._observe(equity)
        if at >= self.due:
            self._sample(at, equity, last)

    def _observe(self, equity: float) -> None:
        if equity > self.peak:
            self.peak = self._trough = equity
        elif self.peak > 0.0:
            self._trough = min(self._trough, equity)
            drawdown = 1.0 - equity / self.peak
            if drawdown > self.max_drawdown:
                self.max_drawdown = drawdown

    def _sample(self, at: int, equity: float, last: Mapping[str, Bar]) -> None:
        self.sampler.add(at, equity)
        self.due = self.sampler.due
        for symbol, bar in last.items():
            series = self._prices.get(symbol)
            if series is None:
                series = self._prices[symbol] = Sampler(self.sampler.spacing_ms)
            series.add(at, bar.close)

    # -- across restarts of the process

    def snapshot(self) -> dict[str, Any]:
        """Return the statistics, JSON-ready."""
        return {
            "cash": self.cash,
            "peak": self.peak,
            "max_drawdown": self.max_drawdown,
            "exposed": self.exposed,
            "holdings": [
                [strategy, symbol, side.value, quantity, entry]
                for (strategy, symbol, side), (_, quantity, entry) in self.holdings.items()
            ],
        }

    def charts(self) -> dict[str, Any]:
        """Return the series, JSON-ready."""
        return {
            "equity": self.sampler.snapshot(),
            "prices": {symbol: series.snapshot() for symbol, series in self._prices.items()},
        }

    def restore(self, state: Mapping[str, Any], charts: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` and ``charts`` gave."""
        self.cash, self.peak = float(state["cash"]), float(state["peak"])
        self._trough = self.peak
        self.max_drawdown, self.exposed = float(state["max_drawdown"]), int(state["exposed"])
        self.holdings = {
            (strategy, symbol, PositionSide(side)): (symbol, float(quantity), float(entry))
            for strategy, symbol, side, quantity, entry in state["holdings"]
        }
        self.sampler.restore(charts["equity"])
        self.due = self.sampler.due
        for symbol, kept in charts["prices"].items():
            series = self._prices[symbol] = Sampler(self.sampler.spacing_ms)
            series.restore(kept)

    def samples(self, turns: int) -> list[EquitySampled | MarketSampled]:
        """Return the series after ``turns`` moments, equity first, then symbols in order."""
        share = self.exposed / turns if turns else 0.0
        equity = EquitySampled(tuple(self.sampler.points), self.max_drawdown, share)
        return [
            equity,
            *(
                MarketSampled(symbol, tuple(series.points))
                for symbol, series in sorted(self._prices.items())
            ),
        ]
