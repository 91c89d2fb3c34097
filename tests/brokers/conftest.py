"""
A small market for the engine's tests: one symbol, one-minute bars, one call per event.

Orders are numbered as they are placed, and what a call brings is told in plain words:
``"1 filled 2 @ 100"``, ``"1 partly filled 1 @ 100"``, ``"1 cancelled ioc_remainder"``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from typing import Any

import pytest

from brokers.matching import EngineConfig, MatchingEngine
from messages import (
    Bar,
    Fill,
    OrderEvent,
    OrderRequest,
    OrderType,
    PositionMode,
    PositionSide,
    Quote,
    Side,
    Tick,
    TimeInForce,
    VenueReport,
)
from state.instruments import Instrument
from state.money import EXACT

MINUTE = 60_000
SPOT = "BTC/USDT"
PERPETUAL = "BTC/USDT:USDT"


class Venue:
    """
    A matching engine with a clock that bars move.

    ``now`` is the close of the newest bar: an order placed between two calls of ``bar`` is a
    decision on the first of them and meets the second.
    """

    def __init__(self, engine: MatchingEngine, symbol: str) -> None:
        self.engine = engine
        self.symbol = symbol
        self.now = 1_700_000_000_000 // MINUTE * MINUTE
        self.placed = 0
        self.reports: list[VenueReport] = []

    def place(
        self,
        side: Side,
        quantity: str,
        kind: OrderType = OrderType.MARKET,
        *,
        price: str | None = None,
        stop: str | None = None,
        trail_bps: str | None = None,
        symbol: str | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        position_side: PositionSide = PositionSide.BOTH,
        reduce_only: bool = False,
        post_only: bool = False,
        expire_at: int | None = None,
        client_order_id: str | None = None,
    ) -> str:
        """Submit an order now and tell the only report that this brings."""
        self.placed += 1
        request = OrderRequest(
            f"order-{self.placed}",
            client_order_id or str(self.placed),
            "strategy",
            symbol or self.symbol,
            side,
            position_side,
            kind,
            time_in_force,
            Decimal(quantity),
            self.now,
            reduce_only,
            post_only,
            None if price is None else Decimal(price),
            None if stop is None else Decimal(stop),
            None if trail_bps is None else Decimal(trail_bps),
            expire_at,
        )
        (told,) = self._told(self.engine.submit(request, self.now))
        return told

    def buy(self, quantity: str, kind: OrderType = OrderType.MARKET, **terms: Any) -> str:
        """Place a buy that must be accepted; return its client order id."""
        return self._accepted(self.place(Side.BUY, quantity, kind, **terms), terms)

    def sell(self, quantity: str, kind: OrderType = OrderType.MARKET, **terms: Any) -> str:
        """Place a sale that must be accepted; return its client order id."""
        return self._accepted(self.place(Side.SELL, quantity, kind, **terms), terms)

    def bar(
        self,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float = 1_000.0,
        *,
        after_ms: int = 0,
        symbol: str | None = None,
    ) -> list[str]:
        """Show the bar that opens ``after_ms`` after ``now`` and tell what it brought."""
        opens_at = self.now + after_ms
        self.now = opens_at + MINUTE
        seen = Bar(symbol or self.symbol, opens_at, open_, high, low, close, volume, MINUTE)
        return self._told(self.engine.on_bar(seen))

    def flat_bar(self, price: float, volume: float = 1_000.0) -> list[str]:
        """Show a bar of one price."""
        return self.bar(price, price, price, price, volume)

    def quote(self, bid: float, ask: float, size: float = 1_000.0) -> list[str]:
        """Show a quote one second later."""
        self.now += 1_000
        return self._told(self.engine.on_quote(Quote(self.symbol, self.now, bid, ask, size, size)))

    def tick(self, price: float, size: float = 1_000.0) -> list[str]:
        """Show a public trade one second later."""
        self.now += 1_000
        return self._told(self.engine.on_tick(Tick(self.symbol, self.now, price, size)))

    def hold(self, quantity: str, price: float = 100.0, **terms: Any) -> None:
        """Enter a position (negative: short) at ``price`` on a bar of that price alone."""
        signed = Decimal(quantity)
        enter = self.buy if signed > 0 else self.sell
        enter(str(abs(signed)), **terms)
        self.flat_bar(price)
        assert self.reports[-1].event is OrderEvent.FILLED, self.reports[-1]

    def position(self, side: PositionSide = PositionSide.BOTH) -> Decimal:
        """Return the signed quantity of one book."""
        for held in self.engine.positions():
            if held.symbol == self.symbol and held.position_side is side:
                return held.quantity
        return Decimal(0)

    @property
    def cash(self) -> Decimal:
        """Return the account's cash."""
        return self.engine.balance().cash

    @property
    def told(self) -> list[str]:
        """Return all that has happened so far, in words."""
        return [tell(report) for report in self.reports]

    @property
    def fill(self) -> Fill:
        """Return the newest fill."""
        return next(report.fill for report in reversed(self.reports) if report.fill is not None)

    def _accepted(self, told: str, terms: dict[str, Any]) -> str:
        assert told.endswith(" accepted"), told
        return terms.get("client_order_id") or str(self.placed)

    def _told(self, reports: list[VenueReport]) -> list[str]:
        self.reports += reports
        return [tell(report) for report in reports]


def tell(report: VenueReport) -> str:
    """Return a report in words."""
    words = [report.client_order_id, EVENT_WORDS.get(report.event, report.event.value)]
    if report.fill is not None:
        words += [_text(report.fill.quantity), "@", _text(report.fill.price)]
    if report.cause is not None:
        words.append(report.cause.code.value)
    return " ".join(words)


EVENT_WORDS = {OrderEvent.FILLED_PARTLY: "partly filled"}


def _text(value: Decimal) -> str:
    return format(value.normalize(), "f")


VenueMaker = Callable[..., Venue]


@pytest.fixture(autouse=True)
def exact_context() -> Iterator[None]:
    """Let every test run under the context that sessions run under."""
    with localcontext(EXACT):
        yield


@pytest.fixture(scope="session")
def make_venue() -> VenueMaker:
    """Return a maker of venues; instrument rules and engine settings are given by name."""

    def make(
        symbol: str = SPOT,
        *,
        deposit: str = "1000000",
        fee_bps: str = "0",
        mode: PositionMode = PositionMode.ONE_WAY,
        rules: dict[str, Any] | None = None,
        mark_of: Callable[[str], float | None] | None = None,
        **config: Any,
    ) -> Venue:
        instruments = {
            name: dataclasses.replace(
                Instrument.permissive(name, Decimal(fee_bps)), **(rules or {})
            )
            for name in (symbol, "ETH/USDT", "ETH/USDT:USDT")
        }
        engine = MatchingEngine(
            instruments,
            EngineConfig("test", position_mode=mode, **config),
            currency="USDT",
            deposit=Decimal(deposit),
            mark_of=mark_of,
        )
        return Venue(engine, symbol)

    return make


@pytest.fixture
def venue(make_venue: VenueMaker) -> Venue:
    """Return a spot venue without fees, slippage, latency or volume limits."""
    return make_venue()


@pytest.fixture
def perpetual(make_venue: VenueMaker) -> Venue:
    """Return the same of a linear perpetual: it may be sold short."""
    return make_venue(PERPETUAL)
