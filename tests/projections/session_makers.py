"""Journals for the tests of the projections: written event by event, or told as a story."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from messages import (
    MARKET,
    ActorFailed,
    ActorRestarting,
    ActorStarted,
    Booking,
    Cause,
    DeadLetter,
    EquitySampled,
    Escalated,
    ExecutionPolicy,
    ExecutionReport,
    FeedGap,
    Fill,
    FundingBooked,
    Hold,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    Intent,
    Liquidity,
    MarketSampled,
    Message,
    OpenIntent,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    OrderType,
    PortfolioMarked,
    PositionSide,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    Scope,
    SessionEnded,
    SessionStarted,
    Side,
    StrategyQuarantined,
    TimeInForce,
    Verdict,
)
from state.journal import Entry, decode_line, encode_lines, make_entry
from state.projections import CsvArtifacts

T0 = 1_704_067_200_000  # 2024-01-01T00:00:00Z
MINUTE = 60_000
ZERO = Decimal(0)
CSV_FILES = ("orders.csv", "trades.csv", "positions.csv", "account.csv")
EXECUTION_FILES = ("intents.csv", "round_trips.csv")


def d(text: str | int) -> Decimal:
    """Return an exact number."""
    return Decimal(text)


def entries_of(messages: Iterable[Message]) -> list[Entry]:
    """Return the entries that a journal would make of ``messages``."""
    return [
        make_entry(seq, getattr(message, "at", T0), "test", f"c{seq}", "", message)
        for seq, message in enumerate(messages, 1)
    ]


def write_csv(
    out: Path,
    entries: Sequence[Entry],
    *,
    batch: int = 1_000_000,
    files: Sequence[str] = CSV_FILES,
) -> dict[str, str]:
    """Run the CSV projection over ``entries`` and return the texts of ``files``."""
    out.mkdir(parents=True, exist_ok=True)
    artifacts = CsvArtifacts(out)
    for start in range(0, len(entries), batch):
        artifacts.write(entries[start : start + batch], b"")
    artifacts.close()
    return {name: (out / name).read_bytes().decode("utf-8") for name in files}


def reread(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries as they come back from a stored journal."""
    return [decode_line(line) for line in encode_lines(entries).splitlines()]


