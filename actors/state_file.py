"""
``state.json`` of a session that runs: its newest snapshot, for whoever looks at one that died.

The snapshot is taken between two handlers, as the journal's states are, and written only once the
journal has everything that it knows: the file is never ahead of the truth. The disk is waited for
in a thread. Nothing depends on it: where it cannot be written, that is told once, and the session
goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog

from actors.artifacts import snapshot_of
from actors.runtime.clock import monotonic_s, sleep_s
from actors.runtime.limits import STATE_EVERY_S, STATE_HISTORY_EVERY_S
from state.journal import JournalError
from state.precedence import Precedence
from state.snapshots import Snapshot, save_state

if TYPE_CHECKING:
    from actors.turns import Session


class StateFile:
    """Keeps the snapshot of ``session`` in the folder ``out`` up to date; ``run`` does it."""

    def __init__(self, session: Session, out: Path, precedence: Precedence) -> None:
        """Write nothing yet; snapshots step aside for whoever has ``precedence``."""
        self._session = session
        self._precedence = precedence
        self._out = out
        self._written = (-1, -1)
        self._told = False
        self._history_due_s = monotonic_s() + STATE_HISTORY_EVERY_S

    async def run(self) -> None:
        """Write what has changed, at most every ``STATE_EVERY_S``, until cancelled."""
        try:
            while True:
                await self._write()
                await sleep_s(STATE_EVERY_S)
        except JournalError:
            # Whoever drives the session gets it too, and it is theirs to end it.
            return

    async def _write(self) -> None:
        await self._precedence.clear()
        session = self._session
        mark = session.journal.seq, session.assembly.clock.now
        if mark == self._written:
            return
        snapshot = snapshot_of(session, ends=False)
        await session.journal.commit()
        into_history = monotonic_s() >= self._history_due_s
        try:
            await anyio.to_thread.run_sync(self._save, snapshot, into_history)
        except OSError as error:
            if not self._told:
                structlog.get_logger("session").error("state_not_written", error=str(error))
            self._told = True
            return
        self._written = mark
        self._told = False
        if into_history:
            self._history_due_s = monotonic_s() + STATE_HISTORY_EVERY_S

    def _save(self, snapshot: Snapshot, into_history: bool) -> None:  # noqa: FBT001 - for a thread
        history = self._out / "state.jsonl" if into_history else None
        save_state(self._out / "state.json", snapshot, history=history)
