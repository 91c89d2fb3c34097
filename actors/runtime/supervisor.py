"""
Supervision: who runs, what happens when one fails, and how everything stops.

Theory of operation. Children are declared in start order. A failure is decided by ``plan``, a pure
function of the specs, the children's histories and the time (see ``supervision``), and carried
out by ``apply``. A failed message is a dead letter: it is never handled again, because doing it
twice might order twice; truth comes from reconciliation.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import assert_never

from actors.runtime import limits
from actors.runtime.cell import Cell, CellState
from actors.runtime.dispatch import Dispatcher
from actors.runtime.interrupt import HandlerStuck
from actors.runtime.mailbox import Origin
from actors.runtime.supervision import (
    AbandonChild,
    Action,
    ChildSpec,
    Halt,
    HoldOpen,
    QuarantineChild,
    RestartChild,
    plan,
)
from messages import (
    ActorFailed,
    ActorRestarting,
    ActorStarted,
    ActorStopped,
    DeadLetter,
    Escalated,
    Hold,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    Message,
    Scope,
    StrategyQuarantined,
)


def portable_traceback(error: BaseException) -> str:
    """
    Return where an error came from, the same on every machine and for every dispatcher.

    One line a frame, from the handler inwards: the last two parts of the file's path, line,
    function; then the error, and what it was raised from.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} in {frame.name}"
        for frame in frames
        if Path(frame.filename).parent != RUNTIME
    ]
    lines.append(f"{type(error).__name__}: {error}")
    if error.__cause__ is not None:
        lines.append(f"raised from {type(error.__cause__).__name__}: {error.__cause__}")
    return "\n".join(lines)


RUNTIME = Path(__file__).parent


