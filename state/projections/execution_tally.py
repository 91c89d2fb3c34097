"""How the strategies' wishes were carried out, added up by strategy."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from messages import (
    BackoffChanged,
    OrderFamily,
    PlanChanged,
    PlanStatus,
    RiskDecision,
    StateOccasion,
    StrategyState,
)
from state.money import ZERO, ratio
from state.projections.execution_summary import ExecutionResult, PlansResult, TripsResult
from state.projections.roots import Root
from state.projections.round_trips import BPS, Trip

_ROLLED_BACK: Final = StateOccasion.ROLLED_BACK
_SUPERSEDED: Final = StateOccasion.SUPERSEDED
REFUSED: Final = "refused"


class _Trips:
    """Running totals of trips."""

    __slots__ = (
        "best",
        "closed",
        "decided",
        "fees",
        "funding",
        "lost",
        "net",
        "open",
        "slippage",
        "won",
        "worst",
    )

    def __init__(self) -> None:
        self.closed = self.open = self.won = self.lost = 0
        self.net = self.fees = self.funding = self.slippage = self.decided = ZERO
        self.best: Decimal | None = None
        self.worst: Decimal | None = None

    def add(self, trip: Trip) -> None:
        """Add what a trip has cost so far."""
        self.fees += trip.fees
        self.funding += trip.funding
        self.slippage += trip.slippage
        self.decided += trip.decided

    def close(self, trip: Trip) -> None:
        """Add a trip that is over."""
        self.add(trip)
        self.closed += 1
        net = trip.net
        self.net += net
        if net > ZERO:
            self.won += 1
        elif net:
            self.lost += 1
        if self.best is None or net > self.best:
            self.best = net
        if self.worst is None or net < self.worst:
            self.worst = net

    def with_open(self, trips: Iterable[Trip]) -> _Trips:
        """Return these totals with the trips that are still open; this stays as it is."""
        found = _Trips()
        for name in self.__slots__:
            setattr(found, name, getattr(self, name))
        for trip in trips:
            found.add(trip)
            found.open += 1
        return found

    def result(self) -> TripsResult:
        """Return the totals."""
        return TripsResult(
            closed=self.closed,
            open=self.open,
            won=self.won,
            lost=self.lost,
            net_pnl=self.net,
            expectancy=ratio(self.net, Decimal(self.closed)) if self.closed else None,
            best=self.best,
            worst=self.worst,
            fees=self.fees,
            funding=self.funding,
            slippage=self.slippage,
            slippage_bps=ratio(self.slippage * BPS, self.decided) if self.decided else None,
        )


class _Execution:
    """Running totals of one strategy."""

    __slots__ = (
        "backoffs",
        "fallbacks",
        "follow_ups_refused",
        "intents",
        "longest_backoff_ms",
        "orders",
        "plans",
        "refusals",
        "reprices",
        "resting",
        "retries",
        "rolled_back",
        "superseded",
        "trips",
    )

    def __init__(self) -> None:
        self.intents = self.orders = self.retries = self.reprices = self.fallbacks = 0
        self.follow_ups_refused = self.rolled_back = self.superseded = 0
        self.backoffs = self.longest_backoff_ms = 0
        self.refusals: dict[str, int] = {}
        self.resting: dict[tuple[str, OrderFamily], int] = {}
        self.plans: dict[str, int] = {}
        self.trips = _Trips()


class ExecutionTally:
    """
    Add up by strategy; memory depends on strategies, symbols and families of orders.

    Call everything under ``EXACT``.
    """

    __slots__ = ("_strategies",)

    def __init__(self) -> None:
        self._strategies: dict[str, _Execution] = {}

    def _of(self, strategy: str) -> _Execution:
        found = self._strategies.get(strategy)
        if found is None:
            found = self._strategies[strategy] = _Execution()
        return found

    def on_end(self, root: Root) -> None:
        """Count an intent that is over."""
        found = self._of(root.intent.strategy)
        found.intents += 1
        found.orders += root.orders
        if root.pursued:
            found.retries += root.retries
            found.reprices += root.reprices
            found.fallbacks += root.fallbacks

    def on_refusal(self, decision: RiskDecision, family: OrderFamily) -> None:
        """Count an intent, or a further order, that Risk refused."""
        found = self._of(decision.strategy)
        if decision.root_id:
            found.follow_ups_refused += 1
        else:
            found.refusals[family.value] = found.refusals.get(family.value, 0) + 1

    def on_trip(self, trip: Trip) -> None:
        """Count a round trip that is over."""
        self._of(trip.key[0]).trips.close(trip)

    def on_plan_changed(self, changed: PlanChanged) -> None:
        """Count what became of a plan."""
        self._count_plan(changed.strategy, changed.status.value)

    def on_plan_refused(self, decision: RiskDecision) -> None:
        """Count a plan that cannot be."""
        self._count_plan(decision.strategy, REFUSED)

    def _count_plan(self, strategy: str, status: str) -> None:
        plans = self._of(strategy).plans
        plans[status] = plans.get(status, 0) + 1

    def on_state(self, state: StrategyState) -> None:
        """Count a state that went back, or could not."""
        if state.occasion is _ROLLED_BACK:
            self._of(state.strategy).rolled_back += 1
        elif state.occasion is _SUPERSEDED:
            self._of(state.strategy).superseded += 1

    def on_backoff(self, changed: BackoffChanged) -> None:
        """Count a rest after refusals, and keep until when it lasts."""
        found = self._of(changed.strategy)
        key = (changed.symbol, changed.family)
        if changed.until <= changed.at:
            found.resting.pop(key, None)
            return
        if found.resting.get(key) == changed.until:
            return  # said again by a new incarnation
        found.resting[key] = changed.until
        found.backoffs += 1
        found.longest_backoff_ms = max(found.longest_backoff_ms, changed.until - changed.at)

    def results(
        self, roots: Iterable[Root], trips: Iterable[Trip], ended_at: int | None
    ) -> tuple[ExecutionResult, ...]:
        """Return every strategy's totals, sorted by name, those of unfinished things included."""
        waiting: dict[str, list[Root]] = {}
        for root in roots:
            waiting.setdefault(root.intent.strategy, []).append(root)
        running: dict[str, list[Trip]] = {}
        for trip in trips:
            running.setdefault(trip.key[0], []).append(trip)
        names = sorted({*self._strategies, *waiting, *running})
        return tuple(
            _result(name, self._of(name), waiting.get(name, []), running.get(name, []), ended_at)
            for name in names
        )


