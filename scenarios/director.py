"""
The director: carries out a scenario's steps, session after session, and looks where it was asked.

A power cut or an orderly stop ends a stage; the next one starts with the market where it was cut,
with the register of holds as the disk has it, and (until sessions can be continued) flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from actors.commands import Request
from actors.outcomes import EXIT_INPUT, INPUT_REFUSED
from actors.turns import Session
from feeds.contract import Group
from feeds.errors import FeedError
from messages import FundingRate, Intent, MinimumOrder, Quote, Scope, Tick
from scenarios.cast import Cast
from scenarios.clockwork import LOOK, MOMENT_MS, Agenda
from scenarios.errors import ScenarioError
from scenarios.faults import ActiveFault
from scenarios.market import MarketFeed
from scenarios.model.expect import Sight
from scenarios.model.steps import Command, Crash, PowerCut, Silence, Step, Tell
from scenarios.record import Record, Recorder
from scenarios.sabotage import NEXT, Charge, ScriptedCrash
from scenarios.sight import matches
from scenarios.snapshot import Snapshot, look_at
from scenarios.stage import CUT, EXIT_CUT, Stage
from scenarios.stage import PowerCut as Cut
from scenarios.telling import MESSAGES, decoded
from state.journal import Entry, Journal
from state.register import register_of

SESSIONS_MAX = 20
"""Sessions of one scenario; more restarts than that rehearse nothing new."""

Alter = Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended; one whose input was refused before it began has no stage."""

    outcome: str
    exit_code: int
    stage: Stage | None
    fault: str = ""


