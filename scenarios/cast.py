"""From a checked scenario to what a session is made of: strategies, instruments, limits, health."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from actors.assembly import StrategySpec, sides_of
from actors.health.plan import HealthPlan, plan_of
from actors.reconciler import UNPLANNED
from actors.risk import RiskLimits
from actors.settings import HealthSettings
from actors.spec import SessionSpec
from actors.universe import share_of
from brokers.settings import VenueSettings
from messages import PositionMode
from scenarios.errors import ScenarioError
from scenarios.faults import FaultyBroker
from scenarios.market import MarketFeed
from scenarios.model import Scenario
from scenarios.model.session import SCRIPTED, StrategyTable
from scenarios.scripted import Script, scripted_class
from state.instruments import Instrument, InstrumentError, instrument_of
from state.ledger import LotMethod
from strategies import Strategy, StrategyParams
from strategies.contract import Desk
from strategies.loader import (
    StrategyLoadError,
    load_strategy,
    parse_params,
    resolve_lot_method,
)
from strategies.trial import Candidate


@dataclass(slots=True)
class Instruments:
    """The machine's instruments, as the scenario sets them: Health's ``Vitals``."""

    disk_free: int | None = None
    clock_offset: int | None = None
    stalled: int | None = None

    def disk_free_bytes(self) -> int | None:
        """Return the free space where the session is written."""
        return self.disk_free

    def clock_offset_ms(self) -> int | None:
        """Return how far the machine's clock is from where it should be."""
        return self.clock_offset

    def stalls(self) -> int | None:
        """Return how often the event loop has stalled within the last minute."""
        return self.stalled


@dataclass(slots=True)
class Cast:
    """Everything of a scenario that outlives its sessions."""

    scenario: Scenario
    instruments: Mapping[str, Instrument]
    currency: str
    strategies: tuple[StrategySpec, ...]
    limits: RiskLimits
    vitals: Instruments
    health: HealthPlan | None
    scripts: tuple[Script, ...]

    def spec(
        self, feed: MarketFeed, *, venue: FaultyBroker | None, queued: bool, runs_dir: Path
    ) -> SessionSpec:
        """Return what one session over ``feed`` is a function of; without a ``venue`` a new one."""
        session, table = self.scenario.session, self.scenario.reconciliation
        return SessionSpec(
            mode=session.mode,
            name="scenario",
            seed=session.seed,
            feed=feed,
            strategies=self.strategies,
            instruments=self.instruments,
            currency=self.currency,
            cash=session.cash,
            engine=VenueSettings(
                slippage_bps=session.slippage_bps,
                latency_ms=session.latency_ms,
                participation=session.participation,
                position_mode=session.position_mode,
                brackets=session.brackets,
            ).engine_config(""),
            limits=self.limits,
            runs_dir=runs_dir,
            queued=queued,
            account=session.account,
            broker=FaultyBroker if venue is None else lambda _engine: venue,
            health=self.health,
            doubts=self.scenario.execution.plan(),
            reconciliation=UNPLANNED if table is None else table.plan(elsewhere=True),
            before=feed.before,
        )


def cast_of(scenario: Scenario, folder: Path) -> Cast:
    """Return what ``scenario``, which lies in ``folder``, is made of; raise ``ScenarioError``."""
    instruments = _instruments(scenario)
    currencies = sorted({instrument.settle for instrument in instruments.values()})
    if len(currencies) > 1:
        raise ScenarioError(
            f"market: found {len(currencies)} account currencies ({', '.join(currencies)}), "
            "expected one"
        )
    vitals = Instruments()
    scripts: list[Script] = []
    strategies = tuple(
        _strategy(place, table, scenario, folder, scripts)
        for place, table in enumerate(scenario.strategies)
    )
    for place, spec in enumerate(strategies):
        _try_out(place, spec, instruments, scenario.session.position_mode)
    return Cast(
        scenario,
        instruments,
        currencies[0],
        strategies,
        limits_of(scenario),
        vitals,
        _health(scenario, vitals),
        tuple(scripts),
    )


