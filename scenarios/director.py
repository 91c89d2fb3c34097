"""
The director: carries out a scenario's steps, process after process, and looks where it was asked.

A power cut ends a stage; the next one goes on with the session from what its disk has, at the same
venue, which has gone on meanwhile, as ``trade --resume`` does. A new session, as ``trade --new``
begins one, has a new account. Both find the market where it was left and the holds on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from actors.commands import Request
from actors.keeping import Keeper, Recorded
from actors.outcomes import EXIT_INPUT, INPUT_REFUSED
from actors.resuming import held_at_start
from actors.turns import Session
from feeds.contract import Group
from feeds.errors import FeedError
from messages import FundingRate, Intent, MinimumOrder, Quote, Scope, Tick
from scenarios.cast import Cast
from scenarios.clockwork import LOOK, MOMENT_MS, Agenda
from scenarios.disk import Disk
from scenarios.errors import ScenarioError
from scenarios.faults import ActiveFault, FaultyBroker
from scenarios.market import MarketFeed
from scenarios.model.expect import Sight
from scenarios.model.steps import Command, Crash, PowerCut, Silence, Step, Tell
from scenarios.record import Record, Recorder
from scenarios.sabotage import NEXT, Charge, ScriptedCrash
from scenarios.sight import matches
from scenarios.snapshot import Snapshot, look_at
from scenarios.stage import (
    CUT,
    EXIT_CUT,
    EXIT_REFUSED,
    JOURNAL_FAILED,
    START_REFUSED,
    Stage,
)
from scenarios.stage import PowerCut as Cut
from scenarios.telling import MESSAGES, decoded
from state.journal import Entry, Journal, JournalError
from state.register import register_of

SESSIONS_MAX = 20
"""Sessions of one scenario; more restarts than that rehearse nothing new."""

Alter = Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended; one that was refused before there was a session has no stage."""

    outcome: str
    exit_code: int
    stage: Stage | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Begin:
    """How a process begins: when (int ms UTC), after which bar, and what it goes on from."""

    at: int
    after: int = -1
    disk: Disk | None = None
    recorded: Recorded | None = None
    venue: FaultyBroker | None = None


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
        # What nobody goes on from need not be kept: in most scenarios nothing dies.
        self._keeps = any(
            step.power_cut
            or step.disk_full
            or step.start
            or (step.stop and step.stop.restart and not step.stop.new)
            for step in self.scenario.steps
        )
        self.ended: list[str] = []
        """Steps, such as ``steps[2].start``, that go on with a session that has ended."""
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
            told = step.quote or step.tick or step.funding or step.minimum or step.outside
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
                starts=None if step.start is None else place,
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
        begin = Begin(self.start_ms)
        for _ in range(SESSIONS_MAX):
            following = self._next(self.stage) if self._one_process(begin) else None
            if following is None:
                return
            begin = following
        raise ScenarioError(f"steps: found more than {SESSIONS_MAX} restarts")

    def _next(self, stage: Stage) -> Begin | None:
        """Return how the daemon is started after the end of ``stage``, ``None`` if it is not."""
        ended_by, step = stage.ended_by, stage.ended_in
        if ended_by is not None and ended_by.restart:
            at, new = stage.clock.now + ended_by.down, ended_by.new
        else:
            act = self.agenda.take_start()
            if act is None or act.starts is None:
                return None
            at, step = max(act.at, stage.clock.now), f"steps[{act.starts}].start"
            start = self.scenario.steps[act.starts].start
            assert start is not None, "it starts the daemon"
            new = start.new
        went_down = at > stage.clock.now
        missed = at - self.market.timeframe_ms if went_down else -1
        if new:
            return Begin(at, max(stage.last_bar_at, missed))
        number = len(self.stages)
        try:
            facts = stage.disk.facts(stage.session.spec, self.record.journal(number))
        except JournalError as error:
            self.record.note(at, number + 1, f"start refused: {error}")
            self.endings.append(Ending(START_REFUSED, EXIT_REFUSED, None, str(error)))
            return None
        if facts.ended is not None and not facts.ended.stopped:
            self.ended.append(step)
            return None
        if went_down:
            self._go_on_at_the_venue(stage, at)
        recorded = stage.disk.recorded(facts)
        # A bar that the cut came in the middle of is read again.
        read = stage.last_bar_at if recorded is None else recorded.last_bar_at
        return Begin(at, max(read, missed), stage.disk, recorded, stage.broker)

    def _go_on_at_the_venue(self, stage: Stage, until: int) -> None:
        """Let the venue see the bars that close up to ``until``: it is not down."""
        broker = stage.broker
        for group in self.market.going_on(stage.last_bar_at).groups():
            at = group[0].timestamp + self.market.timeframe_ms
            if at > until:
                return
            broker.clock.advance(at)
            broker.on_time(group[0].timestamp)
            for bar in group:
                broker.on_bar(bar)

    def _one_process(self, begin: Begin) -> bool:
        """Run one process; return whether there was one to run."""
        number = len(self.stages) + 1
        feed = self.market if begin.after < 0 else self.market.going_on(begin.after)
        feed.write_quarantine_to(self.scratch / f"quarantine-{number}.csv")
        groups = feed.groups()
        try:
            first = next(groups, None)
        except FeedError as error:  # as ever: refused before there is a session to end
            said = self._portable(str(error))
            self.record.note(begin.at, number, f"input refused: {said}")
            self.endings.append(Ending(INPUT_REFUSED, EXIT_INPUT, None, said))
            return False
        if first is None and begin.recorded is None:
            if number == 1:
                raise ScenarioError("market: found no bar")
            self.record.note(begin.at, number, "the market is over: no session to start")
            return False
        self._run_stage(feed, first, groups, begin)
        return True

    def _run_stage(
        self, feed: MarketFeed, first: Group | None, groups: Iterator[Group], begin: Begin
    ) -> None:
        number = len(self.stages) + 1
        recorder = Recorder(self.record, number, self._heard)
        disk = begin.disk or Disk(f"scenario-s{number}")
        if begin.disk is not None:
            self.record.goes_on[number] = number - 1
        journal = Journal([recorder], batch=1, after=disk.seq)
        spec = self.cast.spec(
            feed, venue=begin.venue, queued=self.queued, runs_dir=self.scratch / "runs"
        )
        session = Session(spec, disk.session_id, journal, first or (), begin.recorded)
        session.assembly.clock.advance(begin.at)
        register = register_of(spec.runs_dir, spec.mode, spec.account)
        stage = Stage(
            session,
            journal,
            self.agenda,
            register,
            disk=disk,
            scripts=self.cast.scripts if self._keeps else (),
            groups=groups if first is None else chain((first,), groups),
            until=self._until(),
            recorder=recorder,
            on_end=lambda ended: self.final.append(look_at(ended)),
        )
        if self._keeps:
            disk.keep(Keeper(session).states)
        stage.silent = self._silent
        stage.broker.faults = self._faults
        self.stages.append(stage)
        if self.alter is not None:
            self.alter(session)
        try:
            stage.run(held_at_start(register, stage.clock.now, begin.recorded))
        except Cut:
            stage.outcome, stage.exit_code = CUT, EXIT_CUT
            self.final.append(look_at(session))
            if isinstance(stage.ended_by, PowerCut) and stage.ended_by.tears_register:
                torn = register.path.read_bytes() if register.path.exists() else b"{"
                register.path.write_bytes(torn[: max(1, len(torn) // 2)])
        if stage.outcome in {CUT, JOURNAL_FAILED}:
            self.record.lose(number, disk.seq)
            if self._keeps:
                for script in self.cast.scripts:
                    script.forget()
        stage.broker.left_alone()
        fault = self._portable(stage.fault)
        self.endings.append(Ending(stage.outcome, stage.exit_code, stage, fault))

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
        elif step.outside is not None:
            stage.broker.trade_outside(step.outside)
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
            stage.ended_by, stage.ended_in = step.stop, f"steps[{place}].stop"
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