class Director:
    """One run of a scenario."""

    def __init__(
        self,
        cast: Cast,
        market: MarketFeed,
        scratch: Path,
        *,
        queued: bool = False,
        alter: Alter | None = None,
    ) -> None:
        """Check every step against the cast; raises ``ScenarioError``."""
        self.cast = cast
        self.scenario = cast.scenario
        self.market = market
        self.scratch = scratch
        self.queued = queued
        self.alter = alter
        self.start_ms = self.scenario.session.start_ms
        self.record = Record(self.start_ms)
        self.stages: list[Stage] = []
        self.endings: list[Ending] = []
        self.looks: dict[int, Snapshot] = {}
        self.final: list[Snapshot] = []
        self.agenda = Agenda()
        self._waiting: list[tuple[Step, int, list[int]]] = []
        self._silent: dict[str, int] = {}
        self._faults: list[ActiveFault] = []
        self.surprises: list[tuple[int, Command, str]] = []
        self.too_early: list[int] = []
        """Steps that start the daemon while it runs."""
        self._check_steps()
        self._plan()

    # -- before it begins

    def _check_steps(self) -> None:
        actors = {"execution", "reconciler", "risk", "telemetry", "feed"}
        if self.cast.health is not None:
            actors.add("health")
        actors |= {f"strategy:{table.name}" for table in self.scenario.strategies}
        for place, step in enumerate(self.scenario.steps):
            where = f"steps[{place}].{step.kind}"
            named = step.tell or step.crash
            if named is not None and named.actor not in actors:
                raise ScenarioError(
                    f"{where}.actor: found {named.actor!r}, "
                    f"expected one of: {', '.join(sorted(actors))}"
                )
            if step.crash is not None and step.crash.on not in {None, NEXT, *MESSAGES}:
                raise ScenarioError(
                    f"{where}.on: found {step.crash.on!r}, expected `next` or a message's class"
                )
            if step.vitals is not None and self.cast.health is None:
                raise ScenarioError(
                    f"{where}: found nobody who looks at them, "
                    "expected a section health or feed.stale_after_s"
                )
            if step.tell is not None:
                decoded(step.tell, where, self.start_ms)
            told = step.quote or step.tick or step.funding or step.minimum
            asked = (step.silence.symbols if step.silence else ()) + (
                (told.symbol,) if told else ()
            )
            for symbol in asked:
                if symbol not in self.scenario.market:
                    raise ScenarioError(f"{where}: {symbol} has no market")

    def _plan(self) -> None:
        for place, step in enumerate(self.scenario.steps):
            if step.on is not None:
                self._waiting.append((step, place, [step.nth]))
                continue
            at = self.time_of(step.at, step.bar)
            if step.bar is not None and step.when != "after":
                at -= MOMENT_MS
            self.agenda.add(
                at,
                self._doing(step, place),
                commit=step.when == "commit",
                starts=step.start is not None,
            )
        for place, expected in enumerate(self.scenario.expect):
            moment = expected.position or expected.account or expected.holds
            if moment is not None and (moment.at is not None or moment.bar is not None):
                self.agenda.add(
                    self.time_of(moment.at, moment.bar), self._looking(place), rank=LOOK
                )

    def time_of(self, at: int | None, bar: int | None) -> int:
        """Return the session time of an offset, or of the close of a bar by its number."""
        if bar is not None:
            return self.start_ms + bar * self.scenario.session.timeframe_ms
        return self.start_ms + (at or 0)

    def _doing(self, step: Step, place: int) -> Callable[[], None]:
        return lambda: self._do(step, place)

    def _looking(self, place: int) -> Callable[[], None]:
        def look() -> None:
            self.looks[place] = look_at(self.stage.session)

        return look

    # -- the run

    @property
    def stage(self) -> Stage:
        """Return the stage that is on."""
        return self.stages[-1]

    def run(self) -> None:
        """Let the whole scenario happen."""
        after, begin_at = -1, self.start_ms
        for _ in range(SESSIONS_MAX):
            stage = self._one_session(after, begin_at)
            again_at = None if stage is None else self._started_again(stage)
            if stage is None or again_at is None:
                return
            down = again_at > stage.clock.now
            begin_at = max(again_at, stage.clock.now)
            after = max(stage.last_bar_at, begin_at - self.market.timeframe_ms if down else -1)
        raise ScenarioError(f"steps: found more than {SESSIONS_MAX} restarts")

    def _started_again(self, stage: Stage) -> int | None:
        """Return when the daemon is started after the end of ``stage``, ``None`` if never."""
        if stage.ended_by is not None and stage.ended_by.restart:
            return stage.clock.now + stage.ended_by.down
        return self.agenda.take_start()

    def _one_session(self, after: int, begin_at: int) -> Stage | None:
        """Run one session and return its stage, or ``None`` when no market is left for one."""
        number = len(self.stages) + 1
        feed = self.market if after < 0 else self.market.going_on(after)
        feed.write_quarantine_to(self.scratch / f"quarantine-{number}.csv")
        groups = feed.groups()
        try:
            first = next(groups, None)
        except FeedError as error:  # as ever: refused before there is a session to end
            said = self._portable(str(error))
            self.record.note(begin_at, number, f"input refused: {said}")
            self.endings.append(Ending(INPUT_REFUSED, EXIT_INPUT, None, said))
            return None
        if first is None:
            if number == 1:
                raise ScenarioError("market: found no bar")
            self.record.note(begin_at, number, "the market is over: no session to start")
            return None
        return self._run_stage(feed, first, groups, begin_at)

    def _run_stage(
        self, feed: MarketFeed, first: Group, groups: Iterator[Group], begin_at: int
    ) -> Stage:
        number = len(self.stages) + 1
        recorder = Recorder(self.record, number, self._heard)
        journal = Journal([recorder], batch=1)
        spec = self.cast.spec(feed, queued=self.queued, runs_dir=self.scratch / "runs")
        session = Session(spec, f"scenario-s{number}", journal, first)
        session.assembly.clock.advance(begin_at)
        register = register_of(spec.runs_dir, spec.mode, spec.account)
        stage = Stage(
            session,
            journal,
            self.agenda,
            register,
            first=first,
            groups=groups,
            until=self._until(),
            recorder=recorder,
            on_end=lambda ended: self.final.append(look_at(ended)),
        )
        stage.silent = self._silent
        stage.broker.faults = self._faults
        self.stages.append(stage)
        if self.alter is not None:
            self.alter(session)
        try:
            stage.run(register.restore(stage.clock.now))
        except Cut:
            stage.outcome, stage.exit_code = CUT, EXIT_CUT
            self.final.append(look_at(session))
            if isinstance(stage.ended_by, PowerCut) and stage.ended_by.tears_register:
                torn = register.path.read_bytes() if register.path.exists() else b"{"
                register.path.write_bytes(torn[: max(1, len(torn) // 2)])
        fault = self._portable(stage.fault)
        self.endings.append(Ending(stage.outcome, stage.exit_code, stage, fault))
        return stage

    def _portable(self, text: str) -> str:
        """Return a text without the folder that only this run had."""
        return text.replace(f"{self.scratch}/", "")

    def _until(self) -> int:
        lasts = self.scenario.lasts
        asked = self.agenda.last_at if lasts is None else self.start_ms + lasts
        return max(asked, self.start_ms)

    def _heard(self, entry: Entry) -> None:
        """Do what waits for this message, as soon as no handler is running."""
        for step, place, left in self._waiting:
            assert step.on is not None, "only what waits for a message is kept here"
            if left[0] <= 0 or not self._is(step.on, entry):
                continue
            left[0] -= 1
            if left[0]:
                continue
            self._when_idle(step, place)

    def _when_idle(self, step: Step, place: int) -> None:
        do, stage = self._doing(step, place), self.stage
        if step.when == "commit":
            stage.dispatcher.when_idle(lambda: stage.at_commit.append(do))
        else:
            stage.dispatcher.when_idle(do)

    def _is(self, sight: Sight, entry: Entry) -> bool:
        return matches(sight, entry, self.record, len(self.stages))

    # -- the steps

    def _do(self, step: Step, place: int) -> None:
        stage = self.stage
        note = f"steps[{place}]: {step.kind} {_said(step)}".rstrip()
        self.record.note(stage.clock.now, len(self.stages), note)
        if step.tell is not None:
            self._tell(step.tell, f"steps[{place}].tell")
        elif step.command is not None:
            self._command(step.command, place)
        elif step.crash is not None:
            self._crash(step.crash)
        elif step.venue is not None:
            stage.broker.strike(step.venue)
        elif step.silence is not None:
            self._silence(step.silence)
        elif step.quote is not None:
            quote = step.quote
            self._observe(
                Quote(
                    quote.symbol,
                    stage.clock.now,
                    quote.bid,
                    quote.ask,
                    quote.bid_size,
                    quote.ask_size,
                )
            )
        elif step.tick is not None:
            self._observe(Tick(step.tick.symbol, stage.clock.now, step.tick.price, step.tick.size))
        elif step.funding is not None:
            self._observe(FundingRate(step.funding.symbol, stage.clock.now, step.funding.rate))
        elif step.minimum is not None:
            least = step.minimum
            stage.session.change_minimum(
                MinimumOrder(least.symbol, stage.clock.now, least.min_quantity, least.min_notional)
            )
        else:
            self._do_to_the_process(step, place)

    def _do_to_the_process(self, step: Step, place: int) -> None:
        stage = self.stage
        if step.clock_jump is not None:
            stage.clock.advance(stage.clock.now + step.clock_jump)
        elif step.vitals is not None:
            vitals = self.cast.vitals
            for name in step.vitals.model_fields_set:
                setattr(vitals, VITALS[name], getattr(step.vitals, name))
        elif step.disk_full is not None:
            stage.recorder.full = True
        elif step.power_cut is not None:
            stage.ended_by = step.power_cut
            raise Cut
        elif step.stop is not None:
            stage.ended_by = step.stop
            stage.stopping = True
        elif step.start is not None:
            self.too_early.append(place)

    def _tell(self, tell: Tell, where: str) -> None:
        cell = self.stage.cell(tell.actor)
        assert cell is not None, "the cast was checked"
        for number in range(1, tell.times + 1):
            message = decoded(tell, where, self.start_ms, number)
            if isinstance(message, Intent):
                self.stage.told.append(message)
            self.stage.dispatcher.tell(cell, message, "scenario")

    def _command(self, command: Command, place: int) -> None:
        scope = command.scope
        answer = self.stage.session.assembly.desk.take(
            Request(
                verb=command.verb,
                by=command.by,
                reason=command.reason,
                scope=Scope(scope.venue, scope.strategy, scope.symbol, scope.side),
                for_s=None if command.for_ is None else command.for_ / 1000,
                until=None if command.until is None else self.start_ms + command.until,
                hold_id=command.hold_id,
                flatten=command.flatten,
                unlatch=command.unlatch,
            )
        )
        self.record.note(
            self.stage.clock.now,
            len(self.stages),
            f"answer: {'ok' if answer.ok else 'refused'}: {answer.text}",
        )
        if answer.ok is command.refused:
            self.surprises.append((place, command, answer.text))

    def _crash(self, crash: Crash) -> None:
        stage = self.stage
        cell = stage.cell(crash.actor)
        assert cell is not None, "the cast was checked"
        if crash.on is None and cell is not stage.session.assembly.feed_cell:
            for _ in range(crash.times):
                stage.crash_now(cell, ScriptedCrash(crash.error))
            return
        stage.charge(crash.actor, Charge(crash.on or NEXT, crash.times, crash.error))

    def _silence(self, silence: Silence) -> None:
        until = self.stage.clock.now + silence.for_ if silence.for_ is not None else 1 << 62
        for symbol in silence.symbols or tuple(self.scenario.market):
            self._silent[symbol] = until

    def _observe(self, data: Quote | Tick | FundingRate) -> None:
        self.stage.session.observe(data)


VITALS = {
    "disk_free_bytes": "disk_free",
    "clock_offset_ms": "clock_offset",
    "stalls": "stalled",
}


def _said(step: Step) -> str:
    table = getattr(step, step.kind)
    if not hasattr(table, "model_dump"):
        return f"{table} ms"
    given = table.model_dump(mode="json", exclude_unset=True, by_alias=True)
    return " ".join(f"{name}={value}" for name, value in given.items())
