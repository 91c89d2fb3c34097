"""
The loop-stall watch: a heartbeat stamped by the event loop, looked at by a thread.

A loop that is alive runs its timer. When it does not for ``after_s``, the stacks of all
threads are written to ``sink`` (that is where it hangs), once per stall, and counted.
"""

from __future__ import annotations

import faulthandler
import threading
from collections.abc import Callable
from typing import TextIO

from actors.runtime.clock import monotonic_s, sleep_s
from actors.runtime.limits import STALL_AFTER_S

BEATS_PER_WINDOW = 4


class StallWatch:
    """
    Watch one event loop.

    ``beat`` is a coroutine to run as a task in the loop; ``start`` and ``stop`` bracket it.
    ``stalls`` counts, ``longest_s`` measures.
    """

    def __init__(
        self,
        sink: TextIO | None = None,
        *,
        after_s: float = STALL_AFTER_S,
        on_stall: Callable[[float], None] | None = None,
    ) -> None:
        """Dump stacks to ``sink`` (a real file) after ``after_s`` without a beat."""
        self.after_s = after_s
        self.stalls = 0
        self.longest_s = 0.0
        self._sink = sink
        self._on_stall = on_stall
        self._beat_at = monotonic_s()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall-watch", daemon=True)

    def start(self) -> None:
        """Start the watching thread."""
        self._beat_at = monotonic_s()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, if it was started, and wait for it."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    async def beat(self) -> None:
        """Stamp the heartbeat until cancelled."""
        while True:
            self._beat_at = monotonic_s()
            await sleep_s(self.after_s / BEATS_PER_WINDOW)

    def _watch(self) -> None:
        stalled = False
        while not self._stopped.wait(self.after_s / BEATS_PER_WINDOW):
            late_s = monotonic_s() - self._beat_at
            self.longest_s = max(self.longest_s, late_s)
            if late_s < self.after_s:
                stalled = False
            elif not stalled:
                stalled = True
                self.stalls += 1
                if self._sink is not None:
                    faulthandler.dump_traceback(self._sink, all_threads=True)
                if self._on_stall is not None:
                    self._on_stall(late_s)
