"""
What of a scenario's session is on its disk: all that a power cut leaves of it.

The entries themselves are in the record; here is up to which of them they are durable, and the
states that the session's parts had after that one, as ``DurableJournal`` writes them with a batch.
It is written at every commit, though nothing was journaled: in a scenario time passes while nobody
runs, and bars that led to nothing, read once more at another time, would be late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from actors.assembly import no_facts
from actors.keeping import Recorded
from actors.spec import SessionSpec
from state.facts import Facts
from state.journal import Entry

States = Callable[[], Mapping[str, bytes | None]]


class Disk:
    """The disk of one session; it outlives the session's processes."""

    def __init__(self, session_id: str) -> None:
        """Begin with nothing of the session ``session_id`` on it."""
        self.session_id = session_id
        self.seq = 0
        """The last entry that a power cut cannot take."""
        self._states: dict[str, bytes] = {}
        self._keep: States | None = None
        self._anew = False

    def keep(self, states: States) -> None:
        """From now on write what ``states`` returns: those of a new process, which come whole."""
        self._keep = states
        self._anew = True

    def write(self, seq: int) -> None:
        """Let everything up to entry ``seq`` be durable, with the states of this moment."""
        if self._keep is not None:
            found = self._keep()
            if self._anew:
                self._states.clear()
                self._anew = False
            for part, state in found.items():
                if state is None:
                    self._states.pop(part, None)
                else:
                    self._states[part] = state
        self.seq = seq

    def facts(self, spec: SessionSpec, entries: Iterable[Entry]) -> Facts:
        """Return what the durable ``entries`` make certain."""
        facts = no_facts(spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash)
        return facts.fold_all(entries)

    def recorded(self, facts: Facts) -> Recorded | None:
        """Return what the next process goes on with; ``None`` where nothing has happened yet."""
        return Recorded(facts, dict(self._states)) if self.seq else None
