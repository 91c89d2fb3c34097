"""
How a session is put together: cells, routes, supervision, in the order in which they start.

The topology is declared here and nowhere else; the diagram in the documentation is made from
it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from actors.board import Board
from actors.commands import CommandDesk
from actors.execution import Books, ExecutionActor
from actors.feed import FeedActor
from actors.kill import KillSwitch
from actors.portfolio import EquityTrack
from actors.reconciler import ReconcilerActor
from actors.risk import RiskActor, RiskLimits, RiskView, guards_for
from actors.risk.view import INTENTS_REMEMBERED
from actors.runtime import (
    Cell,
    ChildSpec,
    Dispatcher,
    HoldSet,
    Restart,
    SimulatedClock,
    Supervisor,
    WhenExhausted,
)
from actors.runtime.supervisor import FEED_INTENSITY, STRATEGY_INTENSITY
from actors.strategy import StrategyActor, own_intents
from actors.telemetry import TelemetryActor
from brokers.matching import EngineConfig, MatchingEngine
from brokers.paper import PaperBroker
from feeds.contract import BarFeed
from messages import (
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    CancelIntent,
    ExecutionReport,
    Lane,
    Message,
    OpenIntent,
    OperatorReduce,
    OrderEvent,
    ReasonCode,
    Reconciled,
    ReduceIntent,
    RiskDecision,
)
from state.instruments import Instrument
from state.journal import JournalWriter
from state.ledger import Ledger, LedgerError, LotMethod
from state.orders import OrderStore, RecentIds
from state.reconciliation import AccountView
from strategies import Desk, Strategy, StrategyParams

PROGRESS = frozenset(
    {OrderEvent.APPROVED, OrderEvent.JOURNALED, OrderEvent.SENT, OrderEvent.ACCEPTED}
)
"""Steps of an order that move no money and end nothing: reservations stay as they are."""

UNTIL_RECONCILED = ("overflow:", "failed:", "fatal:")
"""How the ids of holds begin that end when the venue and our books agree: those of a lane which
could not keep up, and of what an earlier session failed by."""

RECONCILIATION_HOLD = "reconciliation"


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """One strategy of a session: what makes it, what it trades, how its lots are closed."""

    name: str
    factory: Callable[[Desk, StrategyParams], Strategy]
    params: StrategyParams
    symbols: tuple[str, ...]
    lot_method: LotMethod = LotMethod.FIFO
    source: str = ""
    source_sha256: str = ""


@dataclass(slots=True)
class Assembly:
    """A session's parts, wired and not yet started."""

    clock: SimulatedClock
    board: Board
    holds: HoldSet
    dispatcher: Dispatcher
    supervisor: Supervisor
    broker: PaperBroker
    books: Books
    track: EquityTrack
    feed_cell: Cell
    execution_cell: Cell
    reconciler_cell: Cell
    readers: dict[str, tuple[Cell, ...]]
    strategy_cells: dict[str, Cell]
    kill: KillSwitch
    desk: CommandDesk
    saved: dict[str, str] = field(default_factory=dict)
    last_delivered: int = -1


@dataclass(frozen=True, slots=True)
class Parts:
    """What an assembly is made of."""

    tag: str
    feed: BarFeed
    strategies: tuple[StrategySpec, ...]
    instruments: Mapping[str, Instrument]
    currency: str
    cash: Decimal
    engine: EngineConfig
    limits: RiskLimits
    start_at: int
    dispatcher: Callable[[JournalWriter, SimulatedClock, HoldSet], Dispatcher] = Dispatcher
    bounds: dict[Lane, int] | None = None


