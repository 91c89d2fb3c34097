"""
A machine on which waiting costs nothing: its clocks jump to the next timer whenever all is idle.

Theory of operation. All that a process knows of time it asks the machine for: ``time.time``,
``time.monotonic`` and their like, and how long a selector waits. Here both are one number. It moves
when the event loop has nothing to do but to wait, by just as long as it would have waited; it does
not move while a thread still works for the loop (a commit, a sync), nor while bytes are on their
way to a socket. So no time passes by which the code itself is slow: an hour of waiting takes a
second, a loaded machine changes nothing, and the same seed gives the same run, but for the order in
which two threads or two sockets happen to be ready.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import aiosqlite
import anyio.to_thread

T = TypeVar("T")

BEGAN_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z: every run begins at the same moment."""

TICK_S = 0.000_02
"""How much passes at each look for something to do: who waits without sleeping must see an end."""

EMPTY_LOOKS = 3
"""How often nothing must have come before it is believed that nothing is on its way."""

THREAD_S = 5.0
"""Longest real wait for a thread; one that takes longer has lost its way back."""


class Machine:
    """One machine's time, and the loop that runs on it."""

    def __init__(self) -> None:
        """Begin at ``BEGAN_S``."""
        self.now_s = 0.0
        self.at_work = 0
        self._limiter: anyio.CapacityLimiter | None = None

    @property
    def wall_ms(self) -> int:
        """Return UTC in ms."""
        return int((BEGAN_S + self.now_s) * 1000)

    @property
    def has_threads_at_work(self) -> bool:
        """Return whether a thread still works for the loop."""
        limiter = self._limiter
        return self.at_work > 0 or (limiter is not None and limiter.borrowed_tokens > 0)

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``main`` in a loop of its own on this machine, to its end."""
        with self._ticking(), asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(self._begun(main))

    async def _begun(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._limiter = anyio.to_thread.current_default_thread_limiter()
        return await main()

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        """Let this process know no other time, and see which threads work for it."""
        clocks: dict[str, Callable[..., float | int]] = {
            "time": lambda: BEGAN_S + self.now_s,
            "time_ns": lambda: int((BEGAN_S + self.now_s) * 1e9),
            "monotonic": lambda: self.now_s,
            "monotonic_ns": lambda: int(self.now_s * 1e9),
            "perf_counter": lambda: self.now_s,
            "perf_counter_ns": lambda: int(self.now_s * 1e9),
            "clock_gettime": lambda _clock: self.now_s,
        }
        real = {name: getattr(time, name) for name in clocks}
        database: Any = aiosqlite.Connection
        calls = {name: getattr(database, name) for name in ("_execute", "_connect", "close")}
        _put_everywhere({id(real[name]): clock for name, clock in clocks.items()})
        for name, call in calls.items():
            setattr(database, name, self._counted(call))
        try:
            yield
        finally:
            _put_everywhere({id(clock): real[name] for name, clock in clocks.items()})
            for name, call in calls.items():
                setattr(database, name, call)

    def _counted(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any, **named: Any) -> Any:
            self.at_work += 1
            try:
                return await call(*args, **named)
            finally:
                self.at_work -= 1

        return counted


def _put_everywhere(clocks: dict[int, Callable[..., float | int]]) -> None:
    """
    Put a clock where now the one is of which the id is given: in ``time``, and in all that took it
    from there by name. What waits for threads goes on by real time, for these do.
    """
    for name, module in list(sys.modules.items()):
        if module is time or name.partition(".")[0] not in sys.stdlib_module_names:
            for key, value in list(vars(module).items()):
                if id(value) in clocks:
                    setattr(module, key, clocks[id(value)])


class _Loop(asyncio.SelectorEventLoop):
    """An event loop on a machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(_Selector(machine))
        self._machine = machine

    def time(self) -> float:
        return self._machine.now_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self._machine.at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _future: object) -> None:
        self._machine.at_work -= 1


class _Selector(selectors.DefaultSelector):
    """A selector that does not wait for time to pass."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        machine = self._machine
        machine.now_s += TICK_S
        if timeout is not None and timeout <= 0:
            return super().select(0)
        for _ in range(EMPTY_LOOKS):
            found = super().select(0)
            if found:
                return found
            os.sched_yield()
        if machine.has_threads_at_work or timeout is None:
            found = super().select(THREAD_S)
            assert found, f"nothing came back: {machine.at_work} calls are out, timeout {timeout}"
            return found
        machine.now_s += timeout
        return []
