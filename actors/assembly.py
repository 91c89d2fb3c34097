"""
How a session is put together: cells, routes, supervision, in the order in which they start.

The diagram in the documentation is made from it; who receives what is in ``topology``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from actors import agreement
from actors.agreement import Agreement
from actors.board import Board
from actors.commands import CommandDesk
from actors.execution import PLAN, Books, DoubtPlan, ExecutionActor
from actors.execution.wiring import ports_over
from actors.feed import FeedActor
from actors.health import HealthPlan, Watch, watch
from actors.kill import KillSwitch
from actors.portfolio import EquityTrack
from actors.reconciler import UNPLANNED, Found, ReconcilerActor
from actors.refusals import Refusals
from actors.risk import (
    AccountState,
    RiskActor,
    RiskLimits,
    RiskMemory,
    RiskView,
    account_breaches,
    guards_for,
)
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
from actors.runtime.supervision import FEED_INTENSITY, STRATEGY_INTENSITY
from actors.shadowing import Shadowing
from actors.strategy import House, StrategyActor, strategy_cell
from actors.telemetry import TelemetryActor
from actors.topology import wire
from actors.witness import witness_of
from brokers.contract import Remote, SessionBroker
from brokers.matching import EngineConfig, MatchingEngine
from brokers.paper import PaperBroker, ShadowBroker
from feeds.contract import BarFeed
from messages import (
    RISK_HOLDS,
    STRATEGY_PAUSES,
    ApprovedCancel,
    BreachAction,
    HoldLifted,
    HoldMode,
    Lane,
    Message,
    PauseIntent,
    PortfolioMarked,
    PositionMode,
    PositionSide,
    ReasonCode,
    Reconciled,
    RiskBreached,
    Scope,
)
from state.facts import Facts
from state.instruments import Instrument
from state.journal import JournalWriter
from state.ledger import LedgerError, LotMethod
from state.reconciliation_policy import ReconciliationPlan
from strategies import Desk, Strategy, StrategyParams
from strategies.plans import PlanKeeper


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
    restricted: tuple[str, ...] = ()
    """Symbols that it was given and that may not be opened."""


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
    health: HealthPlan | None = None
    doubts: DoubtPlan = PLAN
    broker: Callable[[MatchingEngine], SessionBroker] = PaperBroker
    reconciliation: ReconciliationPlan = UNPLANNED
    own_tags: frozenset[str] = frozenset()
    """Tags of the other sessions of ours whose orders the venue may still have."""
    facts: Facts | None = None
    """What an earlier process of the same session has left: its books are gone on with."""


def no_facts(
    strategies: Iterable[StrategySpec],
    instruments: Mapping[str, Instrument],
    *,
    currency: str,
    cash: Decimal,
) -> Facts:
    """Return the facts before the first entry of a session's journal."""
    methods = {spec.name: spec.lot_method for spec in strategies}
    return Facts(instruments, currency=currency, deposit=cash, lot_methods=methods)


