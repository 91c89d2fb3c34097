"""
The calls that are to be made: a bounded queue, and workers that take from it.

The jobs of one order are done one after the other, those of different orders side by side. A job
waits for its predecessor where it is taken, which keeps a worker; but the predecessor was taken
before it, so somebody is at work on that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from brokers.virtual.limits import JOBS_MAX, LOOK_S


@dataclass(frozen=True, slots=True)
class Job:
    """One request: its number, whose, what to do, after what."""

    number: int
    name: str
    work: Callable[[], Awaitable[None]]
    after: anyio.Event | None
    done: anyio.Event


class Jobs:
    """Requests that were handed over; ``on_done`` is called whenever one is over."""

    def __init__(
        self, on_done: Callable[[], object], sleep_s: Callable[[float], Awaitable[None]]
    ) -> None:
        """Begin with none."""
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(JOBS_MAX)
        self._on_done = on_done
        self._sleep_s = sleep_s
        self._ends: dict[str, anyio.Event] = {}
        self.handed_over = 0
        """The number of the last one."""
        self._finished: set[int] = set()
        self._finished_upto = 0

    @property
    def are_done(self) -> bool:
        """Return whether all that was handed over is done."""
        return self._finished_upto == self.handed_over

    def hand_over(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Have ``work`` done; return False, with nothing done, where too many wait already."""
        number = self.handed_over + 1
        job = Job(number, name, work, self._ends.get(name), anyio.Event())
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            return False
        self.handed_over = number
        if name:
            self._ends[name] = job.done
        return True

    async def work(self) -> None:
        """Do one job after the other, until cancelled."""
        while True:
            job = await self._jobs.get()
            # Its predecessor was taken before it, so somebody is at work on it.
            if job.after is not None:
                await job.after.wait()
            try:
                await job.work()
            finally:
                job.done.set()
                if self._ends.get(job.name) is job.done:
                    del self._ends[job.name]
                self._finish(job.number)

    def _finish(self, number: int) -> None:
        self._finished.add(number)
        while self._finished_upto + 1 in self._finished:
            self._finished_upto += 1
            self._finished.discard(self._finished_upto)
        self._on_done()

    async def after(self, number: int) -> None:
        """Return when all up to hand-over ``number`` are done: a call ends by its time out."""
        while self._finished_upto < number:
            pending = next(iter(self._ends.values()), None)
            if pending is None:
                await self._sleep_s(LOOK_S)
            else:
                await pending.wait()
