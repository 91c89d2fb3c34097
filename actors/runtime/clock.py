"""
The only source of time, and of sleep.

Session time is int milliseconds UTC. In simulation it moves only when the system is
quiescent, straight to the next timer or feed event; live it follows the machine's clock but
never runs backwards. Timers are kept by the clock in both, in order of (time, name, arming): by
their names before all, since the process that goes on with a session arms them in another order.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import anyio
import anyio.lowlevel

NEVER = 1 << 62
"""A time that no timer reaches."""

DAY_MS = 86_400_000

LOOK_UP_S = 0.2
"""Longest wait without asking whether to stop: an operator's Ctrl-C is answered at once."""

CANCELLED_KEPT: Final = 64
"""Cancelled timers that are kept for their time to come: looking for them costs next to nothing."""

TimerCallback = Callable[[int], object]


class Clock(Protocol):
    """Session time and its timers."""

    now: int
    next_timer_at: int
    fired: int
    """How many timers have gone off, those left out that look at the machine."""

    def call_at(self, at: int, callback: TimerCallback, name: str) -> int:
        """
        Arm a timer and return its handle; one in the past fires at the next chance.

        Its ``name`` is the same in every process of a session.
        """

    def cancel(self, handle: int) -> None:
        """Disarm a timer; unknown or fired handles are ignored."""

    def pop_due(self, until: int) -> tuple[int, TimerCallback] | None:
        """Take the earliest timer not later than ``until``."""


class SimulatedClock:
    """
    Time that jumps.

    ``advance`` moves it forward only; ``pop_due`` gives timers in order of time, among equals of
    name, and of one name in the order of arming.
    """

    __slots__ = ("_cancelled", "_heap", "_serial", "fired", "next_timer_at", "now")

    def __init__(self, now: int = 0) -> None:
        """Start at ``now`` (int ms UTC) without timers."""
        self.now = now
        self.next_timer_at = NEVER
        self.fired = 0
        self._heap: list[tuple[int, str, int, TimerCallback]] = []
        self._cancelled: set[int] = set()
        self._serial = 0

    def advance(self, to: int) -> None:
        """Move to ``to`` unless that is in the past."""
        if to > self.now:
            self.now = to

    def call_at(self, at: int, callback: TimerCallback, name: str) -> int:
        """Arm a timer and return its handle."""
        self._serial += 1
        heapq.heappush(self._heap, (at, name, self._serial, callback))
        self.next_timer_at = self._heap[0][0]
        return self._serial

    def cancel(self, handle: int) -> None:
        """Disarm a timer; unknown or fired handles are ignored."""
        if any(serial == handle for _, _, serial, _ in self._heap):
            self._cancelled.add(handle)
            if len(self._cancelled) > CANCELLED_KEPT and len(self._cancelled) * 2 > len(self._heap):
                self._sweep()
            self._uncover()

    def pop_due(self, until: int) -> tuple[int, TimerCallback] | None:
        """Take the earliest timer not later than ``until``."""
        if self.next_timer_at > until:
            return None
        at, _, _, callback = heapq.heappop(self._heap)
        self.fired += 1
        self._uncover()
        return at, callback

    def _sweep(self) -> None:
        """Let go of what was cancelled: of far times, armed again and again, it would only grow."""
        self._heap = [timer for timer in self._heap if timer[2] not in self._cancelled]
        heapq.heapify(self._heap)
        self._cancelled.clear()

    def _uncover(self) -> None:
        """
        Let the first timer be one that will fire.

        A cancelled one in front would announce a time at which nothing is due, and whoever takes
        what is due then would get a later one, past what was to happen between.
        """
        heap = self._heap
        while heap and heap[0][2] in self._cancelled:
            self._cancelled.discard(heapq.heappop(heap)[2])
        self.next_timer_at = heap[0][0] if heap else NEVER


class Pacer:
    """
    Ties simulated time to the machine's: ``speed`` session seconds pass in one real second.

    The session's decisions stay a function of its inputs alone, because only the waiting is
    real; ``speed`` 0 waits for nothing.
    """

    __slots__ = ("_origin_ms", "_started_s", "speed")

    def __init__(self, speed: float) -> None:
        """Pace at ``speed``; the origin is the first time that is waited for."""
        self.speed = speed
        self._origin_ms: int | None = None
        self._started_s = 0.0

    def begin(self, at: int) -> None:
        """Let session time ``at`` be now; without this, the first time that is waited for is."""
        self._origin_ms = at
        self._started_s = monotonic_s()

    def catch_up(self, at: int) -> None:
        """Let session time be at least ``at``: what a source says is over has been."""
        if self._origin_ms is not None and at > self.session_ms(at):
            self.begin(at)

    async def wait_until(
        self,
        at: int,
        stop: Callable[[], bool] = lambda: False,
        rest: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """
        Return when the real moment of session time ``at`` has come, or soon after ``stop()``.

        ``rest`` waits so many seconds, or until there may be a reason to stop.
        """
        if self._origin_ms is None:
            self.begin(at)
        while (delay_s := self.delay_s(at)) > 0.0:
            if stop():
                return
            await rest(min(delay_s, LOOK_UP_S))
        await anyio.lowlevel.checkpoint()

    def delay_s(self, at: int) -> float:
        """Return how many real seconds there are until session time ``at``."""
        if self.speed <= 0 or self._origin_ms is None:
            return 0.0
        due_s = self._started_s + (at - self._origin_ms) / 1000.0 / self.speed
        return max(0.0, due_s - monotonic_s())

    def session_ms(self, otherwise: int) -> int:
        """Return the session time of this very moment; ``otherwise`` where time is not paced."""
        if self.speed <= 0 or self._origin_ms is None:
            return otherwise
        return self._origin_ms + int((monotonic_s() - self._started_s) * 1000.0 * self.speed)


def wall_ms() -> int:
    """Return the machine's UTC time in ms: for logs, manifests and live session ids only."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """
    Return seconds of a clock that never steps, for durations.

    It goes on while the machine sleeps: venues and markets do too, and whoever wakes up must know
    how old everything is that it knows.
    """
    return time.clock_gettime(_SLEEPLESS)


_SLEEPLESS: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux's ``CLOCK_MONOTONIC`` stands still while the machine sleeps; that of macOS does not."""


async def within(delay_s: float, waited_for: Callable[[], Awaitable[None]]) -> None:
    """Return when ``waited_for`` does, or after ``delay_s`` real seconds."""
    with anyio.move_on_after(delay_s):
        await waited_for()


async def rung_within(delay_s: float, bell: asyncio.Event) -> None:
    """
    Return when ``bell`` has been rung, which it then no longer is, or after ``delay_s`` seconds.

    A scope of its own for the time would cost as much as everything else between two bars.
    """
    timer = asyncio.get_running_loop().call_later(delay_s, bell.set)
    try:
        await bell.wait()
    finally:
        timer.cancel()
    bell.clear()


async def sleep_s(delay_s: float) -> None:
    """Sleep for ``delay_s`` real seconds."""
    await anyio.sleep(delay_s)


def next_midnight(at: int) -> int:
    """Return the first UTC midnight strictly after ``at``."""
    return (at // DAY_MS + 1) * DAY_MS
