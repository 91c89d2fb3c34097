"""
The numbers of a session, added up as its journal is written.

A report must be ready the moment the session ends, and must not cost a second reading of the
journal; so everything here is a running total or a bounded list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext

import msgspec

import messages as m
from messages import (
    Cause,
    EquitySampled,
    ExecutionReport,
    FundingBooked,
    OpenIntent,
    OrderStatus,
    PortfolioMarked,
    ReduceIntent,
    RiskDecision,
    SessionEnded,
    SessionStarted,
    StrategyQuarantined,
    Verdict,
)
from state.journal import Entry
from state.money import EXACT
from state.orders import TERMINAL
from state.projections.account_tally import AccountTally
from state.projections.artifacts import Handler, both
from state.projections.chart_tally import ChartTally
from state.projections.executions import Executions
from state.projections.incident_tally import IncidentTally
from state.projections.limits import REASON_KINDS_MAX
from state.projections.safety_tally import SafetyTally
from state.projections.series import BoundedSeries
from state.projections.shadow_tally import ShadowTally
from state.projections.strategy_tally import StrategyTally
from state.projections.summary import Charts, RefusalCount, RunFacts, Summary, run_facts

_DENIED = Verdict.DENIED
_INTENDED = OrderStatus.INTENDED
_APPROVED = OrderStatus.APPROVED
_FILLED = OrderStatus.FILLED


class SummaryProjection:
    """
    Add up a session from its journal; ``summary()`` may be asked at any time.

    A journal's sink: give it every entry, from the first, once. What the journal does not say
    comes from the runner by ``set_facts``. Memory depends on the number of strategies, symbols
    and unfinished orders, not on the session's length.
    """

    def __init__(self, executions: Executions | None = None) -> None:
        """Add up; ``executions`` are counted by whoever has read the same journal already."""
        self._facts = RunFacts()
        self._started: SessionStarted | None = None
        self._opening_cash: Decimal | None = None
        self._begins = False
        """Whether the session has started, and no later process of it."""
        self._ended: SessionEnded | None = None
        self._live: dict[str, OrderStatus] = {}
        self._finished = dict.fromkeys(OrderStatus, 0)
        self._refusals: dict[tuple[str, str], RefusalCount] = {}
        self._strategies = StrategyTally()
        self._accounts: dict[str, AccountTally] = {}
        self._incidents = IncidentTally()
        self._safety = SafetyTally()
        self._charts = ChartTally()
        self._shadow = ShadowTally()
        self._sampled_equity: BoundedSeries[float] = BoundedSeries()
        self._sampled: EquitySampled | None = None
        self._handlers: dict[type, Handler] = self._dispatch()
        self._executions = Executions() if executions is None else executions
        if executions is None:
            self._handlers = both(self._handlers, self._executions.handlers())

    def set_facts(self, facts: Mapping[str, object] | RunFacts) -> None:
        """Take what the runner knows; an unknown or wrong fact raises ``FactsInvalid``."""
        self._facts = facts if isinstance(facts, RunFacts) else run_facts(facts)

    def write(self, entries: Sequence[Entry], lines: bytes = b"") -> None:
        """Take the next batch; ``lines``, its encoded form, is not needed here."""
        handlers = self._handlers
        with localcontext(EXACT):
            for entry in entries:
                message = entry.message
                handler = handlers.get(message.__class__)
                if handler is not None:
                    handler(message)

    def close(self) -> None:
        """Do nothing: a summary has no file of its own."""

    def summary(self) -> Summary:
        """Return the numbers so far."""
        with localcontext(EXACT):
            return self._summary()

    def _dispatch(self) -> dict[type, Handler]:
        incidents = self._incidents
        return {
            OpenIntent: self._on_intent,
            ReduceIntent: self._on_intent,
            m.OpenFollowUp: self._on_intent,
            m.ReduceFollowUp: self._on_intent,
            m.OperatorReduce: self._on_intent,
            RiskDecision: self._on_decision,
            ExecutionReport: self._on_report,
            PortfolioMarked: self._on_mark,
            EquitySampled: self._on_equity,
            m.MarketSampled: self._charts.on_prices,
            FundingBooked: self._on_funding,
            m.AccountAdopted: self._on_adopted,
            SessionStarted: self._on_session_start,
            SessionEnded: self._on_session_end,
            StrategyQuarantined: self._on_quarantine,
            **self._safety.handlers(),
            **self._shadow.handlers(),
            m.ActorStarted: self._on_actor_start,
            m.ActorFailed: incidents.on_failure,
            m.ActorRestarting: incidents.on_restart,
            m.Escalated: incidents.on_escalation,
            m.Reconciled: incidents.on_reconciliation,
            m.DeadLetter: incidents.on_dead_letter,
            m.FeedGap: incidents.on_gap,
        }

    # -- orders

    def _on_intent(self, intent: OpenIntent | ReduceIntent) -> None:
        self._live[intent.intent_id] = _INTENDED
        self._strategies.strategy(intent.strategy).orders += 1

    def _on_decision(self, decision: RiskDecision) -> None:
        order_id = decision.intent_id
        if order_id in self._live:
            if decision.verdict is _DENIED:
                self._end(order_id, OrderStatus.DENIED)
                self._strategies.strategy(decision.strategy).refused += 1
                for cause in decision.causes:
                    self._count(OrderStatus.DENIED, cause, decision.decided_at, order_id)
            else:
                self._live[order_id] = _APPROVED

    def _on_report(self, report: ExecutionReport) -> None:
        order_id, status, fill = report.order_id, report.status, report.fill
        self._shadow.on_report(report)
        if fill is not None:
            self._strategies.on_fill(fill, report.booking)
            self._charts.on_fill(fill)
        elif report.order is not None and order_id not in self._live:
            self._strategies.strategy(report.strategy).orders += 1  # an order without an intent
        if status is not _FILLED and status not in TERMINAL:
            self._live[order_id] = status
        elif order_id in self._live:  # otherwise news of an order whose end is counted
            self._end(order_id, status)
            if report.cause is not None:
                self._count(status, report.cause, report.timestamp, order_id)

    def _end(self, order_id: str, status: OrderStatus) -> None:
        del self._live[order_id]
        self._finished[status] += 1

    def _count(self, status: OrderStatus, cause: Cause, at: int, order_id: str) -> None:
        key = (status.value, cause.code.value)
        known = self._refusals.get(key)
        if known is None:
            if len(self._refusals) >= REASON_KINDS_MAX:
                return
            known = RefusalCount(*key, 0, at, order_id, cause.detail)
        self._refusals[key] = RefusalCount(
            *key, known.count + 1, known.first_at, known.first_order_id, known.first_detail
        )

    # -- the account

    def _on_mark(self, marked: PortfolioMarked) -> None:
        account = self._accounts.get(marked.currency)
        if account is None:
            account = self._accounts[marked.currency] = AccountTally(marked)
        account.on_mark(marked)
        if account.exposure.opens(marked.at):
            gross = self._strategies.gross_exposure(dict(marked.marks))
            account.exposure.put(marked.at, gross)

    def _on_equity(self, sampled: EquitySampled) -> None:
        self._sampled_equity.extend(sampled.points)
        self._sampled = sampled

    def _on_funding(self, booked: FundingBooked) -> None:
        self._strategies.strategy(booked.strategy).funding += booked.amount

    def _on_adopted(self, adopted: m.AccountAdopted) -> None:
        adoption, booking = adopted.adoption, adopted.booking
        fill = adoption.fill
        if fill is not None and booking is not None:
            self._strategies.on_adopted(fill, booking)
        if self._begins and adopted.occasion == "start" and adoption.is_money:
            self._opening_cash = adopted.cash  # where books begin with is nothing that went wrong
            return
        self._incidents.on_adoption(adopted)

    # -- the session

    def _on_session_start(self, started: SessionStarted) -> None:
        self._begins = self._started is None
        if self._started is None:  # a resumed session starts again in the same journal
            self._started = started
        self._ended = None
        self._safety.holds.on_session_start(started)
        self._incidents.on_session_start()

    def _on_session_end(self, ended: SessionEnded) -> None:
        self._ended = ended

    def _on_actor_start(self, started: m.ActorStarted) -> None:
        self._safety.holds.on_actor_start()
        self._incidents.on_start(started)

    def _on_quarantine(self, quarantined: StrategyQuarantined) -> None:
        self._strategies.strategy(quarantined.strategy).quarantined = True
        self._incidents.on_quarantine(quarantined)

    # -- results

    def _summary(self) -> Summary:
        started, ended, sampled = self._started, self._ended, self._sampled
        accounts = tuple(self._accounts.values())
        last = accounts[0].last if accounts else None
        marks = dict(last.marks) if last is not None else {}
        counts = dict(self._finished)
        for status in self._live.values():
            counts[status] += 1
        incidents, holds = self._incidents, self._safety.holds
        ended_at = ended.at if ended is not None else (last.at if last is not None else None)
        return Summary(
            facts=self._complete_facts(),
            started_at=started.at if started is not None else None,
            ended_at=ended_at,
            outcome=ended.outcome if ended is not None else "",
            exit_code=ended.exit_code if ended is not None else None,
            accounts=tuple(
                account.result(
                    sampled.max_drawdown if sampled is not None and not index else None,
                    sampled.exposure_share if sampled is not None and not index else None,
                )
                for index, account in enumerate(accounts)
            ),
            orders={status.value: count for status, count in counts.items() if count},
            orders_total=sum(counts.values()),
            fills=self._strategies.fills,
            volume=self._strategies.volume,
            refusals=tuple(self._refusals.values()),
            executions=self._executions.results(ended_at),
            shadow=self._shadow.results(),
            strategies=self._strategies.results(marks, last.currency if last is not None else ""),
            positions=self._strategies.positions(marks),
            holds=holds.results(),
            holds_total=holds.total,
            holds_left_out=holds.left_out(),
            safety=self._safety.result(ended_at),
            incidents=tuple(incidents.incidents),
            incidents_total=incidents.incidents_total,
            actors=incidents.actors(),
            dead_letters=incidents.dead_letters(),
            dead_letters_total=incidents.dead_letters_total,
            gaps=incidents.gaps(),
            reconciliations=incidents.reconciliations,
            reconciliations_different=incidents.reconciliations_different,
            charts=self._chart_results(accounts[0] if accounts else None),
            opening_cash=self._opening_cash,
        )

    def _complete_facts(self) -> RunFacts:
        """Return the runner's facts, with the journal's own where the runner gave none."""
        facts, started = self._facts, self._started
        if started is None:
            return facts
        return msgspec.structs.replace(
            facts,
            session_id=facts.session_id or started.session_id,
            mode=facts.mode or started.mode,
            seed=started.seed if facts.seed is None else facts.seed,
        )

    def _chart_results(self, account: AccountTally | None) -> Charts:
        equity = tuple(self._sampled_equity.points)
        exposure: tuple[tuple[int, float], ...] = ()
        if account is not None:
            exposure = tuple((at, float(gross)) for at, gross in account.exposure.points)
            if not equity:
                equity = tuple((at, float(value)) for at, value in account.equity.points)
        return Charts(equity, exposure, self._charts.results(), self._charts.symbols_seen)
