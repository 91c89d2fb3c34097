"""
Queued dispatch: every message through a mailbox, a tape choosing what steps next.

Theory of operation. Effects wait in the sender's outbox until their turn; sending one puts it
into its receivers' mailboxes. At any moment the possible steps are: let a receiver that was
idle handle what it got, or send the next effect of an unfinished outbox. Option 0 is depth
first, the same as fused dispatch, so with the default tape the journal is the same byte for
byte. Other tapes explore interleavings; then only the invariants must hold. What waits in a
mailbox behind a hold or a restart is worked off by ``settle``, as in fused dispatch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from actors.runtime.cell import Cell, Effect
from actors.runtime.clock import Clock
from actors.runtime.dispatch import Dispatcher
from actors.runtime.entropy import DefaultTape, Tape
from actors.runtime.holds import HoldSet
from actors.runtime.mailbox import Origin
from actors.runtime.routes import Deep
from messages import Message
from state.journal import JournalWriter


class Outbox:
    """The effects of one handler, or one published message, that are not sent yet."""

    __slots__ = ("cell", "effects", "following", "message", "origin", "receivers")

    def __init__(
        self,
        cell: Cell | None,
        effects: Iterable[Effect],
        origin: Origin,
        message: Message | None = None,
    ) -> None:
        """Send ``effects`` of ``cell``, whose handler was called for ``message``, in order."""
        self.message = message
        self.cell = cell
        self.effects: Iterator[Effect] = iter(effects)
        self.origin = origin
        self.following = origin
        self.receivers: deque[tuple[Cell, Message, Origin]] = deque()  # seam: of one effect


class QueuedDispatcher(Dispatcher):
    """The exploring dispatcher; see the module's theory of operation."""

    def __init__(
        self, journal: JournalWriter, clock: Clock, holds: HoldSet, tape: Tape | None = None
    ) -> None:
        """Choose by ``tape``; without one, depth first."""
        super().__init__(journal, clock, holds)
        self.tape: Tape = tape if tape is not None else DefaultTape()
        self._outboxes: list[Outbox] = []
        self._fresh: list[Cell] = []
        self._running = False
        self._base = 0  # how deep in a chain the letter is that is being worked off

    def emit(
        self,
        cell: Cell,
        effects: Iterable[Effect],
        origin: Origin,
        message: Message | None = None,
    ) -> None:
        """Open an outbox; the loop that is running, or one started here, works it off."""
        self._outboxes.append(Outbox(cell, effects, origin, message))
        if not self._running:
            self._run()

    def emit_now(self, cell: Cell, effects: Iterable[Effect], origin: Origin) -> None:
        """Open an outbox and work it off before whatever is going on goes on."""
        base, fresh = len(self._outboxes), len(self._fresh)
        self._outboxes.append(Outbox(cell, effects, origin))
        self._run(base, fresh)

    def deliver(self, cell: Cell, message: Message, origin: Origin) -> None:
        """Hand one message to one receiver through its mailbox."""
        self._put(cell, message, origin)
        if not self._running:
            self._run()

    def _put(self, cell: Cell, message: Message, origin: Origin) -> None:
        # Through the mailbox, always; who had nothing else to do is the next to step.
        idle = cell.direct
        cell.direct = False
        self._queue(cell, message, origin)
        if not len(cell.mailbox):
            cell.direct = idle
        elif idle:
            self._fresh.append(cell)

    def _to_all(self, receivers: list[tuple[Cell, Message, Origin]]) -> None:
        # Published in the middle of something: finish this first, as fused dispatch would.
        outbox = Outbox(None, (), None)
        outbox.receivers.extend(receivers)
        base = len(self._outboxes)
        self._outboxes.append(outbox)
        self._run(base, len(self._fresh))

    def _run(self, base: int = 0, fresh: int = 0) -> None:
        """Take steps until no outbox and no idle receiver is left above ``base`` and ``fresh``."""
        outer, self._running = self._running, True
        try:
            while len(self._outboxes) > base or len(self._fresh) > fresh:
                options: list[Cell | Outbox] = [
                    *reversed(self._fresh[fresh:]),
                    *reversed(self._outboxes[base:]),
                ]
                option = options[self.tape.choose("schedule", len(options))]
                if isinstance(option, Outbox):
                    self._send_next(option)
                    continue
                self._fresh.remove(option)
                self._depth = self._nesting
                self.step(option)
        finally:
            self._running = outer
            self._depth = self._nesting if outer else 0

    def _handle_deep(self, cell: Cell, message: Message, deep: Deep) -> None:
        before = self._base
        if not self._running:
            self._base = deep.depth
        try:
            super()._handle_deep(cell, message, deep)
        finally:
            self._base = before

    @property
    def _nesting(self) -> int:
        return self._base + len(self._outboxes)

    def _send_next(self, outbox: Outbox) -> None:
        if outbox.receivers:
            self._put(*outbox.receivers.popleft())
            return
        effect = next(outbox.effects, None)
        if effect is None:
            self._outboxes.remove(outbox)
            if self._unclaimed:
                self._claim(outbox.origin)
            return
        assert outbox.cell is not None, "what is published has receivers and no effects"
        route = self._routes.get(type(effect))
        if route is None:
            self._runtime_effect(outbox.cell, effect, outbox.following, outbox.message)
            return
        assert isinstance(effect, Message), "only messages have routes"
        origin = outbox.origin if route.journaled else outbox.following
        receivers = self._addressed(outbox.cell.name, route, effect, origin)
        if route.journaled:
            outbox.following = self.journal.seq
            if self._unclaimed:
                self._claim(outbox.following)
        outbox.receivers.extend(receivers)
