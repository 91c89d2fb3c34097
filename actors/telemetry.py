"""Telemetry: what is observed and decides nothing. Its failure stops nobody else."""

from __future__ import annotations

from collections.abc import Mapping

from actors.portfolio import EquityTrack
from actors.runtime import Actor, Effects
from actors.runtime.cell import Handler
from messages import ExecutionReport, Message


class TelemetryActor(Actor):
    """Keep the equity track up to date."""

    def __init__(self, track: EquityTrack) -> None:
        """Feed ``track``."""
        self.track = track

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers."""
        return {ExecutionReport: self.on_report}

    def on_report(self, report: ExecutionReport) -> Effects:
        """Take a fill into the track."""
        self.track.record(report)
        return None