class Core:
    """What the actors share: clock, prices, holds, books, the venue, and how actors are made."""

    def __init__(self, parts: Parts, journal: JournalWriter) -> None:
        """Make the shared parts; nothing has started and nothing is journaled yet."""
        self.parts = parts
        self.clock = SimulatedClock(parts.start_at)
        self.board = Board()
        self.holds = HoldSet()
        self.dispatcher = parts.dispatcher(journal, self.clock, self.holds)
        self.supervisor = Supervisor(self.dispatcher, fatal=(LedgerError,))
        self.engine = MatchingEngine(
            parts.instruments,
            parts.engine,
            currency=parts.currency,
            deposit=parts.cash,
            mark_of=self.board.price,
        )
        broker = parts.broker(self.engine)
        self.broker: SessionBroker = (
            witness_of(broker, self.dispatcher, self.clock)
            if isinstance(broker, Remote)
            else broker
        )
        if isinstance(broker, ShadowBroker):
            Shadowing(broker, self.dispatcher, self.clock)
        # A circuit holds what goes to the venue that it is of: by the very name of its broker.
        self.holds.venue = self.broker.name
        facts = parts.facts or no_facts(
            parts.strategies, parts.instruments, currency=parts.currency, cash=parts.cash
        )
        self.books = Books(facts.orders, facts.ledger, outside=facts.outside)
        self.track = EquityTrack(float(parts.cash), parts.instruments, parts.feed.timeframe_ms)
        self.refusals = Refusals()
        self.found = Found(parts.reconciliation)
        self.risk_memory = RiskMemory.of(parts.limits, parts.cash, parts.start_at)
        self.kill = KillSwitch(self.supervisor, self.books, self.broker.account, parts.tag)
        self.saved: dict[str, str] = {}
        self.houses: dict[str, House] = {}
        self.last_delivered = -1

    # -- makers of incarnations

    def make_execution(self) -> ExecutionActor:
        """Return a new incarnation of Execution over the same books."""
        return ExecutionActor(
            self.books,
            self.broker,
            self.board,
            self.clock,
            self.holds,
            self.parts.doubts,
            ports_over(self.dispatcher, self.supervisor),
        )

    def make_reconciler(self) -> ReconcilerActor:
        """Return a new incarnation of the Reconciler, which knows what was found before it."""
        parts = self.parts
        return ReconcilerActor(
            self.books,
            parts.instruments,
            self.broker.account,
            self.clock,
            self.reconciled,
            parts.reconciliation,
            agreement.ports_over(self.broker, self.board.mark, parts.own_tags | {parts.tag}),
            self.found,
        )

    def make_risk(self) -> RiskActor:
        """Return a new incarnation of Risk, its view rebuilt from the books."""
        parts = self.parts
        view = RiskView(
            parts.instruments,
            self.board,
            self.clock,
            cash=self.books.ledger.cash,
            position_mode=parts.engine.position_mode,
            slippage_bps=parts.engine.slippage_bps,
            memory=self.risk_memory,
            quarantined=self.supervisor.quarantined,
            limits=parts.limits,
            intent_age_ms_max=parts.feed.timeframe_ms,
        )
        view.rebuild(self.books.ledger, self.books.orders)
        return RiskActor(view, guards_for(parts.limits), self.breached)

    def make_telemetry(self) -> TelemetryActor:
        """Return a new incarnation of Telemetry over the same tallies."""
        return TelemetryActor(self.track, self.refusals)

    def make_feed(self) -> FeedActor:
        """Return a new incarnation of the Feed."""
        return FeedActor(self.parts.feed)

    # -- what others find

    def reconciled(self, result: Reconciled, lasting: tuple[str, ...]) -> None:
        """Hold and lift by a comparison with the venue."""
        agreed = Agreement(self.supervisor, self.books, self.holds)
        agreed.reconciled(result, lasting, is_evidence=self.found.is_evidence)

    def breached(self, breach: RiskBreached) -> None:
        """Do what a breached limit asks for, once the handler that found it is done."""
        hold_id = f"{RISK_HOLDS}{breach.guard}"
        cause = str(breach.cause)
        if breach.action is BreachAction.HALT:
            self.dispatcher.when_idle(lambda: self.kill.pull(cause, "risk", hold_id=hold_id))
        elif breach.action is BreachAction.REDUCE_ONLY and hold_id not in self.holds.view():
            # Once held, what swings about the limit changes nothing: the first cause stands.
            self.dispatcher.when_idle(
                lambda: self.supervisor.hold_open(hold_id, cause, set_by="risk")
            )

    def observe_account(self, at: int) -> None:
        """
        Value the account at the newest marks and act at once on every limit that it newly passes.

        For the closes of each turn, before anybody decides by them, where a limit watches the
        account; never within a handler. While the account is flat there is nothing to value.
        """
        account, ledger = self.risk_memory.watch, self.books.ledger
        assert account is not None, "only an account with limits is watched"
        if ledger.flat and account.state.equity == ledger.cash:
            return
        value = ledger.valuation(self.board.known)
        margin = ledger.margin(self.board.known)
        found = account.observe(at, AccountState(value.equity, margin, value.funding))
        for breach in account_breaches(found, account.limits, at, value.equity):
            self.dispatcher.publish("risk", breach)
            self.breached(breach)
        if self.dispatcher.errands:
            self.dispatcher.run_errands()

    def pause(self, intent: PauseIntent) -> None:
        """Hold what a strategy asks not to open, once the handler that it asked in is done."""
        hold_id = f"{STRATEGY_PAUSES}{intent.strategy}"
        if intent.symbol:
            hold_id += f":{intent.symbol}"
        self.dispatcher.when_idle(
            lambda: self.supervisor.hold_open(
                hold_id,
                intent.reason,
                mode=HoldMode.REFUSE,
                scope=Scope(strategy=intent.strategy, symbol=intent.symbol or None),
                set_by=f"strategy:{intent.strategy}",
                until=intent.until,
            )
        )

    def house_of(self, spec: StrategySpec, prefix: str) -> House:
        """Return what every incarnation of a strategy's actor is given."""
        parts = self.parts
        mode = parts.engine.position_mode
        sides = {symbol: sides_of(symbol, parts.instruments, mode) for symbol in spec.symbols}
        desk = Desk(
            spec.name,
            spec.symbols,
            prefix=prefix,
            clock=self.clock,
            restricted=spec.restricted,
            sides=sides,
            instruments=parts.instruments,
        )

        def save(state: str) -> None:
            self.saved[spec.name] = state

        return House(
            desk,
            PlanKeeper(desk, self.board.mark, parts.instruments),
            parts.instruments,
            sides,
            self.pause,
            save,
        )

    # -- the supervisor's errands

    def watch(self, feed: Cell) -> Watch | None:
        """Return the session's Health, if anything is to be watched; ``feed`` is whose data is."""
        if self.parts.health is None:
            return None
        return watch(
            self.parts.health,
            dispatcher=self.dispatcher,
            supervisor=self.supervisor,
            clock=self.clock,
            board=self.board,
            broker=self.broker,
            feed=self.parts.feed,
            feed_cell=feed,
            bounds=self.parts.bounds,
        )

    def cancels_of(self, strategy: str) -> list[Message]:
        """Return the cancels of everything a quarantined strategy has at the venue."""
        code = ReasonCode.QUARANTINE_CANCEL.value
        return [
            ApprovedCancel(
                f"quarantine-{order.request.order_id}",
                strategy,
                order.request.symbol,
                order.request.order_id,
                code,
            )
            for order in self.books.orders.live_of(strategy=strategy)
        ]

    def keep_state(self, cell: Cell) -> None:
        """Journal a strategy's durable state."""
        if isinstance(cell.actor, StrategyActor):
            self.dispatcher.publish(cell.name, cell.actor.snapshot())


