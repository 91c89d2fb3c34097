"""
One process of a scenario: a session put together as ever, and driven in virtual time.

Theory of operation. The turns are the session's own; between them the stage lets timers and acts
happen, each at its time: timers of a moment first, then its steps as written, then its looks. What
happens ``before`` a bar happens one millisecond before it closes; what is at its close happens
after its turn. Every turn, timer and act ends with the commit that a live session makes: settle,
make durable (with the states that the next process goes on from), let what waited for it go on,
write the register of holds. ``commit`` steps happen between the durable record and its sending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from actors.opening import AccountUnexplained, explain
from actors.outcomes import COMPLETED, INPUT_REFUSED, INTERRUPTED
from actors.runtime import Cell
from actors.runtime.supervisor import portable_traceback
from actors.turns import Session
from brokers.contract import VenueUnreachable
from feeds.contract import Group
from feeds.errors import FeedError
from messages import Adoption, Hold, Intent
from scenarios.clockwork import Agenda
from scenarios.disk import Disk
from scenarios.errors import ScenarioError
from scenarios.faults import FaultyBroker
from scenarios.model.steps import PowerCut as PowerCutStep
from scenarios.model.steps import Stop as StopStep
from scenarios.record import Recorder
from scenarios.reserves import reserved_otherwise
from scenarios.sabotage import Charge, Sabotage
from scenarios.scripted import Script
from state.journal import Journal, JournalFailed
from state.register import HoldRegister, outliving

REPLAY = "replay"
JOURNAL_FAILED = "journal_failed"
FAULT = "fault"
CUT = "power_cut"
START_REFUSED = "start_refused"
EXIT_REFUSED = 5
EXIT_FAULT = 6
EXIT_CUT = 137  # what a shell shows of a process that was killed outright

COMMITS_MAX = 10_000
"""Commits that one moment may need; more means that something answers itself for ever."""


class PowerCut(BaseException):
    """The process is gone. No ``Exception``: nothing on the way may survive it."""


class Stage:
    """One process of a scenario, from its session's assembly to its end or its death."""

    def __init__(
        self,
        session: Session,
        journal: Journal,
        agenda: Agenda,
        register: HoldRegister,
        *,
        disk: Disk,
        scripts: Sequence[Script],
        groups: Iterator[Group],
        until: int,
        recorder: Recorder,
        on_end: Callable[[Session], None],
    ) -> None:
        """
        Drive ``session`` over ``groups``, at least up to ``until``.

        ``disk`` is the session's, whose earlier processes may have written to it. ``on_end`` is
        called when everything has happened and nothing is finished yet.
        """
        self.session = session
        self.journal = journal
        self.agenda = agenda
        self.register = register
        self.until = until
        self.on_end = on_end
        self.stopping = False
        self.outcome = ""
        self.exit_code = 0
        self.fault: str = ""
        self.disk = disk
        self._scripts = scripts
        self.risk_ran = False
        """Whether Risk ran when the session was about to end: whether it could still answer."""
        self.reserved: tuple[str, str] | None = None
        """What Risk reserved for and what lives, where these differed before the end."""
        self.last_bar_at = -1 if session.last_bar_at is None else session.last_bar_at
        self.silent: dict[str, int] = {}
        self.told: list[Intent] = []
        """Intents that a step told an actor itself: no strategy journaled them."""
        self.recorder = recorder
        self.ended_by: PowerCutStep | StopStep | None = None
        self.ended_in = ""
        """The step that stopped it."""
        self.at_commit: deque[Callable[[], None]] = deque(maxlen=1000)
        self._kept = -1
        assembly = session.assembly
        self.clock = assembly.clock
        self.dispatcher = assembly.dispatcher
        self.sabotage = {name: Sabotage(cell) for name, cell in self.dispatcher.cells.items()}
        self._opened = self._feeding(groups)
        self._around_feed()
        broker = assembly.broker
        assert isinstance(broker, FaultyBroker), "a scenario's venue can be faulty"
        self.broker: FaultyBroker = broker
        broker.clock = self.clock
        # It has outlived the board that it took its prices from.
        broker.engine.account.mark_of = assembly.board.price
        broker.holds_now = lambda: tuple(assembly.holds.view().values())
        broker.deliver_late = lambda report: self.dispatcher.tell(
            assembly.execution_cell, report, "venue"
        )

    def _feeding(self, groups: Iterator[Group]) -> Iterator[Group]:
        return self.sabotage["feed"].groups(groups)

    def _around_feed(self) -> None:
        """Let later incarnations of the feed be open to sabotage as well."""
        cell = self.session.assembly.feed_cell
        make = cell.factory

        def made() -> object:
            actor = make()
            groups = actor.groups  # type: ignore[attr-defined]
            setattr(  # noqa: B010 - a method of one instance
                actor, "groups", lambda *after: self._feeding(groups(*after))
            )
            return actor

        cell.factory = made  # type: ignore[assignment]

    # -- the run

    def run(self, held: tuple[Hold, ...]) -> None:
        """
        Start with ``held`` in force, let everything happen, finish.

        A power cut goes on to the caller: then nothing has been finished.
        """
        try:
            if self.session.spec.mode != REPLAY:
                self.session.listen()
            adopted = self._adopted()
            self.broker.catch_up()
            self.session.start(held, adopted)
            self.commit()
            otherwise = self._play()
            self.outcome, self.exit_code = self.session.outcome(otherwise)
            self.risk_ran = self.dispatcher.cells["risk"].runs
            self.reserved = reserved_otherwise(self.session)
            self.on_end(self.session)
            is_stopped = self.stopping and self.session.spec.mode != REPLAY
            stopped_at = self.session.place if is_stopped else None
            self.session.finish(self.outcome, self.exit_code, stopped_at)
            self.commit()
            self.journal.close()
        except JournalFailed as failed:
            self.outcome, self.exit_code, self.fault = JOURNAL_FAILED, EXIT_FAULT, str(failed)
        except (AccountUnexplained, VenueUnreachable) as refused:
            self.outcome, self.exit_code, self.fault = START_REFUSED, EXIT_REFUSED, str(refused)
        except ScenarioError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of ours: it is shown, and always a miss
            self.outcome, self.exit_code = FAULT, EXIT_FAULT
            self.fault = portable_traceback(error)

    def _adopted(self) -> tuple[Adoption, ...]:
        """Return what is to be adopted of the venue's account where it is not a new one."""
        if not self.session.goes_on:
            return ()
        return _at_once(explain(self.session, self.broker))

    def _play(self) -> str:
        try:
            self._turns()
        except FeedError as error:
            self.fault = str(error)
            return INPUT_REFUSED
        return INTERRUPTED if self.stopping else COMPLETED

    def _turns(self) -> None:
        session = self.session
        timeframe_ms = session.spec.feed.timeframe_ms
        for whole in session.groups(self._opened):
            at = whole[0].timestamp + timeframe_ms
            self.pass_time(at - 1)
            if self.is_over():
                return
            self.last_bar_at = whole[0].timestamp
            group = self._heard(whole, at)
            if not group:
                continue
            session.turn(group, at)
            session.turns += 1
            session.bars += len(group)
            self.commit()
            if self.is_over():
                return
        self.pass_time(self.until)
        if not self.is_over():
            self.clock.advance(self.until)

    def is_over(self) -> bool:
        """Return whether the session ends here, whatever is left of the market."""
        if self.session.must_end() or self.stopping:
            return True
        replay = self.session.spec.mode == REPLAY
        report = self.session.assembly.kill.report
        return replay and report is not None and report.confirmed

    def _heard(self, group: Group, at: int) -> Group:
        if not self.silent:
            return group
        return tuple(bar for bar in group if self.silent.get(bar.symbol, 0) < at)

    def pass_time(self, until: int) -> None:
        """Let every timer and act up to ``until`` happen, in order of time."""
        while not self.is_over():
            timer_at, act_at = self.clock.next_timer_at, self.agenda.next_at
            if timer_at <= min(act_at, until):
                self.session.fire_next(until)
            elif act_at <= until:
                act = self.agenda.take()
                self.clock.advance(act.at)
                if act.commit:
                    self.at_commit.append(act.do)
                else:
                    act.do()
            else:
                return
            self.commit()

    def commit(self) -> None:
        """Settle, make everything durable, let what waited for that go on."""
        dispatcher = self.dispatcher
        dispatcher.settle()
        for _ in range(COMMITS_MAX):
            if not dispatcher.pending:
                break
            self._make_durable()
            self._at_commit()
            dispatcher.release_commits()
        else:
            raise RuntimeError(f"{COMMITS_MAX} commits in one moment, and no end of them")
        holds = self.session.assembly.holds
        self._make_durable()
        if holds.changes != self._kept:
            self._kept = holds.changes
            self.register.replace(outliving(holds.view().values()))

    def _make_durable(self) -> None:
        self.journal.flush()
        self.disk.write(self.journal.seq)
        for script in self._scripts:
            script.keep()

    def _at_commit(self) -> None:
        if self.at_commit and self.dispatcher.commits_waiting:
            while self.at_commit:
                self.at_commit.popleft()()
            self.dispatcher.settle()

    # -- what steps do to actors

    def cell(self, name: str) -> Cell | None:
        """Return an actor's cell, or ``None`` if nobody is called so."""
        return self.dispatcher.cells.get(name)

    def crash_now(self, cell: Cell, error: Exception) -> None:
        """Let an actor fail at once, in no message."""
        cell.failures += 1
        self.session.assembly.supervisor.actor_failed(cell, None, error)

    def charge(self, name: str, charge: Charge) -> None:
        """Let an actor fail on messages to come."""
        self.sabotage[name].charges.append(charge)


def _at_once(asking: Coroutine[Any, Any, tuple[Adoption, ...]]) -> tuple[Adoption, ...]:
    """Return what a coroutine does whose venue is in this process: it never waits."""
    try:
        asking.send(None)
    except StopIteration as done:
        return tuple(done.value)
    finally:
        asking.close()
    raise AssertionError("a scenario's venue answers at once, or not at all")
