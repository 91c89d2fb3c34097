"""Kills: what pulled them, the stages they reached, the evidence that the venue gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from messages import (
    EVERYTHING,
    CommandVerb,
    Hold,
    HoldLifted,
    KillReport,
    KillStage,
    KillStep,
    OperatorCommand,
    is_kill,
)
from state.projections.limits import (
    EVIDENCE_MAX,
    KILL_CAUSES_MAX,
    KILL_STAGES_MAX,
    KILLS_MAX,
)
from state.projections.safety_summary import HoldResult, KillResult, KillStageResult
from state.register import STOPPING


class _Kill:
    """One kill on its way."""

    def __init__(self, step: KillStep, trigger: HoldResult | None) -> None:
        self.kill_id = step.kill_id
        self.at = step.at
        self.trigger = trigger
        self.stages: list[KillStageResult] = []
        self.report: KillReport | None = None
        self.causes: dict[str, Hold] = {}
        self.causes_total = 0
        self.lifted: HoldLifted | None = None
        self.flattened_by: OperatorCommand | None = None

    def add_cause(self, hold: Hold) -> None:
        """Add a hold that was in force, once; latched ones whatever their number."""
        if hold.hold_id in self.causes or hold.hold_id.startswith(STOPPING):
            return
        self.causes_total += 1
        if len(self.causes) < KILL_CAUSES_MAX or hold.latched:
            self.causes[hold.hold_id] = hold

    def add_stage(self, step: KillStep) -> None:
        """Add a stage; those after the first are gone through again where flattening is added."""
        if len(self.stages) < KILL_STAGES_MAX:
            self.stages.append(
                KillStageResult(step.stage, step.at, step.elapsed_ms, step.count, step.detail)
            )

    def result(self) -> KillResult:
        """Return what is known of it."""
        report, lifted, trigger, added = (
            self.report,
            self.lifted,
            self.trigger,
            self.flattened_by,
        )
        cause, by = "", ""
        if trigger is not None:
            cause, by = trigger.hold.cause, trigger.hold.set_by
        elif report is not None:
            cause, by = report.cause, report.by
        flattening = any(stage.stage is KillStage.FLATTENING for stage in self.stages)
        orders = () if report is None else report.open_orders
        positions = () if report is None else report.positions
        return KillResult(
            kill_id=self.kill_id,
            cause=cause,
            by=by,
            at=self.at,
            carried_over=trigger is not None and trigger.carried_over,
            flatten=flattening if report is None else report.flatten,
            confirmed=None if report is None else report.confirmed,
            reported_at=None if report is None else report.at,
            open_orders=orders[:EVIDENCE_MAX],
            open_orders_total=len(orders),
            positions=positions[:EVIDENCE_MAX],
            positions_total=len(positions),
            detail="" if report is None else report.detail,
            stages=tuple(self.stages),
            causes=tuple(self.causes.values()),
            causes_total=self.causes_total,
            unlatched_at=None if lifted is None else lifted.at,
            unlatched_by="" if lifted is None else lifted.lifted_by,
            unlatch_reason="" if lifted is None else lifted.reason,
            flatten_at=None if added is None else added.at,
            flatten_by="" if added is None else added.by,
            flatten_cause="" if added is None else added.reason,
        )


class KillTally:
    """
    Keep the first kills and the newest; each is bounded.

    ``in_force`` returns the holds in force, in order of placement.
    """

    def __init__(self, in_force: Callable[[], Iterable[HoldResult]]) -> None:
        self.total = 0
        self._in_force = in_force
        self._kills: list[_Kill] = []
        self._asked: OperatorCommand | None = None

    def on_command(self, command: OperatorCommand) -> None:
        """Keep who may be about to add flattening to the kill that is in force."""
        asks = command.verb is CommandVerb.KILL and command.flatten
        self._asked = command if asks else None

    def on_step(self, step: KillStep) -> None:
        """Note a stage; the first one is the kill's trigger, by a hold that is in force."""
        if step.stage is KillStage.LATCHED:
            self._begin(step, list(self._in_force()))
        kill = self._of(step.kill_id)
        if kill is not None:
            kill.add_stage(step)
            # A kill in force goes through these stages again only where flattening was added.
            if step.stage is KillStage.CANCELLING:
                kill.flattened_by, self._asked = self._asked or kill.flattened_by, None

    def on_report(self, report: KillReport) -> None:
        """Take the newest evidence."""
        kill = self._of(report.kill_id)
        if kill is not None:
            kill.report = report

    def on_hold(self, row: HoldResult) -> None:
        """Add a hold to the causes of a kill that still lacks its evidence."""
        kill = self._newest
        if kill is not None and kill.report is None and kill.lifted is None:
            kill.add_cause(row.hold)

    def on_lift(self, lifted: HoldLifted) -> None:
        """Note that a kill is over when the last of its holds is lifted."""
        kill = self._newest
        if kill is None or kill.lifted is not None or not is_kill(lifted.hold):
            return
        if not any(is_kill(row.hold) for row in self._in_force()):
            kill.lifted = lifted

    def results(self) -> tuple[KillResult, ...]:
        """Return the kills in order."""
        return tuple(kill.result() for kill in self._kills)

    @property
    def _newest(self) -> _Kill | None:
        return self._kills[-1] if self._kills else None

    def _begin(self, step: KillStep, rows: list[HoldResult]) -> None:
        kills = [row for row in rows if is_kill(row.hold) and row.hold.scope == EVERYTHING]
        # A kill that goes on is the earliest of those left; a new one has just been latched.
        new = [row for row in kills if not row.carried_over]
        trigger = new[-1] if new else next(iter(kills), None)
        kill = _Kill(step, trigger)
        for row in rows:
            kill.add_cause(row.hold)
        self._asked = None  # it said so from its beginning, if it does
        self.total += 1
        if len(self._kills) > KILLS_MAX:
            self._kills.pop()
        self._kills.append(kill)

    def _of(self, kill_id: str) -> _Kill | None:
        newest = self._newest
        return newest if newest is not None and newest.kill_id == kill_id else None