def assemble(parts: Parts, journal: JournalWriter) -> Assembly:
    """Return the parts wired together; nothing has started and nothing is journaled yet."""
    clock = SimulatedClock(parts.start_at)
    board = Board()
    holds = HoldSet("paper")
    dispatcher = parts.dispatcher(journal, clock, holds)
    supervisor = Supervisor(dispatcher, fatal=(LedgerError,))
    engine = MatchingEngine(
        parts.instruments,
        parts.engine,
        currency=parts.currency,
        deposit=parts.cash,
        mark_of=board.price,
    )
    broker = PaperBroker(engine)
    books = Books(
        OrderStore(),
        Ledger(
            parts.instruments,
            currency=parts.currency,
            deposit=parts.cash,
            lot_methods={spec.name: spec.lot_method for spec in parts.strategies},
        ),
    )
    track = EquityTrack(float(parts.cash), parts.instruments, parts.feed.timeframe_ms)

    def venue_view() -> AccountView:
        return AccountView(
            {
                (position.symbol, position.position_side): position.quantity
                for position in engine.positions()
                if position.quantity
            },
            frozenset(order.client_order_id for order in engine.open_orders()),
            engine.balance().net_flow,
        )

    def reconciled(result: Reconciled) -> None:
        if result.differences:
            supervisor.hold_open(RECONCILIATION_HOLD, "; ".join(result.differences))
            return
        for hold_id in list(holds.view()):
            if hold_id == RECONCILIATION_HOLD or hold_id.startswith(UNTIL_RECONCILED):
                supervisor.lift(hold_id, "reconciler", "the venue and our books agree")

    def make_execution() -> ExecutionActor:
        return ExecutionActor(books, broker, board, clock, holds)

    decided = RecentIds(INTENTS_REMEMBERED)

    def make_risk() -> RiskActor:
        view = RiskView(
            parts.instruments,
            board,
            clock,
            cash=books.ledger.cash,
            position_mode=parts.engine.position_mode,
            slippage_bps=parts.engine.slippage_bps,
            decided=decided,
            quarantined=supervisor.quarantined,
        )
        view.rebuild(books.ledger, books.orders)
        return RiskActor(view, guards_for(parts.limits))

    execution = Cell("execution", make_execution, parts.bounds)
    reconciler = Cell(
        "reconciler",
        lambda: ReconcilerActor(books, parts.instruments, venue_view, clock, reconciled),
        parts.bounds,
    )
    risk = Cell("risk", make_risk, parts.bounds)
    telemetry = Cell("telemetry", lambda: TelemetryActor(track), parts.bounds)
    made: list[Assembly] = []
    feed = Cell(
        "feed", lambda: FeedActor(parts.feed, made[0].last_delivered if made else -1), parts.bounds
    )

    supervisor.declare(
        ChildSpec("execution", restart=Restart.REST_FOR_ONE, holds_open_while_down=True), execution
    )
    supervisor.declare(ChildSpec("reconciler"), reconciler)
    supervisor.declare(ChildSpec("risk", holds_open_while_down=True), risk)
    supervisor.declare(ChildSpec("telemetry", when_exhausted=WhenExhausted.ABANDON), telemetry)
    supervisor.declare(ChildSpec("feed", intensity=FEED_INTENSITY), feed)

    saved: dict[str, str] = {}
    cells: dict[str, Cell] = {}
    readers: dict[str, list[Cell]] = {symbol: [] for symbol in parts.feed.symbols}
    for ordinal, spec in enumerate(parts.strategies, start=1):
        cell = _strategy_cell(spec, f"{parts.tag}-{ordinal}", clock, saved, parts.bounds)
        cells[spec.name] = cell
        supervisor.declare(
            ChildSpec(
                cell.name,
                intensity=STRATEGY_INTENSITY,
                when_exhausted=WhenExhausted.QUARANTINE,
                strategy=spec.name,
            ),
            cell,
        )
        for symbol in spec.symbols:
            readers.setdefault(symbol, []).append(cell)

    _wire(dispatcher, risk, execution, telemetry, cells)

    def cancel_orders(strategy: str) -> list[Message]:
        code = ReasonCode.QUARANTINE_CANCEL.value
        return [
            ApprovedCancel(
                f"quarantine-{order.request.order_id}",
                strategy,
                order.request.symbol,
                order.request.order_id,
                code,
            )
            for order in books.orders.live_of(strategy=strategy)
        ]

    def keep_state(cell: Cell) -> None:
        if isinstance(cell.actor, StrategyActor):
            dispatcher.publish(cell.name, cell.actor.snapshot())

    supervisor.on_quarantine = cancel_orders
    supervisor.on_keep_state = keep_state
    kill = KillSwitch(supervisor, books, venue_view, parts.tag)
    desk = CommandDesk(
        supervisor,
        kill,
        clock,
        tag=parts.tag,
        strategies=[spec.name for spec in parts.strategies],
        symbols=parts.feed.symbols,
        venue=holds.venue,
    )
    assembly = Assembly(
        clock,
        board,
        holds,
        dispatcher,
        supervisor,
        broker,
        books,
        track,
        feed,
        execution,
        reconciler,
        {symbol: tuple(found) for symbol, found in readers.items()},
        cells,
        kill,
        desk,
        saved,
    )
    made.append(assembly)
    return assembly


def _wire(
    dispatcher: Dispatcher,
    risk: Cell,
    execution: Cell,
    telemetry: Cell,
    strategies: dict[str, Cell],
) -> None:
    dispatcher.route(OpenIntent, risk)
    dispatcher.route(ReduceIntent, risk)
    dispatcher.route(OperatorReduce, risk)
    dispatcher.route(CancelIntent, risk)
    dispatcher.route(
        RiskDecision,
        by_strategy=strategies,
        matters=lambda decision: decision.causes,
    )
    dispatcher.route(ApprovedOpen, execution)
    dispatcher.route(ApprovedReduce, execution)
    dispatcher.route(ApprovedCancel, execution)
    dispatcher.route(
        ExecutionReport,
        risk,
        telemetry,
        by_strategy=strategies,
        matters=lambda report: report.event not in PROGRESS,
    )


def _strategy_cell(
    spec: StrategySpec,
    prefix: str,
    clock: SimulatedClock,
    saved: dict[str, str],
    bounds: dict[Lane, int] | None,
) -> Cell:
    desk = Desk(spec.name, spec.symbols, prefix=prefix, clock=clock)

    def save(state: str) -> None:
        saved[spec.name] = state

    def make() -> StrategyActor:
        return StrategyActor(
            desk, lambda at: spec.factory(at, spec.params), saved.get(spec.name), save
        )

    return Cell(
        f"strategy:{spec.name}",
        make,
        bounds,
        check=lambda effects: own_intents(desk, effects),
    )