class Tape:
    """
    Messages in order, made with as few words as a test can bear.

    One account with ``cash``, one book a strategy and symbol; booking is the simplest that is
    consistent (average cost), because projections copy what the ledger says.
    """

    def __init__(self, *, cash: str = "1000", strategy: str = "sma", symbol: str = "BTC/USDT"):
        self.messages: list[Message] = []
        self.now = T0
        self.strategy = strategy
        self.symbol = symbol
        self.cash = d(cash)
        self.fees = ZERO
        self.realized = ZERO
        self.books: dict[tuple[str, str, str], tuple[Decimal, Decimal, Decimal]] = {}
        self.prices: dict[str, Decimal] = {}
        self._orders: dict[str, OrderRequest] = {}
        self._filled: dict[str, Decimal] = {}
        self._count = 0
        self._trades = 0

    def add(self, *messages: Message) -> None:
        """Append messages as they are."""
        self.messages.extend(messages)

    def entries(self) -> list[Entry]:
        """Return the journal so far."""
        return entries_of(self.messages)

    def intent(
        self,
        side: Side = Side.BUY,
        quantity: str = "1",
        *,
        order_id: str | None = None,
        reduce: bool = False,
        policy: ExecutionPolicy = MARKET,
        decision: str | None = "100",
        position_side: PositionSide = PositionSide.BOTH,
    ) -> Intent:
        """Ask for an order; its id is ``o1``, ``o2`` and so on."""
        self._count += 1
        kind = ReduceIntent if reduce else OpenIntent
        intent = kind(
            order_id or f"o{self._count}",
            self.strategy,
            self.symbol,
            side,
            d(quantity),
            self.now,
            position_side,
            policy,
            None,
            None if decision is None else d(decision),
        )
        self.add(intent)
        return intent

    def deny(self, intent: Intent, *causes: Cause) -> None:
        """Refuse an intent."""
        self.add(
            RiskDecision(
                intent.intent_id,
                intent.strategy,
                intent.symbol,
                Verdict.DENIED,
                self.now,
                causes=causes,
            )
        )

    def journal(self, intent: Intent) -> OrderRequest:
        """Approve an intent and put its order on record."""
        request = OrderRequest(
            intent.intent_id,
            f"tg-{intent.intent_id}",
            intent.strategy,
            intent.symbol,
            intent.side,
            intent.position_side,
            intent.policy.order_type,
            intent.policy.time_in_force,
            intent.quantity,
            self.now,
            isinstance(intent, ReduceIntent),
            price=intent.policy.limit_price,
            stop_price=intent.policy.stop_price,
            decision_price=intent.decision_price,
        )
        self.add(
            RiskDecision(
                intent.intent_id,
                intent.strategy,
                intent.symbol,
                Verdict.APPROVED,
                self.now,
                intent.quantity,
            )
        )
        self._orders[intent.intent_id] = request
        self._filled[intent.intent_id] = ZERO
        self.report(intent.intent_id, OrderEvent.JOURNALED, OrderStatus.JOURNALED, order=request)
        return request

    def report(
        self,
        order_id: str,
        event: OrderEvent,
        status: OrderStatus,
        *,
        cause: Cause | None = None,
        order: OrderRequest | None = None,
    ) -> None:
        """Report a step without a fill."""
        request = self._orders[order_id]
        self.add(
            ExecutionReport(
                order_id,
                request.client_order_id,
                request.strategy,
                request.symbol,
                event,
                status,
                self.now,
                self._filled[order_id],
                cause,
                order=order,
            )
        )

    def accept(self, order_id: str) -> None:
        """Send an order and let the venue accept it."""
        self.report(order_id, OrderEvent.SENT, OrderStatus.SENT)
        self.report(order_id, OrderEvent.ACCEPTED, OrderStatus.ACCEPTED)

    def fill(
        self,
        order_id: str,
        price: str,
        quantity: str | None = None,
        *,
        fee: str = "0",
        fee_currency: str = "USDT",
        trade_id: str | None = None,
        status: OrderStatus | None = None,
    ) -> Fill:
        """Fill an order, book it and mark the account."""
        request = self._orders[order_id]
        self._trades += 1
        amount = request.quantity - self._filled[order_id] if quantity is None else d(quantity)
        self._filled[order_id] += amount
        fill = Fill(
            trade_id or f"t{self._trades}",
            order_id,
            request.client_order_id,
            request.strategy,
            request.symbol,
            request.side,
            request.position_side,
            amount,
            d(price),
            d(fee),
            fee_currency,
            Liquidity.TAKER,
            self.now,
        )
        whole = self._filled[order_id] >= request.quantity
        event = OrderEvent.FILLED if whole else OrderEvent.FILLED_PARTLY
        final = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
        self.add(
            ExecutionReport(
                order_id,
                request.client_order_id,
                request.strategy,
                request.symbol,
                event,
                status or final,
                self.now,
                self._filled[order_id],
                fill=fill,
                booking=self._book(fill),
            )
        )
        self.prices[request.symbol] = d(price)
        self.mark("fill")
        return fill

    def market(self, side: Side, quantity: str, price: str, *, fee: str = "0") -> str:
        """Ask, approve, send and fill a market order; return its id."""
        intent = self.intent(side, quantity, reduce=side is Side.SELL, decision=price)
        self.journal(intent)
        self.accept(intent.intent_id)
        self.fill(intent.intent_id, price, fee=fee)
        return intent.intent_id

    def mark(self, occasion: str, *, at: int | None = None) -> None:
        """Value the account at the newest prices."""
        held = {key[1]: self.prices[key[1]] for key, book in self.books.items() if book[0] != ZERO}
        unrealized = sum(
            (
                quantity * (self.prices[symbol] - average)
                for (_, symbol, _), (quantity, average, _) in self.books.items()
                if quantity
            ),
            ZERO,
        )
        holdings = sum(
            (
                quantity * self.prices[symbol]
                for (_, symbol, _), (quantity, _, _) in self.books.items()
                if quantity
            ),
            ZERO,
        )
        self.add(
            PortfolioMarked(
                self.now if at is None else at,
                occasion,
                "USDT",
                self.cash,
                self.cash + holdings,
                self.realized,
                unrealized,
                self.fees,
                ZERO,
                tuple(sorted(held.items())),
            )
        )

    def _book(self, fill: Fill) -> Booking:
        key = (fill.strategy, fill.symbol, fill.position_side.value)
        quantity, average, total = self.books.get(key, (ZERO, ZERO, ZERO))
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        realized = ZERO
        if quantity and (quantity > 0) is not (signed > 0):
            closed = min(abs(quantity), abs(signed))
            gain = fill.price - average if quantity > 0 else average - fill.price
            realized = closed * gain
        else:
            average = (quantity * average + signed * fill.price) / (quantity + signed)
        quantity += signed
        total += realized
        self.books[key] = (quantity, average if quantity else ZERO, total)
        self.cash -= signed * fill.price + fill.fee
        self.fees += fill.fee
        self.realized += realized
        lots = (f"L{fill.trade_id}",)
        return Booking(realized, total, quantity, average if quantity else ZERO, self.cash, lots)