def _result(
    name: str, found: _Execution, roots: list[Root], trips: list[Trip], ended_at: int | None
) -> ExecutionResult:
    totals = found.trips.with_open(trips)
    resting = found.resting.values()
    return ExecutionResult(
        strategy=name,
        intents=found.intents + len(roots),
        unfinished=len(roots),
        orders=found.orders + sum(root.orders for root in roots),
        retries=found.retries + sum(root.retries for root in roots),
        reprices=found.reprices + sum(root.reprices for root in roots),
        fallbacks=found.fallbacks + sum(root.fallbacks for root in roots),
        refusals=dict(sorted(found.refusals.items())),
        follow_ups_refused=found.follow_ups_refused,
        rolled_back=found.rolled_back,
        superseded=found.superseded,
        backoffs=found.backoffs,
        longest_backoff_ms=found.longest_backoff_ms,
        resting=sum(1 for until in resting if ended_at is None or until > ended_at),
        plans=_plans(found.plans),
        trips=totals.result(),
    )


def _plans(found: dict[str, int]) -> PlansResult:
    return PlansResult(
        adopted=found.get(PlanStatus.ADOPTED.value, 0),
        refused=found.get(REFUSED, 0),
        replaced=found.get(PlanStatus.REPLACED.value, 0),
        dropped=found.get(PlanStatus.DROPPED.value, 0),
        done=found.get(PlanStatus.DONE.value, 0),
        steps=found.get(PlanStatus.STEP.value, 0),
    )
