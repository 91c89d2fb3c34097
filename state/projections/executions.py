"""
How the strategies' wishes were carried out: ``intents.csv``, ``round_trips.csv``, and the counts.

One reading of the journal serves the files and the summary: whoever writes the files lends what it
has counted to the summary, which counts for itself only where there are no files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from messages import (
    BackoffChanged,
    CancelIntent,
    DeadLetter,
    ExecutionReport,
    FundingBooked,
    HoldLifted,
    IntentEnded,
    OpenFollowUp,
    OpenIntent,
    OperatorReduce,
    PauseIntent,
    PlanChanged,
    PlanIntent,
    PortfolioMarked,
    ReduceFollowUp,
    ReduceIntent,
    RiskDecision,
    StrategyState,
)
from state.orders import TERMINAL
from state.projections.csv_text import CsvFile
from state.projections.execution_summary import ExecutionResult
from state.projections.execution_tally import ExecutionTally
from state.projections.intent_rows import INTENT_COLUMNS, IntentRows
from state.projections.ordered_rows import NoRows, OrderedRows, Rows
from state.projections.round_trips import RoundTrips, Trip
from state.projections.trip_rows import TRIP_COLUMNS, TripRows
from state.projections.wish_rows import CancelRows, PauseRows, PlanRows


class Executions:
    """
    Follow intents, plans and round trips; write their files into ``out``, or only count.

    Give ``handlers`` the journal's messages, in order, under ``EXACT``. ``finish`` writes what is
    not over, as it stands.
    """

    def __init__(self, out: Path | None = None) -> None:
        self.files: tuple[CsvFile, ...] = ()
        self._trip_rows: TripRows | None = None
        self._rows: Rows = NoRows()
        if out is not None:
            intents = CsvFile(out / "intents.csv", INTENT_COLUMNS)
            trips = CsvFile(out / "round_trips.csv", TRIP_COLUMNS)
            self.files = (intents, trips)
            self._rows = OrderedRows(intents, out)
            self._trip_rows = TripRows(trips)
        self._tally = ExecutionTally()
        self._trips = RoundTrips(self._on_trip)
        self._cancels = CancelRows(self._rows)
        self._plans = PlanRows(self._rows)
        self._pauses = PauseRows(self._rows)
        self._intents = IntentRows(
            self._rows,
            self._cancels,
            self._plans,
            self._trips,
            self._tally,
            writes=out is not None,
        )

    def handlers(self) -> dict[type, Callable[[Any], object]]:
        """Return what takes each class of message."""
        return {
            OpenIntent: self._intents.on_intent,
            ReduceIntent: self._intents.on_intent,
            OperatorReduce: self._intents.on_intent,
            OpenFollowUp: self._intents.on_follow_up,
            ReduceFollowUp: self._intents.on_follow_up,
            RiskDecision: self.on_decision,
            ExecutionReport: self._on_report,
            IntentEnded: self._intents.on_ended,
            CancelIntent: self._on_cancel,
            PlanIntent: self._plans.on_plan,
            PlanChanged: self._on_plan_changed,
            PauseIntent: self._pauses.on_pause,
            HoldLifted: self._pauses.on_lifted,
            DeadLetter: self._cancels.on_dead_letter,
            FundingBooked: self._trips.on_funding,
            PortfolioMarked: self.on_mark,
            BackoffChanged: self._tally.on_backoff,
            StrategyState: self._tally.on_state,
        }

    def results(self, ended_at: int | None) -> tuple[ExecutionResult, ...]:
        """Return the counts so far, by strategy; ``ended_at`` is the session's time."""
        return self._tally.results(self._intents.unfinished(), self._trips.unfinished(), ended_at)

    def finish(self) -> None:
        """Write the rows of what is not over."""
        if self._trip_rows is not None:
            for trip in self._trips.unfinished():
                self._trip_rows.write(trip)
        self._cancels.finish()
        self._intents.finish()
        self._plans.finish()
        self._pauses.finish()
        self._rows.close()

    # -- what concerns more than one of them

    def on_decision(self, decision: RiskDecision) -> None:
        """Take a verdict on an intent, or on a plan."""
        if decision.causes and self._plans.on_decision(decision):
            self._tally.on_plan_refused(decision)
        else:
            self._intents.on_decision(decision)

    def on_news(self, report: ExecutionReport) -> None:
        """Take a fill or an order's end: no other step of an order says anything here."""
        self._intents.on_news(report)

    def _on_report(self, report: ExecutionReport) -> None:
        if report.fill is not None or report.status in TERMINAL:
            self._intents.on_news(report)

    def on_mark(self, marked: PortfolioMarked) -> None:
        """Take the account's currency from its first mark."""
        if not self._trips.currency:
            self._trips.currency = marked.currency

    def _on_cancel(self, cancel: CancelIntent) -> None:
        self._cancels.on_cancel(cancel, self._intents.meant(cancel))

    def _on_plan_changed(self, changed: PlanChanged) -> None:
        self._tally.on_plan_changed(changed)
        self._plans.on_changed(changed)

    def _on_trip(self, trip: Trip) -> None:
        self._tally.on_trip(trip)
        if self._trip_rows is not None:
            self._trip_rows.write(trip)
