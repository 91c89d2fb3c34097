"""What a session that is executed again gets in place of the world: its errands, its stopwatch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from actors.stopwatch import Stopwatch
from feeds.contract import Arrival
from messages import Bar, KillStage, KillStep, Quote, Tick

if TYPE_CHECKING:
    from actors.tape import Tape
    from actors.turns import Session


def as_brought(seen: tuple[Bar | Quote | Tick, ...]) -> Arrival:
    """Return it as a live feed brings it: bars in a group, anything else alone."""
    first = seen[0]
    return first if isinstance(first, Quote | Tick) else cast("tuple[Bar, ...]", seen)


class Errands(deque[Callable[[], object]]):
    """A dispatcher's errands, among them what came from outside at just this moment."""

    def __init__(self, due: Callable[[], Callable[[], object] | None]) -> None:
        super().__init__()
        self._due = due

    def __bool__(self) -> bool:
        return len(self) > 0 or self._due() is not None

    def popleft(self) -> Callable[[], object]:
        """Take the next one; what came from outside only where there is nothing else."""
        if len(self):
            return super().popleft()
        errand = self._due()
        assert errand is not None, "somebody has seen it"
        return errand


class ToldAgain(Stopwatch):
    """Tells what the recorded session's stopwatch told where it was journaled."""

    def __init__(self, session: Session, tape: Tape) -> None:
        super().__init__(lambda: session.assembly.clock.now)
        self._session = session
        self._steps = tape.steps
        self._told = 0

    def start(self, waited_ms: int) -> None:
        """Forget the kill before; how long a command waited is in what was told."""
        self._told = 0

    def elapsed_ms(self) -> int:
        """Return what the next step was journaled with, or else what the one before was."""
        step = self._next_step()
        if step is not None and step.at == self._session.assembly.clock.now:
            self._told = step.elapsed_ms
        return self._told

    def _next_step(self) -> KillStep | None:
        seq = self._session.journal.seq + 1
        step = self._steps.get(seq)
        if step is not None or self._session.witness is None:
            return step
        # Whether one is overdue is seen before the venue is asked what is left.
        step = self._steps.get(seq + 1)
        return step if step is not None and step.stage is KillStage.UNCONFIRMED else None
