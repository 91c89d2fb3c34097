"""
Delivery: depth first, effects in the order returned, each to completion.

Theory of operation. A handler returns effects; each is journaled if its class says so, then
delivered to the receivers that the topology names for its class, one after the other, and
whatever follows from it is finished before the next. Because handlers have returned before
their effects are delivered, nobody is ever entered twice, and since an idle receiver with an
empty mailbox could not be overtaken by anything, its handler is called at once (*fused*): the
mailbox is used when a receiver is not running, has a backlog, or a hold keeps a message (see
``slow_road``).

``QueuedDispatcher`` in ``schedule`` sends every message through a mailbox and lets a tape
choose what steps next; its default choices give the same journal, byte for byte.

At quiescence (nothing in the inbox, no runnable backlog) the commits that handlers wait for
are made, and only then may time move.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import CodeType
from typing import Any

from actors.runtime import limits
from actors.runtime.backlog import Backlog, on_their_way, put_back
from actors.runtime.cell import AfterCommit, Cell, Effect, SetTimer
from actors.runtime.clock import Clock
from actors.runtime.holds import HoldSet
from actors.runtime.interrupt import HandlerStuck
from actors.runtime.mailbox import Origin
from actors.runtime.routes import Route, origin_text
from actors.runtime.slow_road import OPEN_LANE, SlowRoad
from actors.runtime.timers import Timers
from messages import Message
from state.journal import JournalWriter

CAUGHT = (Exception, SystemExit, HandlerStuck)
"""What a handler may raise without taking the process with it."""

UNCLAIMED = "unclaimed"
"""The origin of what a running handler brings about, until that handler's first event."""