def story(*, orders: int = 240, seed: int = 7, ended: bool = True) -> list[Entry]:
    """
    Return the journal of an eventful day: two strategies, three symbols, many things go wrong.

    Names are chosen to break whatever does not escape them.
    """
    rng = random.Random(seed)
    tape = Tape(cash="100000")
    names = ["trend", 'mean "<script>alert(1)</script>", b|ack']
    symbols = ["BTC/USDT", "ETH/USDT", "SOL,USD<b>"]
    price = {symbols[0]: 42_000.0, symbols[1]: 2_250.0, symbols[2]: 98.5}
    walk: dict[str, list[tuple[int, float]]] = {symbol: [] for symbol in symbols}
    tape.add(SessionStarted("supervisor", T0, "replay-1f3c9a2e", "replay", 42))
    for actor in ("feed", "strategy:trend", "risk", "execution"):
        tape.add(ActorStarted(actor, T0, 1))
    tape.mark("start")
    held: dict[tuple[str, str], bool] = {}
    for number in range(orders):
        tape.now = T0 + number * 6 * MINUTE + rng.randrange(3) * MINUTE
        for symbol in symbols:
            price[symbol] *= 1 + rng.gauss(0.0002, 0.004)
            walk[symbol].append((tape.now, round(price[symbol], 2)))
            tape.prices[symbol] = d(str(round(price[symbol], 2)))
        tape.strategy, tape.symbol = rng.choice(names), rng.choice(symbols)
        key = (tape.strategy, tape.symbol)
        quantity = {"BTC/USDT": "0.25", "ETH/USDT": "4"}.get(tape.symbol, "80")
        now_price = str(round(price[tape.symbol], 2))
        if number % 23 == 11:
            intent = tape.intent(Side.BUY, quantity, decision=now_price)
            tape.deny(
                intent,
                Cause(ReasonCode.CASH_INSUFFICIENT, "free=12.5 needed=10500"),
                Cause(ReasonCode.HELD, "hold=h1"),
            )
            continue
        if number % 37 == 19:
            policy = ExecutionPolicy(OrderType.LIMIT, TimeInForce.IOC, limit_price=d(now_price))
            intent = tape.intent(Side.BUY, quantity, policy=policy, decision=now_price)
            tape.journal(intent)
            tape.accept(intent.intent_id)
            tape.report(
                intent.intent_id,
                OrderEvent.CANCELLED,
                OrderStatus.CANCELLED,
                cause=Cause(ReasonCode.IOC_REMAINDER),
            )
            continue
        side = Side.SELL if held.get(key) else Side.BUY
        held[key] = side is Side.BUY
        slipped = str(round(price[tape.symbol] * (1 + rng.gauss(0, 0.0002)), 2))
        fee = str(round(float(quantity) * float(slipped) * 0.001, 6))
        tape.market(side, quantity, slipped, fee=fee)
    _trouble(tape)
    tape.mark("close")
    equity = [
        (message.at, float(message.equity))
        for message in tape.messages
        if isinstance(message, PortfolioMarked)
    ]
    tape.add(EquitySampled(tuple(equity), 0.0423, 0.71))
    tape.add(*(MarketSampled(symbol, tuple(points)) for symbol, points in walk.items()))
    if ended:
        tape.add(SessionEnded("supervisor", tape.now, "replay-1f3c9a2e", "completed", 0))
    return tape.entries()