class Supervisor:
    """
    The owner of children and holds.

    Everything it does is journaled. ``halted`` says why the session must end, once it must.
    """

    def __init__(self, dispatcher: Dispatcher, fatal: tuple[type[Exception], ...] = ()) -> None:
        """Supervise the cells of ``dispatcher``; an error of a ``fatal`` class ends the session."""
        self.dispatcher = dispatcher
        self.fatal = fatal
        dispatcher.guardian = self
        self.specs: list[ChildSpec] = []
        self.histories: dict[str, deque[int]] = {}
        self.dead_letters: deque[DeadLetter] = deque(maxlen=limits.DEAD_LETTERS_KEPT)
        self.dead_letter_count = 0
        self.halted: str | None = None
        self.answered = 0
        """Messages that holds have answered where they waited."""
        self.quarantined: dict[str, str] = {}
        self.on_quarantine: Callable[[str], Iterable[Message]] = lambda _strategy: ()
        self.on_keep_state: Callable[[Cell], None] = lambda _cell: None

    # -- life

    def declare(self, spec: ChildSpec, cell: Cell) -> None:
        """Add a child; the order of declaration is the order of start."""
        self.specs.append(spec)
        self.histories[spec.name] = deque(maxlen=spec.intensity.sustained + 1)
        self.dispatcher.add(cell)

    def start(self, *, again: bool = False) -> None:
        """
        Start every child in order; a child whose factory raises ends the start.

        ``again`` is for a session that goes on. What an actor finds at its start can concern any
        other, so all of them are there first; strategies hear the news that was on its way before
        they are told that they start, so that they do not decide by what is over; and one that was
        quarantined stays where it is.
        """
        if again:
            self._start_again()
            return
        for spec in self.specs:
            self._make(self.dispatcher.cells[spec.name], begin=True)
        self.dispatcher.settle()

    def _start_again(self) -> None:
        made: list[tuple[Cell, bool]] = []
        for spec in self.specs:
            cell = self.dispatcher.cells[spec.name]
            if spec.strategy and spec.strategy in self.quarantined:
                cell.become(CellState.QUARANTINED)
            else:
                self._make(cell, begin=False)
                made.append((cell, bool(spec.strategy)))
        for strategies in (False, True):
            for cell, is_strategy in made:
                if is_strategy is strategies and cell.runs:
                    self.dispatcher.start(cell)
            self.dispatcher.settle()

    def _make(self, cell: Cell, *, begin: bool) -> None:
        try:
            self._incarnate(cell, begin=begin)
        except HandlerStuck as stuck:
            raise RuntimeError(str(stuck)) from stuck

    def _incarnate(self, cell: Cell, *, begin: bool = True) -> None:
        self.dispatcher.incarnate(cell)
        now = self.dispatcher.clock.now
        self.dispatcher.publish("supervisor", ActorStarted(cell.name, now, cell.incarnation))
        if begin:
            self.dispatcher.start(cell)
        self.dispatcher.wake(cell)

    def stop(self, reason: str, *, waits: bool = False) -> None:
        """
        Stop every child in reverse order; what is still queued becomes dead letters.

        Unless it ``waits`` for the next process of the session: then nothing is said of it.
        """
        for spec in reversed(self.specs):
            self.retire(self.dispatcher.cells[spec.name], reason, waits=waits)

    def retire(self, cell: Cell, reason: str, *, waits: bool = False) -> None:
        """Stop one child, unless it is; what is queued for it becomes dead letters, or waits."""
        if cell.state is CellState.STOPPED:
            return
        is_told = cell.state is CellState.LEFT
        if waits:
            cell.become(CellState.STOPPED)
        else:
            self._retire(cell, CellState.STOPPED)
        if not is_told:
            self._say_stopped(cell, reason)

    def leave(self, cell: Cell, reason: str, place: str) -> None:
        """
        Let one child do no more, from ``place`` on; what is queued for it, and what comes, waits.

        Whether it waits for the next process of the session is decided when everything stops.
        """
        cell.become(CellState.LEFT)
        self._say_stopped(cell, reason, place)

    def _say_stopped(self, cell: Cell, reason: str, origin: Origin = None) -> None:
        now = self.dispatcher.clock.now
        stopped = ActorStopped(cell.name, now, cell.incarnation, reason)
        self.dispatcher.publish("supervisor", stopped, origin)

    # -- failure: the Guardian's duties

    def actor_failed(self, cell: Cell, message: Message | None, error: BaseException) -> None:
        """Journal the failure, make the message a dead letter, and carry out the plan."""
        now = self.dispatcher.clock.now
        text = portable_traceback(error)
        name = type(message).__name__ if message is not None else ""
        where = f"{type(error).__name__}: {error}"
        place = "" if cell.place_of is None else cell.place_of(message, error)
        self.dispatcher.publish(
            "supervisor", ActorFailed(cell.name, now, cell.incarnation, where, text, name, place)
        )
        if message is not None:
            detail = f"{place}: {where}" if place else where
            self.dead_letter(cell, message, "handler_raised", detail)
        if isinstance(error, self.fatal):
            self.apply(HoldOpen(f"fatal:{cell.name}", where))
            self.apply(Halt(where))
            return
        self._plan_for(cell)

    def source_failed(self, cell: Cell, where: str, text: str, origin: Origin) -> None:
        """Journal that what ``cell`` listens to failed (``where``, traceback), and carry on."""
        now = self.dispatcher.clock.now
        cell.failures += 1
        failed = ActorFailed(cell.name, now, cell.incarnation, where, text, "")
        self.dispatcher.publish("supervisor", failed, origin)
        self._plan_for(cell)

    def _plan_for(self, cell: Cell) -> None:
        if cell.state is not CellState.RUNNING:
            return
        for action in plan(self.specs, self.histories, cell.name, self.dispatcher.clock.now):
            self.apply(action)

    def lane_overflowed(self, cell: Cell, message: Message) -> None:
        """Hold OPEN everywhere: the state of the world can no longer be followed."""
        kind = type(message).__name__
        self.apply(HoldOpen(f"overflow:{cell.name}", f"{cell.name} cannot keep up with {kind}"))

    def dead_letter(self, cell: Cell, message: Message, reason: str, detail: str = "") -> None:
        """Count, keep and journal a message that no handler will see."""
        letter = DeadLetter(
            cell.name, self.dispatcher.clock.now, type(message).__name__, reason, detail
        )
        self.dead_letter_count += 1
        self.dead_letters.append(letter)
        self.dispatcher.publish("supervisor", letter)

    # -- action

    def apply(self, action: Action) -> None:
        """Carry out one action of a plan."""
        match action:
            case RestartChild():
                self._schedule_restart(action)
            case QuarantineChild():
                self._quarantine(action)
            case AbandonChild():
                self.dispatcher.cells[action.name].abandoned = True
                self._retire(self.dispatcher.cells[action.name], CellState.STOPPED)
                now = self.dispatcher.clock.now
                self.dispatcher.publish(
                    "supervisor", ActorStopped(action.name, now, 0, action.reason)
                )
            case HoldOpen():
                self.hold_open(action.hold_id, action.cause)
            case Halt():
                self._halt(action.reason)
            case _:
                assert_never(action)

    def _halt(self, reason: str) -> None:
        if self.halted is None:
            self.halted = reason
            now = self.dispatcher.clock.now
            self.dispatcher.publish("supervisor", Escalated("supervisor", now, "halt", reason))
            self.dispatcher.pending = True  # so that the driver looks

    def _schedule_restart(self, action: RestartChild) -> None:
        cell = self.dispatcher.cells[action.name]
        if cell.state is not CellState.RUNNING:
            return
        if action.healthy:
            self.keep_state(cell)
        cell.become(CellState.RESTARTING)
        clock = self.dispatcher.clock
        if not action.healthy:  # its intensity is for its own failures
            self.histories[action.name].append(clock.now)
        self.dispatcher.publish(
            "supervisor",
            ActorRestarting(cell.name, clock.now, cell.incarnation, action.delay_s),
        )
        at = clock.now + round(action.delay_s * 1000)
        # Those of one instant are restarted in the order in which they started.
        order = next(index for index, spec in enumerate(self.specs) if spec.name == cell.name)
        clock.call_at(at, lambda _at: self._restart(cell), f"restart|{order:04}")

    def keep_state(self, cell: Cell) -> None:
        """Have ``cell``'s durable state journaled; a failure of that is a failure of the actor."""
        try:
            self.dispatcher.keep_state(cell, self.on_keep_state)
        except (Exception, HandlerStuck) as error:  # noqa: BLE001 - its last good one has to do
            cell.failures += 1
            self.actor_failed(cell, None, error)

    def _restart(self, cell: Cell) -> None:
        if cell.state is not CellState.RESTARTING:
            return
        try:
            self._incarnate(cell)
        except (Exception, HandlerStuck) as error:  # noqa: BLE001 - a failure like any other
            cell.become(CellState.RUNNING)
            self.actor_failed(cell, None, error)
            return
        if cell.runs:
            self.lift(f"restarting:{cell.name}", "supervisor", f"{cell.name} runs again")

    def _quarantine(self, action: QuarantineChild) -> None:
        cell = self.dispatcher.cells[action.name]
        self.quarantined[action.strategy] = action.reason
        now = self.dispatcher.clock.now
        self.dispatcher.publish(
            "supervisor",
            StrategyQuarantined(action.name, now, action.strategy, action.reason),
        )
        self._retire(cell, CellState.QUARANTINED)
        # Its orders on the way are stopped like anybody's under a kill, for this strategy alone.
        self.hold_open(
            f"quarantine:{action.strategy}",
            action.reason,
            mode=HoldMode.DRAIN,
            scope=Scope(strategy=action.strategy),
            latched=True,
        )
        for message in self.on_quarantine(action.strategy):
            self.dispatcher.publish("supervisor", message)

    def _retire(self, cell: Cell, state: CellState) -> None:
        cell.become(state)
        for message, _origin in cell.mailbox.take_all():
            cell.dead += 1
            self.dead_letter(cell, message, state.value)

    # -- holds

    def hold_open(
        self,
        hold_id: str,
        cause: str,
        *,
        mode: HoldMode = HoldMode.REFUSE,
        scope: Scope | None = None,
        set_by: str = "supervisor",
        until: int | None = None,
        latched: bool = False,
    ) -> Hold:
        """
        Place a hold, answer what it covers and is already queued, and journal it.

        Returns the hold in force, which may be a stronger one of the same id.
        """
        now = self.dispatcher.clock.now
        asked = Hold(hold_id, cause, mode, set_by, now, scope or Scope(), until, latched)
        changed = self.dispatcher.holds.place(asked)
        hold = self.dispatcher.holds.view()[hold_id]
        if changed:
            self.dispatcher.publish("supervisor", HoldPlaced(hold))
            self._await_end(hold)
        if hold.mode is not HoldMode.BLOCK:
            self.answered += self.dispatcher.drain(hold.mode)
        return hold

    def reapply(self, hold: Hold) -> None:
        """Put a hold of an earlier session in force again, as it was; nothing has started yet."""
        self.dispatcher.holds.place(hold)
        self.dispatcher.publish("supervisor", HoldPlaced(hold))
        self._await_end(hold)

    def _await_end(self, hold: Hold) -> None:
        if hold.until is not None:
            name = f"hold|{hold.hold_id}"
            self.dispatcher.clock.call_at(hold.until, lambda _at: self._lift_at_end(hold), name)

    def _lift_at_end(self, hold: Hold) -> None:
        # Only the very hold that was to end then, not a newer one of the same id; and what is
        # latched is lifted by somebody, whatever else it says.
        if self.dispatcher.holds.view().get(hold.hold_id) is hold and not hold.latched:
            self.lift(hold.hold_id, "clock", "its time has come")

    def lift(self, hold_id: str, lifted_by: str, reason: str) -> bool:
        """Lift a hold and let what it blocked go on; return whether it was in force."""
        hold = self.dispatcher.holds.lift(hold_id)
        if hold is None:
            return False
        now = self.dispatcher.clock.now
        self.dispatcher.publish("supervisor", HoldLifted(hold, lifted_by, reason, now))
        self.dispatcher.release()
        return True
