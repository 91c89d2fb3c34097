"""Execution alone: approved orders in, effects out, and a broker that only remembers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

from actors.board import Board
from actors.execution import Books, ExecutionActor
from actors.runtime import AfterCommit, HoldSet, SimulatedClock
from brokers.contract import News
from messages import (
    ApprovedOpen,
    ApprovedReduce,
    Bar,
    DeadLetter,
    ExecutionReport,
    Fill,
    Liquidity,
    Message,
    OrderEvent,
    OrderRequest,
    OrderType,
    PortfolioMarked,
    PositionSide,
    Side,
    TimeInForce,
    VenueOrder,
    VenueReport,
)
from state.instruments import Instrument
from state.ledger import Ledger
from state.money import use_exact_context
from state.orders import OrderStore

BTC = "BTC/USDT"
PERP = "BTC/USDT:USDT"
NOW = 1_704_067_200_000


class RecordingBroker:
    """A broker that keeps what it is asked and never answers by itself."""

    name = "recording"
    answers_at_once = True

    def __init__(self, *, brackets: bool = True) -> None:
        self.brackets = brackets
        self.submitted: list[OrderRequest] = []
        self.cancelled: list[str] = []
        self.asked: list[str] = []

    def bind(self, deliver: Callable[[News], object]) -> None:
        """Answers come from the test."""

    def submit(self, request: OrderRequest, now: int) -> None:
        self.submitted.append(request)

    def cancel(self, client_order_id: str, now: int) -> None:
        self.cancelled.append(client_order_id)

    def query(self, client_order_id: str, now: int) -> None:
        self.asked.append(client_order_id)


class Bench:
    """One Execution actor; effects that go to other actors are collected in ``said``."""

    def __init__(self, cash: int = 100_000, fee_bps: str = "10", *, brackets: bool = True) -> None:
        """Start flat with every symbol at 100."""
        use_exact_context()
        instruments = {
            symbol: Instrument.permissive(symbol, Decimal(fee_bps), currency="USDT")
            for symbol in (BTC, PERP)
        }
        self.books = Books(
            OrderStore(), Ledger(instruments, currency="USDT", deposit=Decimal(cash))
        )
        self.broker = RecordingBroker(brackets=brackets)
        self.board = Board()
        self.clock = SimulatedClock(NOW)
        self.holds = HoldSet("recording")
        self.actor = self.make()
        self.said: list[Any] = []
        self.waiting: list[Message] = []
        self._numbers = count(1)
        for symbol in instruments:
            self.mark(symbol, 100.0)

    def make(self) -> ExecutionActor:
        """Return a new incarnation over the same books."""
        return ExecutionActor(self.books, self.broker, self.board, self.clock, self.holds)

    def mark(self, symbol: str, price: float) -> None:
        """Let the symbol trade at ``price``."""
        self.board.last[symbol] = Bar(symbol, NOW, price, price, price, price, 1.0, 60_000)

    def tell(self, message: Message) -> list[Any]:
        """Hand over one message and return its effects; those for after a commit wait."""
        effects = list(self.actor.handlers()[type(message)](message) or ())
        self.waiting.extend(e.message for e in effects if isinstance(e, AfterCommit))
        found = [effect for effect in effects if not isinstance(effect, AfterCommit)]
        self.said.extend(found)
        return found

    def commit(self) -> list[Any]:
        """Make everything durable and deliver what waited for it."""
        waiting, self.waiting = self.waiting, []
        return [effect for message in waiting for effect in self.tell(message)]

    def approve(
        self,
        side: Side = Side.BUY,
        quantity: str | int = 1,
        *,
        reduce: bool = False,
        symbol: str = BTC,
        strategy: str = "one",
        valid_until: int | None = None,
        worst_price: Decimal | None = None,
    ) -> OrderRequest:
        """Hand over an approved order and return it."""
        order_id = f"o-{next(self._numbers)}"
        request = OrderRequest(
            order_id,
            f"tg-{order_id}",
            strategy,
            symbol,
            side,
            PositionSide.BOTH,
            OrderType.MARKET,
            TimeInForce.GTC,
            Decimal(quantity),
            self.clock.now,
            reduce,
            valid_until=valid_until,
            worst_price=worst_price,
        )
        self.tell(ApprovedReduce(request) if reduce else ApprovedOpen(request))
        return request

    def place(self, **terms: Any) -> OrderRequest:
        """Approve an order, commit and send it, and have it accepted."""
        request = self.approve(**terms)
        self.commit()
        self.hear(request, OrderEvent.ACCEPTED)
        return request

    def answer(
        self, request: OrderRequest, *fills: Fill, known: bool = True, live: bool = True
    ) -> list[Any]:
        """Let the venue answer what it was asked about an order."""
        name = request.client_order_id
        return self.tell(VenueOrder(name, self.clock.now, known, live, fills))

    def hear(
        self,
        request: OrderRequest,
        event: OrderEvent,
        quantity: str | int | None = None,
        price: str = "100",
        trade_id: str = "",
    ) -> list[Any]:
        """Let the venue report on an order; a ``quantity`` makes it a fill."""
        fill = None
        if quantity is not None:
            fill = self.made_fill(request, quantity, price, trade_id)
        return self.tell(VenueReport(request.client_order_id, event, self.clock.now, fill))

    def made_fill(
        self, request: OrderRequest, quantity: str | int, price: str = "100", trade_id: str = ""
    ) -> Fill:
        """Return a fill of an order as the venue would tell it."""
        size = Decimal(quantity)
        return Fill(
            trade_id or f"T-{next(self._numbers)}",
            request.order_id,
            request.client_order_id,
            request.strategy,
            request.symbol,
            request.side,
            request.position_side,
            size,
            Decimal(price),
            size * Decimal(price) / 1000,
            "USDT",
            Liquidity.TAKER,
            self.clock.now,
        )

    def fill(self, request: OrderRequest, quantity: str | int, price: str = "100") -> list[Any]:
        """Let the venue fill part of an order."""
        return self.hear(request, OrderEvent.FILLED_PARTLY, quantity, price)

    def life(self, request: OrderRequest) -> list[str]:
        """Return what was said of an order, as text."""
        return [
            effect.event.value
            for effect in self.said
            if isinstance(effect, ExecutionReport) and effect.order_id == request.order_id
        ]

    def alarms(self) -> list[str]:
        """Return the reasons of all alarms raised."""
        return [effect.reason for effect in self.said if isinstance(effect, DeadLetter)]

    def marks(self) -> list[PortfolioMarked]:
        """Return every valuation."""
        return [effect for effect in self.said if isinstance(effect, PortfolioMarked)]