def _trouble(tape: Tape) -> None:
    """Add holds, failures, gaps and dead letters."""
    at = T0 + 300 * MINUTE
    pause = Hold("h1", "circuit:feed_stale", HoldMode.BLOCK, "health", at, until=at + 60 * MINUTE)
    stop = Hold(
        "h2",
        "max_daily_loss",
        HoldMode.REFUSE,
        "risk",
        at + 600 * MINUTE,
        scope=Scope(strategy="trend"),
        latched=True,
    )
    name = 'mean "<script>alert(1)</script>", b|ack'
    tape.add(
        HoldPlaced(pause),
        HoldLifted(pause, "health", "data is fresh again", at + 42 * MINUTE),
        HoldPlaced(stop),
        FeedGap("feed", at, "BTC/USDT", at, at + 4 * MINUTE, 3),
        FeedGap("feed", at, "BTC/USDT", at + 60 * MINUTE, at + 62 * MINUTE, 1),
        ActorFailed(
            "strategy:trend", at, 1, "ZeroDivisionError: division by zero", "Traceback ...", "Bar"
        ),
        ActorRestarting("strategy:trend", at, 2, 0.25),
        ActorStarted("strategy:trend", at, 2),
        StrategyQuarantined("supervisor", at + MINUTE, name, "4 failures within 60 s <b>again</b>"),
        Escalated("supervisor", at + MINUTE, "quarantine", "restart intensity passed"),
        DeadLetter("strategy:trend", at, "Bar", "handler raised", "ZeroDivisionError"),
        DeadLetter("strategy:trend", at, "Bar", "handler raised", "ZeroDivisionError"),
        FundingBooked(
            "ledger", at, "trend", "BTC/USDT", "both", Decimal("-1.25"), Decimal("0.0001")
        ),
    )


STORY_FACTS: dict[str, object] = {
    "config_sha256": "9f2d7c3c8f6a4b1e5d0c7b2a1908f7e6d5c4b3a29180f7e6d5c4b3a291807f6e",
    "code_version": "0.1.0",
    "strategies": {"trend": "sma_cross(fast=10, slow=30, quantity=1)"},
    "data": {
        "binance_spot_BTCUSDT_1m_202412.csv.gz": (
            "sha256 9645d0082113131e456c7eb26800077081cbd57a6e4a2b4fdddce7e6613d3adb"
        )
    },
    "symbols": ["BTC/USDT", "ETH/USDT", "SOL,USD<b>"],
    "timeframe": "1m",
    "bars": 4320,
    "quarantined_rows": 0,
    "first_bar_at": T0,
    "last_bar_at": T0 + 1_439 * MINUTE,
    "wall_s": 1.5,
    "bars_per_s": 450_000.0,
    "folder": "runs/replay/sessions/replay-1f3c9a2e",
}
