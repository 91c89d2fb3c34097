"""
The turns of a session, from its start to its end.

Replay and paper over recorded or synthetic data are the same turn over the same groups of
bars; paper waits between turns until their real time has come, commits to a durable journal,
and listens. Decisions are a function of configuration, data and seed in both. What happens
within one turn is in ``actors.moments``; who drives the turns, in ``unpaced`` and ``paced``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain

from actors.assembly import Parts, assemble
from actors.execution import ExecutionActor
from actors.feed import FeedActor, gaps_of
from actors.health.circuits import HEALTH
from actors.keeping import Recorded, backlog_of, fills_on_their_way, left_states, restore
from actors.moments import Moments
from actors.opening import adopt_at_start
from actors.outcomes import (
    COMPLETED,
    EXIT_CODES,
    GOES_ON,
    HALTED,
    INPUT_REFUSED,
    KILLED,
    RISK_HALTED,
)
from actors.places import Place
from actors.reconciler import ReconcilerActor
from actors.recovering import Recovery
from actors.runtime import Cell, CellState, Dispatcher
from actors.runtime.clock import NEVER, next_midnight
from actors.runtime.schedule import QueuedDispatcher
from actors.spec import SessionSpec
from actors.strategy.warming import Known
from actors.witness import Witness
from feeds.contract import Arrival, Group, LiveFeed
from feeds.errors import FeedError
from messages import (
    KILL_HOLD,
    Adoption,
    ClockRead,
    Hold,
    HoldLifted,
    HoldMode,
    Lane,
    MarketBefore,
    MarketSeen,
    Message,
    Quote,
    SessionEnded,
    SessionStarted,
    Tick,
    is_kill,
)
from state.journal import JournalWriter
from state.money import use_exact_context
from state.register import STOPPING

MIDNIGHT = "session|midnight"
"""The name of the timer that keeps strategies' states."""


class SessionError(Exception):
    """A session that cannot be put together; the message says why."""


def tag_of(session_id: str) -> str:
    """Return the part of a session's id that starts the ids of its orders and trades."""
    return session_id.rsplit("-", 1)[-1][:10]


