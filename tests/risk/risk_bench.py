"""
Risk alone: intents in, decisions out, with reports of what became of the orders.

Everything is exact and synchronous; time moves when the bench is told so.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

from actors.board import Board
from actors.risk import (
    AccountState,
    RiskActor,
    RiskLimits,
    RiskMemory,
    RiskView,
    account_breaches,
    client_order_id,
    guards_for,
)
from actors.runtime import SimulatedClock
from messages import (
    ApprovedOpen,
    ApprovedReduce,
    Bar,
    Booking,
    ExecutionPolicy,
    ExecutionReport,
    Fill,
    Intent,
    Liquidity,
    OpenIntent,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    OrderType,
    PortfolioMarked,
    PositionMode,
    PositionSide,
    ReasonCode,
    ReduceIntent,
    RiskBreached,
    RiskDecision,
    Side,
    Verdict,
)
from state.instruments import Instrument
from state.ledger import Ledger
from state.money import use_exact_context
from state.orders import OrderStore

SPOT = "BTC/USDT"
OTHER = "ETH/USDT"
PERP = "BTC/USDT:USDT"
NOW = 1_704_067_200_000
BUY, SELL = Side.BUY, Side.SELL


def limit(price: str | int, **terms: Any) -> ExecutionPolicy:
    """Return the policy of a limit order."""
    return ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(price), **terms)


def stop(price: str | int, kind: OrderType = OrderType.STOP) -> ExecutionPolicy:
    """Return the policy of a stop order."""
    return ExecutionPolicy(kind, stop_price=Decimal(price))


class Bench:
    """One Risk actor with real books behind it: what it approves can be filled and ended."""

    def __init__(
        self,
        cash: str | int = 1_000_000,
        *,
        limits: RiskLimits | None = None,
        mode: PositionMode = PositionMode.ONE_WAY,
        fee_bps: str | int = 0,
        slippage_bps: str | int = 0,
        price: float = 100.0,
        at: int = NOW,
        intent_age_ms_max: int | None = None,
        **rules: Any,
    ) -> None:
        """Start flat with ``cash`` and every symbol at ``price``; ``rules`` hold for each."""
        use_exact_context()
        self.instruments = {
            symbol: replace(
                Instrument.permissive(symbol, Decimal(fee_bps), currency="USDT"), **rules
            )
            for symbol in (SPOT, OTHER, PERP)
        }
        self.board = Board()
        self.clock = SimulatedClock(at)
        self.intent_age_ms_max = intent_age_ms_max
        self.quarantined: dict[str, str] = {}
        self.told: list[RiskBreached] = []
        self.journaled: list[RiskBreached] = []
        self.closed: list[RiskBreached] = []
        self.ledger = Ledger(self.instruments, currency="USDT", deposit=Decimal(cash))
        self.orders = OrderStore()
        self.mode = mode
        self.slippage_bps = Decimal(slippage_bps)
        self.limits = limits or RiskLimits()
        # Outlives an incarnation, as in a session.
        self.memory = RiskMemory.of(self.limits, Decimal(cash), at)
        self.actor = self.make()
        self._serial = count(1)
        self._trades = count(1)
        for symbol in self.instruments:
            self.mark(symbol, price)

    def make(self) -> RiskActor:
        """Return a new incarnation of Risk, as the session makes one."""
        view = RiskView(
            self.instruments,
            self.board,
            self.clock,
            cash=self.ledger.cash,
            position_mode=self.mode,
            slippage_bps=self.slippage_bps,
            memory=self.memory,
            quarantined=self.quarantined,
            limits=self.limits,
            intent_age_ms_max=self.intent_age_ms_max,
        )
        view.rebuild(self.ledger, self.orders)
        return RiskActor(view, guards_for(self.limits), self.told.append)

    @property
    def view(self) -> RiskView:
        """Return what Risk knows."""
        return self.actor.view

    def mark(self, symbol: str, price: float, volume: float = 1.0) -> None:
        """Let the symbol trade at ``price``."""
        self.board.last[symbol] = Bar(symbol, NOW, price, price, price, price, volume, 60_000)

    def advance(self, delay_ms: int) -> None:
        """Let time pass."""
        self.clock.advance(self.clock.now + delay_ms)

    def state(self) -> AccountState:
        """Return the account as the ledger has it, at the board's marks."""
        value = self.ledger.valuation(self.board.known)
        return AccountState(value.equity, self.ledger.margin(self.board.known), value.funding)

    def close(self, at: int | None = None) -> list[RiskBreached]:
        """Value the account, as a turn does at its closes; return what was newly breached."""
        watch = self.memory.watch
        assert watch is not None
        now = self.clock.now if at is None else at
        self.clock.advance(now)
        state = self.state()
        found = account_breaches(watch.observe(now, state), self.limits, now, state.equity)
        self.closed += found
        return found

    # -- intents

    def ask(self, intent: Intent) -> RiskDecision:
        """Return the decision on ``intent``; an approved order is alive afterwards."""
        effects = list(self.actor.handlers()[type(intent)](intent) or ())
        decision = effects[0]
        assert isinstance(decision, RiskDecision)
        if decision.verdict is Verdict.DENIED:
            assert decision.causes
            for effect in effects[1:]:
                assert isinstance(effect, RiskBreached)
                self.journaled.append(effect)
            return decision
        (approved,) = effects[1:]
        expected = ApprovedReduce if isinstance(intent, ReduceIntent) else ApprovedOpen
        assert type(approved) is expected
        order = self.orders.add(approved.request)
        for event in (OrderEvent.APPROVED, OrderEvent.JOURNALED, OrderEvent.SENT):
            order.apply(event, self.clock.now)
        return decision

    def intent(
        self,
        side: Side,
        quantity: str | int | Decimal = 1,
        *,
        reduce: bool = False,
        symbol: str = SPOT,
        strategy: str = "one",
        intent_id: str = "",
        position_side: PositionSide = PositionSide.BOTH,
        policy: ExecutionPolicy | None = None,
        valid_until: int | None = None,
        kind: type[Intent] | None = None,
        **more: Any,
    ) -> Intent:
        """Return an intent, opening unless it is to ``reduce``; ``more`` are its other fields."""
        kind = kind or (ReduceIntent if reduce else OpenIntent)
        return kind(
            intent_id or f"i-{next(self._serial)}",
            strategy,
            symbol,
            side,
            Decimal(quantity),
            self.clock.now,
            position_side,
            policy or ExecutionPolicy(),
            valid_until,
            **more,
        )

    def open(self, side: Side, quantity: str | int | Decimal = 1, **terms: Any) -> RiskDecision:
        """Ask to open."""
        return self.ask(self.intent(side, quantity, **terms))

    def reduce(self, side: Side, quantity: str | int | Decimal = 1, **terms: Any) -> RiskDecision:
        """Ask to reduce."""
        return self.ask(self.intent(side, quantity, reduce=True, **terms))

    # -- what becomes of orders

    def request(self, order_id: str) -> OrderRequest:
        """Return the order that was approved under an id."""
        order = self.orders.by_order_id(order_id)
        assert order is not None
        return order.request

    def fill(
        self,
        decision: RiskDecision,
        quantity: str | int | Decimal | None = None,
        price: Any = "100",
    ) -> None:
        """
        Fill an approved order, wholly unless ``quantity`` is less; late if it has ended.

        Where Risk wants it, the account is valued afterwards, as Execution does.
        """
        order = self.orders.by_order_id(decision.intent_id)
        assert order is not None
        request = order.request
        size = order.remaining if quantity is None else Decimal(quantity)
        number = next(self._trades)
        notional = size * Decimal(price)
        fill = Fill(
            f"T-{number}",
            request.order_id,
            client_order_id(request.order_id),
            request.strategy,
            request.symbol,
            request.side,
            request.position_side,
            size,
            Decimal(price),
            self.instruments[request.symbol].fee(notional, Liquidity.TAKER),
            "USDT",
            Liquidity.TAKER,
            self.clock.now,
        )
        if order.live:
            status = order.apply(OrderEvent.FILLED_PARTLY, self.clock.now, fill)
        else:
            order.record_late_fill(fill, self.clock.now)
            status = order.status
        booking = self.ledger.book_fill(fill)
        event = OrderEvent.FILLED if status is OrderStatus.FILLED else OrderEvent.FILLED_PARTLY
        self.report(request, event, status, fill, booking)
        self.value("fill")

    def value(self, occasion: str) -> None:
        """Tell Risk what the account is worth, if it wants to know."""
        handler = self.actor.handlers().get(PortfolioMarked)
        if handler is None:
            return
        value = self.ledger.valuation(self.board.known)
        marked = PortfolioMarked(
            self.clock.now,
            occasion,
            "USDT",
            value.cash,
            value.equity,
            value.realized_pnl,
            value.unrealized_pnl,
            value.fees,
            value.funding,
            value.marks,
        )
        self._take(handler(marked))

    def _take(self, effects: Any) -> None:
        for effect in effects or ():
            assert isinstance(effect, RiskBreached)
            self.journaled.append(effect)

    def end(self, decision: RiskDecision, event: OrderEvent = OrderEvent.CANCELLED) -> None:
        """End an approved order without a fill."""
        order = self.orders.by_order_id(decision.intent_id)
        assert order is not None
        self.report(order.request, event, order.apply(event, self.clock.now))

    def report(
        self,
        request: OrderRequest,
        event: OrderEvent,
        status: OrderStatus,
        fill: Fill | None = None,
        booking: Booking | None = None,
    ) -> None:
        """Tell Risk of one step of an order."""
        report = ExecutionReport(
            request.order_id,
            request.client_order_id,
            request.strategy,
            request.symbol,
            event,
            status,
            self.clock.now,
            fill.quantity if fill else Decimal(0),
            fill=fill,
            booking=booking,
        )
        self._take(self.actor.handlers()[ExecutionReport](report))


def codes(decision: RiskDecision) -> list[ReasonCode]:
    """Return the causes of a decision as codes; an approval has none."""
    return [cause.code for cause in decision.causes]


def approved(decision: Any) -> bool:
    assert (decision.verdict is Verdict.APPROVED) == (not decision.causes)
    return decision.verdict is Verdict.APPROVED