class Dispatcher(SlowRoad):
    """The fused dispatcher; see the module's theory of operation."""

    def __init__(self, journal: JournalWriter, clock: Clock, holds: HoldSet) -> None:
        """Deliver by ``clock``, journal to ``journal``, and mind ``holds``."""
        super().__init__(holds)
        self.journal = journal
        self._append = journal.append
        self.clock = clock
        self._routes: dict[type, Route] = {}
        # Both are emptied at every quiescence: they hold what one stimulus brings about.
        self._inbox: deque[tuple[Cell, Message, Origin]] = deque()  # seam: see above
        self._commits: deque[tuple[Cell, Message, Origin]] = deque()  # seam: see above
        self._timers = Timers(clock, self.tell)
        self._unclaimed = 0
        self.errands: deque[Callable[[], object]] = deque()  # seam: bounded by who adds to it
        """What to do where no handler is running; any thread may add to it."""

    # -- wiring

    def add(self, cell: Cell) -> None:
        """Give ``cell`` a place; names are unique."""
        assert cell.name not in self.cells, f"two actors are called {cell.name}"
        self.cells[cell.name] = cell

    def route(
        self,
        kind: type[Message],
        *cells: Cell,
        by_strategy: Mapping[str, Cell] | None = None,
        matters: Callable[[Any], bool] | None = None,
    ) -> None:
        """Say who receives the messages of class ``kind``: see ``Route``."""
        self._routes[kind] = Route(cells, by_strategy, kind, matters)

    @classmethod
    def handler_calls(cls) -> tuple[CodeType, ...]:
        """Return the code that calls handlers: what a stuck one is recognised by."""
        return (
            cls.deliver.__code__,
            cls._handle.__code__,
            cls.start.__code__,
            cls.incarnate.__code__,
            cls.keep_state.__code__,
        )

    @classmethod
    def handler_passages(cls) -> tuple[CodeType, ...]:
        """Return the code that may stand between such a call and a strategy's own."""
        return (cls._checked.__code__, Cell.incarnate.__code__)

    def topology(self) -> dict[str, tuple[str, ...]]:
        """Return class name -> receivers; ``strategy`` stands for the one that a message names."""
        return {
            kind.__name__: tuple(cell.name for cell in route.cells)
            + (("strategy",) if route.by_strategy is not None else ())
            for kind, route in self._routes.items()
        }

    # -- entrances

    def tell(self, cell: Cell, message: Message, origin: Origin = None) -> None:
        """Hand over a message from outside any handler; it is delivered by the next ``settle``."""
        self._inbox.append((cell, message, origin))
        self.pending = True

    def tell_what_follows(self, cell: Cell, message: Message) -> None:
        """
        Hand over a message that the handler that is running brings about.

        Its cause is the first event that the handler's effects will journal (an acceptance
        follows from its send), or what the handler itself follows from.
        """
        self._inbox.append((cell, message, UNCLAIMED))
        self._unclaimed += 1
        self.pending = True

    def publish(self, source: str, message: Message, origin: Origin = None) -> Origin:
        """
        Journal and route a message that comes from no actor's handler.

        Return its own place in the journal: the origin of whatever is done because of it.
        """
        return self._send(source, message, origin)

    def settle(self) -> None:
        """
        Bring the system to quiescence, commits excepted.

        Afterwards no inbox, runnable mailbox or handler has anything to do; what waits in a
        mailbox waits for a hold or a restart.
        """
        while True:
            while self._inbox:
                if self.errands:
                    self.run_errands()
                cell, message, origin = self._inbox.popleft()
                self.deliver(cell, message, origin)
            if self.errands:
                self.run_errands()
                continue
            if not self._ready:
                return
            cell = self._next_ready()
            if not self.step(cell):
                self._ready.pop(cell.name, None)

    def _next_ready(self) -> Cell:
        """Return who has waited longest; a deferred one only where nobody else has."""
        ready = self._ready.values()
        return next((cell for cell in ready if not cell.deferred), None) or next(iter(ready))

    def settle_for(self, enough: Callable[[], bool]) -> bool:
        """
        Settle until that is done, or until ``enough()`` between two messages; return which.

        An errand that was run is enough, too: somebody waits for what it has brought about. And so
        is all that was to do before a deferred actor has its turn.
        """
        inbox, ready = self._inbox, self._ready
        busy = False
        while True:
            if self.errands:
                self.run_errands()
                return not inbox and not ready
            if inbox:
                self.deliver(*inbox.popleft())
            elif ready:
                cell = self._next_ready()
                if cell.deferred and busy:
                    return False
                if not self.step(cell):
                    ready.pop(cell.name, None)
                    continue
            else:
                return True
            busy = True
            if enough():
                if self.errands:  # what a handler wants done goes with what it said
                    self.run_errands()
                return not inbox and not ready

    def run_errands(self) -> None:
        """Run what waited for a moment in which no handler is running."""
        while self.errands:
            self.errands.popleft()()

    def when_idle(self, errand: Callable[[], object]) -> None:
        """
        Call ``errand`` as soon as the handler that is running, if any, and its effects are done.

        For what must not happen in the middle of a handler: turning a gate answers what waits
        behind it, and nobody is ever entered twice.
        """
        self.errands.append(errand)
        self.pending = True

    @property
    def busy(self) -> bool:
        """Return whether anything can be settled now."""
        return bool(self._inbox or self._ready or self.errands)

    @property
    def told(self) -> int:
        """Return how many messages were told and are still to be delivered."""
        return len(self._inbox)

    @property
    def commits_waiting(self) -> int:
        """Return how many messages wait for a commit."""
        return len(self._commits)

    def backlog(self) -> Backlog:
        """
        Return what is on its way: what was told, and what waits in mailboxes.

        For whoever keeps a session's state between two handlers. What waits for a commit is not
        among it: after a restart the commit has been made, and what it was for is in doubt.
        """
        return on_their_way(self._inbox, self.cells.values())

    def take_back(self, backlog: Backlog) -> None:
        """
        Take back what ``backlog`` gave, each where it was; nothing has started yet.

        In its mailbox a message keeps its place before all that follows from what was told.
        """
        put_back(backlog, self.cells, self.tell)

    def settle_all(self) -> None:
        """Bring the system to quiescence with every commit made at once (simulation only)."""
        self.settle()
        commits = self._commits
        while commits:
            cell, message, origin = commits.popleft()
            self.deliver(cell, message, origin)
            self.settle()
        self.pending = False

    def release_commits(self, count: int | None = None) -> None:
        """Deliver what waited for a commit that has now been made, then settle: the first ones."""
        for _ in range(len(self._commits) if count is None else count):
            self.release_commit()
            self.settle()
        self.pending = bool(self._commits)

    def release_commit(self) -> None:
        """Deliver the first message that waited for a commit; it has been made."""
        cell, message, origin = self._commits.popleft()
        self.deliver(cell, message, origin)

    def incarnate(self, cell: Cell) -> None:
        """Make a new incarnation; raises what its factory raises, or ``HandlerStuck``."""
        cell.incarnate()

    def keep_state(self, cell: Cell, keep: Callable[[Cell], None]) -> None:
        """Have ``keep`` ask for ``cell``'s durable state; raises what it raises likewise."""
        keep(cell)

    def start(self, cell: Cell) -> None:
        """Tell a new incarnation that it starts, under the same guard as any handler."""
        assert cell.actor is not None, "an incarnation was made"
        try:
            effects = cell.actor.on_start()
            if effects is not None:
                effects = tuple(effects) if cell.check is None else self._checked(cell, effects)
        except CAUGHT as error:
            self._failed(cell, None, error)
            return
        if effects:
            self.emit(cell, effects, "start")

    # -- delivery

    def emit(
        self,
        cell: Cell,
        effects: Iterable[Effect],
        origin: Origin,
        message: Message | None = None,
    ) -> None:
        """Make the effects of one handler, called for ``message``, happen, each to completion."""
        self._depth += 1
        routes = self._routes
        deliver = self.deliver
        following = origin  # what is not journaled follows from what was, just before it
        try:
            for effect in effects:
                route = routes.get(type(effect))
                if route is None:
                    self._runtime_effect(cell, effect, following, message)
                    continue
                if route.journaled:
                    following = self._append(
                        self.clock.now,
                        cell.name,
                        route.correlation(effect),
                        str(origin) if type(origin) is int else origin_text(origin),
                        effect,  # type: ignore[arg-type]
                    )
                    if self._unclaimed:
                        self._claim(following)
                matters = route.matters is None or route.matters(effect)
                if matters:
                    for receiver in route.cells:
                        deliver(receiver, effect, following)  # type: ignore[arg-type]
                if route.by_strategy is not None:
                    named = route.by_strategy.get(effect.strategy)  # type: ignore[union-attr]
                    if named is not None and (matters or named.eager):
                        deliver(named, effect, following)  # type: ignore[arg-type]
            if self._unclaimed:
                self._claim(origin)
        finally:
            self._depth -= 1

    def emit_now(self, cell: Cell, effects: Iterable[Effect], origin: Origin) -> None:
        """Make effects happen in the middle of something else, which waits for them."""
        self.emit(cell, effects, origin)

    def _claim(self, origin: Origin) -> None:
        # From the end, where they are: ten thousand cancels must not look at each other's answers.
        inbox = self._inbox
        count, self._unclaimed = self._unclaimed, 0
        index = len(inbox)
        while count and index:
            index -= 1
            cell, message, old = inbox[index]
            if old is UNCLAIMED:
                inbox[index] = (cell, message, origin)
                count -= 1

    def _journal(self, source: str, route: Route, message: Any, origin: Origin) -> int:
        return self._append(
            self.clock.now,
            source,
            route.correlation(message),
            str(origin) if type(origin) is int else origin_text(origin),
            message,
        )

    def _send(self, source: str, message: Message, origin: Origin) -> Origin:
        kind = type(message)
        route = self._routes.get(kind)
        if route is None:
            route = self._routes[kind] = Route((), None, kind)
        receivers = self._addressed(source, route, message, origin)
        following: Origin = self.journal.seq if route.journaled else origin
        if receivers:
            self._to_all(receivers)
        return following

    def _addressed(
        self, source: str, route: Route, message: Message, origin: Origin
    ) -> list[tuple[Cell, Message, Origin]]:
        if route.journaled:
            origin = self._journal(source, route, message, origin)
        receivers: list[tuple[Cell, Message, Origin]] = []
        matters = route.matters is None or route.matters(message)
        if matters:
            receivers.extend((cell, message, origin) for cell in route.cells)
        if route.by_strategy is not None:
            named = route.by_strategy.get(message.strategy)  # type: ignore[attr-defined]
            if named is not None and (matters or named.eager):
                receivers.append((named, message, origin))
        return receivers

    def _to_all(self, receivers: list[tuple[Cell, Message, Origin]]) -> None:
        for cell, message, origin in receivers:
            self.deliver(cell, message, origin)

    def _runtime_effect(
        self, cell: Cell, effect: object, origin: Origin, message: Message | None
    ) -> None:
        if type(effect) is AfterCommit:
            self._commits.append((cell, effect.message, origin))
            self.pending = True
        elif type(effect) is SetTimer:
            self._timers.arm(cell, effect)
        elif isinstance(effect, Message):
            self._send(cell.name, effect, origin)
        else:
            self._failed(cell, message, TypeError(f"{effect!r} is no effect"))

    def deliver(self, cell: Cell, message: Message, origin: Origin) -> None:
        """Hand one message to one receiver, to completion, or into its mailbox if it must wait."""
        if not cell.direct or (self.holds.active and message.lane is OPEN_LANE):
            self._queue(cell, message, origin)
            return
        # From here on as in _handle, without the call: this is the hottest path of all.
        handler = cell.handlers.get(type(message))
        if handler is None:
            self._undeliverable(cell, message)
            return
        try:
            effects = handler(message)
            if effects is not None:
                if cell.check is not None:
                    effects = self._checked(cell, effects)
                elif type(effects) is not tuple:
                    effects = tuple(effects)
        except CAUGHT as error:
            self._failed(cell, message, error)
            return
        cell.handled += 1
        if effects:
            self.emit(cell, effects, origin, message)
        elif self._unclaimed:
            self._claim(origin)

    def _handle(self, cell: Cell, message: Message, origin: Origin) -> None:
        handler = cell.handlers.get(type(message))
        if handler is None:
            self._undeliverable(cell, message)
            return
        try:
            effects = handler(message)
            if effects is not None:
                if cell.check is not None:
                    effects = self._checked(cell, effects)
                elif type(effects) is not tuple:
                    effects = tuple(effects)
        except CAUGHT as error:
            self._failed(cell, message, error)
            return
        cell.handled += 1
        if effects:
            self.emit(cell, effects, origin, message)
        elif self._unclaimed:
            self._claim(origin)

    def _checked(self, cell: Cell, effects: Iterable[Any]) -> tuple[Effect, ...]:
        """Keep code that is not ours to what it may say, and to how long it may go on."""
        assert cell.check is not None, "only what is not trusted is checked"
        assert cell.actor is not None, "only an actor that has lived can have effects"
        checked = cell.check(effects)
        if not checked or self._depth <= limits.DISPATCH_DEPTH_MAX:
            return checked
        # A strategy that answers every answer: what it says now is not said.
        assert self.guardian is not None, "a dispatcher runs under a supervisor"
        cell.actor.withdrawn(checked)
        for effect in checked:
            if isinstance(effect, Message):
                self.guardian.dead_letter(cell, effect, "dispatch_depth")
        return ()
