"""Telemetry: what is observed and decides nothing. Its failure stops nobody else."""

from __future__ import annotations

from collections.abc import Mapping

from actors.portfolio import EquityTrack
from actors.refusals import Refusals
from actors.runtime import Actor, Effects
from actors.runtime.cell import Handler
from messages import (
    AccountAdopted,
    ExecutionReport,
    FundingBooked,
    IntentEnded,
    Message,
    RiskDecision,
)


class TelemetryActor(Actor):
    """Keep the equity track and the tally of refusals up to date."""

    def __init__(self, track: EquityTrack, refusals: Refusals) -> None:
        """Feed ``track`` and ``refusals``."""
        self.track = track
        self.refusals = refusals

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers."""
        return {
            ExecutionReport: self.on_report,
            FundingBooked: self.on_funding,
            AccountAdopted: self.on_adopted,
            IntentEnded: self.on_ended,
            RiskDecision: self.on_refusal,
        }

    def on_report(self, report: ExecutionReport) -> Effects:
        """Take a fill into the track, an order that came to nothing into the refusals."""
        if report.fill is not None:
            self.track.record(report)
        elif report.cause is not None:
            self.refusals.record_report(report)
        return None

    def on_funding(self, booked: FundingBooked) -> Effects:
        """Take a payment of funding into the track."""
        self.track.cash += float(booked.amount)
        return None

    def on_adopted(self, adopted: AccountAdopted) -> Effects:
        """Take what was adopted into the track."""
        self.track.adopt(adopted)
        return None

    def on_ended(self, ended: IntentEnded) -> Effects:
        """Take an intent that ended with less than it asked for into the refusals."""
        if ended.cause is not None and ended.filled < ended.quantity:
            self.refusals.record_end(ended)
        return None

    def on_refusal(self, decision: RiskDecision) -> Effects:
        """Take a refused intent into the refusals."""
        self.refusals.record_decision(decision)
        return None