def _instruments(scenario: Scenario) -> dict[str, Instrument]:
    unknown = [symbol for symbol in scenario.instruments if symbol not in scenario.market]
    if unknown:
        raise ScenarioError(
            f"instruments.{unknown[0]}: found no market of that symbol, "
            f"expected one of: {', '.join(scenario.market)}"
        )
    found: dict[str, Instrument] = {}
    for symbol in scenario.market:
        table = scenario.instruments.get(symbol)
        try:
            found[symbol] = (
                Instrument.permissive(symbol, scenario.session.fee_bps)
                if table is None
                else instrument_of(symbol, table)
            )
        except InstrumentError as error:
            raise ScenarioError(f"instruments.{symbol}: {error}") from error
    return found


def limits_of(scenario: Scenario) -> RiskLimits:
    """Return the limits that ``risk``, ``universe`` and the strategies' budgets ask for."""
    known = {field.name for field in fields(RiskLimits)}
    given: dict[str, Any] = {
        name: value
        for name in scenario.risk.model_fields_set
        if name in known and (value := getattr(scenario.risk, name)) is not None
    }
    given["universe_allow"] = scenario.universe.allow
    given["universe_deny"] = scenario.universe.deny
    given["strategy_budgets"] = {
        strategy.name: strategy.budget
        for strategy in scenario.strategies
        if strategy.budget is not None
    }
    try:
        return RiskLimits(**given)
    except ValueError as error:
        raise ScenarioError(f"risk: {error}") from error


def _health(scenario: Scenario, vitals: Instruments) -> HealthPlan | None:
    if scenario.health is None and scenario.feed.stale_after_s is None:
        return None
    plan = plan_of(
        scenario.health or HealthSettings(),
        stale_after_s=scenario.feed.stale_after_s or 90.0,
        reconnect=scenario.session.mode == "paper",
    )
    return replace(plan, vitals=vitals)


def _strategy(
    place: int, table: StrategyTable, scenario: Scenario, folder: Path, scripts: list[Script]
) -> StrategySpec:
    share = share_of(table.symbols, tuple(scenario.market), limits_of(scenario))
    if table.use == SCRIPTED:
        session = scenario.session
        script = Script(table.script, session.start_ms, session.timeframe_ms, table.backoff)
        scripts.append(script)
        kind = scripted_class(script)

        def make(desk: Desk, params: StrategyParams) -> Strategy:
            return kind(desk, params, script)

        return StrategySpec(
            table.name,
            make,
            StrategyParams(),
            share.symbols,
            table.lot_method or LotMethod.FIFO,
            SCRIPTED,
            restricted=share.restricted,
        )
    with _named(place):
        loaded = load_strategy(beside(table.use, folder))
        params = parse_params(loaded, table.params)
        lot_method = resolve_lot_method(loaded, table.lot_method)
    return StrategySpec(
        table.name,
        loaded.factory,
        params,
        share.symbols,
        lot_method,
        table.use,
        loaded.source_sha256,
        share.restricted,
    )


def _try_out(
    place: int, spec: StrategySpec, instruments: Mapping[str, Instrument], mode: PositionMode
) -> None:
    """Have a strategy made once, so that one that cannot be is an error of the scenario."""
    sides = {symbol: sides_of(symbol, instruments, mode) for symbol in spec.symbols}
    with _named(place):
        Candidate(spec.name, spec.factory, spec.params, sides, spec.restricted, instruments).made()


@contextmanager
def _named(place: int) -> Iterator[None]:
    """Say of what a strategy is refused for which of the scenario's strategies it is."""
    try:
        yield
    except StrategyLoadError as error:
        problems = [f"strategies[{place}]: {line}" for line in str(error).splitlines()]
        raise ScenarioError(*problems) from error


def beside(use: str, folder: Path) -> str:
    """Return ``use`` with a relative file taken from ``folder``, where the scenario lies."""
    target, colon, class_name = use.rpartition(":")
    path = target if colon and target.endswith(".py") else use
    if not path.endswith(".py"):
        return use
    found = str(folder / Path(path).expanduser())
    return f"{found}:{class_name}" if path == target else found