class Session(Moments):
    """The turns of one session; whoever drives it owns the waiting and the journal's commits."""

    left: Mapping[str, bytes] | None = None
    """What the next process goes on from, once this one was stopped while there was more."""

    def __init__(
        self,
        spec: SessionSpec,
        session_id: str,
        journal: JournalWriter,
        first: Group,
        recorded: Recorded | None = None,
        *,
        now: int | None = None,
    ) -> None:
        """
        Put the session together; its time starts when the bars of ``first`` open, or ``now``.

        With what an earlier process of it has ``recorded`` it goes on there instead.
        """
        use_exact_context()
        _check_currencies(spec)
        self.spec = spec
        self.session_id = session_id
        tag = tag_of(session_id)
        self.turns = 0
        self.bars = 0
        self.begun = 0
        """Turns that have begun; for whoever is interested in what happens within one."""
        self.is_writing = False
        """Whether its driver waits for the disk: commits are still to be released then."""
        self.is_settling = False
        """Whether its driver is amid what is settled together."""
        self.first_bar_at = start_at = _start_of(first, recorded, now)
        self._recorded = recorded
        factory: Callable[..., Dispatcher] = QueuedDispatcher if spec.queued else Dispatcher
        assembly = assemble(
            Parts(
                tag,
                spec.feed,
                spec.strategies,
                spec.instruments,
                spec.currency,
                spec.cash,
                replace(spec.engine, trade_tag=tag),
                spec.limits,
                start_at,
                factory,
                health=spec.health,
                doubts=spec.doubts,
                reconciliation=spec.reconciliation,
                own_tags=spec.own_tags,
                broker=spec.broker,
                facts=None if recorded is None else recorded.facts,
            ),
            journal,
        )
        super().__init__(assembly, journal, alone=len(spec.feed.symbols) == 1)
        self.recovery = Recovery(assembly)
        self.goes_on = recorded is not None
        """Whether an earlier process has left its books: else they begin empty, with cash."""
        self.fills_on_their_way = fills_on_their_way(recorded)
        """Trades that the venue takes for told: they are taken back, and booked, with the start."""
        self.witness = assembly.broker if isinstance(assembly.broker, Witness) else None
        """The border to a venue that is not in this process."""
        self.remote = None if self.witness is None else self.witness.remote
        """The broker of such a venue: for whoever drives the session."""
        assembly.broker.bind(self._deliver if self.witness is None else self._arrived)
        if self.witness is not None:
            self.witness.place = lambda: str(self.place)
        if recorded is not None:
            restore(self, recorded)

    def start(self, held: Iterable[Hold] = (), adopted: Iterable[Adoption] = ()) -> None:
        """
        Journal the start, put ``held`` in force, start every actor, value the account.

        What is ``adopted`` of the venue's account is in the books before the first of them starts.
        """
        spec = self.spec
        assembly = self.assembly
        clock = assembly.clock
        supervisor = assembly.supervisor
        left_at = None if self._recorded is None else str(self._recorded.place or "") or None
        started = SessionStarted("session", clock.now, self.session_id, spec.mode, spec.seed)
        assembly.dispatcher.publish("session", started, left_at)
        self._bring_what_was_before()
        if self.witness is not None:
            self.witness.connected(spec.own_tags, spec.reconciliation)
        for hold in held:
            supervisor.reapply(hold)
        adopt_at_start(assembly, adopted)
        if self._recorded is not None:
            self._lift_the_end(self._recorded)
            self.recovery.begin()
            assembly.dispatcher.take_back(backlog_of(self._recorded))
        if self.witness is not None:
            self.witness.release()  # after what was told earlier
        supervisor.start(again=self._recorded is not None)
        # Restarts that an earlier session did not live to see.
        for child in supervisor.specs:
            if assembly.dispatcher.cells[child.name].runs:
                supervisor.lift(
                    f"restarting:{child.name}", "supervisor", f"{child.name} runs again"
                )
        assembly.kill.go_on()
        self._mark("start")
        clock.call_at(next_midnight(clock.now), self._snapshot_at_midnight, MIDNIGHT)
        if self._recorded is not None:
            self._recorded = None
            self.recovery.look(clock.now)

    def _lift_the_end(self, recorded: Recorded) -> None:
        """Say that what an orderly end held is held no more; it is in force nowhere."""
        for hold in recorded.facts.holds.values():
            if hold.hold_id.startswith(STOPPING):
                lifted = HoldLifted(hold, "supervisor", "the session goes on", self._clock.now)
                self.assembly.dispatcher.publish("supervisor", lifted)

    def _bring_what_was_before(self) -> None:
        """Let strategies warm up with what is known of the time before the session."""
        if self._is_live:
            before = tuple(chain.from_iterable(self.spec.feed.groups()))
            self._record(MarketBefore(self._clock.now, before), "")
        elif self._recorded is None:
            before = self.spec.before
        else:
            return  # what the strategies knew has been restored
        for spec in self.spec.strategies:
            house = self.assembly.core.houses[spec.name]
            symbols = house.desk.symbols
            house.memory.before = tuple(bar for bar in before if bar.symbol in symbols)
            # What is gone on with knows more than these bars: that has no name.
            if self.spec.features is not None and spec.source_sha256 and self._recorded is None:
                facts = (spec.source, spec.source_sha256, spec.params.model_dump_json(), *symbols)
                house.memory.known = Known(self.spec.features, facts)

    def take_in(self, arrival: Arrival) -> None:
        """Put on record what a live feed has brought now, for nothing repeats it; let it happen."""
        now, place = self._clock.now, str(self.place)
        if isinstance(arrival, Quote | Tick):
            self._record(MarketSeen(now, (arrival,)), place)
            self.observe(arrival)
            return
        self._record(MarketSeen(now, tuple(arrival)), place)
        self.begun += 1
        self.turn(arrival, max(arrival[0].timestamp + self.spec.feed.timeframe_ms, now))
        self.turns += 1
        self.bars += len(arrival)

    def read_clock(self, upto: int, occasion: str) -> None:
        """Put on record that timers due by ``upto`` go off here: see ``ClockRead``."""
        now, source = self._clock.now, f"venue:{self.assembly.broker.name}"
        read = ClockRead(now, upto, occasion)
        self.journal.append(now, source, "", str(self.place), read)

    def _record(self, message: Message, place: str) -> None:
        self.journal.append(self._clock.now, "feed", "", place, message)

    @cached_property
    def _is_live(self) -> bool:
        return isinstance(self.spec.feed, LiveFeed)

    @cached_property
    def _placed(self) -> tuple[Cell, ...]:
        """The cells by whose messages a place is found; all of them are made with the session."""
        cells = self.assembly.dispatcher.cells.values()
        return tuple(cell for cell in cells if cell.name != HEALTH)

    @property
    def is_unaccounted(self) -> bool:
        """Return whether the venue is still to be asked about something before anything opens."""
        return self.recovery.is_unaccounted

    @property
    def leaves_behind(self) -> bool:
        """Return whether a strategy that had not kept up was stopped, with what it has to hear."""
        return any(cell.state is CellState.LEFT for cell in self._dispatcher.strangers())

    @property
    def place(self) -> Place:
        """Return where it is, exactly; no handler may be running."""
        handled = 0
        for cell in self._placed:
            handled += cell.handled + cell.dead + cell.refused
        fired = self._clock.fired
        if self.witness is None:
            return Place(self.begun, handled, on_disk=self.is_writing, fired=fired)
        told = self._dispatcher.told
        return Place(
            self.begun, handled, self.is_writing, fired=fired, told=told, amid=self.is_settling
        )

    def _publish(self, message: Message) -> None:
        self.assembly.dispatcher.publish("session", message)

    def _mark(self, occasion: str) -> None:
        execution = self.assembly.execution_cell.actor
        if isinstance(execution, ExecutionActor):
            self._publish(execution.valuation(self.assembly.clock.now, occasion))

    def _snapshot_at_midnight(self, at: int) -> None:
        self.take_snapshots()
        self.assembly.clock.call_at(next_midnight(at), self._snapshot_at_midnight, MIDNIGHT)

    def take_snapshots(self) -> None:
        """Have every running strategy journal its durable state."""
        for cell in self.assembly.strategy_cells.values():
            if cell.runs:
                self.assembly.supervisor.keep_state(cell)

    @property
    def last_bar_at(self) -> int | None:
        """Return when the newest bar opened."""
        return max((bar.timestamp for bar in self._last.values()), default=None)

    # -- turns

    def groups(self, opened: Iterator[Group]) -> Iterator[Group]:
        """
        Yield the groups of ``opened``, the feed's first reading, whatever happens to the feed.

        A feed that raises is a failed child: its next incarnation goes on after the last
        bar that was delivered, and so does one that was restarted because it was silent. The
        feed's own refusal of its input ends the session.
        """
        assembly = self.assembly
        cell = assembly.feed_cell
        reconnects = assembly.health is not None and assembly.health.reconnects
        while True:
            try:
                if not reconnects:
                    yield from opened
                    return
                if (yield from _of_this_incarnation(cell, opened)):
                    return
                assembly.core.last_delivered = -1 if self.last_bar_at is None else self.last_bar_at
            except (FeedError, ValueError, OSError):
                raise  # the input is at fault, not the actor: reading it again would not help
            except Exception as error:  # noqa: BLE001 - the supervisor's business, never lost
                assembly.core.last_delivered = -1 if self.last_bar_at is None else self.last_bar_at
                cell.failures += 1
                assembly.supervisor.actor_failed(cell, None, error)
            while cell.state is CellState.RESTARTING and assembly.clock.next_timer_at < NEVER:
                self.fire_next(assembly.clock.next_timer_at)
            if self.halted or not cell.runs or not isinstance(cell.actor, FeedActor):
                return
            opened = cell.actor.groups(assembly.core.last_delivered)

    def must_end(self) -> bool:
        """Return whether the supervisor has given the session up."""
        return self.assembly.supervisor.halted is not None

    def outcome(self, otherwise: str) -> tuple[str, int]:
        """Return how the session ends and its exit code: ``otherwise``, unless something held."""
        outcome = otherwise
        kills = [hold for hold in self.assembly.holds.view().values() if is_kill(hold)]
        if self.halted is not None:
            outcome = HALTED
        elif otherwise != INPUT_REFUSED and kills:
            by_guard = all(hold.hold_id != KILL_HOLD for hold in kills)
            outcome = RISK_HALTED if by_guard else KILLED
        return outcome, EXIT_CODES[outcome]

    @property
    def halted(self) -> str | None:
        """Return why the session must end, if it must."""
        return self.assembly.supervisor.halted

    def finish(self, outcome: str, exit_code: int, stopped_at: Place | None = None) -> None:
        """
        End the session in phases and journal each.

        Nothing new may open (unless the data simply ended); what is on its way settles; the
        account is valued at the last close and compared with the venue's; every actor stops,
        in reverse order of its start.

        ``stopped_at`` is where somebody asked for the end while there was more to come. Such a
        session is ``left`` as by a process that died there: what waits behind a pause or a circuit
        waits on, and a kill that has not come to its end goes on, for whoever goes on with it.
        """
        assembly = self.assembly
        supervisor = assembly.supervisor
        is_left = stopped_at is not None and outcome in GOES_ON
        if outcome != COMPLETED:
            mode = HoldMode.BLOCK if is_left else HoldMode.REFUSE
            supervisor.hold_open(f"{STOPPING}{outcome}", f"the session ends: {outcome}", mode=mode)
        assembly.dispatcher.settle()
        if is_left:
            self.left = left_states(self)
            assembly.dispatcher.settle()  # a strategy whose state cannot be had has failed
        elif any(
            cell.mailbox.stats().queued[Lane.OPEN] for cell in assembly.dispatcher.cells.values()
        ):
            # What still waits behind a pause or a circuit is answered before nobody can.
            cause = "the session ends: what waits is refused"
            supervisor.hold_open(f"{STOPPING}{outcome}", cause)
            assembly.dispatcher.settle()
        assembly.kill.conclude()
        self._mark("close")
        self.take_snapshots()
        reconciler = assembly.reconciler_cell
        if reconciler.runs and isinstance(reconciler.actor, ReconcilerActor):
            self._publish(reconciler.actor.compare("close"))
        for gap in gaps_of(self.spec.feed, assembly.clock.now):
            self._publish(gap)
        for sample in assembly.track.samples(self.turns):
            self._publish(sample)
        supervisor.stop(outcome, waits=is_left)
        now = assembly.clock.now
        ended = SessionEnded("session", now, self.session_id, outcome, exit_code, is_left)
        assembly.dispatcher.publish("session", ended, str(stopped_at) if stopped_at else None)


def _start_of(first: Group, recorded: Recorded | None, now: int | None) -> int:
    """Return when a session's time starts: of a live feed ``now``, but never back."""
    if now is not None:
        return now if recorded is None else max(now, recorded.clock)
    return first[0].timestamp if recorded is None else recorded.clock


def _of_this_incarnation(cell: Cell, opened: Iterator[Group]) -> Generator[Group, None, bool]:
    """Yield the groups of ``opened``, to its end (true) or until its actor is another."""
    incarnation = cell.incarnation
    for group in opened:
        yield group
        if cell.incarnation != incarnation or not cell.runs:
            return False
    return True


def _check_currencies(spec: SessionSpec) -> None:
    for symbol, instrument in sorted(spec.instruments.items()):
        if instrument.settle != spec.currency:
            raise SessionError(
                f"{symbol} settles in {instrument.settle}, but the account is in {spec.currency}: "
                f"a session has one currency"
            )