class Assembly:
    """A session's parts, wired and not yet started."""

    def __init__(
        self,
        core: Core,
        feed_cell: Cell,
        execution_cell: Cell,
        reconciler_cell: Cell,
        readers: dict[str, tuple[Cell, ...]],
        strategy_cells: dict[str, Cell],
        kill: KillSwitch,
        desk: CommandDesk,
        health: Watch | None,
    ) -> None:
        """Name what drivers and inspectors reach for; ``core`` has the rest."""
        self.core = core
        self.clock = core.clock
        self.board = core.board
        self.holds = core.holds
        self.dispatcher = core.dispatcher
        self.supervisor = core.supervisor
        self.broker = core.broker
        self.books = core.books
        self.track = core.track
        self.refusals = core.refusals
        self.saved = core.saved
        self.feed_cell = feed_cell
        self.execution_cell = execution_cell
        self.reconciler_cell = reconciler_cell
        self.readers = readers
        self.strategy_cells = strategy_cells
        self.kill = kill
        self.desk = desk
        self.health = health
        self.watch = core.risk_memory.watch


def assemble(parts: Parts, journal: JournalWriter) -> Assembly:
    """Return the parts wired together; nothing has started and nothing is journaled yet."""
    core = Core(parts, journal)
    supervisor = core.supervisor
    bounds = parts.bounds
    execution = Cell("execution", core.make_execution, bounds)
    reconciler = Cell("reconciler", core.make_reconciler, bounds)
    risk = Cell("risk", core.make_risk, bounds)
    telemetry = Cell("telemetry", core.make_telemetry, bounds)
    feed = Cell("feed", core.make_feed, bounds)
    supervisor.declare(
        ChildSpec("execution", restart=Restart.REST_FOR_ONE, holds_open_while_down=True), execution
    )
    supervisor.declare(ChildSpec("reconciler"), reconciler)
    supervisor.declare(ChildSpec("risk", holds_open_while_down=True), risk)
    health = core.watch(feed)
    if health is not None:
        supervisor.declare(ChildSpec("health", when_exhausted=WhenExhausted.HOLD), health.cell)
    supervisor.declare(ChildSpec("telemetry", when_exhausted=WhenExhausted.ABANDON), telemetry)
    supervisor.declare(ChildSpec("feed", intensity=FEED_INTENSITY), feed)
    strategies = _strategy_cells(core)
    readers: dict[str, list[Cell]] = {symbol: [] for symbol in parts.feed.symbols}
    for spec in parts.strategies:
        for symbol in spec.symbols:
            readers.setdefault(symbol, []).append(strategies[spec.name])
    watching = None if health is None else health.cell
    wire(core.dispatcher, risk, execution, reconciler, watching, telemetry, strategies)
    if core.risk_memory.watch is not None:
        core.dispatcher.route(PortfolioMarked, risk)
        core.dispatcher.route(
            HoldLifted, risk, matters=lambda lifted: lifted.hold.hold_id.startswith(RISK_HOLDS)
        )
    supervisor.on_quarantine = core.cancels_of
    supervisor.on_keep_state = core.keep_state
    desk = CommandDesk(
        supervisor,
        core.kill,
        core.clock,
        tag=parts.tag,
        strategies=[spec.name for spec in parts.strategies],
        symbols=parts.feed.symbols,
        venue=core.holds.venue,
    )
    return Assembly(
        core,
        feed,
        execution,
        reconciler,
        {symbol: tuple(found) for symbol, found in readers.items()},
        strategies,
        core.kill,
        desk,
        health,
    )


def _strategy_cells(core: Core) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    parts = core.parts
    for ordinal, spec in enumerate(parts.strategies, start=1):
        prefix = f"{parts.tag}-{ordinal}"
        house = core.houses[spec.name] = core.house_of(spec, prefix)
        make = partial(_made, spec)
        cell = strategy_cell(house, spec.factory, make, core.saved, parts.bounds)
        cells[spec.name] = cell
        core.supervisor.declare(
            ChildSpec(
                cell.name,
                intensity=STRATEGY_INTENSITY,
                when_exhausted=WhenExhausted.QUARANTINE,
                strategy=spec.name,
            ),
            cell,
        )
    return cells


def _made(spec: StrategySpec, desk: Desk) -> Strategy:
    return spec.factory(desk, spec.params)


def sides_of(
    symbol: str, instruments: Mapping[str, Instrument], mode: PositionMode
) -> tuple[PositionSide, ...]:
    """Return the books of a symbol: one net book, or, of a perpetual in hedge mode, two."""
    instrument = instruments.get(symbol)
    if mode is PositionMode.HEDGE and instrument is not None and not instrument.is_spot:
        return (PositionSide.LONG, PositionSide.SHORT)
    return (PositionSide.BOTH,)
