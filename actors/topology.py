"""Who receives what: the routes of a session, declared here and nowhere else."""

from __future__ import annotations

from actors.runtime import Cell, Dispatcher
from messages import (
    AccountAdopted,
    AdoptAccount,
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    BackoffChanged,
    CancelIntent,
    CompareAccount,
    ExecutionReport,
    FundingBooked,
    IntentEnded,
    MinimumOrder,
    OpenFollowUp,
    OpenIntent,
    OperatorReduce,
    OrderEvent,
    ReduceFollowUp,
    ReduceIntent,
    RiskDecision,
    SyncTrades,
    ToolReport,
)

PROGRESS = frozenset(
    {OrderEvent.APPROVED, OrderEvent.JOURNALED, OrderEvent.SENT, OrderEvent.ACCEPTED}
)
"""Steps of an order that move no money and end nothing: reservations stay as they are."""

UNSEEN_PROGRESS = PROGRESS - {OrderEvent.ACCEPTED}
"""Steps that say nothing about the venue either: to Health an acceptance is a good answer."""


def wire(
    dispatcher: Dispatcher,
    risk: Cell,
    execution: Cell,
    reconciler: Cell,
    health: Cell | None,
    telemetry: Cell,
    strategies: dict[str, Cell],
) -> None:
    """Route every class of messages; without ``health`` nobody watches."""
    dispatcher.route(OpenIntent, risk)
    dispatcher.route(ReduceIntent, risk)
    dispatcher.route(OpenFollowUp, risk)
    dispatcher.route(ReduceFollowUp, risk)
    dispatcher.route(OperatorReduce, risk)
    dispatcher.route(CancelIntent, risk)
    dispatcher.route(BackoffChanged, risk)
    dispatcher.route(MinimumOrder, risk, *strategies.values())
    dispatcher.route(
        RiskDecision,
        execution,
        telemetry,
        by_strategy=strategies,
        matters=lambda decision: decision.causes,
    )
    dispatcher.route(IntentEnded, telemetry, by_strategy=strategies)
    dispatcher.route(FundingBooked, risk, telemetry)
    dispatcher.route(AccountAdopted, risk, telemetry)
    dispatcher.route(CompareAccount, reconciler)
    dispatcher.route(SyncTrades, execution)
    dispatcher.route(AdoptAccount, execution)
    dispatcher.route(ApprovedOpen, execution)
    dispatcher.route(ApprovedReduce, execution)
    dispatcher.route(ApprovedCancel, execution)
    if health is None:
        dispatcher.route(
            ExecutionReport,
            risk,
            telemetry,
            by_strategy=strategies,
            matters=lambda report: report.event not in PROGRESS,
        )
        return
    dispatcher.route(ToolReport, health)
    dispatcher.route(
        ExecutionReport,
        risk,
        health,
        telemetry,
        by_strategy=strategies,
        matters=lambda report: report.event not in UNSEEN_PROGRESS,
    )
